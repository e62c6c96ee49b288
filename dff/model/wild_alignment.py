"""The alignment network of the paper: encoder and heads of Won & Jeon (ECCV 2022), section 2.1.

What happens between them, the flow volume warped from level to level, is that of `AlignmentNetwork`, which
gives up what the authors' code gets wrong: ten slices, coefficients carried unscaled from level to level,
zoom to first order, a reference that moves, and zeros sampled outside of the picture.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.model.alignment import LEVELS, AlignmentConfig, AlignmentNetwork
from dff.model.features import Conv
from dff.model.flow_volume import volume_channels
from dff.model.motions import Frame

_ZOOM_UNIT = 1e-3  # of what the head says; shifts are in pixels of the level


class _Residual(nn.Module):
    """ReLU(convolve twice + project)."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.first = Conv(c_in, c_out, stride=stride, norm="batch")
        self.second = Conv(c_out, c_out, norm="batch")
        self.project = Conv(c_in, c_out, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.project(x))


class _AverageHead(nn.Module):
    """Coefficients at every place, averaged over the picture; twice as many features as its level has."""

    def __init__(self, c_in: int, names: tuple[str, ...]) -> None:
        super().__init__()
        width = c_in - 2
        layers = [layer for c in (c_in, width, width) for layer in (Conv(c, width, norm="batch"), nn.ReLU())]
        self.trunk = nn.Sequential(*layers)
        self.out = Conv(width, len(names))
        self.units = [_ZOOM_UNIT if name == "zoom" else 1.0 for name in names]

    def forward(self, volume: Tensor, mask: Tensor, fields: Tensor) -> Tensor:
        """As `dff.model.motion_heads.PoolHead`."""
        del fields
        said = self.out(self.trunk(volume)).float() * mask
        mean = said.sum(dim=(2, 3)) / mask.sum(dim=(2, 3)).clamp_min(1)
        return mean * mean.new_tensor(self.units)


class WildAlignmentNetwork(AlignmentNetwork):
    """The paper's alignment network; 195,593 parameters at 8 channels.

    Args:
        channels: at full size, doubled at 1/2 and 1/4.
    """

    def __init__(self, channels: int = 8) -> None:
        super().__init__(
            AlignmentConfig(channels, head="pool", stem=1, radius=0, iterations=(1, 1, 1), norm="batch")
        )
        del self.stem, self.down
        widths = [channels << level for level in range(LEVELS)]
        self.encode = nn.ModuleList(
            nn.Sequential(_Residual(a, b, 1 if a == 3 else 2), _Residual(b, b))
            for a, b in pairwise([3, *widths])
        )
        self.heads = nn.ModuleList(
            _AverageHead(volume_channels(width, 0), self.config.names) for width in reversed(widths)
        )

    def _features(self, images: Tensor, frame: Frame) -> tuple[list[Tensor], list[Tensor]]:
        """As the parent's, from display values brought to [-1,1]."""
        right, below = frame.wide - frame.width - frame.left, frame.tall - frame.height - frame.top
        padding = (frame.left, right, frame.top, below)
        x = F.pad(2 * images.float().flatten(0, 1) - 1, padding, mode="replicate")
        shown = F.pad(x.new_ones(1, 1, frame.height, frame.width), padding)
        x = x.to(next(self.parameters()).dtype).contiguous(memory_format=torch.channels_last)
        features, masks = [], []
        for level, encode in enumerate(self.encode):
            x = encode(x)
            features.append(x)
            masks.append(F.avg_pool2d(shown, 1 << level) > 0.5)
        return features, masks
