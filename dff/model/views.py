"""Mirrored and turned views of a picture, and what was found in them brought back: averages err less."""

from __future__ import annotations

import torch
from torch import Tensor

VIEWS = (1, 2, 4, 8)
"""How many there can be: as it is, mirrored, upside down as well, upside down; all of these turned on top."""

_MIRRORED = ((), (-1,), (-2, -1), (-2,))  # axes of the first four views


def viewed(images: Tensor, view: int) -> Tensor:
    """Pictures (...,H,W), or (...,W,H) where they are turned."""
    if view == 0:
        return images  # not even a copy: most stacks are seen once
    turned = images.transpose(-2, -1) if view >= len(_MIRRORED) else images
    return turned.flip(_MIRRORED[view % len(_MIRRORED)]).contiguous()


def unviewed(maps: Tensor, view: int) -> Tensor:
    """Maps of a view (...,H,W) as they lie in the picture itself."""
    mirrored = maps.flip(_MIRRORED[view % len(_MIRRORED)])
    return mirrored.transpose(-2, -1) if view >= len(_MIRRORED) else mirrored


def unviewed_motion(matrices: Tensor, view: int, size: tuple[int, int]) -> Tensor:
    """Motions (...,3,3) between views as motions between the pictures, of (height, width) ``size``."""
    height, width = size
    place = torch.eye(3, dtype=matrices.dtype)  # picture (x,y,1) -> view
    if view >= len(_MIRRORED):
        place = place[[1, 0, 2]]
        height, width = width, height
    for axis, row, side in ((-1, 0, width), (-2, 1, height)):
        if axis in _MIRRORED[view % len(_MIRRORED)]:
            mirror = torch.eye(3, dtype=matrices.dtype)
            mirror[row, row], mirror[row, 2] = -1, side - 1
            place = mirror @ place
    return torch.linalg.inv(place) @ matrices @ place
