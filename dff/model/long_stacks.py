"""Stacks of more slices than a depth network was trained on: which slices it sees together.

Two interleaved parts first: each spans the whole sweep, and what they say is averaged. Then windows of slices
that follow one another, half over each other: together they are all slices, and their step is that of the
full stack. They know better where little is in focus at a time, and worse where the scene leaves their short
sweep. So a pixel listens to the windows round its first depth as far as that is sure (`trust_in_windows`).
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


def two_of(parts: list[list[int]]) -> list[list[int]]:
    """The first of the parts and one between its slices: all of them take a third longer to gain 2 %."""
    return parts[:: -(-len(parts) // 2)]


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


def trust_in_windows(scale: np.ndarray, fine: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """(h,w) weight in [0,1] of what windows say against the first depth.

    That of a mean of independent errors, less the more of the window the first depth's error may fill.

    Args:
        scale: (h,w) Laplace scale of the first depth [sweeps].
        fine: (h,w) scale that the windows give [sweeps].
        reach: (h,w) half the width of the windows [sweeps].
    """
    first, second = np.square(np.maximum(scale, np.float32(1e-3))), np.square(fine)
    return np.asarray(np.clip(1 - scale / reach, 0, 1) * first / (first + second))


def weighted_mean(u: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth (h,w) and its scale from G depths (G,h,w) with Laplace scales.

    Weights are 1 / scale^2, the best of a mean of independent errors. They are not independent: the error
    is taken to be that of a part, and how far the part lies off.
    """
    if len(u) == 1:
        return u[0], scale[0]
    weight = 1 / np.square(np.maximum(scale, np.float32(1e-3)))
    weight /= weight.sum(axis=0)
    mean = (weight * u).sum(axis=0)
    return mean, (weight * (scale + np.abs(u - mean))).sum(axis=0)
