"""Focus from one dual-pixel slice by calibration: the three rivals D1 of Herrmann et al. 2020, Table 1.

A cue, disparity or a network's relative depth, is proportional to the signed blur, and so to the object's
dioptre less that of the focus (Eq. 5 of the paper). The factor and an offset vary over the sensor; they are
fitted, as quadratics of the region's place, on patches whose focus is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dff.autofocus.disparity import ssd_disparity, zncc_disparity

Cue = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Left and right (P,H,W) -> (P,) number that grows or falls linearly with the signed blur."""

_ROUNDS = 10  # of re-weighting towards least absolute deviations: cues fail by far when blur is large


def _terms(centre: np.ndarray) -> np.ndarray:
    """(P,2) places (x, y) in [-1,1] -> (P,6) quadratic terms."""
    x, y = np.asarray(centre, np.float64).T
    return np.column_stack([np.ones_like(x), x, y, x * x, x * y, y * y])


@dataclass(frozen=True, eq=False)
class SliceCalibration:
    """A fitted cue.

    Args:
        factor, offset: (6,) quadratics of the place: dioptre per cue, and dioptre.
    """

    factor: np.ndarray
    offset: np.ndarray

    def dioptre(self, cue: np.ndarray, centre: np.ndarray, focus: np.ndarray) -> np.ndarray:
        """(P,) object dioptre from the cue, centre (P,2) in [-1,1] and the slice's focus (P,)."""
        terms = _terms(centre)
        return np.asarray(focus + (terms @ self.factor) * cue + terms @ self.offset)

    def index(self, cue: np.ndarray, centre: np.ndarray, start: np.ndarray, ladder: np.ndarray) -> np.ndarray:
        """(P,) focal index nearest in dioptre, from cues of slices ``start`` (P,) of ``ladder`` (K,)."""
        ladder = np.asarray(ladder, np.float64)
        dioptre = self.dioptre(cue, centre, ladder[start])
        return np.asarray(np.abs(dioptre[:, None] - ladder).argmin(axis=1))


def fit_slice(
    cue: np.ndarray, centre: np.ndarray, focus: np.ndarray, dioptre: np.ndarray
) -> SliceCalibration:
    """The calibration with the least absolute error [dioptre].

    Args:
        cue: (P,) of the patches.
        centre: (P,2) where each lies on the sensor, (x, y) in [-1,1].
        focus, dioptre: (P,) focus of the slice, and of the object.

    Raises:
        ValueError: fewer than 12 patches, values that are not finite, or too few different cues and places.
    """
    terms = _terms(centre)
    columns = np.hstack([terms * np.asarray(cue)[:, None], terms])
    wanted = np.asarray(dioptre, np.float64) - focus
    if not (np.all(np.isfinite(columns)) and np.all(np.isfinite(wanted))):
        raise ValueError(
            "calibration: NaN or infinity among cues, places or dioptres; leave those patches out"
        )
    if np.linalg.matrix_rank(columns) < columns.shape[1]:
        raise ValueError(
            f"calibration: {len(wanted)} patches do not settle its 12 numbers; give more, all over the sensor"
        )
    weight = np.ones_like(wanted)
    for _ in range(_ROUNDS):
        solution = np.linalg.lstsq(columns * weight[:, None], wanted * weight, rcond=None)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(wanted - columns @ solution), 1e-4))
    return SliceCalibration(solution[:6], solution[6:])


@dataclass(frozen=True)
class SingleSlice:
    """One of the rivals.

    Args:
        title: its name in the paper.
        cue: what it measures; None: to be given (the network is not part of this package).
        centre_crop: it works, and is judged, only in the picture's middle, smaller by this factor.
    """

    title: str
    cue: Cue | None
    centre_crop: float = 1.0

    def inside(self, centre: np.ndarray) -> np.ndarray:
        """(P,) bool: regions with centres (P,2) in [-1,1] that it is judged on."""
        return np.asarray(np.abs(centre).max(axis=-1) <= 1 / self.centre_crop)


SINGLE_SLICE: dict[str, SingleSlice] = {
    "zncc-disparity": SingleSlice("ZNCC Disparity with Calibration", zncc_disparity),
    "ssd-disparity": SingleSlice("SSD Disparity", ssd_disparity, 1.5),
    "learned-depth": SingleSlice("Learned Depth", None, 1.5),
}
