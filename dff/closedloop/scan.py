"""Contrast scan and phase loop in the manner of libcamera's Raspberry Pi autofocus (BSD-2, 2026-04).

Step sizes are in the unit of the track, dioptres where it knows them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from dff.closedloop.policy import Fail, Frame, Look, Move, Script, Stop, Track
from dff.closedloop.rules import vertex


@dataclass(frozen=True)
class ScanTuning:
    """How the contrast scan steps.

    Args:
        coarse, fine: steps in the unit of the track; None: a 12th and a 48th of it, which are libcamera's 1
            and 0.25 dioptres of its normal range of 12.
        contrast_ratio: of the highest contrast; a scan ends where it falls below, and a peak counts only
            where the end is above it and something below it was seen.
    """

    coarse: float | None = None
    fine: float | None = None
    contrast_ratio: float = 0.75

    def __post_init__(self) -> None:
        for name in ("coarse", "fine"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"ScanTuning: {name} must be above 0, got {getattr(self, name)}")
        if not 0 < self.contrast_ratio < 1:
            raise ValueError(f"ScanTuning: contrast_ratio {self.contrast_ratio} must lie between 0 and 1")

    def steps(self, track: Track) -> tuple[float, float]:
        """Coarse and fine step in the unit of ``track``."""
        return self.coarse or track.span / 12, self.fine or track.span / 48


def scan_bound(track: Track, tuning: ScanTuning | None = None) -> int:
    """Captures that `contrast_scan` needs at most."""
    coarse, _ = (tuning or ScanTuning()).steps(track)
    return math.ceil(track.span / coarse) + 6


def contrast_scan(
    track: Track, frame: Frame, random: np.random.Generator, tuning: ScanTuning | None = None
) -> Script:
    """Coarse steps from where the lens stands, one way and then the other, each until contrast has fallen.

    Then a parabola through the best and its neighbours, three fine steps round its top in the opposite
    direction, a parabola again, and a look from there. It ends between positions.
    """
    tuning = tuning or ScanTuning()
    coarse, fine = tuning.steps(track)
    look = Look(frame)
    start = track.position(frame.index)

    def at(position: float) -> Generator[Move, Frame, float]:
        return (yield from look.sharpness(track.index(position)))

    def top() -> float:
        known = sorted(look.frames)
        k = known.index(look.best)
        if not 0 < k < len(known) - 1:
            return track.position(look.best)
        near = known[k - 1 : k + 2]
        places = tuple(track.position(index) for index in near)
        heights = tuple(look.frames[index].sharpness for index in near)
        return vertex((places[0], places[1], places[2]), (heights[0], heights[1], heights[2]))

    ends = track.positions[0], track.positions[-1]
    for way in (1, -1):
        here = start
        while (there := float(np.clip(here + way * coarse, *ends))) != here:
            here = there
            if (yield from at(here)) < tuning.contrast_ratio * look.frames[look.best].sharpness:
                break
    guess, upward = top(), track.position(next(reversed(look.frames))) < top()
    for step in (-1, 0, 1) if upward else (1, 0, -1):
        yield from at(float(np.clip(guess + step * fine, *ends)))
    guess = top()
    last = yield from at(guess)
    heights = [seen.sharpness for seen in look.frames.values()]
    least = tuning.contrast_ratio * max(heights)
    if last < least:
        return Fail(look.best, "contrast at the peak was not found again")
    if min(heights) > least:
        return Fail(look.best, "no peak of contrast: it hardly changes over the range")
    return Stop(track.index(guess))


Phase = Callable[[Frame], tuple[float, float]]
"""Defocus [unit of the track], the object's position less that of the focus, and confidence >= 0."""


@dataclass(frozen=True)
class PhaseTuning:
    """How the phase loop moves.

    Args:
        squelch: defocus below which a move is softened by the square of its share of this, in the unit of
            the track; None: a 96th of it, which is 0.125 of 12 dioptres.
        max_slew: longest move per frame, same unit; None: an eighth of the track (1.5 of 12 dioptres).
        confidence_epsilon: a move is scaled by c / (c + this).
        least_confidence: below it a frame says nothing.
        same_sign: frames in a row whose phase must agree in sign before the lens moves.
        settled: frames in a row within ``squelch`` that make it focused.
        dropout: frames in a row without confidence that make it fail.
    """

    squelch: float | None = None
    max_slew: float | None = None
    confidence_epsilon: float = 8.0
    least_confidence: float = 16.0
    same_sign: int = 4
    settled: int = 3
    dropout: int = 6


def phase_loop(
    track: Track,
    frame: Frame,
    random: np.random.Generator,
    phase: Phase,
    tuning: PhaseTuning | None = None,
) -> Script:
    """Follow the phase until it stays within the dead band; the first move waits for an agreed sign."""
    tuning = tuning or PhaseTuning()
    squelch = tuning.squelch or track.span / 96
    slew = tuning.max_slew or track.span / 8
    agreed = quiet = lost = 0
    sign = 0.0
    here = frame.index
    while True:
        defocus, confidence = phase(frame)
        if confidence < tuning.least_confidence:
            lost, agreed, quiet = lost + 1, 0, 0
            if lost >= tuning.dropout:
                return Fail(here, f"no phase for {lost} frames")
            frame = yield Move(here)
            continue
        lost = 0
        quiet = quiet + 1 if abs(defocus) < squelch else 0
        if quiet >= tuning.settled:
            return Stop(here)
        agreed = agreed + 1 if np.sign(defocus) == sign else 1
        sign = float(np.sign(defocus))
        if agreed >= tuning.same_sign or abs(defocus) < squelch:
            move = defocus * confidence / (confidence + tuning.confidence_epsilon)
            if abs(move) < squelch:
                move *= (move / squelch) ** 2
            here = track.index(track.position(here) + float(np.clip(move, -slew, slew)))
        frame = yield Move(here)
