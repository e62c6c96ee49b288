"""What a camera cannot see of a layer: continued smoothly, so that blurring does not drag it into sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.layers import Layer

COVERS = 0.5  # alpha from which a pixel counts as covered


def extend(values: Tensor, known: Tensor) -> Tensor:
    """Fill maps (...,H,W) where ``known`` (H,W) is False: smoothly, from all sides, coarse to fine.

    Known values stay and filled ones lie between them; with none known the result is 0.
    """
    flat = values.reshape(1, -1, *values.shape[-2:])
    levels = [(torch.where(known, flat, 0.0), known.to(flat)[None, None])]
    while max(levels[-1][0].shape[-2:]) > 1:
        odd = (0, levels[-1][0].shape[-1] % 2, 0, levels[-1][0].shape[-2] % 2)
        levels.append(
            (F.avg_pool2d(F.pad(levels[-1][0], odd), 2), F.avg_pool2d(F.pad(levels[-1][1], odd), 2))
        )
    filled = levels[-1][0] / levels[-1][1].clamp_min(1e-12)
    for sums, weights in reversed(levels[:-1]):
        coarse = F.interpolate(filled, scale_factor=2.0, mode="bilinear", align_corners=False)
        coarse = coarse[..., : sums.shape[-2], : sums.shape[-1]]
        filled = torch.where(weights > 0, sums / weights.clamp_min(1e-12), coarse)
    return torch.where(known, values, filled.reshape(values.shape))


def _unseen(layer: Layer, nearer: Sequence[Layer], coc_px_per_dioptre: float) -> Tensor:
    """(H,W) bool: where no point of the lens sees ``layer`` past the layers ``nearer``."""
    unseen = torch.zeros_like(layer.alpha, dtype=torch.bool)
    for other in nearer:
        covered = other.alpha > COVERS
        if not bool(covered.any()):
            continue
        # beyond the picture nobody knows: the cover goes on
        padded = np.pad(covered.numpy().astype(np.uint8), 1, constant_values=1)
        inside_px = torch.from_numpy(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1])
        # from the rim of the lens, the cover moves by half the blur between the two depths
        parallax_px = coc_px_per_dioptre / 2 * (other.dioptre - layer.dioptre).clamp_min(0)
        unseen |= covered & (inside_px - 0.5 > parallax_px)
    return unseen


def fill_unseen(layers: Sequence[Layer], coc_px_per_dioptre: float) -> list[Layer]:
    """Recolour what no point of the lens sees of each layer, from what it does see.

    A layered renderer blurs a layer whole and covers it afterwards. Just under an object that touches it a
    surface is dark, for the object shadows it, and the blur brings that darkness into sight, where a lens
    shows none. Rays from the lens cannot tell the difference, so an exact renderer gives the same pictures
    with and without.

    Args:
        layers: back to front, without batch dimensions, on the CPU.
        coc_px_per_dioptre: blur diameter per dioptre of defocus of the largest aperture that will be used.
    """
    filled = []
    for index, layer in enumerate(layers):
        unseen = _unseen(layer, layers[index + 1 :], coc_px_per_dioptre)
        known = (layer.alpha > COVERS) & ~unseen
        if bool(known.any()):
            layer = replace(layer, colour=torch.where(unseen, extend(layer.colour, known), layer.colour))
        filled.append(layer)
    return filled
