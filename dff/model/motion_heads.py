"""From a flow volume to one correction of the motion: pooled, or by weighted least squares."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from dff.model.features import Conv, Norm

HeadKind = Literal["wls", "pool"]
HEADS: tuple[HeadKind, ...] = ("wls", "pool")

_MOST_PX = 4.0  # of one correction, in px of its level
_MOST_LOG_WEIGHT = 5.0
_MOST_CORRELATED = 0.98  # of the errors in x and in y
_FIRST_LOG_SHARPNESS = 3.0  # of the soft maximum over cosines
_RIDGE = 1e-3  # of the normalised system: a picture without texture stays where it is


def _reach(fields: Tensor) -> Tensor:
    """(R,) the most px that a unit of each coefficient moves anything; fields (R,2,h,w)."""
    return fields.flatten(1).abs().amax(dim=1).clamp_min(1e-6)


def _bounded(x: Tensor, most: float) -> Tensor:
    return most * torch.tanh(x / most)


def weighted_least_squares(flow: Tensor, information: Tensor, fields: Tensor) -> Tensor:
    """The motion that a flow, known better in some places and directions than in others, agrees with best.

    Args:
        flow: (M,2,h,w) [px].
        information: (M,3,h,w), of xx, xy and yy: the inverse covariance of the flow, up to a factor.
        fields: (R,2,h,w) flow per unit of each coefficient.

    Returns:
        (M,R) coefficients, drawn a thousandth towards zero.
    """
    with torch.autocast(flow.device.type, enabled=False):
        flow, information, fields = flow.float(), information.float(), fields.float()
        reach = _reach(fields)
        unit = fields / reach[:, None, None, None]
        xx, xy, yy = (part[:, None] for part in information.unbind(dim=1))
        weighted = torch.stack(
            (xx * unit[:, 0] + xy * unit[:, 1], xy * unit[:, 0] + yy * unit[:, 1]), dim=2
        ).flatten(2)  # M,R,2hw
        total = (xx + yy).sum(dim=(1, 2, 3)).clamp_min(1e-6)[:, None, None]
        system = weighted @ unit.flatten(1).T / total + _RIDGE * torch.eye(len(unit), device=flow.device)
        slope = weighted @ flow.flatten(1)[..., None] / total
        return torch.linalg.solve(system, slope)[..., 0] / reach


def expected_step(scores: Tensor, radius: int) -> Tensor:
    """(M,2,h,w) mean step (x, y) of `local_correlation`'s, each weighted by the exponential of its score."""
    share = scores.softmax(dim=1).unflatten(1, (2 * radius + 1, -1))
    steps = torch.arange(-radius, radius + 1, device=scores.device, dtype=scores.dtype)[:, None, None]
    return torch.stack(((share.sum(dim=1) * steps).sum(dim=1), (share.sum(dim=2) * steps).sum(dim=1)), dim=1)


class _Trunk(nn.Sequential):
    """Three convolutions, the first without the narrowing of the others (64, 32, 16 at full width)."""

    def __init__(self, c_in: int, width: int, norm: Norm) -> None:
        super().__init__(
            Conv(c_in, 2 * width, norm=norm),
            nn.ReLU(),
            Conv(2 * width, width, norm=norm),
            nn.ReLU(),
            Conv(width, width, norm=norm),
            nn.ReLU(),
        )


class PoolHead(nn.Module):
    """Coefficients at every place, averaged over the picture (Won & Jeon 2022, 2.1)."""

    def __init__(self, c_in: int, width: int, rows: int, norm: Norm) -> None:
        super().__init__()
        self.trunk = _Trunk(c_in, width, norm)
        self.out = Conv(width, rows).silence()

    def forward(self, volume: Tensor, mask: Tensor, fields: Tensor) -> Tensor:
        """(M,C,h,w), (M,1,h,w) where the volume counts, (R,2,h,w) -> (M,R) coefficients."""
        px = self.out(self.trunk(volume)).float() * mask
        mean = px.sum(dim=(2, 3)) / mask.sum(dim=(2, 3)).clamp_min(1)
        return _bounded(mean, _MOST_PX) / _reach(fields)


class LeastSquaresHead(nn.Module):
    """A flow and its 2x2 information at every place; the motion is their weighted least squares fit.

    The flow is where the local correlation is largest (its soft maximum), plus what the convolutions add.
    """

    def __init__(self, c_in: int, width: int, radius: int, norm: Norm) -> None:
        super().__init__()
        self.radius = radius
        self.log_sharpness = nn.Parameter(torch.tensor(_FIRST_LOG_SHARPNESS)) if radius else None
        self.trunk = _Trunk(c_in, width, norm)
        self.out = Conv(width, 5).silence()

    def forward(self, volume: Tensor, mask: Tensor, fields: Tensor) -> Tensor:
        """As `PoolHead`."""
        x, y, *logs, mixed = self.out(self.trunk(volume)).float().unbind(dim=1)
        flow = _bounded(torch.stack((x, y), dim=1), _MOST_PX)
        if self.log_sharpness is not None:
            scores = self.log_sharpness.exp() * volume[:, -((2 * self.radius + 1) ** 2) :].float()
            flow = flow + expected_step(scores, self.radius)
        along_x, along_y = (torch.exp(_bounded(log, _MOST_LOG_WEIGHT)) * mask[:, 0] for log in logs)
        both = _MOST_CORRELATED * torch.tanh(mixed) * torch.sqrt(along_x * along_y + 1e-12)
        return weighted_least_squares(flow, torch.stack((along_x, both, along_y), dim=1), fields)


def motion_head(kind: HeadKind, c_in: int, width: int, rows: int, radius: int, norm: Norm) -> nn.Module:
    """A head by name, called with (volume, mask, fields)."""
    if kind == "pool":
        return PoolHead(c_in, width, rows, norm)
    return LeastSquaresHead(c_in, width, radius, norm)
