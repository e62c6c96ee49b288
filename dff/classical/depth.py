"""Depth from focus without learning: focus volume, peak, confidence, regularised map."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from dff.classical.alignment import Alignment
from dff.classical.enlarge import enlarge, enlarge_along_edges
from dff.classical.regularise import GuidedFilter, edge_weights, fill, total_variation
from dff.classical.volume import VolumeConfig, contrast_confidence, focus_volume
from dff.stack import DepthMap, FocalStack, Progress

StepSink = Callable[[str, np.ndarray], None]


@dataclass(frozen=True)
class DepthConfig:
    """Settings of the classical engine, tuned on simulated stacks (`eval/depth.toml` scores others).

    Args:
        volume: how focus is measured.
        guided_radius, guided_epsilon: guided filter on the log focus volume [work px].
        agree_radius, agree_within, least_agreement: a pixel keeps its confidence if this share of its
            surroundings [work px] lies within this share of the sweep.
        tv_strength, tv_iterations, edge_scale: edge-weighted total variation.
        jump_radius, jump_scale: confidence is taken back this near [work px] to a depth jump of this share
            of the sweep: there a window mixes both sides, and the jump should settle on the picture's edge.
        overruled_scale: data this far (share of the sweep) from the smooth solution lose their confidence.
        valid_confidence: confidence below which a pixel is "unknown".
    """

    volume: VolumeConfig = field(default_factory=VolumeConfig)
    guided_radius: int = 3
    guided_epsilon: float = 3e-3
    agree_radius: int = 12
    agree_within: float = 0.1
    least_agreement: float = 0.4
    tv_strength: float = 0.4
    tv_iterations: int = 100
    edge_scale: float = 0.04
    jump_radius: int = 3
    jump_scale: float = 0.3
    overruled_scale: float = 0.15
    valid_confidence: float = 0.15


def peak_index(log_energy: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Fractional index (h,w) of the maximum of (N,h,w) log curves, by a parabola through three slices.

    The parabola is laid through 1 / energy, which is quadratic in defocus about its minimum, and over
    ``positions`` (N,), the coordinate in which defocus is linear (dioptre, um): so that uneven ladders come
    out right. A peak at either end of the sweep stays there.
    """
    count = len(log_energy)
    top = log_energy.argmax(axis=0)
    if count < 3:
        return top.astype(np.float32)
    mid = np.clip(top, 1, count - 2)
    highest = log_energy.max(axis=0)
    left, centre, right = (
        -np.exp((highest - np.take_along_axis(log_energy, (mid + step)[None], axis=0)[0]).astype(np.float64))
        for step in (-1, 0, 1)
    )
    x_left, x_mid, x_right = positions[mid - 1], positions[mid], positions[mid + 1]
    rise = (centre - left) / (x_mid - x_left)
    bend = ((right - centre) / (x_right - x_mid) - rise) / (x_right - x_left)
    vertex = positions[top]
    np.divide(-rise, 2 * bend, out=vertex, where=bend < 0)
    vertex = np.where(bend < 0, 0.5 * (x_left + x_mid) + vertex, positions[top])
    index = np.interp(vertex, positions, np.arange(count))
    return np.clip(index, np.maximum(top - 0.5, 0), np.minimum(top + 0.5, count - 1)).astype(np.float32)


