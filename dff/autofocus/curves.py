"""Focus curves: how sharp regions are in every slice, by a contrast measure, in the reference frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dff.autofocus.measures import measure
from dff.autofocus.patches import LEAST_SIDE
from dff.autofocus.regions import Roi
from dff.classical.alignment import Alignment
from dff.stack import FocalStack, Progress, to_luma

DEFAULT_MEASURE = "mean-local-norm-dist-sq-2"  # the least MAE of the 37 published
_LARGEST_SIDE = 256  # px; larger regions are reduced by area first
_SHOWN = 0.98  # of a region that a slice must show to have a say


def focus_curves(
    stack: FocalStack,
    alignment: Alignment,
    regions: Sequence[Roi],
    *,
    name: str = DEFAULT_MEASURE,
    progress: Progress | None = None,
) -> np.ndarray:
    """(R,N) sharpness of R regions in N slices; NaN where a slice does not show the region.

    Args:
        stack, alignment: far first, and where the slices lie.
        regions: inside the picture, in px of the reference slice. One smaller than 8 x 8 px has no curve.
        name: of a measure (`dff.autofocus.measures`).
        progress: called with ("focus", done, total).

    Raises:
        ValueError: unknown measure, or a region outside the picture.
    """
    sharpness = measure(name)
    regions = [roi.clipped(stack.height, stack.width) for roi in regions]
    curves = np.full((len(regions), len(stack)), np.nan)
    gain = _gain(stack)
    for k in range(len(stack)):
        luma = alignment.warp(to_luma(stack.slices[k]) * gain, k)
        shown = alignment.valid_mask(k)
        for region, roi in enumerate(regions):
            if min(roi.w, roi.h) >= LEAST_SIDE and roi.crop(shown).mean() >= _SHOWN:
                curves[region, k] = float(sharpness(_reduced(roi.crop(luma))))
        if progress is not None:
            progress("focus", k + 1, len(stack))
    return curves


def _gain(stack: FocalStack) -> np.float32:
    """What brings the bright parts to 1: 12-bit data in 16-bit files would drown in the measures' floors."""
    picked = sorted({0, len(stack) // 2, len(stack) - 1})
    bright = max(float(np.quantile(to_luma(stack.slices[k])[::4, ::4], 0.999)) for k in picked)
    return np.float32(1 / max(bright, 1e-3))


def _reduced(patch: np.ndarray) -> np.ndarray:
    """At most 256 px a side, and at least 8."""
    scale = _LARGEST_SIDE / max(patch.shape)
    if scale >= 1:
        return patch
    height, width = (max(LEAST_SIDE, round(side * scale)) for side in patch.shape)
    return np.asarray(cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA))
