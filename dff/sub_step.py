"""Depth between the slices of long stacks: the peak of the focus measure near a network's depth.

A network trained on some ten slices is good to a fraction of *their* step, which may be a whole step of a
stack of fifty. Where the slices are that dense and show texture, the focus measure itself says more: a
parabola is laid through its logarithm near the depth found, and how well it fits tells how far its summit can
be trusted. The make-up is this project's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dff.classical.focus_measure import focus_measure
from dff.classical.volume import noise_floor
from dff.stack import to_luma

_WINDOW_SIGMA = 3.0  # px: the focus measure is summed over such a Gaussian
_WIDTHS = (2, 4, 8)  # slices: sigma of the Gaussian weights of the parabola; the surest of these counts
_REACH = 2  # of these widths, either way
_FARTHEST = 1.5  # slices: a summit farther off is another one
_RESIDUAL_BOX = 9  # px over which the misfit is averaged
_SHARE_OF_SCALE = 0.7  # deviation of the network's depth from its Laplace scale, which is that of all errors
_SMOOTH_SIGMA, _SPREAD_SIGMA = 1.5, 8.0  # px
_NEVER = 1e6  # variance of what is not known

DENSE = 3
"""So many slices to a step of what the network sees together, and more, are worth reading between. At two (20
slices) the network's own errors are smaller than those of summits, which mix what a window holds."""


def focus_curves(slices: Sequence[np.ndarray]) -> np.ndarray:
    """(N,h,w) float32 logarithm of the focus measure, above the noise, of aligned pictures (h,w,3)."""
    measure = focus_measure("modified-laplacian")
    curves = np.empty((len(slices), *slices[0].shape[:2]), np.float32)
    for k, image in enumerate(slices):
        luma = to_luma(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        cv2.GaussianBlur(measure(luma), (0, 0), _WINDOW_SIGMA, dst=curves[k])
    curves += noise_floor(curves.min(axis=0))
    return np.log(curves, out=curves)


def summit(curves: np.ndarray, index: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Where a parabola through the curves near ``index`` has its summit, and the variance of that.

    Args:
        curves: (N,h,w) float32.
        index: (h,w) focal index.
        width: sigma of the weights about ``index`` [slices].

    Returns:
        (h,w) offset from ``index`` and (h,w) its variance [slices, squared]; 0 and `_NEVER` without summit.
    """
    count, last = len(curves), len(curves) - 1
    nearest = np.rint(index).astype(np.int32)
    s = [np.zeros(index.shape, np.float32) for _ in range(5)]
    t = [np.zeros(index.shape, np.float32) for _ in range(3)]
    squares = np.zeros(index.shape, np.float32)
    level = np.take_along_axis(curves, np.clip(nearest, 0, last)[None], axis=0)[0]
    for step in range(-round(_REACH * width), round(_REACH * width) + 1):
        at = nearest + step
        x = ((at - index) / width).astype(np.float32)
        y = np.take_along_axis(curves, np.clip(at, 0, last)[None], axis=0)[0] - level
        power = np.where((at >= 0) & (at < count), np.exp(-0.5 * x * x), np.float32(0))
        squares += power * y * y
        for j in range(5):
            s[j] += power
            if j < 3:
                t[j] += power * y
            power = power * x
    # the inverse of the symmetric 3 x 3 normal equations, by cofactors
    c00, c01, c02 = s[2] * s[4] - s[3] * s[3], s[2] * s[3] - s[1] * s[4], s[1] * s[3] - s[2] * s[2]
    c11, c12, c22 = s[0] * s[4] - s[2] * s[2], s[1] * s[2] - s[0] * s[3], s[0] * s[2] - s[1] * s[1]
    det = s[0] * c00 + s[1] * c01 + s[2] * c02
    enough = det > 1e-4 * s[0] ** 3
    np.copyto(det, 1, where=~enough)
    height = (c00 * t[0] + c01 * t[1] + c02 * t[2]) / det
    slope = (c01 * t[0] + c11 * t[1] + c12 * t[2]) / det
    bend = (c02 * t[0] + c12 * t[1] + c22 * t[2]) / det
    misfit = np.maximum(squares - height * t[0] - slope * t[1] - bend * t[2], 0) / np.maximum(s[0], 1e-6)
    misfit = np.asarray(cv2.blur(misfit, (_RESIDUAL_BOX, _RESIDUAL_BOX)))
    found = enough & (bend < -1e-6)
    np.copyto(bend, -1, where=~found)
    offset = -slope / (2 * bend)
    by_slope, by_bend = -1 / (2 * bend), slope / (2 * bend * bend)
    spread = (by_slope**2 * c11 + 2 * by_slope * by_bend * c12 + by_bend**2 * c22) / det
    found &= np.abs(offset) * width <= _FARTHEST
    variance = np.clip(spread * misfit * np.float32(width * width), 1e-3, _NEVER)
    return (
        np.where(found, offset * width, 0).astype(np.float32),
        np.where(found, variance, _NEVER).astype(np.float32),
    )


def between_slices(index: np.ndarray, scale: np.ndarray, slices: Sequence[np.ndarray]) -> np.ndarray:
    """(h,w) focal index, corrected by the focus measure where that is surer than the network.

    Network and summit are weighed by their variances. Where summits scatter more than both explain, as
    at depth jumps or where there is only noise, they count less.

    Args:
        index: (h,w) focal index by the network.
        scale: (h,w) Laplace scale of its error [slices].
        slices: N aligned pictures (h,w,3), uint8, uint16 or float in [0,1].
    """
    curves = focus_curves(slices)
    offset, variance = np.zeros_like(index, np.float32), np.full_like(index, _NEVER, np.float32)
    for width in _WIDTHS:
        other, spread = summit(curves, index, width)
        surer = spread < variance
        offset, variance = np.where(surer, other, offset), np.where(surer, spread, variance)

    def smooth(values: np.ndarray, sigma: float) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma))

    known = variance < _NEVER
    trust = np.where(known, 1 / variance, 0).astype(np.float32)
    near = np.maximum(smooth(trust, _SMOOTH_SIGMA), 1e-9)
    found = smooth(known.astype(np.float32), _SMOOTH_SIGMA)
    around = np.maximum(smooth(trust, _SPREAD_SIGMA), 1e-9)
    ours = np.square(_SHARE_OF_SCALE * scale)
    theirs = found / near
    scatter = smooth(trust * offset * offset, _SPREAD_SIGMA) / around
    weight = found * ours / np.maximum(ours + theirs, np.maximum(scatter, 1e-9))
    moved = index + weight * smooth(trust * offset, _SMOOTH_SIGMA) / near
    return np.asarray(np.clip(moved, 0, len(slices) - 1), np.float32)
