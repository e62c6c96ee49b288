"""The focus volume: how sharp every pixel is in every slice, in the reference frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import cv2
import numpy as np

from dff.classical import motion
from dff.classical.alignment import Alignment
from dff.classical.focus_measure import focus_measure
from dff.stack import FocalStack, Progress, to_luma

WORK_PIXELS = 400_000  # depth is solved at about this size and brought up along the picture's edges
NOISE_QUANTILE = 0.4  # the least energy of this share of the pixels is taken for noise
FLOOR = 1e-4  # of the tone range: below it lies nothing but rounding


@dataclass(frozen=True)
class VolumeConfig:
    """How focus is measured.

    Args:
        measure: name of a focus measure (`dff.classical.focus_measure`).
        window_sigma: Gaussian window the measure is summed over, in px of each scale.
        scale_weights: weight of each octave, finest first, where it is equally confident. Coarse ones see
            through noise and soft optics, fine ones see small things.
        low_contrast, high_contrast: log ratio of best to worst slice that counts as no, and as full,
            confidence, for 10 slices; noise alone reaches about ``low_contrast``.
    """

    measure: str = "modified-laplacian"
    window_sigma: float = 1.5
    scale_weights: tuple[float, ...] = (1.0, 0.3, 0.1)
    low_contrast: float = 0.35
    high_contrast: float = 1.0


@dataclass(eq=False)
class FocusVolume:
    """Log sharpness of every slice in the reference frame, at work size.

    Args:
        curves: (N,h,w) float32.
        luma: (h,w) all-in-focus luma, the guide of all that follows.
        fine_confidence: (h,w) confidence in [0,1] of the finest scale alone.
        seen: (h,w) number of slices that show the pixel.
        factor: full size over work size.
    """

    curves: np.ndarray
    luma: np.ndarray
    fine_confidence: np.ndarray
    seen: np.ndarray
    factor: int


def work_factor(size: tuple[int, int]) -> int:
    """Factor by which a (height, width) picture is reduced to solve for depth: 1 or even."""
    factor = math.sqrt(size[0] * size[1] / WORK_PIXELS)
    return 1 if factor < 1.3 else 2 * max(1, round(factor / 2))


def reduced_luma(image: np.ndarray, factor: int) -> np.ndarray:
    """(H,W[,3]) of any depth -> luma float32, area-averaged by ``factor``; bottom and right rest is cut."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if factor > 1:
        height, width = image.shape[0] // factor * factor, image.shape[1] // factor * factor
        size = (width // factor, height // factor)
        image = cv2.resize(image[:height, :width], size, interpolation=cv2.INTER_AREA)
    return to_luma(image)


def contrast_confidence(curves: np.ndarray, config: VolumeConfig, passes: int = 0) -> np.ndarray:
    """(h,w) in [0,1]: how far the best slice of (N,h,w) log curves stands out from the worst.

    Args:
        curves: log sharpness.
        config: the two contrasts.
        passes: how often the curves were smoothed over slices by (1, 2, 1) / 4, which calms noise.
    """

    def expected_top(n: int) -> float:  # of n equally noisy slices (Blom's formula)
        return NormalDist().inv_cdf((n - 0.375) / (n + 0.25))

    calmed = (2 * math.pi * passes) ** -0.25 if passes else 1.0
    low = config.low_contrast * calmed * expected_top(len(curves)) / expected_top(10)
    contrast = curves.max(axis=0) - curves.min(axis=0)
    return np.clip((contrast - low) / (config.high_contrast - config.low_contrast), 0, 1).astype(np.float32)


def focus_volume(
    stack: FocalStack, alignment: Alignment, config: VolumeConfig, progress: Progress | None = None
) -> FocusVolume:
    """Measure focus slice by slice, at several scales; only the reduced volumes are kept."""
    count = len(stack)
    factor = work_factor((stack.height, stack.width))
    pool = 2 if factor > 1 else 1  # measured one octave finer than solved, then averaged
    measure_factor = factor // pool
    measure = focus_measure(config.measure)
    black, white = _tone_range(stack, factor)
    shape = stack.height // measure_factor // pool, stack.width // measure_factor // pool
    scales = [shape]
    while len(scales) < len(config.scale_weights) and min(scales[-1]) >= 32:
        scales.append(((scales[-1][0] + 1) // 2, (scales[-1][1] + 1) // 2))
    energy = [np.empty((count, *scale), np.float32) for scale in scales]
    best, guide = np.full(shape, -1, np.float32), np.zeros(shape, np.float32)
    seen = np.zeros(shape, np.uint16)
    brightness = 0.0
    for k in range(count):
        luma = (reduced_luma(stack.slices[k], measure_factor) - black) * np.float32(1 / (white - black))
        matrix = motion.rescale(alignment.matrices[k], 1 / measure_factor)
        inside = motion.inside(matrix, luma.shape[:2])
        luma = motion.warp(np.clip(luma, 0, 1), matrix)
        # Exposure drifts with focus; a brighter slice would look sharper.
        mean = max(float(luma[inside].mean()), 1e-6) if inside.any() else 1.0
        brightness = brightness or mean
        luma *= np.float32(np.clip(brightness / mean, 0.5, 2.0))
        shown = _pool(inside.astype(np.float32), pool) > 0.5
        seen += shown
        for level, (volume, scale) in enumerate(zip(energy, scales, strict=True)):
            value = _pool(measure(luma), pool)[: scale[0], : scale[1]]
            cv2.GaussianBlur(value, (0, 0), config.window_sigma, dst=volume[k])
            if level == 0:
                better = shown & (volume[k] > best)
                np.copyto(best, volume[k], where=better)
                np.copyto(guide, _pool(luma, pool), where=better)
            shown_here = cv2.resize(shown.astype(np.uint8), scale[::-1], interpolation=cv2.INTER_NEAREST)
            volume[k][shown_here == 0] = -1
            if level + 1 < len(scales):
                luma = np.asarray(cv2.pyrDown(luma))
        if progress is not None:
            progress("focus", k + 1, count)
    for volume in energy:
        _to_log(volume)
    fine = contrast_confidence(energy[0], config)
    return FocusVolume(_blend(energy, config), guide, fine, seen, factor)


def noise_floor(least: np.ndarray) -> np.float32:
    """What to add to energies before the logarithm, from the least energy of every pixel."""
    return np.float32(float(np.quantile(least, NOISE_QUANTILE)) + FLOOR)


def _to_log(volume: np.ndarray) -> None:
    """Energies -> logarithms above the noise floor, in place; -1 marks slices that do not show a pixel."""
    missing = volume < 0
    least = np.where(missing, np.inf, volume).min(axis=0)
    sample = least[::2, ::2]
    floor = noise_floor(sample[np.isfinite(sample)])
    if missing.any():
        # Such a slice says nothing: it takes the pixel's least energy.
        np.copyto(volume, least[None], where=missing)
    volume += floor
    np.log(volume, out=volume)


def _blend(scales: list[np.ndarray], config: VolumeConfig) -> np.ndarray:
    """Mean of the scales' curves at the finest size, each weighted by its own confidence."""
    curves = scales[0]
    size = curves.shape[2], curves.shape[1]
    if len(scales) == 1:
        return curves
    weights = []
    for volume, preference in zip(scales, config.scale_weights, strict=False):
        trust = contrast_confidence(volume, config) + np.float32(0.02)
        weights.append(np.float32(preference) * cv2.resize(trust, size, interpolation=cv2.INTER_LINEAR))
    total = np.sum(weights, axis=0)
    weights = [weight / total for weight in weights]
    for k in range(len(curves)):
        curves[k] *= weights[0]
        for volume, weight in zip(scales[1:], weights[1:], strict=True):
            curves[k] += weight * cv2.resize(volume[k], size, interpolation=cv2.INTER_LINEAR)
    return curves


def _pool(image: np.ndarray, pool: int) -> np.ndarray:
    """Average ``pool`` x ``pool`` pixels."""
    if pool == 1:
        return image
    size = (image.shape[1] // pool, image.shape[0] // pool)
    return np.asarray(
        cv2.resize(image[: size[1] * pool, : size[0] * pool], size, interpolation=cv2.INTER_AREA)
    )


def _tone_range(stack: FocalStack, factor: int) -> tuple[np.float32, np.float32]:
    """Darkest and brightest luma of the stack: 12-bit data in 16-bit files would look black otherwise."""
    picked = sorted({0, len(stack) // 2, len(stack) - 1})
    small = np.concatenate([reduced_luma(stack.slices[k], factor)[::2, ::2].ravel() for k in picked])
    black, white = (np.float32(level) for level in np.quantile(small, [0.001, 0.9995]))
    return black, max(white, black + np.float32(1e-4))
