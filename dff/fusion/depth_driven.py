"""Driven by depth: every pixel from the slices next to its depth, the sharpest of them first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dff.fusion.slices import aligned_slices, as_picture, sharpness, spread
from dff.stack import DepthMap, FocalStack, Progress, to_luma

if TYPE_CHECKING:
    from dff.classical.alignment import Alignment

REACH = 2.2  # slices from the depth at which the weight of what is sharp has fallen to 1/e
FLAT_REACH = 1.2  # the same of flat ground, where depth alone decides
SHARPNESS_POWER = 10  # how strongly the sharper of two neighbouring slices is preferred
WINDOW_SIGMA = 1.2  # px; selection changes this smoothly, so no seams
FLOOR = 1e-3  # sharpness of flat ground, at least
PLAIN_SHARE = 0.1  # of the reference slice that shows noise and no more
NOISE = 2.0  # times as sharp as that counts as flat ground


def fuse(
    stack: FocalStack, alignment: Alignment, depth: DepthMap, *, progress: Progress | None = None
) -> np.ndarray:
    """All-in-focus picture in the reference frame, (H,W) or (H,W,3), in the slices' own dtype.

    Each pixel is a weighted mean of the slices around its focal index, so its value never leaves the range
    of the slices (no halos); among them the weight follows the sharpness in a window of about 3 px, which
    also corrects small errors of the depth; where there is no more than noise, it follows the depth alone.
    One slice is in memory at a time.
    """
    first = stack.slices[alignment.reference]
    noise = np.quantile(sharpness(to_luma(first), WINDOW_SIGMA), PLAIN_SHARE)
    plain = np.float32(max(FLOOR, NOISE * noise) ** SHARPNESS_POWER)
    total = np.zeros(first.shape, np.float32)
    weights = np.zeros(first.shape[:2], np.float32)
    for k, image, shown in aligned_slices(stack, alignment, progress):
        weight = sharpness(to_luma(image), WINDOW_SIGMA)
        weight **= SHARPNESS_POWER
        near = depth.index - np.float32(k)  # in place from here on: pictures may be large
        near *= np.float32(1 / REACH)
        np.exp(np.negative(np.square(near, out=near), out=near), out=near)
        weight *= near
        near **= np.float32((REACH / FLAT_REACH) ** 2)
        near *= plain
        weight += near
        weight *= np.float32(1e9)  # flat ground stays within float32's range
        weight *= shown
        weight += np.float32(1e-30) if k == alignment.reference else 0  # always something to show
        weights += weight
        total += image * spread(weight, image)
    total /= spread(weights, total)
    return as_picture(total, first.dtype)