def depth_from_focus(
    stack: FocalStack,
    alignment: Alignment,
    config: DepthConfig | None = None,
    *,
    progress: Progress | None = None,
    steps: StepSink | None = None,
) -> DepthMap:
    """Depth map of the reference slice, full size, from a far-first stack and its alignment.

    Log focus volume -> guided filter -> peak -> confidence -> filling and edge-weighted total variation at
    work size -> brought to full size along the picture's edges. ``steps`` receives the intermediate maps.
    """
    config = config or DepthConfig()
    keep = steps or (lambda name, array: None)
    volume = focus_volume(stack, alignment, config.volume, progress)
    keep("all_in_focus_luma", volume.luma)
    smooth = GuidedFilter(volume.luma, config.guided_radius, config.guided_epsilon)
    curves = volume.curves
    for k in range(len(stack)):
        curves[k] = smooth(curves[k])
    curves, passes = _smooth_along_focus(curves)
    positions = stack.positions
    ladder = np.arange(len(stack))
    index = peak_index(curves, positions)
    keep("peak_index", index)
    # The solver works in the coordinate of the peaks, as a share of the sweep.
    span = positions[-1] - positions[0]
    value = ((np.interp(index, ladder, positions) - positions[0]) / span).astype(np.float32)
    confidence = contrast_confidence(curves, config.volume, passes)
    # Beyond either end of the sweep everything looks sharpest in the last slice, however blurred it is.
    ends = (index < 0.5) | (index > len(stack) - 1.5)
    np.copyto(confidence, np.minimum(confidence, volume.fine_confidence), where=ends)
    confidence[volume.seen < 2] = 0
    agreement = _agreement(value, confidence, config)
    confidence *= np.clip((agreement - config.least_agreement) / 0.2, 0, 1)
    keep("peak_confidence", confidence)
    trusted = confidence * _away_from_jumps(value, config)
    start = fill(value, trusted + np.float32(1e-4))
    keep("filled", start)
    solved = total_variation(
        value,
        trusted,
        edge_weights(volume.luma, config.edge_scale),
        strength=config.tv_strength,
        start=start,
        iterations=config.tv_iterations,
    )
    confidence *= np.exp(-(((value - solved) / np.float32(config.overruled_scale)) ** 2))
    if progress is not None:
        progress("depth", 1, 1)

    # A hole of a few pixels between known ones is known as well.
    support = np.maximum(confidence, cv2.GaussianBlur(confidence, (0, 0), 1.5))
    valid = (support >= config.valid_confidence).astype(np.float32)
    size = (stack.height, stack.width)
    share = np.clip(enlarge_along_edges(solved, volume.factor, stack.slices[alignment.reference]), 0, 1)
    full_index = np.interp(positions[0] + share * span, positions, ladder)
    return DepthMap(
        full_index,
        np.clip(enlarge(confidence, volume.factor, size), 0, 1),
        enlarge(valid, volume.factor, size) > 0.5,
        positions,
        stack.unit,
    )


def _smooth_along_focus(curves: np.ndarray) -> tuple[np.ndarray, int]:
    """Binomial smoothing over slices of long stacks, whose peaks are wide; and the passes made."""
    passes = 2 * max(0, round(math.log2(len(curves) / 10)))
    for _ in range(passes):
        padded = np.concatenate([curves[:1], curves, curves[-1:]])
        curves = 0.25 * (padded[:-2] + padded[2:]) + 0.5 * padded[1:-1]
    return curves, passes


def _agreement(value: np.ndarray, weight: np.ndarray, config: DepthConfig) -> np.ndarray:
    """(h,w) share of the surrounding weight that lies at about the same depth: noise agrees with nothing."""
    bins = round(1 / config.agree_within)
    label = np.clip((value * bins).astype(np.int32), 0, bins - 1)
    window = (2 * config.agree_radius + 1,) * 2
    counts = [cv2.blur((label == b) * weight, window) for b in range(bins)]
    total = np.sum(counts, axis=0) + 1e-6
    share = np.zeros_like(value)
    for b in range(bins):
        near = counts[b] + (counts[b - 1] if b else 0) + (counts[b + 1] if b + 1 < bins else 0)
        np.copyto(share, near / total, where=label == b)
    return share


def _away_from_jumps(value: np.ndarray, config: DepthConfig) -> np.ndarray:
    """1 in smooth places, small within a window of a depth jump."""
    kernel = np.ones((2 * config.jump_radius + 1,) * 2, np.uint8)
    span = cv2.dilate(value, kernel) - cv2.erode(value, kernel)
    return np.exp(-((span / np.float32(config.jump_scale)) ** 2))
