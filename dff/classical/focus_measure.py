"""Focus measures: how sharp every pixel is. All take (H,W) float32 luma in [0,1] and return (H,W) >= 0."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

BORDER = cv2.BORDER_REFLECT_101


def modified_laplacian(luma: np.ndarray, step: int = 1) -> np.ndarray:
    """|second difference in x| + |second difference in y| (Nayar & Nakagawa 1994), ``step`` px apart."""
    kernel = np.zeros((1, 2 * step + 1), np.float32)
    kernel[0, [0, step, 2 * step]] = -1, 2, -1
    across = cv2.filter2D(luma, cv2.CV_32F, kernel, borderType=BORDER)
    down = cv2.filter2D(luma, cv2.CV_32F, kernel.T, borderType=BORDER)
    return np.abs(across) + np.abs(down)


def laplacian_energy(luma: np.ndarray) -> np.ndarray:
    """Square of the 3x3 Laplacian."""
    laplacian = cv2.Laplacian(luma, cv2.CV_32F, ksize=3, borderType=BORDER)
    return np.asarray(laplacian * laplacian)


def tenengrad(luma: np.ndarray) -> np.ndarray:
    """Squared Sobel gradient (Tenenbaum 1970)."""
    across = cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=0.125, borderType=BORDER)
    down = cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=0.125, borderType=BORDER)
    return np.asarray(across * across + down * down)


def local_variance(luma: np.ndarray, window: int = 5) -> np.ndarray:
    """Grey-level variance in a square window."""
    mean = cv2.blur(luma, (window, window), borderType=BORDER)
    square = cv2.blur(luma * luma, (window, window), borderType=BORDER)
    return np.maximum(square - mean * mean, 0)


def difference_of_gaussians(luma: np.ndarray, sigma: float = 0.8) -> np.ndarray:
    """Magnitude of a band-pass one octave wide: less fond of single-pixel noise than Laplacians."""
    fine = cv2.GaussianBlur(luma, (0, 0), sigma, borderType=BORDER)
    coarse = cv2.GaussianBlur(luma, (0, 0), 2 * sigma, borderType=BORDER)
    return np.asarray(cv2.absdiff(fine, coarse))


MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "modified-laplacian": modified_laplacian,
    "laplacian-energy": laplacian_energy,
    "tenengrad": tenengrad,
    "variance": local_variance,
    "difference-of-gaussians": difference_of_gaussians,
}


def focus_measure(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The measure of that name.

    Raises:
        ValueError: unknown name.
    """
    if name not in MEASURES:
        raise ValueError(f"focus measure {name!r}; choose from {', '.join(MEASURES)}")
    return MEASURES[name]
