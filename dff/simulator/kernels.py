"""Blur kernels of a point spread function: sampled on pixels, as spectra, and the bank of their sizes."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.psf import (
    PSF,
    Half,
    Place,
    disparity_per_coc_px,
    left_share,
    mean_squared_radius,
    split_centre,
    transmission,
)

LEVEL_STEP = 1.2  # ratio of neighbouring blur diameters
_SPECTRA_BYTES = 2**27  # kept for the next layer and the next scene


def _lit(psf: PSF, diameter_px: float, place: Place) -> tuple[Tensor, Tensor, int, float]:
    """Pupil coordinates (S*fine,), light (S*fine,S*fine), points per pixel, and their pupil spacing."""
    fine = min(32, max(4, math.ceil(64 / diameter_px)))
    reach = max(0, math.ceil(psf.reach * diameter_px / 2 - 0.5))
    side, radius = 2 * reach + 1, diameter_px / 2
    at = ((torch.arange(side * fine, dtype=torch.float64) + 0.5) / fine - side / 2) / radius
    finest = 1 / (fine * radius)
    return at, transmission(psf, at[None, :], at[:, None], place, finest), fine, finest


def _pooled(fine_picture: Tensor, fine: int) -> Tensor:
    return F.avg_pool2d(fine_picture[None, None], fine)[0, 0]


def _pixels(picture: Tensor) -> Tensor:
    """Coordinates (S,) [px] from the middle of a kernel (S,S)."""
    return torch.arange(picture.shape[0], dtype=torch.float64) - picture.shape[0] // 2


def _full(psf: PSF, diameter_px: float, place: Place) -> tuple[Tensor, float]:
    """Pupil ``diameter_px`` wide averaged over pixels, (S,S) of sum 1, and its mean squared radius [px^2]."""
    _, light, fine, _ = _lit(psf, diameter_px, place)
    picture = _pooled(light, fine)
    picture = picture / picture.sum()
    at = _pixels(picture) ** 2
    return picture, float((picture * (at[:, None] + at)).sum())


def _odd(psf: PSF, sampled_px: float, diameter_px: float, place: Place) -> Tensor:
    """What the left half has more, and the right one less, than the full kernel (S,S)."""
    at, light, fine, finest = _lit(psf, sampled_px, place)
    left = left_share(psf, at, split_centre(psf, at, light.sum(0), finest), finest)
    total = light.sum() / fine**2
    odd = _pooled(light * (2 * left - 1), fine) / total
    # Averaged over pixels the halves come out too near each other: deepen the split to their true distance,
    # as far as that leaves no pixel of the other half below 0.
    distance = -2 * float((odd * _pixels(odd)).sum())
    most = float((odd.abs() * total / _pooled(light, fine).clamp_min(1e-30)).max())
    if distance <= 0 or most <= 0:
        return odd
    return odd * min(disparity_per_coc_px(psf, place) * diameter_px / distance, 1 / most)


@lru_cache(maxsize=1024)
def _sampling_diameter(psf: PSF, diameter_px: float, place: Place) -> float:
    """Diameter to sample such that, pixels averaged, the mean squared radius is the true one.

    Averaging over pixels widens a kernel, by up to 1/6 px^2 in mean squared distance.
    """
    target = diameter_px**2 / 4 * mean_squared_radius(psf, place)
    low, high = 0.25 * diameter_px, 1.1 * diameter_px
    tried = math.sqrt(max(0.0, diameter_px**2 - 4 / 3)) or (low + high) / 2
    for _ in range(12):
        spread = _full(psf, tried, place)[1]
        if abs(spread - target) < 1e-3 * target:
            break
        low, high = (tried, high) if spread < target else (low, tried)
        tried = math.sqrt((low**2 + high**2) / 2)
    return tried


@lru_cache(maxsize=1024)
@torch.inference_mode(False)
def kernel(psf: PSF, diameter_px: float, half: Half | None = None, place: Place = (0.0, 0.0)) -> Tensor:
    """Antialiased kernel (S,S) float32 with odd S and sum 1, to be convolved with the sharp picture.

    Its mean squared radius is that of the continuous pupil, not of the pupil averaged over pixels (which is
    up to 1/6 px^2 more). The mean of the left and the right half is the full kernel exactly; from about 3 px
    on their centroids are `disparity_per_coc_px` apart, below that pixels hold less.

    Args:
        diameter_px: signed circle of confusion; negative, behind the focus, mirrors the kernel at its middle.
            Up to 1 px either way there is no blur: a single 1.
        half: "left" or "right" of a dual pixel. In front of the focus the left half's kernel lies left.
        place: of the point in the field; matters with `PSF.cats_eye` only.
    """
    if abs(diameter_px) <= 1:
        return torch.ones(1, 1)
    sampled = _sampling_diameter(psf, abs(diameter_px), place)
    picture = _full(psf, sampled, place)[0]
    if half is not None:
        odd = _odd(psf, sampled, abs(diameter_px), place)
        picture = picture + odd if half == "left" else picture - odd
    picture = picture.clamp_min(0).float()  # of rounding
    return picture if diameter_px > 0 else picture.flip(0, 1)


def fft_size(size: int, multiple: int = 4) -> int:
    """The next multiple of ``multiple`` without prime factors above 5: quick to transform, and few."""
    size = -(-size // multiple) * multiple
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += multiple


class _Spectra:
    """The spectra used last, as many as fit in `_SPECTRA_BYTES`."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()
        self._bytes = 0

    def find(self, key: tuple[object, ...], make: Callable[[], Tensor]) -> Tensor:
        if key not in self._kept:
            self._kept[key] = made = make()
            self._bytes += made.nbytes
            while self._bytes > _SPECTRA_BYTES and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(key)
        return self._kept[key]


