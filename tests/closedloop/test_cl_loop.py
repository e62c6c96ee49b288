"""Whole runs: the state machine, recorded and simulated scenes, and what is reported of them."""

from __future__ import annotations

import csv
import io
from functools import partial

import cv2
import numpy as np
import pytest

from dff.autofocus.regions import Roi
from dff.camera import Lens
from dff.closedloop.controller import Controller, Guard, State
from dff.closedloop.drive import Camera
from dff.closedloop.loop import run, runs
from dff.closedloop.policies import SCRIPTS, make_policy
from dff.closedloop.policy import Frame, Move, Scripted, Stop, Track
from dff.closedloop.recorded import RecordedScene
from dff.closedloop.report import COLUMNS, csv_text, row, summary
from dff.closedloop.simulated import SimulatedScene
from dff.closedloop.steps import predict_once, settle
from dff.closedloop.trajectory import trajectory_sheet
from dff.simulator.camera_prior import CameraPrior
from dff.simulator.capture import SimulationConfig
from dff.simulator.scene_config import SceneConfig
from dff.simulator.sensor import Sensor
from dff.stack import FocalStack

PEAK, SLICES = 6, 13


@pytest.fixture(scope="module")
def stack() -> FocalStack:
    texture = np.random.default_rng(0).uniform(0.1, 0.9, (48, 64)).astype(np.float32)
    slices = [cv2.GaussianBlur(texture, (0, 0), 0.3 + 0.5 * abs(k - PEAK)) for k in range(SLICES)]
    return FocalStack(slices, np.linspace(0.5, 3.5, SLICES), Lens(0.005, 1.8, 1.4e-6))


def test_policies_focus_a_recorded_stack(stack: FocalStack) -> None:
    scene = RecordedScene(stack)
    assert scene.truth == pytest.approx(2.0)
    far, near = stack.lens.depth_of_field(2.0)
    assert scene.depth_of_field == pytest.approx((near - far) / 2)
    camera = Camera(scene)
    for name in SCRIPTS:
        if name == "phase-loop":
            continue
        made = runs(make_policy(name), camera, range(SLICES))
        told = summary([row(one, scene) for one in made], scene.track)
        assert told["error_max"] <= 0.5, name
        assert told["hunted"] == told["failed"] == told["cycling"] == 0, name
        assert told["cycles"] == [[PEAK]], name


def test_between_slices_is_the_nearest_or_a_blend(stack: FocalStack) -> None:
    nearest, blend = (RecordedScene(stack, between=how) for how in ("nearest", "interpolated"))
    ends = [nearest.view(nearest.track.position(k), 0, False).picture for k in (3, 4)]
    at = nearest.track.position(3.25)
    np.testing.assert_array_equal(nearest.view(at, 0, False).picture, ends[0])
    np.testing.assert_allclose(blend.view(at, 0, False).picture, 0.75 * ends[0] + 0.25 * ends[1], atol=1e-6)
    assert RecordedScene(stack, truth=2).truth == pytest.approx(1.0)
    with pytest.raises(ValueError, match="slices 0 to 12"):
        RecordedScene(stack, truth=13)
    with pytest.raises(ValueError, match="8x8"):
        RecordedScene(stack, Roi(0, 0, 4, 20))


def test_one_run_in_numbers(stack: FocalStack) -> None:
    scene = RecordedScene(stack)
    wild = Scripted("wild", _zigzag)
    one = run(wild, Camera(scene), 2.0)
    told = row(one, scene)
    assert one.captures == told["captures"] == 3
    assert (told["moves"], told["travel"], told["reversals"]) == (4, 7 + 4 + 3 + 1, 3)
    assert told["travel_unit"] == pytest.approx(15 * 0.25)
    assert (told["overshoot"], told["error"]) == pytest.approx((3.0, 1.0))
    assert told["error_unit"] == pytest.approx(0.25)
    assert told["settle_s"] == told["time_s"] == pytest.approx(4 * 0.0333 + 4 * 0.05)
    assert told["error_dof"] == pytest.approx(0.25 / scene.depth_of_field)
    read = list(csv.DictReader(io.StringIO(csv_text([told]))))
    assert tuple(read[0]) == COLUMNS
    assert read[0]["policy"] == "wild"


def _zigzag(track: Track, frame: Frame, random: np.random.Generator):
    for index in (9.0, 5.0, 8.0):
        yield Move(index)
    return Stop(7.0)


