"""From depth to focus: the index rule, two depths, regions, calibration."""

from __future__ import annotations

import numpy as np
import pytest

from dff.autofocus.curves import focus_curves
from dff.autofocus.from_depth import focused_by, nearest_index, region_focus, two_modes, weighted_median
from dff.autofocus.regions import Roi, middle, parse_grid, parse_roi
from dff.camera import LensCalibration
from dff.classical.align import align_stack
from dff.stack import DepthMap, FocalStack

LADDER = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 4.5])
WHOLE = Roi(0, 0, 10, 10)


def depth_of(index: np.ndarray, unit: str = "dioptre", confidence: np.ndarray | None = None) -> DepthMap:
    index = np.broadcast_to(np.asarray(index, np.float32), (10, 10))
    confidence = np.ones((10, 10)) if confidence is None else confidence
    positions = np.arange(6) if unit == "index" else LADDER
    return DepthMap(index, confidence, np.ones((10, 10), bool), positions, unit)  # type: ignore[arg-type]


def test_nearest_means_nearest_in_dioptre() -> None:
    # half way between 1 m and 0.25 m lies 0.4 m (2.5 dioptres), not 0.625 m
    assert nearest_index(np.array([2.4, 2.6]), np.array([1.0, 4.0])).tolist() == [0, 1]
    assert nearest_index(np.array([-1.0, 0.2, 0.3, 2.9, 3.1, 9]), LADDER).tolist() == [0, 0, 1, 3, 4, 5]
    found = region_focus(depth_of(np.array(3.4)), WHOLE)
    assert (found.index, found.dioptre, found.height_um) == (3, pytest.approx(2.8), None)
    # index 3.6 is 3.2 dioptres
    assert region_focus(depth_of(np.array(3.6)), WHOLE).index == 4


def test_the_median_goes_by_confidence() -> None:
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 1.0])) == 2
    assert weighted_median(np.array([3.0, 1.0, 2.0]), np.array([3.0, 1.0, 1.0])) == 3
    index = np.tile([1.0, 1, 1, 1, 1, 1, 2, 2, 2, 2], (10, 1))
    assert region_focus(depth_of(index), WHOLE, rule="median").index == 1
    trust = np.where(index == 2, 1.0, 0.2)
    found = region_focus(depth_of(index, confidence=trust), WHOLE, rule="median")
    assert found.index == 2
    assert found.confidence == pytest.approx(0.52)


def test_two_depths_give_the_heavier_one_and_say_so() -> None:
    index = np.tile([1.0, 1, 1, 1, 4, 4, 4, 4, 4, 4], (10, 1))
    found = region_focus(depth_of(index), WHOLE)
    assert (found.index, found.other_index, found.mixed) == (4, 1, True)
    near = region_focus(depth_of(5 - index), WHOLE)
    assert (near.index, near.other_index) == (1, 4)
    between = np.tile([1.0, 1, 1, 1, 1, 3, 4, 4, 4, 4], (10, 1))
    assert region_focus(depth_of(between), WHOLE).mixed
    assert region_focus(depth_of(between), WHOLE, rule="mode").index == 1
    assert region_focus(depth_of(between), Roi(0, 0, 5, 10)).mixed is False


@pytest.mark.parametrize(
    ("weight", "split"),
    [
        ([0, 5, 0, 5, 0], 2),
        ([5, 5, 0, 0, 0], None),  # neighbours: one depth
        ([5, 3, 4, 5, 1], None),  # no valley
        ([9, 0, 0, 0, 1], None),  # too few
        ([1, 2, 5, 2, 1], None),
        ([4, 1, 3, 0, 5], 3),
    ],
)
def test_when_a_histogram_has_two_peaks(weight: list[int], split: int | None) -> None:
    assert two_modes(np.array(weight, float)) == split


