"""Searches for the top of a focus curve that has one peak: sweep, Fibonacci, golden section, hill climbing.

Each is a script for `dff.closedloop.policy.Scripted`; captures are counted after the frame at the start.
"""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np

from dff.closedloop.policy import Frame, Look, Move, Script, Stop, Track

_GOLDEN = (math.sqrt(5) - 1) / 2
_FINE_SHARE = 500  # of so many positions one is the default tolerance of a search


def _tolerance(track: Track, asked: float | None) -> float:
    tolerance = max(1.0, float(len(track) // _FINE_SHARE)) if asked is None else asked
    if tolerance < 1:
        raise ValueError(f"a search to {tolerance:g} positions: give 1 or more")
    return tolerance


def global_sweep(track: Track, frame: Frame, random: np.random.Generator) -> Script:
    """Every whole index from one end to the other, beginning at the nearer one: K captures at most."""
    look = Look(frame)
    order = range(len(track)) if frame.index <= track.last / 2 else range(track.last, -1, -1)
    for index in order:
        yield from look.at(float(index))
    return Stop(look.best)


def fibonacci_order(positions: int, tolerance: float) -> int:
    """Captures that a Fibonacci search needs to come within ``tolerance`` of the peak of K positions.

    The least m whose F(m+1) - 1 inner points (F1, F2, ... are 1, 2, 3, 5, ...) lie no farther apart.
    1050 positions: 13 to within 2, which is a bracket of 4, and 15 to within 1.
    """
    before, now, order = 1, 2, 1
    while (positions - 1) / tolerance > max(now - 2, 0):
        before, now, order = now, before + now, order + 1
    return order


def fibonacci(
    track: Track, frame: Frame, random: np.random.Generator, tolerance: float | None = None
) -> Script:
    """Fibonacci search, `fibonacci_order` captures; some may fall away where there are fewer positions.

    Args:
        tolerance: how far from the peak [index] it may end; None: 1, or a 500th of the positions.
    """
    look = Look(frame)
    order = fibonacci_order(len(track), _tolerance(track, tolerance))
    series = [1, 2]
    while len(series) < order + 1:
        series.append(series[-1] + series[-2])
    points = series[order] - 1
    spacing = max(1.0, track.last / max(points - 1, 1))

    def value(point: int) -> Generator[Move, Frame, float]:
        index = float(round((point - 1) * spacing))
        return (yield from look.sharpness(index)) if index <= track.last else -math.inf

    low, high = 0, points + 1  # the peak lies between; both ends are outside
    while high - low > 2:
        size = series.index(high - low)
        left, right = low + (series[size - 2] if size > 1 else 1), low + series[size - 1]
        here = yield from value(left)
        there = yield from value(right)
        low, high = (left, high) if here < there else (low, right)
    yield from value(low + 1)
    return Stop(look.best)


def golden_bound(positions: int) -> int:
    """Captures that `golden_section` needs at most."""
    return 6 + math.ceil(math.log(max((positions - 1) / 2, 1)) / -math.log(_GOLDEN))


def golden_section(track: Track, frame: Frame, random: np.random.Generator) -> Script:
    """Golden section to a bracket of two positions, then what is left in it: `golden_bound` captures."""
    look = Look(frame)
    low, high = 0.0, float(track.last)
    while high - low > 2:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if round(left) == round(right):
            break
        here = yield from look.sharpness(float(round(left)))
        there = yield from look.sharpness(float(round(right)))
        low, high = (left, high) if here < there else (low, right)
    for index in range(math.floor(low), math.ceil(high) + 1):
        yield from look.at(float(index))
    return Stop(look.best)


def climb_bound(positions: int) -> int:
    """Captures that `hill_climb` needs at most from any start."""
    step = max(1, round(positions / 8))
    return math.ceil(positions / step) + 2 + 3 * math.ceil(math.log2(step) + 1)


def hill_climb(track: Track, frame: Frame, random: np.random.Generator) -> Script:
    """Steps of an eighth of the range uphill, turned round at a fall and halved when both sides are lower.

    After He, Zhou and Hong (2003), who halve at every turn; it stops where both neighbours are lower.
    """
    look = Look(frame)
    here, step, way = track.clamped(round(frame.index)), max(1, round(len(track) / 8)), 1
    height = yield from look.sharpness(here)
    while True:
        for sign in (way, -way):
            there = track.clamped(here + sign * step)
            value = (yield from look.sharpness(there)) if there != here else -math.inf
            if value > height:
                here, height, way = there, value, sign
                break
        else:
            if step == 1:
                return Stop(here)
            step = (step + 1) // 2