def test_cycles_over_all_starts_are_found(stack: FocalStack) -> None:
    scene = RecordedScene(stack)
    bouncing = Scripted("b", partial(predict_once, predictor=lambda f: 9.0 if f[0].index < 6 else 3.0))
    told = summary([row(one, scene) for one in runs(bouncing, Camera(scene), range(SLICES))], scene.track)
    assert told["cycles"] == [[3, 9]]
    assert told["cycling"] == 1.0
    some = summary([row(run(bouncing, Camera(scene), 1.0), scene)], scene.track)
    assert some["cycles"] is some["cycling"] is None


def test_a_policy_that_never_stops_fails_and_one_beyond_the_range_is_refused(stack: FocalStack) -> None:
    camera = Camera(RecordedScene(stack))
    hunter = Scripted("hunter", partial(settle, adviser=lambda f, at: 9.0 if at < 6 else 3.0))
    hunted = run(hunter, camera, 0.0)
    assert (hunted.state, hunted.hunted) == (State.FAILED, True)
    still = run(Scripted("still", _still), camera, 0.0, guard=Guard(most_captures=20))
    assert (still.state, still.captures) == (State.FAILED, 20)
    assert "no end after 20 captures" in still.reason
    beyond = Scripted("beyond", _beyond)
    with pytest.raises(ValueError, match="focus position 99: beyond the lens"):
        run(beyond, camera, 0.0)
    with pytest.raises(ValueError, match="most_captures"):
        Guard(most_captures=0)
    with pytest.raises(ValueError, match="repeats"):
        runs(beyond, camera, [0.0], 0)


def _still(track: Track, frame: Frame, random: np.random.Generator):
    while True:
        yield Move(frame.index)


def _beyond(track: Track, frame: Frame, random: np.random.Generator):
    yield Move(99.0)


def test_a_settled_lens_begins_anew_once_a_changed_scene_is_stable() -> None:
    once = Scripted("once", partial(predict_once, predictor=lambda f: f[0].index + 1))
    controller = Controller(once, Track(np.arange(9)), Guard(retrigger_frames=3))
    controller.observe(Frame(2.0, 1.0))
    assert controller.state is State.FOCUSED
    for sharpness in (1.0, 0.5, 0.9, 0.5, 0.5, 0.3, 0.3, 0.3):  # changed and back, changed but not stable
        assert controller.observe(Frame(3.0, sharpness)) == Move(3.0)
    assert controller.scans == 1
    assert controller.observe(Frame(3.0, 0.3)) == Stop(4.0)
    assert controller.scans == 2


# --- simulated -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene() -> SimulatedScene:
    wall = SceneConfig(
        objects=(0, 0), textures=("noise",), backgrounds=("wall",), bumps=0.0, faded_share=0.0,
        plain_share=0.0, dark_share=0.0, shadow_share=0.0, lights_share=0.0,
    )  # fmt: skip
    camera = CameraPrior(max_coc_px=(16.0, 16.0), sensors=(Sensor(shot=(1e-5, 1e-5)),))
    return SimulatedScene(SimulationConfig(scene=wall, camera=camera, size=(64, 64)), 3, positions=21)


def test_a_simulated_scene_is_the_same_again_and_its_noise_is_not(scene: SimulatedScene) -> None:
    there = scene.view(scene.truth, 0, False).picture
    assert scene.view(scene.truth, 0, False).picture is there
    noise = scene.view(scene.truth, 1, False).picture - there
    assert 0 < np.abs(noise).mean() < 0.02
    assert scene.view(scene.truth, 0, True).halves is not None
    np.testing.assert_array_equal(scene.view(scene.truth, 0, True).picture, there)


def test_policies_focus_a_simulated_scene(scene: SimulatedScene) -> None:
    camera = Camera(scene)
    for name in ("golden", "phase-loop"):
        made = runs(make_policy(name, scene.phase()), camera, [0.0, 20.0], repeats=2)
        rows = [row(one, scene) for one in made]
        assert [abs(one["error_dof"]) <= 1 for one in rows] == [True] * 4, name
    assert trajectory_sheet(made, scene).shape == (220, 320, 3)
    with pytest.raises(ValueError, match="dual-pixel"):
        scene.phase()(Frame(0.0, 1.0))
    with pytest.raises(ValueError, match="2 or more"):
        SimulatedScene(SimulationConfig(), positions=1)
