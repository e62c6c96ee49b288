"""Stacks of more slices than a depth network is at its best with: which slices it sees together.

Two passes. First, interleaved parts: each spans the whole sweep, together they are all slices, and the
weighted median of what they say is a depth that is right to about a part's step. Then windows of slices that
follow one another, half over each other: each pixel listens to the windows round its first depth, where the
step is that of the full stack.
"""

from __future__ import annotations

import numpy as np


def interleaved(count: int, most: int) -> list[list[int]]:
    """Slices 0 to ``count`` - 1 in as few parts as keep to ``most`` slices each.

    Every part has both ends and every g-th slice between, so that it spans the sweep; all slices are used.
    """
    if count <= most:
        return [list(range(count))]
    parts = -(-(count - 2) // (most - 2))
    return [[0, *range(1 + part, count - 1, parts), count - 1] for part in range(parts)]


def windows(count: int, length: int) -> list[list[int]]:
    """Runs of ``length`` slices that cover 0 to ``count`` - 1, each at least half over the one before."""
    last = max(count - length, 0)
    number = -(-last // max(length // 2, 1)) + 1
    starts = [round(i * last / max(number - 1, 1)) for i in range(number)]
    return [list(range(start, min(start + length, count))) for start in starts]


def window_share(index: np.ndarray, window: list[int], count: int) -> np.ndarray:
    """Weight of a window for pixels of a focal ``index``: 1 at its middle, 0 at its ends.

    Beyond the middle of the first and of the last window nobody else knows: there it stays 1.
    """
    off = index - np.float32((window[0] + window[-1]) / 2)
    if window[0] == 0:
        off = np.maximum(off, 0)
    if window[-1] == count - 1:
        off = np.minimum(off, 0)
    return np.asarray(np.clip(1 - np.abs(off) / np.float32(len(window) / 2), 0, 1), np.float32)


def weighted_median(u: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth (h,w) and its scale from G depths (G,h,w) with Laplace scales.

    The median weighted by 1 / scale is the likeliest depth, were the errors independent. They are not: its
    error is taken to be that of a part, and how far the part lies off.
    """
    if len(u) == 1:
        return u[0], scale[0]
    order = u.argsort(axis=0)
    weight = np.take_along_axis(1 / np.maximum(scale, np.float32(1e-6)), order, axis=0).cumsum(axis=0)
    middle = (weight < 0.5 * weight[-1:]).sum(axis=0, keepdims=True)
    median = np.take_along_axis(u, np.take_along_axis(order, middle, axis=0), axis=0)
    return median[0], (scale + np.abs(u - median)).mean(axis=0)
