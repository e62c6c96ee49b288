"""Policies with a part that may be learned: Algorithm 1 of Wang et al., and predictors of the focal index.

Each is a script for `dff.closedloop.policy.Scripted`, bound to its callables with functools.partial.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np

from dff.closedloop.policy import Fail, Frame, Move, Script, Stop, Track

Estimator = Callable[[Frame], float]
"""How far away focus is [index], >= 0, either way."""
Discriminator = Callable[[Frame], bool]
"""Whether the frame is in focus."""
Predictor = Callable[[Sequence[Frame]], float]
"""Focal index in focus, from the frames in the order of their indices."""
Adviser = Callable[[Sequence[Frame], float], float]
"""Focal index to go to, from such frames and the index where the lens is."""

_DIGITS = 3  # of an index: candidates closer than that are one, and rounding errors keep none out of range


def step_search(
    track: Track,
    frame: Frame,
    random: np.random.Generator,
    estimator: Estimator,
    discriminator: Discriminator,
    limit: int = 8,
) -> Script:
    """Algorithm 1 of Wang et al. 2021 (arXiv 2002.12389): the distance is known, the side is tried out.

    Beyond the printed algorithm: the nearer-index side is looked at second, and the first is accepted at
    once if it is in focus; a candidate right at an end of the range is inside; nothing is captured or judged
    twice; after ``limit`` captures, or where no candidate is new, it fails at the least distance seen.

    Args:
        estimator, discriminator: as above.
        limit: captures at most.
    """
    seen = {frame.index: frame}
    distances: dict[float, float] = {}
    captures = 0

    def distance(index: float) -> float:
        if index not in distances:
            distances[index] = abs(float(estimator(seen[index])))
        return distances[index]

    def failed(reason: str) -> Fail:
        return Fail(min(seen, key=distance), reason)

    here = frame.index
    if discriminator(frame):
        return Stop(here)
    while True:
        step = distance(here)
        sides = (round(here + step, _DIGITS), round(here - step, _DIGITS))
        inside = [there for there in sides if 0 <= there <= track.last]
        fresh = [there for there in dict.fromkeys(inside) if there not in seen]
        if not inside:
            fresh = [round(float(random.uniform(0, track.last)), _DIGITS)]
        elif not fresh:
            return failed("the distances lead back to where it was")
        for there in fresh:
            if captures == limit:
                return failed(f"not in focus after {limit} captures")
            seen[there] = yield Move(there)
            captures += 1
            if discriminator(seen[there]):
                return Stop(there)
        here = min(inside[::-1], key=distance) if inside else fresh[0]


def predict_once(
    track: Track,
    frame: Frame,
    random: np.random.Generator,
    predictor: Predictor,
    frames: int = 1,
) -> Script:
    """Go where a predictor says, from the frame at the start or from ``frames`` at consecutive indices.

    At the near end the window of frames is the last that fits (Choi et al. 2023).

    Raises:
        ValueError: more frames than positions.
    """
    window = yield from _window(track, frame, frames)
    return Stop(track.clamped(float(predictor(window))))


def _window(track: Track, frame: Frame, frames: int) -> Generator[Move, Frame, list[Frame]]:
    """``frames`` frames at consecutive indices from that of ``frame``, or the last window that fits."""
    if not 1 <= frames <= len(track):
        raise ValueError(f"a predictor of {frames} frames on {len(track)} positions; give 1 to {len(track)}")
    if frames == 1:
        return [frame]
    window = []
    for index in min(frame.index, track.last - frames + 1) + np.arange(frames):
        one = frame if index == frame.index else (yield Move(float(index)))
        window.append(one)
    return window


def predict_twice(
    track: Track, frame: Frame, random: np.random.Generator, first: Predictor, second: Predictor
) -> Script:
    """Two steps (Herrmann et al. 2020, 4.3): the second predictor also sees where the first one led."""
    there = track.clamped(float(first([frame])))
    after = frame if there == frame.index else (yield Move(there))
    return Stop(track.clamped(float(second([frame, after]))))


def settle(
    track: Track,
    frame: Frame,
    random: np.random.Generator,
    adviser: Adviser,
    frames: int = 1,
    tolerance: float = 0.5,
) -> Script:
    """Ask the adviser again at every place it led to, until it stays: the closed loop that may hunt."""
    while True:
        window = yield from _window(track, frame, frames)
        there = track.clamped(float(adviser(window, frame.index)))
        if abs(there - frame.index) <= tolerance:
            return Stop(there)
        frame = yield Move(there)
