import numpy as np
import pytest

from dff.simulator.motion import Motion, motion_matrices

FOCUS = np.linspace(1, 5, 200)
STILL = np.ones(200)
FRAME = (300, 400)


def drawn(motion, seed=0, fov=STILL, reference=-1, width=400, frame=FRAME):
    random = np.random.default_rng(seed)
    return motion.draw(FOCUS, fov, reference % FOCUS.size, frame, width, random)


def test_nothing_moves_without_a_reason():
    assert np.array_equal(drawn(Motion()), np.tile([1.0, 0, 0, 0], (200, 1)))


def test_breathing_and_field_of_view_error_scale_the_picture():
    fov = 1 + 0.02 * (5 - FOCUS) / 4
    assert np.allclose(drawn(Motion(), fov=fov)[:, 0], 1 / fov)
    error = drawn(Motion(fov_error=0.01, fov_error_per_dioptre=-0.002), fov=fov)
    alpha = 0.01 - 0.002 * FOCUS
    assert np.allclose(error[:, 0], (fov + alpha)[-1] / (fov + alpha))


def test_drift_is_linear_in_focus_and_scales_with_the_frame():
    motion = drawn(Motion(drift_px=(8.0, -4.0)), width=800)
    ramp = (FOCUS - FOCUS[-1]) / 4
    assert np.allclose(motion[:, 1:3], ramp[:, None] * [4.0, -2.0])


def test_random_shifts_have_their_deviation():
    motion = drawn(Motion(shift_sd_px=(3.0, 1.0)))
    assert motion[:, 1].std() == pytest.approx(3, rel=0.15)
    assert motion[:, 2].std() == pytest.approx(1, rel=0.15)
    assert np.array_equal(motion[-1], [1, 0, 0, 0])


def test_shaking_hands_walk():
    ends = np.stack([drawn(Motion(shake_px=0.5, shake_deg=0.01), seed)[0] for seed in range(100)])
    assert ends[:, 1].std() == pytest.approx(0.5 * np.sqrt(199), rel=0.25)
    assert np.rad2deg(ends[:, 3]).std() == pytest.approx(0.01 * np.sqrt(199), rel=0.25)


def test_uniform_errors_fill_their_limits():
    motion = drawn(Motion(zoom_px=2.0, shift_px=3.0, rotation_deg=1.0))
    for value, limit in (
        ((motion[:, 0] - 1) * 200, 2),
        (motion[:, 1], 3),
        (motion[:, 2], 3),
        (np.rad2deg(motion[:, 3]), 1),
    ):
        assert 0.95 * limit < np.abs(value).max() <= limit
        assert abs(value.mean()) < 0.2 * limit


def test_hiccups_are_single_slices():
    scale = drawn(Motion(hiccup_chance=0.1, hiccup_zoom=(0.01, 0.02)), reference=0)[:, 0]
    jumped = np.abs(scale / np.median(scale) - 1) > 1e-9
    assert 8 <= jumped.sum() <= 35
    sizes = np.abs(1 / (scale[jumped] / np.median(scale)) - 1)
    assert (sizes > 0.0099).all()
    assert (sizes < 0.0201).all()


def test_a_patch_moves_as_its_place_in_the_frame_does():
    coefficients = drawn(Motion(zoom_px=6.0, shift_px=3.0, rotation_deg=2.0))[:5]
    whole, patch = motion_matrices(coefficients, FRAME), motion_matrices(coefficients, FRAME, (70, 250))
    at = np.array([12.0, 33.0, 1.0])
    in_frame = whole @ np.array([262.0, 103.0, 1.0])
    assert np.allclose(patch @ at + [250, 70], in_frame)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shift_px": -1.0}, "shift_px"),
        ({"shift_sd_px": (1.0, -1.0)}, "shift_sd_px"),
        ({"hiccup_chance": 1.5}, "hiccup_chance"),
        ({"hiccup_zoom": (0.3, 0.1)}, "hiccup_zoom"),
    ],
)
def test_bad_motions_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Motion(**settings)
