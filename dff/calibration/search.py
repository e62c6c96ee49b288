"""Radius and scale of one defocused picture of a thing seen sharp: by brute force, and from coarse to fine.

Wang et al. 2021, section 3: a patch in focus is made linear, blurred, cut to what no outside pixel reached,
scaled, and looked for in the other picture; the best normalised cross-correlation tells radius and scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dff.calibration.degrade import blur, margin_px
from dff.calibration.table import Kernel

_LEAST_SIDE = 24  # px of a template
_FINEST = (0.125, 0.00025)  # steps of radius and scale that end the fine search
_COARSE = 128.0  # px of blur, on the grid at hand, that need no finer one
_ROUNDS = 6  # of moving a 3x3 grid, at one step


@dataclass(frozen=True)
class Limits:
    """What is searched.

    Args:
        radius_px: largest radius.
        scale: lowest and highest.
        radius_step, scale_step: of brute force.
        shift_px: how far the picture's middle may have moved, either way.
        kernel: shape of the blur.
    """

    radius_px: float = 40.0
    scale: tuple[float, float] = (0.93, 1.07)
    radius_step: float = 0.5
    scale_step: float = 0.001
    shift_px: int = 8
    kernel: Kernel = "disc"

    def __post_init__(self) -> None:
        if min(self.radius_px, self.radius_step, self.scale_step) <= 0 or self.shift_px < 1:
            raise ValueError(
                "Limits: radius_px, radius_step and scale_step must be above 0, shift_px 1 or more"
            )
        if not 0 < self.scale[0] <= 1 <= self.scale[1]:
            raise ValueError(f"Limits: scale {self.scale} must be low <= 1 <= high, above 0")


@dataclass(frozen=True)
class Found:
    """Radius [px] and scale with the best score, a correlation up to 1; ``tries``: scores taken."""

    radius_px: float
    scale: float
    score: float
    tries: int


class _Level:
    """Scores at one resolution; coordinates are those of the whole pictures.

    Args:
        sharp, blurred: (H,W) light.
        reduce: how many times coarser.
    """

    def __init__(self, sharp: np.ndarray, blurred: np.ndarray, limits: Limits, reduce: int) -> None:
        height, width = (side // reduce * reduce for side in sharp.shape)  # else it were reduced unevenly
        size = width // reduce, height // reduce
        self._sharp, self._other = (
            cv2.resize(one[:height, :width], size, interpolation=cv2.INTER_AREA) if reduce > 1 else one
            for one in (sharp, blurred)
        )
        self._reduce, self._limits = reduce, limits
        self._light = torch.from_numpy(np.ascontiguousarray(self._sharp))[None, None]
        self._blurred: dict[float, np.ndarray] = {}
        self._known: dict[tuple[float, float], float] = {}
        self._shift = max(2, math.ceil(limits.shift_px / reduce))
        spoilt = margin_px(limits.radius_px / reduce, limits.kernel) + self._shift
        self._side = [math.floor((side - 2 * spoilt) * limits.scale[0] / 2) * 2 for side in self._sharp.shape]

    @property
    def usable(self) -> bool:
        """Whether enough is left of the picture."""
        return min(self._side) >= _LEAST_SIDE

    @property
    def tries(self) -> int:
        return len(self._known)

    def score(self, radius: float, scale: float) -> float:
        """Correlation at the best place, between pixels."""
        key = round(float(radius), 6), round(float(scale), 6)
        if key not in self._known:
            self._known[key] = self._peak(*key)
        return self._known[key]

    def _peak(self, radius: float, scale: float) -> float:
        if radius not in self._blurred:
            made = blur(self._light, torch.tensor([float(radius) / self._reduce]), self._limits.kernel)
            self._blurred[radius] = made[0, 0].numpy()
        source = self._blurred[radius]
        middle = [(side - 1) / 2 for side in source.shape]
        height, width = self._side
        matrix = np.array(
            [
                [1 / scale, 0, middle[1] - (width - 1) / 2 / scale],
                [0, 1 / scale, middle[0] - (height - 1) / 2 / scale],
            ]
        )
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        template = cv2.warpAffine(source, matrix, (width, height), flags=flags)
        top, left = (side // 2 - part // 2 for side, part in zip(self._other.shape, self._side, strict=True))
        reach = self._shift
        region = self._other[top - reach : top + height + reach, left - reach : left + width + reach]
        return _top(cv2.matchTemplate(region, template, cv2.TM_CCOEFF_NORMED))


def _top(scores: np.ndarray) -> float:
    """Height of the paraboloid through the best score and its neighbours."""
    row, column = np.unravel_index(int(np.argmax(scores)), scores.shape)
    best = float(scores[row, column])
    rise = 0.0
    for axis, at in ((scores[:, column], row), (scores[row], column)):
        if 0 < at < len(axis) - 1:
            before, after = float(axis[at - 1]), float(axis[at + 1])
            bend = before - 2 * best + after
            rise -= (after - before) ** 2 / (8 * bend) if bend < 0 else 0.0
    return best + rise


def _light(picture: np.ndarray, gamma: float) -> np.ndarray:
    if picture.ndim != 2:
        raise ValueError(f"picture {picture.shape}: must be grey, (H,W)")
    return np.asarray(np.clip(picture, 0, None), np.float32) ** np.float32(gamma)


def _whole(
    sharp: np.ndarray, blurred: np.ndarray, gamma: float, limits: Limits
) -> tuple[np.ndarray, np.ndarray]:
    if sharp.shape != blurred.shape:
        raise ValueError(f"pictures of {sharp.shape} and {blurred.shape}: they must be of one size")
    light = _light(sharp, gamma), _light(blurred, gamma)
    if not _Level(*light, limits, 1).usable:
        need = 2 * (margin_px(limits.radius_px, limits.kernel) + limits.shift_px) + _LEAST_SIDE
        raise ValueError(
            f"pictures of {sharp.shape[1]}x{sharp.shape[0]} px are too small for blur of "
            f"{limits.radius_px:g} px; give {math.ceil(need / limits.scale[0]) + 2} px or more, "
            "or lower the largest radius"
        )
    return light


def brute_force(sharp: np.ndarray, blurred: np.ndarray, gamma: float, limits: Limits | None = None) -> Found:
    """The best of every radius and scale on the grid of ``limits``.

    Args:
        sharp, blurred: (H,W) display values in [0,1] of the same thing, in focus and not.
        gamma: display values are light to the power of 1 / gamma.

    Raises:
        ValueError: pictures of two sizes, with colours, or too small for the blur.
    """
    limits = limits or Limits()
    level = _Level(*_whole(sharp, blurred, gamma, limits), limits, 1)
    radii = np.arange(0, limits.radius_px + 1e-9, limits.radius_step)
    scales = np.arange(limits.scale[0], limits.scale[1] + 1e-9, limits.scale_step)
    best = max(((level.score(r, s), r, s) for r in radii for s in scales), key=lambda one: one[0])
    return Found(float(best[1]), float(best[2]), best[0], level.tries)


def coarse_to_fine(
    sharp: np.ndarray, blurred: np.ndarray, gamma: float, limits: Limits | None = None
) -> Found:
    """The same search, beginning at the coarsest resolution that leaves a template, and between grid points.

    Arguments and errors are those of `brute_force`.
    """
    limits = limits or Limits()
    light = _whole(sharp, blurred, gamma, limits)
    reduce = next(k for k in (8, 4, 2, 1) if k == 1 or _Level(*light, limits, k).usable)
    level = _Level(*light, limits, reduce)
    count = max(3, math.ceil(math.sqrt(limits.radius_px / reduce) * 3))
    radii = limits.radius_px * (np.arange(count) / (count - 1)) ** 2  # blur of few px changes a picture most
    steps = 0.004 * reduce / 2
    scales = np.arange(limits.scale[0], limits.scale[1] + steps, steps)
    radius, scale = max(((r, s) for r in radii for s in scales), key=lambda at: level.score(*at))
    pace = [max(1.0, 2 * radius / count), steps / 2]
    tries = 0
    radius, scale = _climb(level, radius, scale, pace, limits)
    while (
        reduce > 1 and radius < _COARSE * reduce
    ):  # large blur leaves nothing for a finer resolution to show
        tries += level.tries
        reduce //= 2
        level = _Level(*light, limits, reduce)
        pace = [max(pace[0] / 2, _FINEST[0]), max(pace[1] / 2, _FINEST[1])]
        radius, scale = _climb(level, radius, scale, pace, limits)
    while pace != list(_FINEST):
        pace = [max(pace[0] / 2, _FINEST[0]), max(pace[1] / 2, _FINEST[1])]
        radius, scale = _climb(level, radius, scale, pace, limits)
    steps_at_top = max(0.25, radius / 100), 0.0005
    for _ in range(2):
        radius, scale = _summit(level, radius, scale, steps_at_top, limits)
    return Found(float(radius), float(scale), level.score(radius, scale), tries + level.tries)


def _climb(
    level: _Level, radius: float, scale: float, pace: list[float], limits: Limits
) -> tuple[float, float]:
    """The best place that steps of ``pace`` lead to, radius and scale in turn."""
    for _ in range(_ROUNDS):
        start = radius, scale
        for step in (-pace[0], pace[0]):
            while (there := min(max(radius + step, 0.0), limits.radius_px)) != radius and (
                level.score(there, scale) > level.score(radius, scale)
            ):
                radius = there
        for step in (-pace[1], pace[1]):
            while (there := min(max(scale + step, limits.scale[0]), limits.scale[1])) != scale and (
                level.score(radius, there) > level.score(radius, scale)
            ):
                scale = there
        if (radius, scale) == start:
            break
    return radius, scale


def _summit(
    level: _Level, radius: float, scale: float, steps: tuple[float, float], limits: Limits
) -> tuple[float, float]:
    """Top of the quadric through nine scores: radius and scale lie on a slanting ridge."""
    radius = min(radius, limits.radius_px - steps[0])
    at = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    scores = [level.score(abs(radius + i * steps[0]), scale + j * steps[1]) for i, j in at]
    terms = np.array([[1, i, j, i * i / 2, i * j, j * j / 2] for i, j in at], float)
    _, down, across, a, b, c = np.linalg.lstsq(terms, np.array(scores), rcond=None)[0]
    bend = np.array([[a, b], [b, c]])
    if not (a < 0 and np.linalg.det(bend) > 0):
        return radius, scale
    move = np.clip(np.linalg.solve(bend, [-down, -across]), -2, 2)
    found = abs(radius + float(move[0]) * steps[0]), scale + float(move[1]) * steps[1]
    return (
        min(found[0], limits.radius_px),
        min(max(found[1], limits.scale[0]), limits.scale[1]),
    )
