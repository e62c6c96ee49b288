"""Simulated scenes that are captured from anywhere and move, and the fused pictures of their time steps."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dff import metrics
from dff.capture.course import Course, course_between, matched
from dff.capture.deviation import Deviation
from dff.capture.moving import MovingConfig, capture_moving
from dff.capture.report import shots_rows
from dff.capture.scene import Shot
from dff.capture.sheet import map_tile, sheet
from dff.capture.simulated import Movement, SimulatedScene
from dff.capture.transfer import Carried, moved, transfer
from dff.formats.frames import VideoReader
from dff.formats.video import write_video
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig
from dff.simulator.moment import moment

STEPS = 4


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(**changes):
    made = load_recipe("simulator/scenes", "capture_moving", SimulationConfig)
    return replace(made, size=(64, 64), **changes)


@pytest.fixture(scope="module")
def still():
    return SimulatedScene(config(), 3)


def textured(seed=0, size=(96, 128)):
    random = np.random.default_rng(seed)
    sharp = cv2.GaussianBlur(random.random((*size, 3)).astype(np.float32), (0, 0), 1.0)
    return np.clip(0.5 + 2.5 * (sharp - 0.5), 0, 1)


def natural(seed=0, size=(128, 160)):
    """Detail of every size, as things have; white noise has none that blur leaves."""
    random = np.random.default_rng(seed)
    octaves = [
        cv2.GaussianBlur(random.standard_normal((*size, 3)).astype(np.float32), (0, 0), sigma) * sigma
        for sigma in (1, 2, 4, 8, 16)
    ]
    return np.clip(0.5 + 0.35 * sum(octaves), 0.02, 1).astype(np.float32)


def defocused(picture, sigma):
    """Blurred as a lens does it: light, not display values."""
    return cv2.GaussianBlur(picture**2.2, (0, 0), sigma) ** (1 / 2.2) if sigma else picture


def test_same_arguments_same_pictures(still):
    again = SimulatedScene(config(), 3)
    a, b = still.take(1.0), again.take(1.0)
    assert np.array_equal(a.picture, b.picture)
    assert not np.array_equal(a.picture, SimulatedScene(config(), 4).take(1.0).picture)
    assert a.picture.shape == (64, 64, 3)


def test_covered_by_hand(still):
    depth = still.truth()[0]
    place = float(np.median(depth))
    blur = np.abs(still.lens.coc_px(depth, place))
    assert np.array_equal(still.covered([place]), blur <= 1 + 1e-9)
    assert still.covered([]).sum() == 0
    ends = still.track.positions[[0, -1]]
    assert still.stand(-3.0) == ends[0]
    assert still.stand(99.0) == ends[1]


def test_in_focus_is_sharper_there(still):
    """Where a shot is in focus it is nearer to the sharp picture than a shot from the other end."""
    depth, sharp = still.truth()
    place = float(np.median(depth))
    mask = still.covered([place])
    far, near = still.track.positions[[0, -1]]
    other = near if place - far < near - place else far
    errors = [np.abs(still.take(float(at)).picture - sharp)[mask].mean() for at in (place, other)]
    assert errors[0] < 0.5 * errors[1]


def test_a_moment_shares_the_settings_of_its_sweep(still):
    one = moment(still._sweep, still._settings, 1.3)
    assert one.focus.tolist() == [[1.3]]
    assert one.ramp.tolist() == [[0.0]]
    drawn = one.sensor.draw(torch.Generator(), 1, 1)
    assert drawn.exposure.shape == (1, 1)


def test_things_move_as_they_were_told():
    movement = Movement(camera_px=(2.0, 0.0))
    scene = SimulatedScene(config(), 5, movement=movement, steps=STEPS)
    before, after = scene.truth(0), scene.truth(3)
    assert not np.array_equal(before[1], after[1])
    flow = course_between(after[1], before[1]).flow
    near = scene.track.positions[-1]
    expected = -3 * 2.0 * np.median(after[0]) / near  # the place where it was before
    assert np.median(flow[..., 0]) == pytest.approx(expected, abs=0.8)
    assert abs(np.median(flow[..., 1])) < 0.3


def test_coming_nearer_raises_dioptres():
    scene = SimulatedScene(config(), 5, movement=Movement(axial_m=0.02), steps=STEPS)
    assert np.median(scene.truth(3)[0]) > np.median(scene.truth(0)[0])
    with pytest.raises(ValueError, match="must not be negative"):
        Movement(objects_px=-1)
    assert Movement().still
    assert Movement(camera_px=(2, 1), objects_px=1).margin(4) == 12


def test_transfer_takes_what_agrees_and_is_sharper():
    sharp = textured()
    soft = cv2.GaussianBlur(sharp, (0, 0), 2.0)
    shot = sharp.copy()
    shot[:, 64:] = soft[:, 64:]
    reference = soft.copy()
    reference[:, 64:] = sharp[:, 64:]
    out = transfer(shot, reference)
    assert metrics.psnr(out, sharp) > metrics.psnr(shot, sharp) + 6
    other = textured(seed=9)  # another scene altogether: nothing of it where the shot itself is sharp
    assert metrics.psnr(transfer(shot, other)[:, :56], shot[:, :56]) > 35
    assert metrics.psnr(transfer(shot, 0.4 * other), shot) > 35  # nor anywhere, if its tones are others
    grey = (shot[..., 0] * 255).astype(np.uint8)
    assert transfer(grey, grey).dtype == np.uint8


def test_flow_brings_a_shifted_picture_back():
    before = textured(size=(96, 136))
    shot = np.ascontiguousarray(before[:, 4:-4])
    reference = np.ascontiguousarray(before[:, 1:-7])  # what is at x in it is at x - 3 in the shot
    soft = cv2.GaussianBlur(shot, (0, 0), 1.5)
    flow = course_between(soft, reference).flow
    assert np.median(flow[..., 0]) == pytest.approx(3, abs=0.3)
    inner = np.s_[10:-10, 10:-10]
    assert metrics.psnr(moved(reference, flow)[inner], shot[inner]) > 28


def test_where_a_shot_is_blurred_things_go_on_as_they_did():
    before = natural()
    flat = np.full((128, 160, 3), 0.5, np.float32)
    flow = np.zeros((128, 160, 2), np.float32)
    flow[..., 0], flow[..., 1] = -2.0, 0.5
    course = Course(flow, np.full((128, 160), 1e-5, np.float32))
    blind = course_between(flat, before, course)
    np.testing.assert_allclose(np.median(blind.flow, axis=(0, 1)), (-2.0, 0.5), atol=0.1)
    seen = course_between(np.roll(before, -3, axis=1), before, course)
    assert np.median(seen.flow[..., 0]) == pytest.approx(3, abs=0.3)  # what is plainly seen wins
    assert np.median(seen.information) > 3 * np.median(blind.information)


@pytest.mark.parametrize(("sigma", "steps", "most"), [(0.0, 1, 0.1), (1.6, 1, 0.3), (4.0, 5, 1.3)])
def test_motion_is_told_from_blurred_shots(sigma, steps, most):
    """Much blur leaves little to follow: then at least the right way."""
    before, course = natural(), None
    for _ in range(steps):
        shot = np.roll(before, (1, 2), axis=(0, 1))
        seen = defocused(shot, sigma)
        course = course_between(seen, before, course)
        before = shot
    misses = np.linalg.norm(course.flow[24:-24, 24:-24] - (-2.0, -1.0), axis=-1)
    assert np.median(misses) < most


def test_motion_of_large_pictures_is_found_coarse_to_fine():
    before = natural(size=(512, 640))
    shot = np.roll(before, -12, axis=1)
    assert np.median(course_between(shot, before).flow[..., 0]) == pytest.approx(12, abs=0.5)


def test_a_carried_shot_is_read_from_itself():
    picture = textured(size=(96, 128))
    held = Carried.new(Shot(1.0, picture, 0))
    step = np.zeros((96, 128, 2), np.float32)
    step[..., 0] = -1.5  # below 0, and between pixels: two such steps are three whole pixels
    twice = held.on(step).on(step)
    np.testing.assert_allclose(twice.flow[..., 0], -3.0, atol=1e-5)
    np.testing.assert_allclose(twice.seen().picture[:, 3:], picture[:, :-3], atol=1e-6)
    inside = np.s_[16:-16, 16:-16]
    found = twice.matched_to(np.roll(picture, 3, axis=1))  # what is right already stays
    np.testing.assert_allclose(found.flow[inside][..., 0], -3.0, atol=0.02)
    np.testing.assert_allclose(found.seen().picture[inside], picture[16:-16, 13:-19], atol=0.02)


@pytest.mark.parametrize(("sigma", "most"), [(0.0, 0.1), (2.0, 0.35)])
def test_a_chain_of_steps_that_went_astray_is_matched_again(sigma, most):
    earlier = natural()
    shot = defocused(np.roll(earlier, 4, axis=1), sigma)
    astray = np.full((*shot.shape[:2], 2), (-3.2, 0.6), np.float32)  # by one pixel; -4, 0 is right
    misses = np.linalg.norm(matched(shot, earlier, astray)[24:-24, 24:-24] - (-4.0, 0.0), axis=-1)
    assert np.median(misses) < most


class Truth:
    """Deviation by the truth of the scene's own step."""

    needs = 2

    def __init__(self, scene):
        self.scene = scene

    def __call__(self, shots):
        depth = self.scene.truth(shots[-1].step)[0]
        return Deviation(depth - shots[-1].position, np.ones(depth.shape), True)


