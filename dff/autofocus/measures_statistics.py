"""Contrast from the values of a patch, wherever they lie. All: (...,H,W) patches -> (...,) sharpness.

Herrmann et al. 2020, Table 1; formulas after Pertuz et al. 2013, whose names are in brackets.
"""

from __future__ import annotations

import numpy as np

from dff.autofocus.patches import LEVEL, as_patches, mean, variance

_BINS = 256


def histogram_entropy(patches: np.ndarray) -> np.ndarray:
    """Entropy [bit] of the histogram of 256 equal bins over [0,1] [HISE]."""
    image = as_patches(patches)
    lead, size = image.shape[:-2], image.shape[-2] * image.shape[-1]
    flat = (np.clip(image, 0, 1) * np.float32(_BINS)).astype(np.int64).reshape(-1, size)
    flat = np.minimum(flat, _BINS - 1) + _BINS * np.arange(len(flat))[:, None]
    share = np.bincount(flat.ravel(), minlength=_BINS * len(flat)).reshape(-1, _BINS) / size
    # 0 log 0 = 0
    return np.asarray(-(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1).reshape(lead))


def intensity_variance(patches: np.ndarray) -> np.ndarray:
    """Variance of the values [GLVA]."""
    return variance(as_patches(patches))


def eigenvalue_trace(patches: np.ndarray) -> np.ndarray:
    """Sum of the eigenvalues of X X' / (n-1), X the patch less its mean (Wee & Paramesran 2007).

    The trace is the sum of squares, so this orders slices as the variance does; its published row is the same
    to three digits.
    """
    image = as_patches(patches)
    return np.asarray(variance(image) * image.shape[-2] * image.shape[-1] / (image.shape[-1] - 1))


def coefficient_of_variation(patches: np.ndarray) -> np.ndarray:
    """Standard deviation over mean: blind to exposure. Needs the black level at 0."""
    image = as_patches(patches)
    return np.asarray(np.sqrt(variance(image)) / np.maximum(mean(image), LEVEL))


def percentile_range(patches: np.ndarray, percent: float) -> np.ndarray:
    """The (100 - ``percent``)-th percentile less the ``percent``-th [HISR is 0]."""
    low, high = np.percentile(as_patches(patches), (percent, 100 - percent), axis=(-2, -1))
    return np.asarray(high - low)