_spectra = _Spectra()


def spectrum(
    psf: PSF,
    diameter_px: float,
    half: Half | None,
    place: Place,
    size: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """rfft2 of `kernel` centred on pixel (0, 0) of ``size`` (h, w): (h, w//2+1); real where it is symmetric.

    The latest 128 MiB are kept for the next call.
    """

    @torch.inference_mode(False)  # what is kept must serve training too
    def make() -> Tensor:
        small = kernel(psf, diameter_px, half, place).to(device)
        side, middle = small.shape[0], small.shape[0] // 2
        field = F.pad(small, (0, size[1] - side, 0, size[0] - side)).roll((-middle, -middle), (0, 1))
        full = torch.fft.rfft2(field)
        return full.real.contiguous() if psf.symmetric(half) else full

    return _spectra.find((psf, diameter_px, half, place, size, device), make)


# --- the bank of sizes -----------------------------------------------------------------------------------


def blur_levels(max_diameter_px: float) -> tuple[float, ...]:
    """Diameters [px] of the blur bank: 1 (the identity), then steps of 20 %, past the maximum."""
    levels = [1.0]
    while levels[-1] < max_diameter_px:
        levels.append(LEVEL_STEP * levels[-1])
    return tuple(levels)


class Levels:
    """Which kernels a range of blur needs, and how much of each makes the blur of a pixel.

    Between two levels the weights keep the second moment (the squared diameter) of the blur.

    Args:
        lowest, highest: ends of the signed circle of confusion [px].
        signed: kernels differ in front of the focus and behind it; otherwise they share levels.
    """

    def __init__(self, lowest: float, highest: float, signed: bool) -> None:
        self.signed = signed
        behind = blur_levels(-lowest)[:0:-1] if signed else ()
        ahead = blur_levels(highest if signed else max(-lowest, highest))
        self.diameters = (*(-diameter for diameter in behind), *ahead)
        identity = len(behind)
        # a level is pure from its own lower to its own upper square: the identity as far as 1 px either way
        self._upper = [diameter * abs(diameter) for diameter in self.diameters]
        self._lower = [*self._upper[:identity], -1.0, *self._upper[identity + 1 :]]
        self._knots: tuple[Tensor, Tensor] | None = None

    def square(self, coc_px: Tensor) -> Tensor:
        """Signed circle of confusion -> the squared diameter that the other methods take."""
        return coc_px * coc_px.abs() if self.signed else coc_px.square()

    def span(self, lowest: float, highest: float) -> tuple[int, int]:
        """First and last level that circles of confusion between these signed ends need."""
        low, high = lowest * abs(lowest), highest * abs(highest)
        if not self.signed:
            low, high = 0.0 if low <= 0 <= high else min(abs(low), abs(high)), max(abs(low), abs(high))
        first = max(0, sum(square <= low for square in self._lower) - 1)
        last = min(len(self._upper) - 1, sum(square < high for square in self._upper))
        return first, max(first, last)

    def share(self, square: Tensor, j: int) -> Tensor:
        """Share of level j against level j - 1 at every pixel: 0 up to level j - 1, 1 from level j on."""
        below = self._upper[j - 1]
        return (square - below).mul_(1 / (self._lower[j] - below)).clamp_(0, 1)

    def pick(self, square: Tensor) -> tuple[Tensor, Tensor]:
        """The level below every pixel's blur (an index), and the share of the level above it."""
        if self._knots is None:
            self._knots = square.new_tensor(self._upper), square.new_tensor(self._lower)
        upper, lower = self._knots
        below = torch.bucketize(square, upper[1:-1])
        share = (square - upper[below]) / (lower[below + 1] - upper[below])
        return below, share.clamp_(0, 1)


class Bank:
    """One layer, blurred by every kernel that some slices ask for; `at` serves them in their order.

    Args:
        spans: first and last level of each slice.
        pick: make all levels at once and read two of them at every pixel. Otherwise a level is made when it
            is first asked for and dropped after its last use, and all of a span are blended.
    """

    def __init__(
        self, levels: Levels, blurred: Callable[[int], Tensor], spans: list[tuple[int, int]], pick: bool
    ) -> None:
        self._levels, self._blurred, self._spans = levels, blurred, spans
        self._made: dict[int, Tensor] = {}
        self._last_use = {j: k for k, (first, last) in enumerate(spans) for j in range(first, last + 1)}
        self._all = torch.stack([blurred(j) for j in range(len(levels.diameters))]) if pick else None

    def at(self, k: int, square: Tensor, crop: tuple[slice, slice]) -> Tensor:
        """(B,C,h,w) for slice k in a part of the window; ``square`` (B,h,w) as `Levels.square` says."""
        if self._all is not None:
            part = self._all[(..., *crop)]
            below, share = self._levels.pick(square)
            index = below[None, :, None].expand(1, *part.shape[1:])
            return torch.lerp(part.gather(0, index)[0], part.gather(0, index + 1)[0], share[:, None])
        first, last = self._spans[k]
        out = self._level(first)[(..., *crop)]
        for j in range(first + 1, last + 1):
            out = torch.lerp(out, self._level(j)[(..., *crop)], self._levels.share(square, j)[:, None])
        for j in range(first, last + 1):
            if self._last_use[j] == k:
                del self._made[j]
        return out

    def _level(self, j: int) -> Tensor:
        if j not in self._made:
            self._made[j] = self._blurred(j)
        return self._made[j]
