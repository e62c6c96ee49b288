"""Layers of the network of Won & Jeon, "Learning Depth from Focus in the Wild" (ECCV 2022).

Volumes are (B,C,N,H,W); the focal axis is never reduced. Kernels begin as N(0, 2 / (kernel size x outputs)).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kernel = tuple[int, int, int]

CUBE: Kernel = (3, 3, 3)
SLICE: Kernel = (1, 3, 3)  # of every slice by itself
POINT: Kernel = (1, 1, 1)
HALVED: Kernel = (1, 2, 2)  # a stride: height and width, not the slices


def conv(
    c_in: int, c_out: int, kernel: Kernel = CUBE, *, stride: Kernel = POINT, dilation: Kernel = POINT
) -> nn.Conv3d:
    """Convolution without bias, "same" padding with zeros."""
    deep, high, wide = (d * (k // 2) for k, d in zip(kernel, dilation, strict=True))
    made = nn.Conv3d(c_in, c_out, kernel, stride, (deep, high, wide), dilation, bias=False)
    _begin(made)
    return made


def conv_norm(
    c_in: int, c_out: int, kernel: Kernel = CUBE, *, stride: Kernel = POINT, dilation: Kernel = POINT
) -> nn.Sequential:
    """Convolution and batch norm."""
    return nn.Sequential(conv(c_in, c_out, kernel, stride=stride, dilation=dilation), nn.BatchNorm3d(c_out))


def conv_norm_relu(c_in: int, c_out: int, kernel: Kernel = CUBE, stride: Kernel = POINT) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(*conv_norm(c_in, c_out, kernel, stride=stride), nn.ReLU())


def enlarge_norm(c_in: int, c_out: int) -> nn.Sequential:
    """Transposed convolution that doubles height and width, and batch norm."""
    made = nn.ConvTranspose3d(
        c_in, c_out, CUBE, stride=HALVED, padding=1, output_padding=(0, 1, 1), bias=False
    )
    _begin(made)
    return nn.Sequential(made, nn.BatchNorm3d(c_out))


def _begin(layer: nn.Conv3d | nn.ConvTranspose3d) -> None:
    nn.init.normal_(layer.weight, std=math.sqrt(2 / (math.prod(layer.kernel_size) * layer.out_channels)))


class SharpRegionDetector(nn.Module):
    """SRD: a residual block of every slice; a score from neighbouring slices is added to it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_norm_relu(channels, channels, SLICE)
        self.second = conv_norm(channels, channels, SLICE)
        self.score = nn.Sequential(
            conv(channels, channels, (3, 1, 1)), nn.ReLU(), conv(channels, channels, POINT), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        features = F.relu(x + self.second(self.first(x)))
        return features + self.score(features)


class EffectiveDownsampling(nn.Module):
    """EFD: a strided convolution, plus 2D max pooling with a convolution behind it. Halves H and W."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.strided = conv_norm(c_in, c_out, stride=HALVED)
        self.pooled = conv_norm(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.strided(x) + self.pooled(F.max_pool3d(x, HALVED)))


class _Branch(nn.Module):
    """Features pooled to one scale of the aggregation: two convolutions, then a residual block."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(conv_norm_relu(c_in, c_out), conv_norm_relu(c_out, c_out))
        self.residual = nn.Sequential(conv_norm_relu(c_out, c_out), conv_norm(c_out, c_out))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return F.relu(x + self.residual(x))


class Aggregation(nn.Module):
    """Multi-scale aggregation: (B,c,N,h,w) at 1/4 -> the same channels at 1/8, having seen 1/16 and 1/32."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_Branch(c, width) for width in (c, 2 * c, 2 * c))
        self.down = nn.ModuleList((conv(c, 2 * c, stride=HALVED), conv(2 * c, 4 * c, stride=HALVED)))
        self.join = nn.ModuleList((conv_norm_relu(4 * c, 2 * c), conv_norm_relu(6 * c, 4 * c)))
        self.deepen = nn.ModuleList((conv_norm_relu(2 * c, 2 * c), conv_norm_relu(4 * c, 4 * c)))
        self.up = nn.ModuleList((enlarge_norm(4 * c, 2 * c), enlarge_norm(2 * c, c)))
        self.skip = nn.ModuleList((conv_norm(2 * c, 2 * c, POINT), conv_norm(c, c, POINT)))

    def forward(self, x: Tensor) -> Tensor:
        pooled = [x]
        for _ in self.branches:
            pooled.append(F.avg_pool3d(pooled[-1], HALVED))
        first, *coarser = (branch(p) for branch, p in zip(self.branches, pooled[1:], strict=True))
        maps = [first]
        for down, join, deepen, branch in zip(self.down, self.join, self.deepen, coarser, strict=True):
            maps.append(deepen(join(torch.cat((down(maps[-1]), branch), dim=1))))
        x = maps.pop()
        for up, skip in zip(self.up, self.skip, strict=True):
            x = F.relu(up(x) + skip(maps.pop()))
        return x


class Passed(NamedTuple):
    """What a scale hands to the next finer one: its volume, and the first map of its hourglass."""

    volume: Tensor
    first: Tensor


class Hourglass(nn.Module):
    """Two features of c channels, down to a quarter and back, helped by the next coarser hourglass."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.enter = conv_norm_relu(2 * c, c)
        self.halve = nn.Sequential(conv_norm_relu(c, 2 * c, stride=HALVED), conv_norm(2 * c, 2 * c))
        self.halve_again = nn.Sequential(
            conv_norm_relu(2 * c, 2 * c, stride=HALVED), conv_norm_relu(2 * c, 2 * c)
        )
        self.up_half = enlarge_norm(2 * c, 2 * c)
        self.up_full = enlarge_norm(2 * c, c)

    def forward(self, volume: Tensor, features: Tensor, coarser: Passed | None) -> Passed:
        """The volume (B,c,N,h,w), improved by ``features`` of its shape; ``coarser`` is (B,2c,N,h/2,w/2)."""
        first = self.enter(torch.cat((volume, features), dim=1))
        half = self.halve(first)
        half = F.relu(half if coarser is None else half + coarser.volume)
        up = self.up_half(self.halve_again(half))
        up = F.relu(up + (half if coarser is None else coarser.first))
        return Passed(self.up_full(up) + volume, first)
