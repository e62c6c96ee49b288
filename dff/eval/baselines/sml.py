"""Depth by the sum-modified-Laplacian (Nayar and Nakagawa 1994, section 3), the classical rival.

The window is a Gaussian, which does better than the box of the paper; every pixel takes the slice in which
the sum is largest, optionally with a parabola through it and its neighbours. No regularisation.
"""

from __future__ import annotations

import cv2
import numpy as np

from dff.stack import FocalStack


def modified_laplacian(grey: np.ndarray, step_px: int = 1) -> np.ndarray:
    """(H,W) |second difference in x| + |second difference in y|, to pixels a step away, borders repeated."""
    difference = np.zeros((1, 2 * step_px + 1), np.float32)
    difference[0, [0, step_px, -1]] = -1, 2, -1
    total = np.zeros(grey.shape, np.float32)
    for kernel in (difference, difference.T):
        total += np.abs(cv2.filter2D(grey, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE))
    return total


def laplacian_volume(stack: FocalStack, step_px: int = 1) -> np.ndarray:
    """(N,H,W) float32 modified Laplacian of the luma of every slice."""
    lumas = (cv2.cvtColor(stack[k], cv2.COLOR_RGB2GRAY) for k in range(len(stack)))
    return np.stack([modified_laplacian(luma, step_px) for luma in lumas])


def summed(volume: np.ndarray, sigma_px: float) -> np.ndarray:
    """(N,H,W) of an (N,H,W) volume: each slice summed with a Gaussian window."""
    return np.stack([cv2.GaussianBlur(layer, (0, 0), sigma_px) for layer in volume])


def largest_index(volume: np.ndarray) -> np.ndarray:
    """(H,W) float32 whole index of the slice with the largest value."""
    return np.argmax(volume, axis=0).astype(np.float32)


def parabola_index(volume: np.ndarray) -> np.ndarray:
    """(H,W) float32 index of the peak of the parabola through the largest value and its two neighbours.

    At the first and last slice, and on a plateau, it is the whole index.
    """
    best = np.argmax(volume, axis=0)
    inner = np.clip(best, 1, max(1, len(volume) - 2))[None]
    if len(volume) < 3:
        return best.astype(np.float32)
    before, peak, after = (np.take_along_axis(volume, inner + step, axis=0)[0] for step in (-1, 0, 1))
    bend = before - 2 * peak + after
    curved = (bend < 0) & (inner[0] == best)
    offset = np.zeros(best.shape, np.float32)
    np.divide(before - after, 2 * bend, out=offset, where=curved)
    return np.asarray(best + np.clip(offset, -0.5, 0.5), dtype=np.float32)
