"""The moving lens against closed forms: ringing, slew, backlash, offsets, and the clock."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dff.closedloop.drive import Camera, View
from dff.closedloop.lens import Conditions, MovingLens, Timing, drawn_lens, ideal_motor
from dff.closedloop.policy import Track
from dff.simulator.motor import Motor

TRACK = Track(np.linspace(1.0, 5.0, 41))  # 25 codes a position


def lens(conditions: Conditions | None = None, **faults: float) -> MovingLens:
    return MovingLens(replace(ideal_motor(TRACK), **faults), TRACK, 0.0, conditions)


def test_without_slew_it_rings_as_the_motor_says_whatever_the_steps_of_time() -> None:
    whole, parts = (lens(ringing_hz=60.0, damping=0.15) for _ in range(2))
    whole.command(20.0)
    parts.command(20.0)
    for step in (0.001, 0.004, 0.0, 0.012):
        parts.advance(step)
    whole.advance(0.017)
    assert whole.code == pytest.approx(float(whole.motor.trajectory(0.0, 500.0, 0.017)))
    assert (parts.code, parts.speed) == pytest.approx((whole.code, whole.speed))
    assert whole.moving
    whole.advance(1.0)
    assert not whole.moving
    assert whole.position == pytest.approx(3.0)


def test_slew_is_a_ramp_and_a_spring_trails_it() -> None:
    plain = lens(Conditions(slew=2000.0))
    plain.command(40.0)
    plain.advance(0.1)
    assert plain.code == pytest.approx(200.0)
    plain.command(4.0)  # turned round on the way
    plain.advance(0.04)
    assert plain.code == pytest.approx(120.0)
    plain.advance(1.0)
    assert (plain.code, plain.speed) == pytest.approx((100.0, 0.0))

    sprung = lens(Conditions(slew=2000.0), ringing_hz=100.0, damping=0.5)
    sprung.command(40.0)
    sprung.advance(0.2)
    lag = 2 * 0.5 * 2000.0 / (2 * math.pi * 100.0)
    assert sprung.code == pytest.approx(400.0 - lag, abs=1e-6)
    assert sprung.speed == pytest.approx(2000.0, rel=1e-6)


def test_the_spring_obeys_its_equation_of_motion() -> None:
    sprung = lens(Conditions(slew=5000.0), ringing_hz=40.0, damping=0.2)
    sprung.command(30.0)
    sprung.advance(0.02)
    at, codes = 1e-5, []
    for _ in range(3):
        codes.append(sprung.code)
        speed, pull = sprung.speed, 5000.0 * 0.02 + 5000.0 * at * (len(codes) - 1)
        sprung.advance(at)
    omega = 2 * math.pi * 40.0
    acceleration = (codes[2] - 2 * codes[1] + codes[0]) / at**2
    force = omega**2 * (pull - at * 5000.0 - codes[1]) - 2 * 0.2 * omega * (codes[2] - codes[0]) / (2 * at)
    assert acceleration == pytest.approx(force, rel=1e-3)
    assert speed == pytest.approx((codes[2] - codes[1]) / at, rel=1e-2)


def test_hysteresis_is_a_dead_zone_on_the_side_it_comes_from() -> None:
    loose = lens(hysteresis=10.0)
    codes = []
    for index in (20.0, 19.4, 18.0, 18.4, 20.0):
        loose.command(index)
        loose.advance(0.1)
        codes.append(loose.code)
    assert codes == pytest.approx([490.0, 490.0, 460.0, 460.0, 490.0])
    told = loose.motor.true_focus(500.0, 0.0)
    assert TRACK.position(20.0) - told == pytest.approx(10 / 1000 * TRACK.span)


def test_quantum_temperature_posture_and_offset_move_the_rest() -> None:
    cold = lens(Conditions(temperature_c=5.0, pitch_deg=90.0, offset=3.0), temperature_per_c=0.5, posture=4.0)
    cold.command(20.0)
    cold.advance(0.1)
    assert cold.position == pytest.approx(3.0 + (-10 + 4 + 3) / 1000 * TRACK.span)
    coarse = lens(quantum=50.0)
    coarse.command(20.9)
    coarse.advance(0.1)
    assert coarse.code == 500.0


def test_lenses_are_drawn_from_a_camera_recipe_and_stage_heights_may_be_negative() -> None:
    motor = Motor(hysteresis=(0.0, 10.0), offset=8.0, quantum=1.0)
    stage = Track(np.linspace(-30.0, 10.0, 5), "um")
    one, same, other = (drawn_lens(motor, stage, seed) for seed in (1, 1, 2))
    assert one.conditions == same.conditions != other.conditions
    ideal = MovingLens(ideal_motor(stage), stage, 1.0)
    assert ideal.position == pytest.approx(-20.0)


def test_a_lens_is_not_sent_beyond_its_range() -> None:
    with pytest.raises(
        ValueError, match="focus position 41: beyond the lens, whose positions go from 0 to 40"
    ):
        lens().command(41.0)
    with pytest.raises(ValueError, match="beyond the lens"):
        lens().command(-0.1)
    with pytest.raises(ValueError, match="slew"):
        Conditions(slew=-1.0)
    with pytest.raises(ValueError, match="settle_s"):
        Timing(settle_s=-1.0)
    with pytest.raises(ValueError, match="at least 2"):
        Track(np.array([1.0]))
    with pytest.raises(ValueError, match="rise strictly"):
        Track(np.array([1.0, 1.0]))


class _Ramp:
    """A scene that only notes where it was looked at from."""

    def __init__(self) -> None:
        self.track, self.truth, self.depth_of_field = TRACK, 3.0, None
        self.seen: list[tuple[float, int]] = []

    def view(self, position: float, shot: int, halves: bool) -> View:
        self.seen.append((position, shot))
        return View(np.eye(16, dtype=np.float32))


def test_the_clock_exposes_where_the_lens_is_and_noise_differs_by_visit() -> None:
    scene = _Ramp()
    timing = Timing(exposure_s=0.02, readout_s=0.03, settle_s=0.05)
    camera = Camera(scene, lens(Conditions(slew=1000.0)), timing)
    camera.restart(0.0, repeat=2)
    camera.frame()
    camera.move(4.0)  # 100 codes, a tenth of a second
    moving, there = camera.frame(), camera.frame()
    camera.move(4.0)  # there already: no time goes by
    again = camera.frame()
    assert [moving.time_s, there.time_s, again.time_s] == pytest.approx([0.15, 0.2, 0.25])
    positions = [position for position, _ in scene.seen]
    assert positions == pytest.approx([1.0, 1.0 + 0.06 * TRACK.span, 1.4, 1.4])
    assert [shot for _, shot in scene.seen] == [2000, 2000, 2000, 2001]
