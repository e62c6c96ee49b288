"""Patches as the measures take them: (...,H,W), any number of leading dimensions, one value back for each."""

from __future__ import annotations

import numpy as np

LEAST_SIDE = 8
LEVEL = 1 / 1023
"""One level of a 10-bit raw picture: the unit of thresholds, and the floor under logarithms and quotients."""


def as_patches(patches: np.ndarray) -> np.ndarray:
    """Check (...,H,W) luma or raw green, black level 0, white 1, and return it as float32.

    Raises:
        ValueError: not float, smaller than 8 x 8, NaN or infinite.
    """
    array = np.asarray(patches)
    if array.ndim < 2 or min(array.shape[-2:]) < LEAST_SIDE:
        raise ValueError(
            f"patches of shape {array.shape}; give (...,H,W) of at least {LEAST_SIDE} x {LEAST_SIDE}"
        )
    if array.dtype.kind != "f":
        raise ValueError(f"patches of type {array.dtype}; give float, 0 = black level, 1 = white")
    if not np.all(np.isfinite(array)):
        raise ValueError("patches: NaN or infinity; give finite values")
    return array.astype(np.float32, copy=False)


def mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last two dimensions, in float64: sharpness differs in its last digits."""
    return np.asarray(values.mean(axis=(-2, -1), dtype=np.float64))


def variance(values: np.ndarray) -> np.ndarray:
    """Variance over the last two dimensions, in float64."""
    return np.asarray(values.var(axis=(-2, -1), dtype=np.float64))
