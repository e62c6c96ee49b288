"""Contrast of every pixel with its surroundings, after Helmli & Scherer 2001. All: (...,H,W) -> (...,).

The surroundings mu are a Gaussian average, sigma 1, 2 or 4 px. Quotients are blind to exposure, and need the
black level at 0. Formulas of the second and third are our reading of names in Herrmann et al. 2020, Table 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dff.autofocus.patches import LEVEL, as_patches, mean


@lru_cache(maxsize=32)
def _averaging(size: int, sigma: float) -> np.ndarray:
    """(size,size) matrix of a Gaussian average along one side; the patch is mirrored at its edges."""
    reach = min(round(4 * sigma), size - 1)
    offsets = np.arange(-reach, reach + 1)
    weight = np.exp(-0.5 * (offsets / sigma) ** 2)
    place = np.abs(np.arange(size)[:, None] + offsets)
    place = np.where(place >= size, 2 * (size - 1) - place, place)
    matrix = np.zeros((size, size), np.float32)
    np.add.at(matrix, (np.arange(size)[:, None], place), weight / weight.sum())
    matrix.setflags(write=False)
    return matrix


def with_surroundings(patches: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Patches and their local means, neither below one level."""
    image = np.maximum(as_patches(patches), np.float32(LEVEL))
    rows, columns = _averaging(image.shape[-2], sigma), _averaging(image.shape[-1], sigma)
    return image, rows @ image @ columns.T


def mean_local_ratio(patches: np.ndarray, sigma: float) -> np.ndarray:
    """Mean of max(I / mu, mu / I), 1 where nothing differs [HELM has a box for mu]."""
    image, mu = with_surroundings(patches, sigma)
    return mean(np.maximum(image / mu, mu / image))


def mean_local_log_ratio(patches: np.ndarray, sigma: float) -> np.ndarray:
    """Mean of |ln(I / mu)|."""
    image, mu = with_surroundings(patches, sigma)
    return mean(np.abs(np.log(image / mu)))


def mean_local_norm_dist_sq(patches: np.ndarray, sigma: float) -> np.ndarray:
    """Mean of (I - mu)^2 / (I^2 + mu^2)."""
    image, mu = with_surroundings(patches, sigma)
    return mean((image - mu) ** 2 / (image * image + mu * mu))
