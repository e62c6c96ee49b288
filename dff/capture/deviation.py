"""Deviation matrices: how far every pixel is from focus, which way, what is in focus, and where to go next.

Wang et al. 2021, "Intelligent Autofocus" (arXiv 2002.12389), section 5.1. Positions and deviations are in the
unit of the lens's track, dioptres where it knows them; a deviation is where a pixel would be in focus, less
where the lens stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Deviation:
    """What an estimator says of the last shot.

    Args:
        values: (h,w) deviation; only its magnitude counts unless ``signed``.
        weight: (h,w) in [0,1], how much each counts.
        signed: whether the signs are known.
        error: (h,w) mean error to expect of each (the scale of a Laplace distribution); None: none.
    """

    values: np.ndarray
    weight: np.ndarray
    signed: bool
    error: np.ndarray | None = None

    def __post_init__(self) -> None:
        shapes = {one.shape for one in (self.values, self.weight, self.error) if one is not None}
        if len(shapes) > 1 or self.values.ndim != 2:
            raise ValueError(f"Deviation: values, weight and error must be of one shape (h,w), got {shapes}")


def signs(
    magnitude: np.ndarray, before: np.ndarray, step: float, previous: np.ndarray | None = None
) -> np.ndarray:
    """Signs (h,w), 1 or -1, of deviations whose magnitudes are known now and before the lens moved.

    A pixel that is now off by p was off by p + step before. Of the two signs of p the one is taken whose
    earlier magnitude fits better (Eq. 6; as printed there, it tells where the lens stands from the pixel,
    which is the opposite of the move that it needs). Where they fit alike, which without a move they always
    do, the sign of ``previous`` stays, or +.

    Args:
        magnitude, before: (h,w), >= 0, now and at the position before.
        step: position now, less the position before.
        previous: (h,w) signed deviation before, or None.
    """
    ahead = np.abs(np.abs(magnitude + step) - before)
    behind = np.abs(np.abs(magnitude - step) - before)
    kept = np.ones(magnitude.shape) if previous is None else np.where(previous < 0, -1.0, 1.0)
    return np.where(ahead < behind, 1.0, np.where(behind < ahead, -1.0, kept))


def in_focus(deviation: np.ndarray, half_depth: float) -> np.ndarray:
    """(h,w) bool, the mask M: within ``half_depth`` of focus, either way."""
    return np.asarray(np.abs(deviation) <= half_depth)


def within(targets: np.ndarray, error: np.ndarray | None, spans: Sequence[tuple[float, float]]) -> np.ndarray:
    """Probability, in [0,1], that a pixel is in focus somewhere within ``spans``.

    Args:
        targets: (...) where pixels are in focus, as estimated.
        error: (...) Laplace scale of that estimate, or None: exact, and the answer is 0 or 1.
        spans: (low, high) of depths of field; they may overlap.
    """
    found = np.zeros(targets.shape)
    for low, high in merged(spans):
        if error is None:
            found += (targets >= low) & (targets <= high)
        else:
            found += _below(high - targets, error) - _below(low - targets, error)
    return np.clip(found, 0, 1)


def merged(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The union of spans as spans that do not touch, in rising order."""
    out: list[tuple[float, float]] = []
    for low, high in sorted(spans):
        if out and low <= out[-1][1]:
            out[-1] = out[-1][0], max(out[-1][1], high)
        else:
            out.append((low, high))
    return out


def _below(gap: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Distribution function of a Laplace distribution round 0."""
    tail = 0.5 * np.exp(-np.abs(gap) / np.maximum(scale, 1e-12))
    return np.where(gap < 0, tail, 1 - tail)


def gains(
    targets: np.ndarray,
    error: np.ndarray | None,
    weight: np.ndarray,
    spans: Sequence[tuple[float, float]],
    bins: Sequence[tuple[float, float]],
) -> np.ndarray:
    """The histogram: how much weight each of ``bins`` holds that none of ``spans`` does, as a share of all.

    Each pixel falls into a bin with its probability (`within`), so without errors this counts pixels.

    Args:
        targets, error, weight: as in `within` and `Deviation`; not all weights 0.
        spans: depths of field of the shots that were taken.
        bins: one depth of field each; they may overlap, so that no cluster is cut by a fixed grid.
    """
    had = within(targets, error, spans)
    more = [np.sum(weight * (within(targets, error, [*spans, one]) - had)) for one in bins]
    return np.array(more) / weight.sum()
