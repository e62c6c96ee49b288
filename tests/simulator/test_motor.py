from dataclasses import replace

import numpy as np
import pytest

from dff.simulator.motor import Motor

FOCUS = np.linspace(1, 5, 9)
ENDS = (1.0, 5.0)
CODE = 4 / 1000  # dioptres per code
IDEAL = Motor(quantum=0.0)


def drawn(motor, seed=0, focus=FOCUS):
    return motor.true_focus(focus, ENDS, np.random.default_rng(seed))


def test_a_perfect_motor_goes_where_it_is_told():
    assert np.allclose(drawn(IDEAL).focus, FOCUS)


def test_quantum_rounds_to_whole_codes():
    error = drawn(Motor(quantum=8), focus=np.linspace(1, 5, 50)).focus - np.linspace(1, 5, 50)
    assert 2 * CODE < np.abs(error).max() <= 4 * CODE + 1e-9


def test_hysteresis_stops_short_of_the_target_but_for_the_resting_slice():
    motor = drawn(replace(IDEAL, hysteresis=(6, 6)))
    assert np.allclose(motor.focus[1:], FOCUS[1:] - 6 * CODE)
    assert motor.focus[0] == FOCUS[0]


def test_ringing_dies_out_with_time():
    def swing(settle_s):
        motor = replace(IDEAL, ringing_hz=80, damping=0.1, settle_s=settle_s)
        return np.abs(drawn(motor).focus - FOCUS)[1:].max()

    assert swing(0.002) > 0.2
    assert swing(0.1) < swing(0.02) / 10


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({"temperature_per_c": 0.5, "temperature_c": (5, 5)}, -10),
        ({"posture": 8.0, "pitch_deg": (90, 90)}, 8),
        ({"posture": 8.0, "pitch_deg": (-90, -90)}, -8),
    ],
)
def test_temperature_and_posture_shift_the_whole_sweep(change, codes):
    assert np.allclose(drawn(replace(IDEAL, **change)).focus[1:-1], FOCUS[1:-1] + codes * CODE)


def test_offset_is_one_for_the_stack_and_jitter_one_for_every_slice():
    offsets = np.stack([drawn(replace(IDEAL, offset=5.0), seed).focus - FOCUS for seed in range(60)])
    assert np.allclose(offsets[:, 1:].std(axis=1), 0, atol=1e-9)
    assert offsets[:, 4].std() == pytest.approx(5 * CODE, rel=0.3)
    jitters = np.stack([drawn(replace(IDEAL, jitter=5.0), seed).focus - FOCUS for seed in range(60)])
    assert jitters[:, 1:].std() == pytest.approx(5 * CODE, rel=0.15)
    assert np.abs(np.corrcoef(jitters[:, 2], jitters[:, 6])[0, 1]) < 0.4


def test_gain_stretches_the_travel_from_the_far_end():
    motor = drawn(replace(IDEAL, gain=0.1), 3)
    assert np.allclose((motor.focus - 1)[1:-1], motor.gain * (FOCUS - 1)[1:-1])


def test_what_was_drawn_is_told():
    motor = drawn(replace(IDEAL, temperature_c=(0, 50)))
    assert 0 <= motor.describe()["motor_temperature_c"] <= 50
    assert set(motor.describe()) == {
        f"motor_{name}" for name in ("hysteresis", "temperature_c", "pitch_deg", "offset", "gain")
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code_near": 0.0}, "must differ"),
        ({"jitter": -1.0}, "jitter"),
        ({"hysteresis": (3.0, 1.0)}, "hysteresis"),
        ({"hysteresis": (-3.0, 1.0)}, "hysteresis"),
        ({"damping": 1.5}, "damping"),
    ],
)
def test_bad_motors_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(IDEAL, **change)
