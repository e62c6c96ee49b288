"""Features of focal slices: convolution along the focal axis, sharp region detection, downsampling.

Slices are folded into the batch: maps are (B*N,C,H,W), channels last in memory, and ``n`` is the number of
slices N. A 3x3x3 convolution over (slice, y, x) is then one 2D convolution of three stacked slices, which a
CPU does many times faster than a 3D one. The slices at the ends see themselves in place of the missing
neighbour, so any N from 1 works. What a convolution gave is changed in place, which saves a third of the
memory and of the traffic to it; no gradient needs it as it was.

SRD and EFD follow Won & Jeon, "Learning Depth from Focus in the Wild" (ECCV 2022), section 2.2; the other
choices are those of their Table 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["none", "batch"]
SrdKind = Literal["srd", "residual-2d", "residual-3d"]
EfdKind = Literal["efd", "max+conv3d", "avg+conv3d", "strided", "pool3d"]

_BLOCK_VALUES = 2**17  # worked on at once, of all slices: more leave the cache, fewer starve a second core


def with_neighbours(x: Tensor, n: int) -> Tensor:
    """(B*N,C,H,W) -> (B*N,3C,H,W): each slice with the one before and the one after it."""
    stack = x.permute(0, 2, 3, 1).unflatten(0, (-1, n))  # B,N,H,W,C: joining channels last is one plain copy
    before = torch.cat((stack[:, :1], stack[:, :-1]), dim=1)
    after = torch.cat((stack[:, 1:], stack[:, -1:]), dim=1)
    return torch.cat((before, stack, after), dim=-1).flatten(0, 1).permute(0, 3, 1, 2)


def _beside_each_other(part: Tensor) -> Tensor:
    """(N,P,C) pixels of one stack -> (N,P,3C), as `with_neighbours`; a view, for a third of the traffic."""
    n, pixels, channels = part.shape
    row = part.new_empty(pixels, n + 2, channels)
    row[:, 1:-1], row[:, 0], row[:, -1] = part.transpose(0, 1), part[0], part[-1]
    return row.as_strided((n, pixels, 3 * channels), (channels, (n + 2) * channels, 1))


def slice_by_slice(make: Callable[[int], Tensor], count: int) -> Tensor:
    """(M,C,H,W), channels last, of ``count`` maps (1,C,H,W): what leads to each stays in the cache."""
    first = make(0)
    size = (count, *first.shape[1:])
    out = torch.empty(size, dtype=first.dtype, memory_format=torch.channels_last)
    for k in range(count):
        out[k : k + 1] = make(k) if k else first
    return out


def without_gradient_on_cpu(x: Tensor) -> bool:
    """Whether maps may be gone through piece by piece, and overwritten: what a CPU's cache likes best."""
    return x.device.type == "cpu" and not torch.is_grad_enabled()


def together(x: Tensor, count: int) -> int:
    """How many of ``count`` pictures to work on at once: one where that keeps the work in the cache."""
    return 1 if without_gradient_on_cpu(x) else count


def largest_of_four(x: Tensor) -> Tensor:
    """Maximum of every 2 x 2 pixels of (M,C,H,W), H and W even."""
    if not without_gradient_on_cpu(x):
        return F.max_pool2d(x, 2)
    rows = torch.maximum(x[:, :, ::2], x[:, :, 1::2])  # max_pool2d would note where it found them
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


class Conv(nn.Module):
    """2D convolution of every slice, "same" padding, with an optional norm behind it."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        bias: bool = True,
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=bias and norm == "none"
        )
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)
        self.norm = nn.BatchNorm2d(c_out) if norm == "batch" else nn.Identity()

    def silence(self) -> Conv:
        """Start at zero: a residual branch that begins as nothing trains without a norm."""
        nn.init.zeros_(self.conv.weight)
        if isinstance(self.norm, nn.BatchNorm2d):
            nn.init.zeros_(self.norm.weight)
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class FocalConv(Conv):
    """Convolution over (3 slices, kernel, kernel): equal to a 3D one with the end slices repeated."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        bias: bool = True,
        norm: Norm = "none",
    ) -> None:
        super().__init__(3 * c_in, c_out, kernel, stride=stride, bias=bias, norm=norm)

    def forward(self, x: Tensor, n: int) -> Tensor:  # type: ignore[override]
        if not without_gradient_on_cpu(x):
            return super().forward(with_neighbours(x, n))

        def one(k: int) -> Tensor:
            first = k - k % n
            near = (max(k - 1, first), k, min(k + 1, first + n - 1))
            return super(FocalConv, self).forward(torch.cat([x[j : j + 1] for j in near], dim=1))

        return slice_by_slice(one, len(x))


class Residual(nn.Module):
    """ReLU(x + conv(ReLU(conv(x)))) of every picture by itself."""

    def __init__(self, channels: int, norm: Norm = "none") -> None:
        super().__init__()
        self.first = Conv(channels, channels, norm=norm)
        self.second = Conv(channels, channels, norm=norm).silence()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.second(F.relu_(self.first(x))).add_(x))

    def overwrite(self, x: Tensor) -> None:
        """The same in the place of ``x``; where no gradient is wanted."""
        F.relu_(x.add_(self.second(F.relu_(self.first(x)))))


