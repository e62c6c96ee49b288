"""Policies that read the slope of the focus curve: rule based, and the fit of a parabola.

Each is a script for `dff.closedloop.policy.Scripted`; captures are counted after the frame at the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dff.closedloop.policy import Frame, Look, Script, Stop, Track


@dataclass(frozen=True)
class Rules:
    """When the rule-based search takes which step. Steps are positions of 1050, scaled to the track.

    The four step names and sizes are those that Wang et al. 2021 (arXiv 2002.12389, section 6) run after
    Kehtarnavaz and Oh (2003); the thresholds are ours, since none are published.

    Args:
        initial, coarse, mid, fine: steps at the start, where the curve is flat, where it rises slowly, and
            where it changes fast.
        slow, fast: relative change of sharpness per initial step that is no longer flat, and that is fast.
        fallen: share of the highest sharpness below which the peak counts as passed.
    """

    initial: int = 10
    coarse: int = 40
    mid: int = 30
    fine: int = 10
    slow: float = 0.01
    fast: float = 0.05
    fallen: float = 0.75


def rule_based(track: Track, frame: Frame, random: np.random.Generator, rules: Rules | None = None) -> Script:
    """Walk uphill to the end of the range or past the peak, then back over it in fine steps.

    The way is found by one initial step to either side. At most K / fine captures and a few more; it ends
    within a fine step of the peak of a curve that rises and falls once.
    """
    rules = rules or Rules()
    look = Look(frame)
    scale = len(track) / 1050
    initial, coarse, mid, fine = (
        max(1, round(step * scale)) for step in (rules.initial, rules.coarse, rules.mid, rules.fine)
    )
    start = track.clamped(round(frame.index))
    before = yield from look.sharpness(start)
    rises = []
    for way in (1, -1):
        there = track.clamped(start + way * initial)
        rises.append(((yield from look.sharpness(there)) - before) if there != start else -math.inf)
    ways = (1, -1) if rises[0] >= rises[1] else (-1, 1)
    flat = max(rises) <= rules.slow * max(before, 1e-12)
    for way in ways if flat else ways[:1]:
        here, value, step = start, before, initial
        while (there := track.clamped(here + way * step)) != here:
            seen = yield from look.sharpness(there)
            change = (seen - value) / max(value, 1e-12) * initial / abs(there - here)
            here, value = there, seen
            if value < rules.fallen * look.frames[look.best].sharpness:
                break
            step = coarse if abs(change) < rules.slow else fine if abs(change) >= rules.fast else mid
    known = sorted(look.frames)
    at = known.index(look.best)
    low, high = known[max(at - 1, 0)], known[min(at + 1, len(known) - 1)]
    for index in np.arange(low, high, fine)[::-1]:
        yield from look.at(float(index))
    return Stop(look.best)


def vertex(x: tuple[float, float, float], y: tuple[float, float, float]) -> float:
    """Where the parabola through three points, x rising, is highest, kept between the outer two.

    Where it has no top, it is the x of the highest.
    """
    (a, b, c), (fa, fb, fc) = x, y
    left, right = (fb - fa) / (b - a), (fc - fb) / (c - b)
    bend = (right - left) / (c - a)
    if not bend < 0:
        return x[int(np.argmax(y))]
    return min(max((a + b) / 2 - left / (2 * bend), a), c)


def fit_bound(positions: int) -> int:
    """Captures that `curve_fit` needs at most."""
    return 6 + 2 * math.ceil(math.log2(max(positions / 4, 1)))


def curve_fit(track: Track, frame: Frame, random: np.random.Generator) -> Script:
    """Five frames over the range, then the top of the parabola through the logarithms of the best three.

    A focus curve near its peak is close to a Gaussian, whose logarithm is a parabola. The bracket shrinks
    until both neighbours were seen; where the fit says nothing new, the wider side is halved.
    """
    look = Look(frame)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield from look.at(float(round(share * track.last)))
    while True:
        known = sorted(look.frames)
        at = known.index(look.best)
        here = known[at]
        low, high = known[max(at - 1, 0)], known[min(at + 1, len(known) - 1)]
        gaps = here - low, high - here
        if max(gaps) <= 1:
            return Stop(here)
        wider = (low + here) / 2 if gaps[0] >= gaps[1] else (here + high) / 2
        top = float(round(wider))
        if low < here < high and min(gaps) * 4 > max(gaps):
            heights = (math.log(max(look.frames[x].sharpness, 1e-12)) for x in (low, here, high))
            guess = float(round(vertex((low, here, high), (next(heights), next(heights), next(heights)))))
            if guess in look.frames:  # beside it then, on the side still open
                guess += 1.0 if gaps[1] > gaps[0] else -1.0
            top = guess if low < guess < high else top
        if top in look.frames:
            return Stop(here)
        yield from look.at(top)
