"""Capture of still scenes: exact estimators find every depth, bad ones come to an end."""

import numpy as np
import pytest

from dff.camera import Lens
from dff.capture.deviation import Deviation
from dff.capture.estimators import Agreed, DepthEstimator
from dff.capture.report import csv_text, still_rows
from dff.capture.scene import LensDepth, RecordedStack, Shot
from dff.capture.still import (
    ALL_IN_FOCUS,
    NOTHING_NEW,
    OUT_OF_RANGE,
    StillConfig,
    capture_still,
    spread_positions,
    uniform_positions,
)
from dff.classical.align import align_stack
from dff.closedloop.policy import Track
from dff.stack import FocalStack

SIZE = (24, 32)


class FakeScene:
    """Four quarters at depths of their own; pictures tell nothing, estimators are given the truth."""

    def __init__(self, depths=(0.5, 1.6, 1.7, 4.2), high=5.0):
        self.track = Track([0.0, high])
        self.lens = None
        self.size = SIZE
        self.truth = np.repeat(np.repeat(np.reshape(depths, (2, 2)), 12, 0), 16, 1).astype(float)
        self.asked = []

    def half_depth(self, position):
        return 0.25

    def stand(self, position):
        return float(np.clip(position, 0, self.track.positions[-1]))

    def take(self, position, step=0):
        self.asked.append(position)
        return Shot(position, np.zeros(SIZE, np.float32), step)


class Exact:
    def __init__(self, scene, signed=True, needs=1, error=None):
        self.scene, self.signed, self.needs, self.error = scene, signed, needs, error

    def __call__(self, shots):
        away = self.scene.truth - shots[-1].position
        return Deviation(away if self.signed else np.abs(away), np.ones(SIZE), self.signed, self.error)


def done(scene, positions):
    return np.any([np.abs(scene.truth - place) <= 0.25 for place in positions], axis=0).mean()


def test_uniform_sweep_has_no_gap_and_no_overlap():
    found = uniform_positions(FakeScene())
    np.testing.assert_allclose(found, np.arange(0.25, 5, 0.5))
    scene = FakeScene()
    assert spread_positions(scene, 3) == pytest.approx([0.25, 2.5, 4.75])
    assert spread_positions(scene, 1) == [2.5]


def test_exact_signs_take_one_capture_per_cluster():
    scene = FakeScene()
    found = capture_still(scene, Exact(scene), start=0.5)
    assert done(scene, found.positions) == 1
    assert len(found.shots) == 3  # 1.6 and 1.7 share one
    assert found.reason == ALL_IN_FOCUS
    assert found.activation.all()


def test_exact_magnitudes_find_their_signs_on_the_way():
    scene = FakeScene()
    found = capture_still(scene, Exact(scene, signed=False), StillConfig(budget=9), start=2.4)
    assert done(scene, found.positions) == 1
    assert len(found.shots) <= 6
    np.testing.assert_allclose(found.targets, scene.truth)


def test_opening_then_two_sweeps():
    scene = FakeScene()
    config = StillConfig(opening=3, replan=False, budget=9)
    found = capture_still(scene, Exact(scene, needs=3), config)
    assert found.positions[:3] == pytest.approx([0.25, 2.5, 4.75])
    assert done(scene, found.positions) == 1
    assert found.reason == ALL_IN_FOCUS


def test_budget_ends_it():
    scene = FakeScene()
    found = capture_still(scene, Exact(scene), StillConfig(budget=2), start=5.0)
    assert len(found.shots) == 2
    assert found.reason == "the budget of 2 captures"
    short = capture_still(scene, Exact(scene, needs=3), StillConfig(budget=2))
    assert short.targets is None
    assert "before anything is known" in short.reason


def test_beyond_the_range_is_told():
    scene = FakeScene(depths=(0.5, 0.5, 0.5, 9.0))
    found = capture_still(scene, Exact(scene), start=0.5)
    assert found.reason == OUT_OF_RANGE
    assert len(found.shots) == 1


def test_noise_does_not_capture_for_ever():
    scene = FakeScene()
    random = np.random.default_rng(0)

    class Noise:
        needs = 1

        def __call__(self, shots):
            return Deviation(random.normal(0, 2, SIZE), np.ones(SIZE), False)

    found = capture_still(scene, Noise(), StillConfig(budget=100))
    assert len(found.shots) <= 25  # places a half depth of field apart
    assert found.reason in (NOTHING_NEW, ALL_IN_FOCUS, OUT_OF_RANGE)


def test_agreed_places_from_magnitudes_that_err():
    scene = FakeScene()
    random = np.random.default_rng(0)

    class Rough:
        needs = 1

        def __call__(self, shots):
            size = np.abs(scene.truth - shots[-1].position) * random.uniform(0.9, 1.1, SIZE)
            return Deviation(size, np.ones(SIZE), False)

    agreed = Agreed(Rough(), scene.track, 0.25)
    shots = [scene.take(place) for place in (0.25, 2.5, 4.75)]
    found = agreed(shots)
    assert found.signed
    miss = np.abs(found.values + 4.75 - scene.truth)
    assert miss.max() <= 0.5  # one magnitude of 4.5 may be off by as much
    assert miss.mean() < 0.15


def test_depth_of_field_of_the_lens():
    lens = Lens(0.012, 2.0, 20e-6)
    half = LensDepth(lens, 2.0)(1.0)
    assert abs(lens.coc_px(1 + half, 1.0)) == pytest.approx(2.0, rel=1e-2)
    with pytest.raises(ValueError, match="max_coc_px"):
        LensDepth(lens, 0.0)


def test_recorded_stack_gives_slices_it_has():
    random = np.random.default_rng(0)
    slices = [random.integers(0, 255, (*SIZE, 3)).astype(np.uint8) for _ in range(5)]
    stack = FocalStack(slices, [0.0, 1.0, 2.0, 3.0, 5.0])
    scene = RecordedStack(stack, align_stack(stack, "none"))
    assert scene.half_depth(1.0) == 0.625
    assert scene.stand(4.4) == 5.0
    shot = scene.take(2.2)
    assert (shot.index, shot.position) == (2, 2.0)
    assert np.array_equal(shot.picture, slices[2])
    with pytest.raises(ValueError, match="above 0"):
        RecordedStack(stack, align_stack(stack, "none"), half_depth=0)


def test_depth_of_a_model_becomes_deviations():
    class Model:
        name = "flat"

        def depth(self, stack, alignment, **_):
            from dff.stack import DepthMap

            one = np.ones(SIZE)
            return DepthMap(one * 1.5, one * 0.5, one > 0, stack.positions, stack.unit)

    scene = FakeScene()
    shots = [scene.take(place) for place in (3.0, 0.0, 1.0, 3.0)]
    found = DepthEstimator(Model())(shots)
    assert found.values == pytest.approx(np.full(SIZE, 2.0 - 3.0))  # half way from 1 to 3 dioptres
    assert (found.weight == 0.5).all()
    with pytest.raises(ValueError, match="2 or more"):
        DepthEstimator(Model(), needs=1)


def test_rows_and_their_table():
    scene = FakeScene()
    found = capture_still(scene, Exact(scene), start=0.5)
    rows = still_rows(scene, found)
    assert [row["in_focus_by_now"] for row in rows] == [0.25, 0.75, 1.0]
    assert csv_text(rows).splitlines()[0] == "capture,step,position,slice,in_focus,in_focus_by_now"


@pytest.mark.parametrize("wrong", [{"opening": 0}, {"budget": 0}, {"enough": 1.0}])
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="captures"):
        StillConfig(**wrong)