class FocalResidual(nn.Module):
    """The same with both convolutions over three slices (the "3D ResNet block" of Table 3)."""

    def __init__(self, channels: int, norm: Norm = "none") -> None:
        super().__init__()
        self.first = FocalConv(channels, channels, norm=norm)
        self.second = FocalConv(channels, channels, norm=norm).silence()

    def forward(self, x: Tensor, n: int) -> Tensor:
        return F.relu_(self.second(F.relu_(self.first(x, n)), n).add_(x))


class SharpRegionDetector(nn.Module):
    """SRD: a 2D residual block, plus an attention score from neighbouring slices that is added, not gated.

    On a CPU, where no gradient is wanted, what it is given is overwritten.
    """

    def __init__(self, channels: int, norm: Norm = "none") -> None:
        super().__init__()
        self.residual = Residual(channels, norm)
        self.compare = FocalConv(channels, channels, 1, bias=False)
        self.score = Conv(channels, channels, 1, bias=False)
        nn.init.normal_(self.score.conv.weight, std=0.1 * channels**-0.5)

    def forward(self, x: Tensor, n: int) -> Tensor:
        if without_gradient_on_cpu(x):
            return self._in_place(x, n)
        features = self.residual(x)
        return features + F.relu_(self.score(F.relu_(self.compare(features, n))))

    def _in_place(self, x: Tensor, n: int) -> Tensor:
        """The same in the memory of ``x``, which is used up; what is at work stays in the cache."""
        x = x.contiguous(memory_format=torch.channels_last)
        stack = x.unflatten(0, (-1, n))
        for k in range(n):
            self.residual.overwrite(stack[:, k])
        compare, score = (one.conv.weight.flatten(1).to(x.dtype) for one in (self.compare, self.score))
        block = max(_BLOCK_VALUES // (n * x.shape[1]), 64)
        for whole in stack.permute(0, 1, 3, 4, 2).flatten(2, 3):
            for part in whole.split(block, dim=1):
                near = _beside_each_other(part)
                part.add_(F.relu_(F.linear(F.relu_(near @ compare.T), score)))
        return x


class SliceResidual(nn.Module):
    """The 2D residual block alone, in the place of an SRD (Table 3)."""

    def __init__(self, channels: int, norm: Norm = "none") -> None:
        super().__init__()
        self.residual = Residual(channels, norm)

    def forward(self, x: Tensor, n: int) -> Tensor:
        del n
        return self.residual(x)


def sharp_region_detector(kind: SrdKind, channels: int, norm: Norm = "none") -> nn.Module:
    """The SRD or one of its alternatives: called with ((B*N,C,H,W), n), shape kept."""
    kinds: dict[str, type[nn.Module]] = {
        "srd": SharpRegionDetector,
        "residual-2d": SliceResidual,
        "residual-3d": FocalResidual,
    }
    if kind not in kinds:
        raise ValueError(f"srd {kind!r}; choose from {', '.join(kinds)}")
    return kinds[kind](channels, norm)


class EffectiveDownsampling(nn.Module):
    """EFD: 2D max pooling, then a focal convolution; a strided convolution is added to it. Halves H and W.

    The strided branch looks at its own slice alone: the pooled branch already carries what neighbours say,
    at a third of the cost. ``kind`` names the alternatives of Table 3.
    """

    def __init__(self, c_in: int, c_out: int, kind: EfdKind = "efd", norm: Norm = "none") -> None:
        super().__init__()
        if kind not in ("efd", "max+conv3d", "avg+conv3d", "strided", "pool3d"):
            raise ValueError(f"efd {kind!r}; choose from efd, max+conv3d, avg+conv3d, strided, pool3d")
        self.kind = kind
        self.focal: FocalConv | None = None
        self.strided: nn.Module | None = None
        if kind == "strided":
            self.strided = FocalConv(c_in, c_out, stride=2, norm=norm)
        else:
            self.focal = FocalConv(c_in, c_out, norm=norm)
        if kind == "efd":
            self.strided = Conv(c_in, c_out, stride=2, norm=norm)

    def forward(self, x: Tensor, n: int) -> Tensor:
        if self.kind == "strided":
            assert self.strided is not None
            return F.relu_(self.strided(x, n))
        assert self.focal is not None
        if self.kind == "pool3d":
            one, two, three = with_neighbours(x, n).chunk(3, dim=1)
            x = torch.maximum(torch.maximum(one, two), three)
        pooled = F.avg_pool2d(x, 2) if self.kind == "avg+conv3d" else largest_of_four(x)
        out = self.focal(pooled, n)
        if self.strided is not None:
            step = together(x, len(x))
            for k in range(0, len(x), step):
                out[k : k + step].add_(self.strided(x[k : k + step]))
        return F.relu_(out)
