"""From a volume of logits over slices to depth, and from coarse depth to full size.

Depth is in the focus coordinate u: 0 at the farthest slice, 1 at the nearest, linear in dioptres (or in
whatever the stack's positions are linear in).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.model.features import Conv, Norm, Residual, slice_by_slice, without_gradient_on_cpu

VARIANCE_FLOOR = 1e-4  # a hundredth of the sweep: below it a distribution counts as one slice


@dataclass
class Scale:
    """Depth at one scale of the volume.

    Args:
        logits: (B,N,h,w) float32, unnormalised log probability of every slice.
        u: (B,h,w) float32, expectation of the focus coordinate.
    """

    logits: Tensor
    u: Tensor


def expectation(logits: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distribution over slices (B,N,h,w), and mean and variance (B,h,w) of the focus coordinate; float32.

    Args:
        logits: (B,N,h,w).
        u: (B,N) focus coordinate of the slices.
    """
    share = torch.softmax(logits.float(), dim=1)
    place = u.float()[:, :, None, None]
    mean = (share * place).sum(dim=1)
    return share, mean, (share * (place - mean[:, None]).square()).sum(dim=1)


def beyond_two_slices(mean: Tensor, variance: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """What a distribution over slices leaves open: (B,h,w) gap round its mean, and variance beyond need.

    A depth between two slices needs both of them: with few slices that alone is a wide distribution, and no
    doubt. What is left of the variance once it is taken off is.

    Args:
        mean, variance: (B,h,w) of the focus coordinate.
        u: (B,N) focus coordinate of the slices.
    """
    u = u.float()
    above = torch.searchsorted(u.contiguous(), mean.flatten(1)).clamp(1, u.shape[1] - 1)
    low, high = (u.gather(1, at).view_as(mean) for at in (above - 1, above))
    return high - low, (variance - (mean - low) * (high - mean)).clamp_min(0)


def pooled_over_slices(features: Tensor, share: Tensor) -> Tensor:
    """(B,C,h,w): features (B*N,C,h,w) of the slices, weighted by their ``share`` (B,N,h,w)."""
    batch, n = share.shape[:2]
    wide = torch.float32 if without_gradient_on_cpu(features) else features.dtype  # CPUs add half ones slowly
    weight = share.to(wide)[..., None]  # B,N,h,w,1
    stack = features.permute(0, 2, 3, 1).unflatten(0, (batch, n))
    total = stack[:, 0].to(wide) * weight[:, 0]
    for k in range(1, n):  # their product as a whole would be as large as the volume
        total.addcmul_(stack[:, k].to(wide), weight[:, k])
    return total.permute(0, 3, 1, 2).to(features.dtype)


def doubled(x: Tensor) -> Tensor:
    """(M,C,h,w) -> (M,C,2h,2w), bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def joined(coarse: Tensor, fine: Tensor) -> Tensor:
    """``fine`` (M,C,H,W) and ``coarse`` (M,C,H/2,W/2) at twice its size, added; halves are rounded up."""
    height, width = fine.shape[-2:]
    if not without_gradient_on_cpu(fine):
        return fine + doubled(coarse)[..., :height, :width]
    return slice_by_slice(
        lambda k: doubled(coarse[k : k + 1])[..., :height, :width].add_(fine[k : k + 1]), len(fine)
    )


def _as_channels(*maps: Tensor) -> Tensor:
    """(B,C,h,w), channels last, of C maps (B,h,w)."""
    return torch.stack(maps, dim=-1).permute(0, 3, 1, 2)


def convex_upsample(coarse: Tensor, weights: Tensor) -> Tensor:
    """(B,2h,2w): every fine pixel a convex mix of the 3x3 coarse ones round it (Teed & Deng, RAFT, 2020).

    Args:
        coarse: (B,h,w).
        weights: (B,36,h,w), before softmax: 9 for each of the 4 fine pixels.
    """
    batch, height, width = coarse.shape
    share = torch.softmax(weights.float().reshape(batch, 9, 4, height, width), dim=1)
    padded = F.pad(coarse[:, None].float(), (1, 1, 1, 1), mode="replicate")
    patches = F.unfold(padded, 3).view(batch, 9, 1, height, width)
    return F.pixel_shuffle((share * patches).sum(dim=1), 2)[:, 0]


class Completion(nn.Module):
    """Depth at half size -> full size, by what the sharp picture shows: a 2D network, blind to N.

    The volume knows depth where something is in focus. Where nothing has texture, outline and surroundings
    decide: this U-Net (1/2 to 1/32) sees depth, its spread and the features of the sharp slice, corrects
    depth, and upsamples along the picture's edges.
    """

    def __init__(self, c_in: int, channels: int, norm: Norm = "none", depth: int = 5) -> None:
        super().__init__()
        self.first = Conv(c_in, channels, norm=norm)
        self.down = nn.ModuleList(Conv(channels, channels, stride=2, norm=norm) for _ in range(depth - 1))
        self.descend = nn.ModuleList(Residual(channels, norm) for _ in range(depth))
        self.ascend = nn.ModuleList(Residual(channels, norm) for _ in range(depth - 1))
        self.correct = Conv(channels, 1).silence()
        self.weights = Conv(channels, 36).silence()
        with torch.no_grad():
            # begin by repeating the coarse pixel
            assert self.weights.conv.bias is not None
            self.weights.conv.bias.view(9, 4)[4] = 3.0

    def forward(self, x: Tensor, u: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Depth (B,2h,2w), and by how much it was corrected (B,h,w); float32.

        Args:
            x: (B,C,h,w) features of the sharp slice.
            u, variance: (B,h,w) mean and variance of the distribution over slices.
        """
        spread = torch.log(variance.detach() + VARIANCE_FLOOR)
        hints = _as_channels(2 * u.detach() - 1, 0.25 * spread).to(x.dtype)
        x = F.relu_(self.first(torch.cat((x, hints), dim=1)))
        skips = []
        for i, block in enumerate(self.descend):
            x = block(F.relu_(self.down[i - 1](x)) if i else x)
            skips.append(x)
        x = skips.pop()
        for block in self.ascend:
            x = block(joined(x, skips.pop()))
        # One convolution for both: of a single channel it takes a third of the time of 36.
        kernel, bias = (
            torch.cat([getattr(one.conv, name) for one in (self.weights, self.correct)])
            for name in ("weight", "bias")
        )
        weights, correction = F.conv2d(x, kernel, bias, padding=1).split((36, 1), dim=1)
        correction = correction[:, 0].float()
        return convex_upsample(u + correction, weights), correction


class Uncertainty(nn.Module):
    """Log of the Laplace scale of the error of depth, from how the distribution over slices looks.

    Nothing of the picture is asked, and nothing is told back: depth does not bend to be judged well. (With
    the picture's features as well, it ordered errors no better.)
    """

    def __init__(self, channels: int = 24, norm: Norm = "none") -> None:
        super().__init__()
        self.first = Conv(5, channels, norm=norm)
        self.second = Conv(channels, channels, norm=norm)
        self.last = Conv(channels, 4).silence()  # the four fine pixels
        assert self.last.conv.bias is not None
        nn.init.constant_(self.last.conv.bias, -1.0)

    def forward(self, mean: Tensor, variance: Tensor, correction: Tensor, u: Tensor) -> Tensor:
        """(B,2h,2w) float32.

        Args:
            mean, variance: (B,h,w) of the distribution.
            correction: (B,h,w) of the completion.
            u: (B,N) focus coordinate of the slices.
        """
        mean, variance, correction = mean.detach(), variance.detach(), correction.detach()
        gap, beyond = beyond_two_slices(mean, variance, u)
        doubt = 0.25 * torch.log(beyond + VARIANCE_FLOOR)
        spread = 0.25 * torch.log(variance + VARIANCE_FLOOR)
        hints = (doubt, spread, 0.5 * torch.log(gap), 2 * mean - 1, 4 * correction)
        x = _as_channels(*hints).to(self.first.conv.weight.dtype)
        x = F.relu_(self.first(x))
        x = F.relu_(self.second(x).add_(x))
        return F.pixel_shuffle(self.last(x).float() + doubt[:, None], 2)[:, 0]
