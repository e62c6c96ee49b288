"""What slices show of blur by themselves, as maps of cells of 8 px: energy of octaves, and dual-pixel phase.

Energies are kept as they are, and phase as products, so that a region's is the ratio of sums over the
region: far less noisy than the mean of the ratios of its cells.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.model.prior import box_mean

CELL = 8  # px
OCTAVES = 5
SHIFTS = 8  # cells of the level, either way
LEVELS = (2, 4)  # px of a cell of each level of the phase
PHASE_MAPS = len(LEVELS) * (2 * SHIFTS + 1 + 2)
PHASES = len(LEVELS) * (2 * SHIFTS + 1)
_WINDOW = 15  # cells; brightness that changes more slowly than this has no phase
_FLOOR = 1e-5  # of the product of the halves' energies, squared: below it there is nothing to compare


def luma(images: Tensor) -> Tensor:
    """(...,3,H,W) or (...,1,H,W) -> (M,1,H,W), the leading axes as one."""
    flat = images.flatten(0, -4)
    if flat.shape[1] == 1:
        return flat
    return (flat * flat.new_tensor((0.299, 0.587, 0.114)).view(3, 1, 1)).sum(dim=1, keepdim=True)


def octave_energy(images: Tensor) -> Tensor:
    """Energy of `OCTAVES` octaves, finest first: (B,N,C,H,W), H and W multiples of 16 -> (B,N,5,H/8,W/8)."""
    x = luma(images)
    maps = []
    for octave in range(OCTAVES):
        low = F.avg_pool2d(x, 2)
        band = x - F.interpolate(low, scale_factor=2.0, mode="bilinear", align_corners=False)
        energy, step = band.square(), CELL >> octave
        if step > 1:
            energy = F.avg_pool2d(energy, step)
        elif step < 1:
            energy = energy.repeat_interleave(2, -1).repeat_interleave(2, -2)
        maps.append(energy)
        x = low
    return torch.cat(maps, dim=1).unflatten(0, images.shape[:2])


def _high_pass(x: Tensor) -> Tensor:
    return x - box_mean(x, _WINDOW)


def phase_maps(left: Tensor, right: Tensor) -> Tensor:
    """Products of the halves at every shift, and their energies: two of (B,N,C,H,W) -> (B,N,38,H/8,W/8).

    For each level 17 products left(x + s/2) right(x - s/2), s from -8 to 8 cells, and the energy of either.
    """
    maps = []
    for level in LEVELS:
        halves = [_high_pass(F.avg_pool2d(luma(half), level)) for half in (left, right)]
        width = halves[0].shape[-1]
        first, second = (F.pad(half, (SHIFTS, SHIFTS, 0, 0), mode="replicate") for half in halves)
        products = []
        for shift in range(-SHIFTS, SHIFTS + 1):
            ahead = SHIFTS + (shift + SHIFTS) // 2 - SHIFTS // 2  # the two halves share the shift
            behind = ahead - shift
            products.append(first[..., ahead : ahead + width] * second[..., behind : behind + width])
        stacked = torch.cat((*products, halves[0].square(), halves[1].square()), dim=1)
        maps.append(F.avg_pool2d(stacked, CELL // level))
    return torch.cat(maps, dim=1).unflatten(0, left.shape[:2])


def phase(pooled: Tensor) -> Tensor:
    """(...,38) means of `phase_maps` over a region -> (...,34) normalised correlation at each shift."""
    levels = pooled.unflatten(-1, (len(LEVELS), -1))
    energy = levels[..., -2] * levels[..., -1]
    return (levels[..., :-2] / (energy + _FLOOR**2).sqrt()[..., None]).flatten(-2)
