"""Driven by depth: every pixel from the slices next to its depth, the sharpest of them first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dff.fusion.slices import aligned_slices, as_picture, sharpness, spread
from dff.stack import DepthMap, FocalStack, Progress, to_luma

if TYPE_CHECKING:
    from dff.classical.alignment import Alignment

REACH = 1.2  # slices from the depth at which a slice's weight has fallen to 1/e
SHARPNESS_POWER = 10  # how strongly the sharper of two neighbouring slices is preferred
WINDOW_SIGMA = 1.2  # px; selection changes this smoothly, so no seams
FLOOR = np.float32(1e-3)  # sharpness of flat ground, where depth alone decides


def fuse(
    stack: FocalStack, alignment: Alignment, depth: DepthMap, *, progress: Progress | None = None
) -> np.ndarray:
    """All-in-focus picture in the reference frame, (H,W) or (H,W,3), in the slices' own dtype.

    Each pixel is a weighted mean of the slices around its focal index, so its value never leaves the range
    of the slices (no halos); among them the weight follows the sharpness in a window of about 3 px, which
    also corrects small errors of the depth. One slice is in memory at a time.
    """
    first = stack.slices[alignment.reference]
    total = np.zeros(first.shape, np.float32)
    weights = np.zeros(first.shape[:2], np.float32)
    for k, image, shown in aligned_slices(stack, alignment, progress):
        weight = sharpness(to_luma(image), WINDOW_SIGMA) + FLOOR
        weight = weight**SHARPNESS_POWER * np.float32(1e9)  # flat ground stays within float32's range
        weight *= np.exp(-(((depth.index - np.float32(k)) / np.float32(REACH)) ** 2))
        weight *= shown
        weight += np.float32(1e-30) if k == alignment.reference else 0  # always something to show
        weights += weight
        total += image * spread(weight, image)
    total /= spread(weights, total)
    return as_picture(total, first.dtype)
