"""A run as moving pictures: what the camera saw, and the way of the lens up to then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from dff.closedloop.drive import Scene
from dff.closedloop.loop import Trajectory
from dff.closedloop.report import places
from dff.formats.plot import COLOURS, INK, PAPER, Line, Plot, draw

_SIDE = 240  # px, height of both halves
_PLOT = 360
_LAST = 6  # frames for which the last picture stays


def animation(runs: Sequence[Trajectory], scene: Scene) -> Iterator[np.ndarray]:
    """(240,600,3) uint8 frames of the runs, one after the other: one frame per capture, the last ones held.

    The picture is that of the place where the lens stood; its noise may be another than the policy saw.
    """
    for run in runs:
        yield from _frames(run, scene)


def _frames(run: Trajectory, scene: Scene) -> Iterator[np.ndarray]:
    way = places(run, scene.track)
    times, index = np.array(way["time_s"], float), np.array(way["index"], float)
    truth, end = scene.track.index(scene.truth), max(float(times[-1]), 1e-3)
    last = scene.track.last
    for k, sight in enumerate(run.sights):
        seen = _shown(scene.view(sight.position, 0, False).picture)
        lines = [
            Line(np.array([0.0, end]), np.array([truth, truth]), INK, dashed=True),
            Line(times[: k + 1], index[: k + 1], COLOURS[0]),
            _dot(times[k], index[k], end, last),
        ]
        done = k == len(run.sights) - 1
        words = f"{run.policy}: {run.state.value if done else f'capture {k}'}"
        plot = draw(Plot(words, "seconds", (0.0, end), (-0.04 * last, 1.04 * last), lines), _SIDE, _PLOT)
        frame = np.hstack([seen, plot])
        yield from [frame] * (_LAST if done else 1)


def _dot(time_s: float, index: float, end: float, last: int) -> Line:
    """A small cross where the lens is."""
    across, up = 0.012 * end, 0.02 * last
    x = np.array([time_s - across, time_s + across, np.nan, time_s, time_s])
    y = np.array([index, index, np.nan, index - up, index + up])
    return Line(x, y, COLOURS[0])


def _shown(picture: np.ndarray) -> np.ndarray:
    """A grey region in a square of colours."""
    levels = (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
    scale = _SIDE / max(levels.shape)
    size = max(1, round(levels.shape[1] * scale)), max(1, round(levels.shape[0] * scale))
    small = cv2.resize(levels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    square = np.full((_SIDE, _SIDE, 3), PAPER, np.uint8)
    top, left = (_SIDE - small.shape[0]) // 2, (_SIDE - small.shape[1]) // 2
    square[top : top + small.shape[0], left : left + small.shape[1]] = small[..., None]
    return square