def test_one_fused_picture_per_step_sharper_than_its_shot():
    large = replace(config(), size=(96, 96))
    movement = Movement(camera_px=(0.8, 0.2))
    scene = SimulatedScene(large, 8, movement=movement, steps=6, max_coc_px=2.0)
    frames = list(capture_moving(scene, Truth(scene), 6, MovingConfig(memory=1, opening=2)))
    assert [frame.shot.step for frame in frames] == list(range(6))
    assert frames[0].activation is None
    truth = [scene.truth(step)[1] for step in range(6)]
    gain = [
        metrics.psnr(frame.fused, sharp) - metrics.psnr(frame.shot.picture, sharp)
        for frame, sharp in zip(frames, truth, strict=True)
    ]
    assert min(gain[2:]) > 1
    # neighbouring shots look at different things
    places = [frame.shot.position for frame in frames[2:]]
    assert min(np.abs(np.diff(places))) > 1
    rows = shots_rows(scene, [frame.shot for frame in frames])
    assert all(0 <= row["in_focus"] <= 1 for row in rows)


@pytest.mark.parametrize("wrong", [{"memory": -1}, {"opening": 0}, {"recall": 1}])
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="MovingConfig"):
        MovingConfig(**wrong)


def test_no_steps_are_refused(still):
    with pytest.raises(ValueError, match="0 time steps"):
        next(capture_moving(still, Truth(still), 0))


