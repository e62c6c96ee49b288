"""Contrast from first and second differences. All: (...,H,W) patches -> (...,) sharpness.

Differences are taken where all their pixels lie inside the patch. Herrmann et al. 2020, Table 1; the formulas
follow the survey of Pertuz et al. 2013, whose names are in brackets.
"""

from __future__ import annotations

import math

import numpy as np

from dff.autofocus.patches import LEVEL, as_patches, mean, variance


def _differences(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Difference to the right and to the lower neighbour, both (...,H-1,W-1)."""
    image = as_patches(patches)
    corner = image[..., :-1, :-1]
    return image[..., :-1, 1:] - corner, image[..., 1:, :-1] - corner


def _sobel(patches: np.ndarray) -> np.ndarray:
    """Gradient magnitude (...,H-2,W-2) per pixel, by the Sobel operator over 8."""
    image = as_patches(patches)
    down = image[..., :-2, :] + 2 * image[..., 1:-1, :] + image[..., 2:, :]
    along = image[..., :-2] + 2 * image[..., 1:-1] + image[..., 2:]
    gx, gy = down[..., 2:] - down[..., :-2], along[..., 2:, :] - along[..., :-2, :]
    return np.sqrt(gx * gx + gy * gy) / 8


def _second(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Second differences along x and y, (...,H-2,W-2)."""
    twice = 2 * image[..., 1:-1, 1:-1]
    across = twice - image[..., 1:-1, :-2] - image[..., 1:-1, 2:]
    return across, twice - image[..., :-2, 1:-1] - image[..., 2:, 1:-1]


def total_variation_l1(patches: np.ndarray) -> np.ndarray:
    """Mean of |dx| + |dy|."""
    dx, dy = _differences(patches)
    return mean(np.abs(dx) + np.abs(dy))


def total_variation_l1_signed(patches: np.ndarray) -> np.ndarray:
    """Mean of dx + dy, without the bars: what the published row of that name looks like; near chance."""
    dx, dy = _differences(patches)
    return mean(dx + dy)


def total_variation_l2(patches: np.ndarray) -> np.ndarray:
    """Mean of dx^2 + dy^2 [GRAE]."""
    dx, dy = _differences(patches)
    return mean(dx * dx + dy * dy)


def gradient_count(patches: np.ndarray, threshold: float) -> np.ndarray:
    """Share of pixels whose gradient exceeds ``threshold`` levels (of 10 bits) per pixel."""
    return mean(_sobel(patches) > threshold * LEVEL)


def mean_gradient_magnitude(patches: np.ndarray) -> np.ndarray:
    """Mean Sobel magnitude [TENG without the square]."""
    return mean(_sobel(patches))


def gradient_magnitude_variance(patches: np.ndarray) -> np.ndarray:
    """Variance of the Sobel magnitude [TENV]."""
    return variance(_sobel(patches))


def sum_of_modified_laplacian(patches: np.ndarray) -> np.ndarray:
    """Mean of |second difference in x| + |in y| [LAPM] (Nayar & Nakagawa 1994)."""
    across, down = _second(as_patches(patches))
    return mean(np.abs(across) + np.abs(down))


def diagonal_laplacian(patches: np.ndarray) -> np.ndarray:
    """The modified Laplacian with both diagonals, each over sqrt 2 [LAPD] (Thelen et al. 2009)."""
    image = as_patches(patches)
    across, down = _second(image)
    twice = 2 * image[..., 1:-1, 1:-1]
    falling = twice - image[..., :-2, :-2] - image[..., 2:, 2:]
    rising = twice - image[..., :-2, 2:] - image[..., 2:, :-2]
    diagonals = (np.abs(falling) + np.abs(rising)) / np.float32(math.sqrt(2))
    return mean(np.abs(across) + np.abs(down) + diagonals)


def laplacian_energy(patches: np.ndarray) -> np.ndarray:
    """Mean square of the five-point Laplacian [LAPE]."""
    across, down = _second(as_patches(patches))
    return mean((across + down) ** 2)


def laplacian_variance(patches: np.ndarray) -> np.ndarray:
    """Variance of the five-point Laplacian [LAPV]."""
    across, down = _second(as_patches(patches))
    return variance(across + down)
