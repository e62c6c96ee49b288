"""The default policy, scenes of known defocus and the learned parts' patch."""

from __future__ import annotations

import numpy as np
import pytest

from dff.calibration.table import table_of_lens
from dff.camera import Lens
from dff.closedloop.controller import State
from dff.closedloop.defocused import DefocusedScene, Light, Part
from dff.closedloop.drive import Camera
from dff.closedloop.learned import patch_of
from dff.closedloop.lens import MovingLens, ideal_motor
from dff.closedloop.loop import run, runs
from dff.closedloop.policies import DEFAULT, make_policy
from dff.closedloop.policy import Frame, Track
from dff.closedloop.report import row
from dff.closedloop.vote import VoteTuning, vote, vote_bound

FOCUS = np.linspace(0.5, 6.5, 31)
LENS = Lens(0.0047, 1.8, 2.8e-6)
TABLE = table_of_lens(LENS, FOCUS, FOCUS, picture_width=2304, gamma=2.2, depth_of_field=0.22)
TEXTURE = np.kron(np.random.default_rng(4).uniform(0.05, 0.7, (28, 28)), np.ones((5, 5)))


def scene(*parts: tuple[float, slice], seed: int = 0) -> DefocusedScene:
    made = []
    for focus, columns in parts:
        light = np.zeros_like(TEXTURE)
        light[:, columns] = TEXTURE[:, columns]
        made.append(Part(light, focus))
    return DefocusedScene(made, TABLE, track=Track(FOCUS), light=Light(1e-4), side=64, seed=seed)


def test_a_defocused_scene_is_sharp_at_its_truth_and_the_same_twice() -> None:
    flat = scene((3.1, slice(None)))
    sharpness = [flat.view(at, 0, False).picture.std() for at in FOCUS]
    assert FOCUS[int(np.argmax(sharpness))] == pytest.approx(3.1)
    once, again = flat.view(2.0, 1, False).picture, scene((3.1, slice(None))).view(2.0, 1, False).picture
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, flat.view(2.0, 2, False).picture)
    with pytest.raises(ValueError, match=r"within the table's 0.5 to 6.5"):
        scene((9.0, slice(None)))


def test_halves_tell_the_side_on_which_a_thing_lies() -> None:
    flat = scene((3.5, slice(None)))
    told = flat.phase()
    for at in (2.1, 4.9):
        view = flat.view(at, 0, True)
        defocus, confidence = told(Frame(0.0, 1.0, view.picture, view.halves))
        assert defocus == pytest.approx(3.5 - at, abs=0.3)
        assert confidence > 0
    found = run(make_policy("phase-loop", told), Camera(flat), 10.0)
    assert row(found, flat)["error"] == pytest.approx(0.0, abs=1.2)


def test_votes_are_counted_by_area_not_by_contrast() -> None:
    places = np.arange(9.0)
    curve = np.exp(-((places[:, None] - np.array([2.0, 2.0, 6.0])) ** 2)) * np.array([1.0, 1.0, 50.0]) + 0.1
    winner, share = vote(places, curve[:, None, :], VoteTuning())
    assert winner == pytest.approx(2.0, abs=0.3)
    assert share > 0.3
    flat, none = vote(places, np.ones((9, 1, 3)), VoteTuning())
    assert none == 0
    assert 0 <= flat <= 8


def test_the_default_finds_the_larger_part_from_every_start_within_its_bound() -> None:
    assert DEFAULT == "vote"
    two = scene((2.1, slice(0, 85)), (5.3, slice(85, 140)))
    made = runs(make_policy(DEFAULT), Camera(two), [0.0, 13.0, 30.0])
    for one in made:
        assert one.state is State.FOCUSED
        assert one.captures <= vote_bound(len(FOCUS))
        assert abs(row(one, two)["error_dof"]) <= 1


def test_play_in_the_gears_does_not_move_the_rest() -> None:
    flat = scene((3.1, slice(None)))
    motor = ideal_motor(flat.track)
    from dataclasses import replace

    loose = MovingLens(replace(motor, hysteresis=25.0), flat.track)  # 0.75 of a position
    found = run(make_policy(DEFAULT), Camera(flat, loose), 30.0)
    assert abs(row(found, flat)["error_dof"]) <= 0.5


def test_a_patch_is_the_middle_or_mirrored() -> None:
    small = np.arange(6.0).reshape(2, 3)
    patch = patch_of(small)[0, 0].numpy()
    assert patch.shape == (512, 512)
    np.testing.assert_array_equal(patch[255:257, 254:257], small)
    np.testing.assert_array_equal(patch[255, 251:254], small[0, ::-1])
    large = np.random.default_rng(0).random((600, 520)).astype(np.float32)
    np.testing.assert_array_equal(patch_of(large)[0, 0].numpy(), large[44:556, 4:516])


def test_the_step_policies_need_to_know_the_blur() -> None:
    with pytest.raises(ValueError, match="step-search needs the lens"):
        make_policy("step-search")
    for weights, named in (("gone.safetensors", "gone"), ("gone.safetensors,step-spectrum", "gone")):
        with pytest.raises(ValueError, match=named):
            make_policy("step-search", blur_px_per_index=0.2, step_networks=weights)
    with pytest.raises(ValueError, match="not for step_estimator"):
        make_policy("step-search", blur_px_per_index=0.2, step_networks="step-spectrum,step-spectrum")