def test_sheet_of_titled_pictures():
    tiles = [
        ("a", np.zeros((40, 60), bool)),
        ("b", np.full((40, 60, 3), 200, np.uint8)),
        ("c", np.ones((9, 9))),
    ]
    made = sheet(tiles, columns=2)
    assert made.shape == (2 * 66, 2 * 66, 3)
    assert made.dtype == np.uint8
    colours = map_tile(np.array([[0.0, 1.0]]), 0, 1)
    assert colours.shape == (1, 2, 3)
    assert colours[0, 1].sum() > colours[0, 0].sum()


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".gif"])
def test_a_video_and_back(tmp_path, suffix):
    frames = [np.full((33, 40, 3), value, np.uint8) for value in (30, 120, 220)]
    path = write_video(frames, tmp_path / f"v{suffix}")
    if suffix != ".gif":
        reader = VideoReader(path)
        assert reader.count() == 3
        assert reader.frame(0).shape == (32, 40, 3)
        assert abs(float(reader.frame(2).mean()) - 220) < 8
    with pytest.raises(ValueError, match="exists"):
        write_video(frames, path)
    assert [one.name for one in tmp_path.iterdir()] == [f"v{suffix}"]


def test_a_video_that_cannot_be(tmp_path):
    frame = np.zeros((32, 32), np.uint8)
    with pytest.raises(ValueError, match="0 frames"):
        write_video([], tmp_path / "v.mp4")
    with pytest.raises(ValueError, match="one size"):
        write_video([frame, frame[:16]], tmp_path / "v.gif")
    with pytest.raises(ValueError, match="unknown suffix"):
        write_video([frame], tmp_path / "v.wmv")