def test_only_what_is_known_counts() -> None:
    depth = depth_of(np.tile(np.arange(10.0) / 2, (10, 1)))
    depth.valid[:, :8] = False
    found = region_focus(depth, WHOLE)
    assert (found.index, found.known_share) == (4, pytest.approx(0.2))
    nothing = region_focus(depth, Roi(0, 0, 5, 5))
    assert (nothing.index, nothing.value, nothing.confidence) == (None, None, 0)
    blind = region_focus(depth_of(np.array(2.0), confidence=np.zeros((10, 10))), WHOLE)
    assert (blind.index, blind.confidence) == (2, 0)


def test_units() -> None:
    height = region_focus(depth_of(np.array(2.5), "um"), WHOLE)
    assert (height.height_um, height.dioptre) == (pytest.approx(1.5), None)
    plain = region_focus(depth_of(np.array(2.6), "index"), WHOLE)
    assert (plain.index, plain.value, plain.dioptre) == (3, pytest.approx(2.6), None)


def test_motor_codes() -> None:
    calibration = LensCalibration([0.0, 5.0], [100, 600])
    found = region_focus(depth_of(np.array(3.5)), WHOLE, calibration=calibration)
    assert found.motor_code == pytest.approx(100 + 3 * 100)
    with pytest.raises(ValueError, match="needs focus distances"):
        region_focus(depth_of(np.array(2.0), "um"), WHOLE, calibration=calibration)
    with pytest.raises(ValueError, match="choose from auto, median, mode"):
        region_focus(depth_of(np.array(2.0)), WHOLE, rule="mean")  # type: ignore[arg-type]


def test_a_calibration_gives_the_focus_of_as_many_slices() -> None:
    slices = list(np.zeros((3, 8, 8), np.float32))
    calibration = LensCalibration([0.0, 1.0, 2.0], [1, 2, 3])
    stack = focused_by(FocalStack(slices), calibration)
    assert stack.unit == "dioptre"
    assert stack.positions.tolist() == [0, 1, 2]
    known = FocalStack(slices, [3.0, 4.0, 5.0])
    assert focused_by(known, calibration) is known
    with pytest.raises(ValueError, match="stage heights"):
        focused_by(FocalStack(slices, z_um=[0, 1, 2]), calibration)
    with pytest.raises(ValueError, match="2 slices is unknown, and the calibration has 3"):
        focused_by(FocalStack(slices[:2]), calibration)


def test_regions() -> None:
    assert parse_roi("1, 2,3,4") == Roi(1, 2, 3, 4)
    assert Roi(-2, 8, 6, 6).clipped(10, 20) == Roi(0, 8, 4, 2)
    assert middle(90, 120) == Roi(30, 30, 60, 30)
    grid = parse_grid("2x3", 7, 10)
    assert grid[0] == Roi(0, 0, 3, 4)
    assert sum(roi.w * roi.h for roi in grid) == 70
    for bad in ("1,2,3", "a,b,c,d", "1.5,2,3,4"):
        with pytest.raises(ValueError, match="give x,y,w,h"):
            parse_roi(bad)
    with pytest.raises(ValueError, match="region 1,2,0,4: empty"):
        parse_roi("1,2,0,4")
    with pytest.raises(ValueError, match="outside the picture, which is 20x10 px"):
        Roi(20, 0, 5, 5).clipped(10, 20)
    for bad in ("6", "0x3", "8x2"):
        with pytest.raises(ValueError, match="give rows x columns"):
            parse_grid(bad, 7, 10)


def test_focus_curves_peak_where_the_slice_is_sharp() -> None:
    grain = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    soft = (grain + np.roll(grain, 1, 0) + np.roll(grain, 1, 1) + np.roll(grain, (1, 1), (0, 1))) / 4
    stack = FocalStack([soft, grain, soft])
    curves = focus_curves(stack, align_stack(stack, "none"), [Roi(0, 0, 16, 16), Roi(20, 20, 4, 4)])
    assert curves.shape == (2, 3)
    assert curves[0].argmax() == 1
    assert np.isnan(curves[1]).all()  # smaller than any measure can see
