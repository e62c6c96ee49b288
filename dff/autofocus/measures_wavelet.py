"""Contrast from Daubechies' wavelets of six vanishing moments. All: (...,H,W) patches -> (...,) sharpness.

Level 1 is the finest. Patches are mirrored at their edges, the edge pixel twice, as wavelet tools do.
Herrmann et al. 2020, Table 1; formulas after Pertuz et al. 2013 [WAVS, WAVV, WAVR], at one level each.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np

from dff.autofocus.patches import LEVEL, as_patches, mean, variance


@lru_cache(maxsize=4)
def daubechies(moments: int) -> np.ndarray:
    """(2 ``moments``,) low-pass filter, orthonormal, sum sqrt 2 (Daubechies 1988, by spectral factors)."""
    halfband = np.polynomial.Polynomial([comb(moments - 1 + k, k) for k in range(moments)])
    middle = np.asarray(1 - 2 * halfband.roots(), dtype=np.complex128)
    root = np.sqrt(middle**2 - 1)
    inside = np.where(np.abs(middle + root) < 1, middle + root, middle - root)
    taps = np.real(np.poly(np.concatenate([np.full(moments, -1), inside])))
    return np.asarray(taps * np.sqrt(2) / taps.sum())


@lru_cache(maxsize=32)
def _analysis(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (m,size) that split a side into low and high band."""
    low = daubechies(6)
    high = low[::-1] * (-1.0) ** np.arange(low.size)
    place = np.arange(1, size + low.size - 1, 2)[:, None] - np.arange(low.size)
    place = place % (2 * size)
    place = np.where(place >= size, 2 * size - 1 - place, place)
    bands = []
    for taps in (low, high):
        matrix = np.zeros((len(place), size), np.float32)
        np.add.at(matrix, (np.arange(len(place))[:, None], place), taps)
        bands.append(matrix)
    return bands[0], bands[1]


def bands(patches: np.ndarray, level: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Low band, and high bands (horizontal, vertical, diagonal edges), each (...,h,w), of one level."""
    image = as_patches(patches)
    for _ in range(level - 1):
        image = _analysis(image.shape[-2])[0] @ image @ _analysis(image.shape[-1])[0].T
    (low_y, high_y), (low_x, high_x) = _analysis(image.shape[-2]), _analysis(image.shape[-1])
    low, high = low_y @ image, high_y @ image
    return low @ low_x.T, (high @ low_x.T, low @ high_x.T, high @ high_x.T)


def wavelet_sum(patches: np.ndarray, level: int) -> np.ndarray:
    """Mean of |H| + |V| + |D|."""
    _, high = bands(patches, level)
    return np.asarray(sum(mean(np.abs(band)) for band in high))


def wavelet_variance(patches: np.ndarray, level: int) -> np.ndarray:
    """Variance of |H|, of |V| and of |D|, added."""
    _, high = bands(patches, level)
    return np.asarray(sum(variance(np.abs(band)) for band in high))


def wavelet_ratio(patches: np.ndarray, level: int) -> np.ndarray:
    """Energy of the high bands over that of the low one: blind to exposure."""
    low, high = bands(patches, level)
    return np.asarray(sum(mean(band * band) for band in high) / np.maximum(mean(low * low), LEVEL**2))


def mean_wavelet_log_ratio(patches: np.ndarray, level: int) -> np.ndarray:
    """Mean of the logarithm of high over low energy, place by place (our reading of the name)."""
    low, high = bands(patches, level)
    floor = np.float32(LEVEL**2)
    energy = sum((band * band for band in high), np.zeros_like(low))
    return mean(np.log((energy + floor) / (low * low + floor)))
