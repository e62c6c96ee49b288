"""From work size back to full size."""

from __future__ import annotations

import cv2
import numpy as np

from dff.classical.regularise import GuidedFilter
from dff.classical.volume import reduced_luma


def enlarge(image: np.ndarray, factor: int, size: tuple[int, int]) -> np.ndarray:
    """Linear enlargement to (height, width); rows and columns cut by the reduction are repeated."""
    if factor > 1:
        full = (image.shape[1] * factor, image.shape[0] * factor)
        image = cv2.resize(image, full, interpolation=cv2.INTER_LINEAR)
    down, right = size[0] - image.shape[0], size[1] - image.shape[1]
    return np.asarray(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE))


def enlarge_along_edges(value: np.ndarray, factor: int, picture: np.ndarray) -> np.ndarray:
    """Enlarge a map so that its jumps follow those of a picture (fast guided filter, He 2015).

    Args:
        value: (h,w) float32.
        factor: the picture's size over the map's.
        picture: (H,W) or (H,W,3), full size, of any depth.
    """
    if factor == 1:
        return value
    size = (picture.shape[0], picture.shape[1])
    guide = reduced_luma(picture, 1)
    slope, offset = GuidedFilter(reduced_luma(picture, factor), 1, 1e-4).coefficients(value)
    along = enlarge(slope, factor, size) * guide + enlarge(offset, factor, size)
    kernel = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(value, kernel), cv2.dilate(value, kernel)
    return np.clip(along, enlarge(low, factor, size), enlarge(high, factor, size))
