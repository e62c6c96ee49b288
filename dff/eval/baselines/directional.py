"""Directional dilated Laplacians: second differences along four directions, at pixels 1 to 4 apart.

The focus volume that the GRU network for shape from focus takes (Ashfaq and Mahmood, IJCV 2026), here without
any learning: the volumes of all dilations are added up and averaged over a box.
"""

from __future__ import annotations

import cv2
import numpy as np

from dff.stack import FocalStack

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""(rows, columns) of one step: across, down, and both diagonals."""


def directional_laplacian(grey: np.ndarray, dilations: tuple[int, ...]) -> np.ndarray:
    """(H,W) float32 sum of |second difference| over directions and dilations, borders repeated."""
    total = np.zeros(grey.shape, np.float32)
    for dilation in dilations:
        for down, right in DIRECTIONS:
            kernel = np.zeros((2 * dilation + 1,) * 2, np.float32)
            kernel[dilation, dilation] = 2
            for sign in (-1, 1):
                kernel[dilation + sign * dilation * down, dilation + sign * dilation * right] = -1
            total += np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE))
    return total


def directional_volume(
    stack: FocalStack, dilations: tuple[int, ...] = (1, 2, 3, 4), window_px: int = 9
) -> np.ndarray:
    """(N,H,W) float32 of the luma of every slice, averaged over a box."""
    lumas = (cv2.cvtColor(stack[k], cv2.COLOR_RGB2GRAY) for k in range(len(stack)))
    return np.stack([cv2.blur(directional_laplacian(luma, dilations), (window_px,) * 2) for luma in lumas])
