from dataclasses import replace

import numpy as np
import pytest

from dff.camera import Lens
from dff.recipes import recipe_names
from dff.simulator.camera_model import CameraModel, Frame
from dff.simulator.camera_prior import CameraPrior, load_camera
from dff.simulator.ladder import Ladder
from dff.simulator.motion import Motion
from dff.simulator.motor import Motor

PHONE = CameraModel(Lens(0.0044, 1.8, 2.8e-6), 2000, 1500, Ladder(far_dioptre=0.5, near_dioptre=8.0))
FRAME = Frame((150, 200))


def swept(camera, frame=FRAME, seed=0, batch=2, **more):
    return camera.sweep(batch, frame, np.random.default_rng(seed), **more)


def test_a_sweep_has_its_shapes():
    sweep = swept(PHONE)
    assert sweep.focus.shape == sweep.true_focus.shape == sweep.coc_px_per_dioptre.shape == (2, 10)
    assert sweep.matrices.shape == (2, 10, 2, 3)
    assert sweep.coefficients.shape == (2, 10, 4)
    assert np.allclose(sweep.ramp[:, [0, -1]], [0, 1])
    assert swept(PHONE, n_slices=4).focus.shape == (2, 4)


def test_blur_is_that_of_the_lens_in_pixels_of_the_picture():
    sweep = swept(PHONE)
    lens = PHONE.lens.resized(0.1)
    blur = sweep.coc_px_per_dioptre[0] * (8.0 - sweep.focus[0])
    assert np.allclose(blur, lens.coc_px(8.0, sweep.focus[0]))
    assert sweep.lenses[0] == lens


@pytest.mark.parametrize("reference", [-1, 0, 3])
def test_breathing_is_that_of_the_lens_against_the_reference(reference):
    sweep = swept(replace(PHONE, lens=replace(PHONE.lens, breathing=1.9)), Frame((150, 200), None, reference))
    fov = sweep.lenses[0].relative_fov(sweep.focus[0])
    assert np.allclose(sweep.matrices[0, :, 0, 0], fov[reference] / fov)
    assert np.array_equal(sweep.matrices[0, reference], np.eye(2, 3))


def test_pixels_of_the_recipe_scale_with_the_picture():
    moving = replace(PHONE, motion=Motion(drift_px=(40.0, 20.0)), lens=replace(PHONE.lens, breathing=0.0))
    shift = swept(moving).matrices[0, 0, :, 2]
    assert np.allclose(shift, [-4, -2])


def test_a_patch_is_cut_from_the_frame_at_random():
    frame = Frame((128, 128), (1500, 2000))
    origins = {swept(PHONE, frame, seed).origin for seed in range(8)}
    assert len(origins) == 8
    sweep = swept(PHONE, frame)
    assert sweep.field().axis_px == (999.5 - sweep.origin[1], 749.5 - sweep.origin[0])
    assert sweep.field(7).axis_px[0] == sweep.field().axis_px[0] + 7
    assert sweep.field().corner_px == 1250
    # breathing of 3.4 % about a far centre is mostly a shift, which the margin has room for
    centre = np.array([63.5, 63.5, 1])
    moved = sweep.matrices[0] @ centre - centre[:2]
    assert np.abs(moved).max() > 5
    assert sweep.margin(frame.size) > np.abs(moved).max()


def test_a_motor_moves_the_true_focus_and_breathing_follows_it():
    faulty = replace(PHONE, motor=Motor(offset=30.0))
    sweep = swept(faulty)
    assert np.array_equal(sweep.focus, swept(PHONE).focus)
    away = sweep.true_focus - sweep.focus
    assert np.abs(away).max() > 0.01
    assert not np.allclose(away[0], away[1])
    fov = sweep.lenses[0].relative_fov(sweep.true_focus[0])
    assert np.allclose(sweep.matrices[0, :, 0, 0], fov[-1] / fov)
    assert sweep.notes[0]["motor_offset"] != 0


def test_one_seed_is_one_sweep():
    prior = load_camera("random_camera")
    first, again, other = (swept(prior, seed=seed, n_slices=6) for seed in (1, 1, 2))
    assert np.array_equal(first.matrices, again.matrices)
    assert np.array_equal(first.focus, again.focus)
    assert not np.array_equal(first.focus, other.focus)


