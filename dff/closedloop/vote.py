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

_BEND = 1.65  # median of a second difference, over the deviation of what is differenced
_NOTHING = 1e-12


@dataclass(frozen=True)
class VoteTuning:
    """How the sweep goes.

    Args:
        coarse: positions in the sweep, at most.
        fine: of these steps the second sweep covers either side of the winner, at half of them.
        repeats: frames at each position of the second sweep.
        window_px: deviation of the window over which contrast is gathered.
        band_px: deviations of the two Gaussians whose difference is the contrast.
        sure: a part counts from where its peak stands out by half as many deviations of its noise, and
            fully at one and a half times as many.
        least_share: of the parts that must count; else they are taken together.
    """

    coarse: int = 25
    fine: int = 2
    repeats: int = 2
    window_px: float = 4.0
    band_px: tuple[float, float] = (0.7, 1.75)
    sure: float = 6.0
    least_share: float = 0.15


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

    Where hardly any part has a peak above its noise, it is that of all of them together, and the share is 0
    if even that stands out from nothing.

    Args:
        places: (N,) rising indices.
        maps: (N,h,w) contrast there.
    """
    curves = maps.reshape(len(places), -1).astype(np.float64)
    above = curves - np.median(curves, axis=0)
    # noise of a curve: what a smooth one would not do, from second differences
    bends = np.abs(np.diff(curves, 2, axis=0)) if len(places) > 2 else np.zeros((1, curves.shape[1]))
    above /= np.median(bends, axis=0) / _BEND + _NOTHING
    sure = np.clip(above.max(axis=0) / tuning.sure - 0.5, 0, 1)
    if sure.mean() < tuning.least_share:
        together = np.convolve(np.pad(above.sum(axis=1), 1, "edge"), (0.25, 0.5, 0.25), "valid")
        return _top(places, together), float(np.ptp(curves) > _NOTHING) * tuning.least_share
    found = np.array([_top(places, curve) for curve in above.T])
    order = np.argsort(found)
    reached = np.cumsum(sure[order])
    return float(found[order][np.searchsorted(reached, reached[-1] / 2)]), float(sure.mean())


def _top(places: np.ndarray, curve: np.ndarray) -> float:
    """Top of the parabola round the highest point."""
    peak = int(curve.argmax())
    if not 0 < peak < len(places) - 1:
        return float(places[peak])
    near = slice(peak - 1, peak + 2)
    (a, b, c), (fa, fb, fc) = places[near].tolist(), curve[near].tolist()
    return vertex((a, b, c), (fa, fb, fc))


def vote_bound(positions: int, tuning: VoteTuning | None = None) -> int:
    """Captures that `vote_sweep` needs at most."""
    tuning = tuning or VoteTuning()
    return min(tuning.coarse, positions) + 2 + (4 * tuning.fine + 1) * tuning.repeats


def _unseen(index: float, step: float) -> float:
    """A place about there, 0 or more, halfway between two of the coarse sweep."""
    return max(0.0, (math.floor(index / step) + 0.5) * step)


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
