"""The focus volume: how sharp every pixel is in every slice, in the reference frame."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from dff.classical import motion
from dff.classical.alignment import Alignment
from dff.classical.focus_measure import focus_measure, modified_laplacian
from dff.stack import FocalStack

Progress = Callable[[str, int, int], None]

WORK_PIXELS = 400_000  # depth is solved at about this size and brought up along the picture's edges

FLOOR = np.float32(1e-4)  # of the tone range: below it lies nothing but rounding
SHARPNESS_SIGMA = 2.0


@dataclass(frozen=True)
class VolumeConfig:
    """How focus is measured.

    Args:
        measure: name of a focus measure (`dff.classical.focus_measure`).
        window_sigma: Gaussian window the measure is summed over [work px].
    """

    measure: str = "modified-laplacian"
    window_sigma: float = 1.5


def work_factor(size: tuple[int, int]) -> int:
    """Factor by which a (height, width) picture is reduced to solve for depth: 1 or even."""
    factor = math.sqrt(size[0] * size[1] / WORK_PIXELS)
    return 1 if factor < 1.3 else 2 * max(1, round(factor / 2))


@dataclass(eq=False)
class FocusVolume:
    """Log sharpness of every slice in the reference frame, at work size.

    Args:
        log_energy: (N,h,w) float32.
        luma: (h,w) all-in-focus luma, the guide of all that follows.
        sharpness: (h,w) second differences 1 px apart over those 3 px apart, in each pixel's sharpest
            slice: 1/9 where the picture is smooth, 1/3 at a step edge, about 1 on fine texture.
        seen: (h,w) number of slices that show the pixel.
        factor: full size over work size.
    """

    log_energy: np.ndarray
    luma: np.ndarray
    sharpness: np.ndarray
    seen: np.ndarray
    factor: int


def reduced_luma(image: np.ndarray, factor: int) -> np.ndarray:
    """(H,W[,3]) of any depth -> luma float32, area-averaged by ``factor``; bottom and right rest is cut."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if factor > 1:
        height, width = image.shape[0] // factor * factor, image.shape[1] // factor * factor
        size = (width // factor, height // factor)
        image = cv2.resize(image[:height, :width], size, interpolation=cv2.INTER_AREA)
    full = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}.get(image.dtype, 1.0)
    return image.astype(np.float32) * np.float32(1 / full)


def focus_volume(
    stack: FocalStack, alignment: Alignment, config: VolumeConfig, progress: Progress | None = None
) -> FocusVolume:
    """Measure focus slice by slice; only the reduced volume is kept."""
    size = (stack.height, stack.width)
    factor = work_factor(size)
    pool = 2 if factor > 1 else 1  # measured one octave finer than solved, then averaged
    measure_factor = factor // pool
    measure = focus_measure(config.measure)
    black, white = _tone_range(stack, factor)
    height = size[0] // measure_factor // pool
    width = size[1] // measure_factor // pool
    count = len(stack)
    energy = np.empty((count, height, width), np.float32)
    best = np.full((height, width), -np.inf, np.float32)
    luma_best, sharpness = np.zeros_like(best), np.zeros_like(best)
    seen_count = np.zeros((height, width), np.uint8)
    brightness: float | None = None
    for k in range(count):
        luma = (reduced_luma(stack.slices[k], measure_factor) - black) * np.float32(1 / (white - black))
        matrix = motion.rescale(alignment.matrices[k], 1 / measure_factor)
        seen = motion.inside(matrix, luma.shape[:2], 1.0)
        luma = motion.warp(np.clip(luma, 0, 1), matrix)
        # Exposure drifts with focus; a brighter slice would look sharper.
        mean = float(luma[seen].mean()) if seen.any() else 1.0
        brightness = mean if brightness is None else brightness
        luma = luma * np.float32(np.clip(brightness / max(mean, 1e-6), 0.5, 2.0))
        fine = _pool(measure(luma), pool, config.window_sigma)
        shown = _pool(seen.astype(np.float32), pool, 0.0) > 0.5
        energy[k] = np.where(shown, fine, -1)
        better = shown & (fine > best)
        np.copyto(best, fine, where=better)
        np.copyto(luma_best, _pool(luma, pool, 0.0), where=better)
        narrow = _pool(modified_laplacian(luma, 1), pool, SHARPNESS_SIGMA)
        wide = _pool(modified_laplacian(luma, 3), pool, SHARPNESS_SIGMA)
        np.copyto(sharpness, (narrow + FLOOR) / (wide + 3 * FLOOR), where=better)
        seen_count += shown
        if progress is not None:
            progress("focus", k + 1, count)
    missing = energy < 0
    least = np.where(missing, np.inf, energy).min(axis=0)
    floor = float(np.quantile(least[::3, ::3][np.isfinite(least[::3, ::3])], 0.05)) + FLOOR
    if missing.any():
        # A slice that does not show the pixel says nothing: it takes the pixel's least energy.
        np.copyto(energy, least[None], where=missing)
    energy += np.float32(floor)
    np.log(energy, out=energy)
    return FocusVolume(energy, luma_best, sharpness, seen_count, factor)


def _pool(image: np.ndarray, pool: int, sigma: float) -> np.ndarray:
    """Average ``pool`` x ``pool`` pixels, then a Gaussian window."""
    if pool > 1:
        size = (image.shape[1] // pool, image.shape[0] // pool)
        image = cv2.resize(image[: size[1] * pool, : size[0] * pool], size, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image


def _tone_range(stack: FocalStack, factor: int) -> tuple[np.float32, np.float32]:
    """Darkest and brightest luma of the stack: 12-bit data in 16-bit files would look black otherwise."""
    picked = sorted({0, len(stack) // 2, len(stack) - 1})
    small = np.concatenate([reduced_luma(stack.slices[k], factor)[::2, ::2].ravel() for k in picked])
    black, white = np.quantile(small, [0.001, 0.9995])
    return np.float32(black), np.float32(max(white, black + 1e-4))
