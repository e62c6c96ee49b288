"""Contrast from the discrete cosine transform. All: (...,H,W) patches -> (...,) sharpness.

Herrmann et al. 2020, Table 1; formulas after Pertuz et al. 2013, whose names are in brackets.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dff.autofocus.patches import LEVEL, as_patches, mean

_BLOCK = 8
_REDUCED = ((0, 1), (0, 2), (1, 0), (1, 1), (2, 0))  # Lee et al. 2009: the five lowest frequencies


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    """(8,8) orthonormal DCT-II, rows are frequencies."""
    k = np.arange(_BLOCK)
    matrix = np.cos(np.pi * (2 * k[None] + 1) * k[:, None] / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def block_dct_squared(patches: np.ndarray) -> np.ndarray:
    """(...,H,W) -> (...,h,w,8,8) squared coefficients of every whole 8 x 8 block, frequency 0 first."""
    image = as_patches(patches)
    h, w = image.shape[-2] // _BLOCK, image.shape[-1] // _BLOCK
    blocks = image[..., : h * _BLOCK, : w * _BLOCK].reshape(*image.shape[:-2], h, _BLOCK, w, _BLOCK)
    matrix = _cosines()
    return (matrix @ np.swapaxes(blocks, -3, -2) @ matrix.T) ** 2


def _to_constant(energy: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Mean over blocks of ``energy`` over that of the block's mean, of one level at least."""
    return mean(energy / np.maximum(squares[..., 0, 0], (_BLOCK * LEVEL) ** 2))


def dct_energy_ratio(patches: np.ndarray) -> np.ndarray:
    """Energy of all other coefficients over that of the constant one [DCTE] (Shen & Chen 2006)."""
    squares = block_dct_squared(patches)
    return _to_constant(squares.sum(axis=(-2, -1)) - squares[..., 0, 0], squares)


def dct_reduced_energy_ratio(patches: np.ndarray) -> np.ndarray:
    """The same of the five lowest frequencies [DCTR] (Lee et al. 2009)."""
    squares = block_dct_squared(patches)
    rows, columns = zip(*_REDUCED, strict=True)
    return _to_constant(squares[..., list(rows), list(columns)].sum(axis=-1), squares)


def _quadrants(patches: np.ndarray) -> np.ndarray:
    """Response (...,H-3,W-3) to 2 x 2 blocks of +1 and -1 in a chequerboard of four."""
    image = as_patches(patches)
    for axis in (-1, -2):
        image = np.moveaxis(image, axis, -1)
        image = image[..., :-3] + image[..., 1:-2] - image[..., 2:-1] - image[..., 3:]
        image = np.moveaxis(image, -1, axis)
    return image


def modified_dct(patches: np.ndarray) -> np.ndarray:
    """Mean of the absolute response to one middle frequency [DCTM] (Lee et al. 2008)."""
    return mean(np.abs(_quadrants(patches)))


def modified_dct_signed(patches: np.ndarray) -> np.ndarray:
    """The same without the bars, as widespread code has it and the published row looks: near chance."""
    return mean(_quadrants(patches))
