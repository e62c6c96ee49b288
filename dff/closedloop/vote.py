"""The default policy: one sweep upward, in which every part of the region votes for where it is sharp.

What makes contrast autofocus miss on hard scenes, and what is done here: the strongest contrast is not the
middle depth (the parts of the region vote, and their median counts), noise makes false peaks (a part without
a peak has no vote, and round the winner frames are repeated), and gears have play (every frame that counts,
and the last move, is approached from the far side).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import cv2
import numpy as np

from dff.closedloop.policy import Fail, Frame, Move, Script, Stop, Track
from dff.closedloop.rules import vertex


@dataclass(frozen=True)
class VoteTuning:
    """How the sweep goes.

    Args:
        coarse: positions in the sweep, at most.
        fine: of these steps the second sweep covers either side of the winner, at half of them.
        repeats: frames at each position of the second sweep.
        window_px: deviation of the window over which contrast is gathered.
        band_px: deviations of the two Gaussians whose difference is the contrast.
        sure: how far a part's peak must stand above the noise of its curve to count fully.
    """

    coarse: int = 25
    fine: int = 2
    repeats: int = 2
    window_px: float = 4.0
    band_px: tuple[float, float] = (0.8, 2.0)
    sure: float = 6.0


def contrast_map(picture: np.ndarray, tuning: VoteTuning) -> np.ndarray:
    """(h,w) local contrast of (H,W), one value each 4 px: energy in a band over squared brightness."""
    picture = np.ascontiguousarray(picture, dtype=np.float32)

    def smooth(of: np.ndarray, sigma: float) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(of, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))

    band = smooth(picture, tuning.band_px[0]) - smooth(picture, tuning.band_px[1])
    bright = smooth(picture, tuning.window_px)
    energy = smooth(band * band, tuning.window_px) / (bright * bright + np.float32(1e-4))
    side = max(1, min(4, min(energy.shape) // 4))
    return np.asarray(energy[side // 2 :: side, side // 2 :: side])


def vote(places: np.ndarray, maps: np.ndarray, tuning: VoteTuning) -> tuple[float, float]:
    """Median place of the parts' peaks, and the share of the parts that have one.

    Args:
        places: (N,) rising indices.
        maps: (N,h,w) contrast there.
    """
    curves = maps.reshape(len(places), -1).astype(np.float64)
    base = np.median(curves, axis=0)
    peak = curves.argmax(axis=0)
    height = curves.max(axis=0) - base
    # noise of a curve: what a smooth one would not do, from second differences away from its peak
    bends = np.abs(np.diff(curves, 2, axis=0)) if len(places) > 4 else np.zeros((1, curves.shape[1]))
    noise = np.median(bends, axis=0) / 1.65 + 1e-12
    sure = np.clip(height / noise / tuning.sure - 0.5, 0, 1)
    found = np.array([_top(places, curves[:, c], int(peak[c])) for c in range(curves.shape[1])])
    if sure.sum() < 1e-9:
        total = (curves / (base + 1e-12)).sum(axis=1)
        return _top(places, total, int(total.argmax())), 0.0
    order = np.argsort(found)
    reached = np.cumsum(sure[order])
    return float(found[order][np.searchsorted(reached, reached[-1] / 2)]), float(sure.mean())


def _top(places: np.ndarray, curve: np.ndarray, peak: int) -> float:
    """Top of the parabola through the logarithms round the highest point."""
    if not 0 < peak < len(places) - 1:
        return float(places[peak])
    near = slice(peak - 1, peak + 2)
    x = tuple(float(one) for one in places[near])
    y = tuple(math.log(max(float(one), 1e-15)) for one in curve[near])
    return vertex((x[0], x[1], x[2]), (y[0], y[1], y[2]))


def _unseen(index: float, step: float) -> float:
    """A place about there, 0 or more, halfway between two of the coarse sweep."""
    return max(0.0, (math.floor(index / step) + 0.5) * step)


def vote_bound(positions: int, tuning: VoteTuning | None = None) -> int:
    """Captures that `vote_sweep` needs at most."""
    tuning = tuning or VoteTuning()
    return tuning.coarse + 3 + (4 * tuning.fine + 1) * tuning.repeats


def vote_sweep(
    track: Track, frame: Frame, random: np.random.Generator, tuning: VoteTuning | None = None
) -> Script:
    """Sweep, vote, sweep finely round the winner with repeated frames, vote again, and go there from below.

    Raises:
        ValueError: frames without pictures.
    """
    tuning = tuning or VoteTuning()
    step = track.last / (min(tuning.coarse, len(track)) - 1)

    def seen(index: float, repeats: int) -> Generator[Move, Frame, np.ndarray]:
        maps = []
        for _ in range(repeats):
            shot = yield Move(index)
            if shot.picture is None:
                raise ValueError("the policy votes on pictures, and these frames have none")
            maps.append(contrast_map(shot.picture, tuning))
        return np.mean(maps, axis=0)

    coarse = np.arange(min(tuning.coarse, len(track))) * step
    maps: list[np.ndarray] = []
    for index in coarse:
        maps += [(yield from seen(float(index), 1))]
    winner, _ = vote(coarse, np.array(maps), tuning)

    reach = np.arange(-2 * tuning.fine, 2 * tuning.fine + 1) * max(step / 2, 1.0)
    fine = np.unique(np.clip(np.round(winner) + reach, 0, track.last))
    if fine[0] > 0:
        yield Move(_unseen(fine[0] - 2 * step, step))
    maps = []
    for index in fine:
        maps += [(yield from seen(float(index), tuning.repeats))]
    winner, share = vote(fine, np.array(maps), tuning)
    if winner > 0:
        yield Move(_unseen(winner - 3 * step, step))
    if share == 0:
        return Fail(winner, "no part of the region has a peak of contrast")
    return Stop(winner)
