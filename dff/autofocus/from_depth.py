"""From depth to focus: the slice, the dioptre and the motor code that bring a region into focus.

The rule of Herrmann et al. 2020 for the true index of a patch: the focus nearest, in inverse depth, to the
median of its depth; here pixels count by their confidence, and a region of two depths is given the heavier
one, since their median may lie where nothing is.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from dff.autofocus.regions import Roi
from dff.camera import LensCalibration
from dff.stack import DepthMap, FocalStack, Unit

Rule = Literal["auto", "median", "mode"]

_LEAST_SHARE = 0.2  # of a region's weight that a second depth must have
_VALLEY = 0.5  # of the lower peak: a histogram that falls no deeper between two peaks has one depth


@dataclass(frozen=True)
class RegionFocus:
    """Where to focus for a region.

    Args:
        roi: the part of the region inside the picture.
        clipped: whether some of it was outside.
        index: focal index, counted in ``DepthMap.positions``; None where nothing can be focused on.
        value: depth of the region in ``unit``, between the slices too; None likewise.
        unit: of the depth: "dioptre", "um" or "index".
        confidence: mean confidence in [0,1], unknown pixels counting 0.
        known_share: share of the pixels whose depth is known.
        mixed: whether the region has two depths apart.
        other_index: of the lesser depth of a mixed region, else None.
        motor_code: what the focus motor is to be told, where a calibration was given.
    """

    roi: Roi
    clipped: bool
    index: int | None
    value: float | None
    unit: Unit
    confidence: float
    known_share: float
    mixed: bool = False
    other_index: int | None = None
    motor_code: float | None = None

    @property
    def dioptre(self) -> float | None:
        """Depth [dioptre], None where focus distances are unknown."""
        return self.value if self.unit == "dioptre" else None

    @property
    def height_um(self) -> float | None:
        """Height [micrometre], None unless the stack has stage heights."""
        return self.value if self.unit == "um" else None


def nearest_index(value: np.ndarray | float, positions: np.ndarray) -> np.ndarray:
    """(...) depths -> (...) index of the nearest of (K,) rising positions; dioptres, so inverse depth."""
    positions = np.asarray(positions, np.float64)
    return np.asarray(np.searchsorted((positions[1:] + positions[:-1]) / 2, value))


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value below which, itself included, lies at least half of the weight."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(np.asarray(weights, np.float64)[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def two_modes(weight: np.ndarray) -> int | None:
    """First index of the nearer of two depths in a histogram (K,), or None where there is but one.

    Two depths are two peaks with a valley of at most half the lower between them, and a fifth of the weight
    or more on either side of the valley.
    """
    top, total = int(weight.argmax()), weight.sum()
    split, best = None, 0.0
    for other, height in enumerate(weight):
        low, high = sorted((top, other))
        if high - low < 2 or height <= best:
            continue
        between = weight[low + 1 : high]
        valley = low + 1 + int(between.argmin())
        sides = weight[:valley].sum(), weight[valley:].sum()
        if between.min() <= _VALLEY * height and min(sides) >= _LEAST_SHARE * total:
            split, best = valley, float(height)
    return split


def region_focus(
    depth: DepthMap, roi: Roi, *, rule: Rule = "auto", calibration: LensCalibration | None = None
) -> RegionFocus:
    """Where to focus for a region of a depth map.

    Args:
        depth: of the picture; its positions rise, index 0 is the farthest.
        roi: may lie partly outside the picture.
        rule: "median" of the depth; "mode": the commonest index; "auto": the median, of the heavier depth
            where the region has two.
        calibration: gives the motor code of the depth, clamped to its range.

    Raises:
        ValueError: region outside the picture, unknown rule, or a calibration without focus distances.
    """
    if rule not in get_args(Rule):
        raise ValueError(f"rule {rule!r}; choose from {', '.join(get_args(Rule))}")
    if calibration is not None and depth.unit != "dioptre":
        raise ValueError("a calibration needs focus distances in dioptres, and this depth map has none")
    inside = roi.clipped(*depth.index.shape)
    known = inside.crop(depth.valid) & np.isfinite(inside.crop(depth.index))
    confidence = np.where(known, inside.crop(depth.confidence), 0)
    blank = RegionFocus(
        inside, inside != roi, None, None, depth.unit, float(confidence.mean()), float(known.mean())
    )
    if not known.any():
        return blank
    values = inside.crop(depth.value)[known].astype(np.float64)
    weights = confidence[known] if confidence.any() else np.ones(values.size)
    places = nearest_index(values, depth.positions)
    histogram = np.bincount(places, weights, minlength=depth.positions.size)
    split = two_modes(histogram)
    chosen, other = np.ones(values.size, bool), None
    if split is not None:
        nearer = bool(histogram[split:].sum() > histogram[:split].sum())
        if rule == "mode":
            nearer = bool(histogram.argmax() >= split)
        chosen = (places >= split) == nearer
        other = int(nearest_index(weighted_median(values[~chosen], weights[~chosen]), depth.positions))
    if rule == "median":
        chosen = np.ones(values.size, bool)
    elif rule == "mode":
        chosen = places == histogram.argmax()
    value = weighted_median(values[chosen], weights[chosen])
    return replace(
        blank,
        index=int(nearest_index(value, depth.positions)),
        value=value,
        mixed=split is not None,
        other_index=other,
        motor_code=None if calibration is None else float(calibration.code_of_focus(value)),
    )


def focused_by(stack: FocalStack, calibration: LensCalibration) -> FocalStack:
    """The stack, with the focus of the calibration's indices where it knows none of its own.

    Raises:
        ValueError: stage heights, or another number of slices than the calibration has indices.
    """
    if stack.unit == "dioptre":
        return stack
    if stack.unit == "um":
        raise ValueError("the stack has stage heights; a lens calibration ties distances to motor codes")
    if len(stack) != calibration.focus.size:
        raise ValueError(
            f"the focus of the {len(stack)} slices is unknown, and the calibration has "
            f"{calibration.focus.size} focal indices; give the focus, or a calibration of {len(stack)}"
        )
    known = copy.copy(stack)  # the pictures were checked before
    known.focus, known.origin = calibration.focus, "calibration"
    return known