def test_a_prior_keeps_its_limits():
    prior = CameraPrior(
        n_slices=(4, 7),
        far_dioptre=(0.1, 0.5),
        near_dioptre=(2.0, 5.0),
        uneven=(0.3, 0.6),
        max_coc_px=(6.0, 30.0),
        breathing_px=(2.0, 5.0),
    )
    counts = set()
    for seed in range(30):
        sweep = swept(prior, seed=seed, batch=3)
        counts.add(sweep.focus.shape[1])
        assert (np.diff(sweep.focus) > 0).all()
        assert ((sweep.focus[:, 0] >= 0.1) & (sweep.focus[:, 0] <= 0.5)).all()
        assert ((sweep.focus[:, -1] >= 2) & (sweep.focus[:, -1] <= 5)).all()
        blur = sweep.coc_px_per_dioptre[:, -1] * (sweep.focus[:, -1] - sweep.focus[:, 0])
        assert ((blur >= 6 - 1e-6) & (blur <= 30 + 1e-6)).all()
        growth = (1 - sweep.matrices[:, 0, 0, 0]) * 100
        assert ((growth > 1.9) & (growth < 5.01)).all()
    assert counts == {4, 5, 6, 7}


def test_focus_error_is_in_steps_of_the_ladder():
    sweep = swept(CameraPrior(n_slices=(400, 400), focus_error_steps=0.3))
    step = 2.7 / 399
    assert (sweep.true_focus - sweep.focus).std() == pytest.approx(0.3 * step, rel=0.1)


def test_every_camera_takes_a_sweep():
    names = recipe_names("simulator/cameras")
    wanted = "pixel3 pixel4xl pixel6 galaxy_s8plus galaxy_note10 imx219 imx708 imx274_25mm dslr_50mm"
    more = "dslr_macro_100mm microscope_20x lytro_ddff12 defocusnet random_camera tablet compact"
    assert set(f"{wanted} {more}".split()) <= set(names)
    for name in names:
        camera = load_camera(name)
        assert isinstance(camera, CameraPrior) == (name == "random_camera")
        sweep = swept(camera, batch=1)
        assert np.isfinite(sweep.matrices).all()
        assert (sweep.coc_px_per_dioptre > 0).all()


def test_known_cameras_are_what_was_measured():
    pixel3 = load_camera("pixel3")
    focus = pixel3.ladder.focus()
    assert focus.size == 49
    assert 1 / focus[[0, -1]] == pytest.approx([3.91092, 0.10201])
    tablet = load_camera("tablet")
    fov = tablet.lens.relative_fov(tablet.ladder.focus())
    slope = np.polyfit(tablet.ladder.focus(), 0.99869 * fov[0] / fov, 1)[0]
    assert slope == pytest.approx(0.00575, rel=0.02)
    # published at 352 px width: alpha from +0.0162 at 0.9 m to -0.0074 at 0.1 m, blur up to 6.3 to 6.7 px
    xl = load_camera("pixel4xl")
    alpha = xl.motion.fov_error + xl.motion.fov_error_per_dioptre * np.array([1 / 0.9, 10.0])
    assert alpha == pytest.approx([0.0162, -0.0074], abs=1e-4)
    small = xl.lens.resized(352 / 4032)
    assert 6.2 < abs(small.coc_px(10.0, 1 / 0.9)) < 6.8
    picam = load_camera("imx219")
    fov = picam.lens.relative_fov(picam.ladder.focus())
    assert fov[-1] / fov[0] == pytest.approx(0.916, abs=0.001)


def test_an_unknown_key_and_an_unknown_camera_are_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("picture_width = 100\npicture_height = 100\napperture = 2\n[lens]\nf_number = 2\n")
    with pytest.raises(ValueError, match=r"mine\.toml: apperture: unknown key"):
        load_camera(str(path))
    with pytest.raises(ValueError, match="did you mean 'pixel3'"):
        load_camera("pixel33")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: replace(PHONE, picture_width=0), "at least 16"),
        (lambda: replace(PHONE, lens=Lens(0.2, 2, 1e-5)), "nearer than the focal length"),
        (lambda: Frame((8, 100)), "too small"),
        (lambda: Frame((100, 100), (90, 200)), "smaller than the size"),
        (lambda: swept(PHONE, Frame((100, 100), None, 10)), "not among 10 slices"),
        (lambda: CameraPrior(n_slices=(1, 4)), "at least 2"),
        (lambda: swept(CameraPrior(), n_slices=0), "at least 2"),
        (lambda: CameraPrior(max_coc_px=(5, 2)), "low <= high"),
        (lambda: CameraPrior(near_dioptre=(0.1, 0.2)), "below near_dioptre"),
        (lambda: CameraPrior(psfs=()), "at least one"),
        (lambda: CameraPrior(focus_error_steps=-1), "must not be negative"),
        (lambda: replace(PHONE, softness_px=-0.1), "softness_px"),
    ],
)
def test_bad_cameras_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
