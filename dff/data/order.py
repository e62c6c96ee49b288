"""Whether the slices of a stack lie in the order that its focus says: told from its true depth."""

from __future__ import annotations

import cv2
import numpy as np

from dff.data.sample import DepthSample, Truth
from dff.stack import to_luma

SWAPPED = -0.5
"""Correlation of true depth and sharpest slice below which the order is wrong; noise alone gives about 0."""
_WINDOW_PX = 3.0
_LEAST_SPREAD = 0.02  # of the true depth, in sweeps: flatter scenes tell nothing


def order_correlation(sample: DepthSample, truth: Truth) -> float:
    """Correlation (-1 to 1) of the true depth and of the sharpest slice; near 1 where all is well.

    Pixels count by how far their sharpest slice stands out, and only where the truth lies in the sweep.

    Returns:
        NaN where the scene tells nothing: without texture, or all at one depth.
    """
    shape = truth.depth.shape
    best, highest, total = np.zeros(shape), np.full(shape, -1.0, np.float32), np.zeros(shape, np.float32)
    for k in range(len(sample)):
        detail = np.abs(cv2.Laplacian(to_luma(sample.images[k]), cv2.CV_32F))
        sharpness = cv2.GaussianBlur(detail, (0, 0), _WINDOW_PX)
        best[sharpness > highest] = sample.focus[k]
        np.maximum(highest, sharpness, out=highest)
        total += sharpness
    far, near = sample.focus[[0, -1]]
    inside = truth.valid & (truth.depth >= far) & (truth.depth <= near)
    weight = np.where(inside, highest - total / len(sample), 0).astype(np.float64)
    if not weight.any():
        return float("nan")
    found, true = (
        (value - np.average(value, weights=weight)) / (near - far) for value in (best, truth.depth)
    )
    spread = np.sqrt([np.average(value**2, weights=weight) for value in (found, true)])
    if spread.min() < _LEAST_SPREAD:
        return float("nan")
    return float(np.average(found * true, weights=weight) / spread.prod())


def check_order(sample: DepthSample, truth: Truth) -> None:
    """Raise unless the sharpest slice gets nearer where the truth does, as far as the scene tells.

    Raises:
        ValueError: it is the other way round.
    """
    found = order_correlation(sample, truth)
    if found < SWAPPED:
        raise ValueError(
            f"{sample.name}: slices lie in the wrong order: where the truth is near, the far ones are sharp "
            f"(correlation {found:.2f}); fetch the data again, or turn the order of its slices"
        )
