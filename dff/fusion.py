"""All-in-focus picture: every pixel from the slices next to its depth, the sharpest of them first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dff.stack import DepthMap, FocalStack, Progress, to_luma

if TYPE_CHECKING:
    from dff.classical.alignment import Alignment

REACH = 1.2  # slices from the depth at which a slice's weight has fallen to 1/e
SHARPNESS_POWER = 10  # how strongly the sharper of two neighbouring slices is preferred
WINDOW_SIGMA = 1.2  # px; selection changes this smoothly, so no seams
FLOOR = np.float32(1e-3)  # sharpness of flat ground, where depth alone decides


def _sharpness(luma: np.ndarray) -> np.ndarray:
    laplacian = cv2.Laplacian(luma, cv2.CV_32F, ksize=3, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.GaussianBlur(np.abs(laplacian), (0, 0), WINDOW_SIGMA))


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
    for k in range(len(stack)):
        image = alignment.warp(stack.slices[k], k)
        weight = _sharpness(to_luma(image)) + FLOOR
        weight = weight**SHARPNESS_POWER * np.float32(1e9)  # flat ground stays within float32's range
        weight *= np.exp(-(((depth.index - np.float32(k)) / np.float32(REACH)) ** 2))
        if k != alignment.reference:
            weight *= alignment.valid_mask(k)
        weight += np.float32(1e-30) if k == alignment.reference else 0  # always something to show
        weights += weight
        total += image * (weight[..., None] if image.ndim == 3 else weight)
        if progress is not None:
            progress("fuse", k + 1, len(stack))
    total /= weights[..., None] if total.ndim == 3 else weights
    if first.dtype.kind == "f":
        return np.clip(total, 0, 1).astype(first.dtype)
    return np.rint(np.clip(total, 0, np.iinfo(first.dtype).max)).astype(first.dtype)
