from dataclasses import replace

import numpy as np
import pytest
import torch

from dff.camera import Lens
from dff.flow import affine_flow, warp
from dff.recipes import load_recipe, recipe_names
from dff.simulator.camera_model import CameraModel
from dff.simulator.camera_prior import CameraPrior
from dff.simulator.capture import SimulationConfig, capture, scene_range, simulate, simulate_batch
from dff.simulator.ladder import Ladder
from dff.simulator.layers import Layer
from dff.simulator.motion import Motion
from dff.simulator.motor import Motor
from dff.simulator.scene_config import SceneConfig
from dff.simulator.sensor import Sensor
from dff.stack import FocalStack

SIZE = (64, 80)
CLEAN = Sensor(shot=(0, 0), bit_depth=0)
PRIOR = CameraPrior(n_slices=(5, 5), max_coc_px=(6, 12), sensors=(Sensor(shot=(1e-4, 1e-3)),))
SMALL = SimulationConfig(size=SIZE, camera=PRIOR)
QUIET = replace(PRIOR, sensors=(CLEAN,))
MOVING = replace(QUIET, motion=Motion(zoom_px=2.5, shift_px=2.5, rotation_deg=1.0))


def with_camera(camera, **more):
    return replace(SMALL, camera=camera, **more)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def take(layers, camera, size=SIZE, reference=4, seed=0, **more):
    """One stack of the given layers."""
    crop = SimulationConfig(size=size, reference=reference).crop()
    sweep = camera.sweep(1, crop, np.random.default_rng(seed))
    return capture(layers(sweep.margin(size)), sweep, size, reference, generator(seed), **more)


def flat(light, dioptre=1.0):
    def layers(margin):
        height, width = (side + 2 * margin for side in SIZE)
        full = torch.ones(1, height, width)
        colour = torch.as_tensor(light, dtype=torch.float32)[None].expand(1, 3, height, width)
        return [Layer(colour, full, full * dioptre)]

    return layers


def test_everything_has_its_shape():
    result = simulate(SMALL, 0)
    assert isinstance(result.stack, FocalStack)
    assert len(result.stack) == 5
    assert result.stack.slices[0].shape == (64, 80, 3)
    assert result.stack.slices[0].dtype == np.uint8
    assert result.dioptre.shape == result.edges.shape == result.valid.shape == SIZE
    assert result.dioptre.dtype == result.aif.dtype == np.float32
    assert result.aif.shape == (64, 80, 3)
    assert result.matrices.shape == (5, 2, 3)
    assert result.matrices.dtype == np.float64
    assert result.edges.dtype == result.valid.dtype == bool
    assert result.reference == 4
    assert result.dioptre.min() >= 0.3 - 1e-6
    assert result.dioptre.max() <= 3.0 + 1e-6
    assert result.focus[0] == 0.3
    assert result.focus[-1] == 3.0
    assert 6 <= result.coc_px_per_dioptre[-1] * 2.7 <= 12
    assert result.halves is None
    assert result.parameters["psf"]["kind"] == "disc"


def test_a_batch_is_different_stacks_on_one_device():
    batch = simulate_batch(with_camera(MOVING), generator(3), 3)
    assert batch.images.shape == (3, 5, 3, 64, 80)
    assert batch.focus.shape == (3, 5)
    assert batch.dioptre.shape == batch.edges.shape == (3, 64, 80)
    assert batch.aif.shape == (3, 3, 64, 80)
    assert not torch.equal(batch.images[0], batch.images[1])
    assert not np.array_equal(batch.sweep.matrices[0], batch.sweep.matrices[1])
    one = batch.stack(1)
    assert np.array_equal(one.stack.slices[2], batch.images[1, 2].permute(1, 2, 0).numpy())


def test_one_seed_is_one_stack():
    first, again, other = (simulate(with_camera(MOVING), seed) for seed in (3, 3, 4))
    for a, b in zip(first.stack.slices, again.stack.slices, strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(first.matrices, again.matrices)
    assert not np.array_equal(first.stack.slices[0], other.stack.slices[0])


def test_sharp_where_in_focus():
    """A scene at the depth of slice 2: that slice is the all-in-focus picture, its neighbours are not."""
    picture = torch.rand(3, *SIZE, generator=generator())
    result = take(flat(picture, float(np.linspace(0.3, 3, 5)[2])), QUIET).stack(0)
    assert np.abs(result.stack.slices[2] - result.aif).max() < 1e-6
    assert np.abs(result.stack.slices[1] - result.aif).mean() > 0.05
    assert np.allclose(result.aif, picture.permute(1, 2, 0).numpy() ** (1 / 2.2), atol=1e-6)


def test_sharpest_slice_is_the_one_nearest_in_depth():
    scene = SceneConfig(
        objects=(0, 0),
        textures=("noise",),
        faded_share=0,
        flat_share=0,
        background_slant=(0.8, 0.8),
    )
    config = SimulationConfig(scene, replace(QUIET, n_slices=(6, 6), max_coc_px=(20, 20)), (128, 128))
    result = simulate(config, 1)
    away = np.stack([np.abs(result.stack[k] - result.aif).mean(2) for k in range(6)])
    nearest = np.abs(result.dioptre - result.focus[:, None, None])
    assert (away.argmin(0) == nearest.argmin(0)).mean() > 0.8


AT = [(15.0, 14.0), (62.0, 12.0), (40.0, 31.0), (17.0, 50.0), (63.0, 47.0)]


def dots(margin):
    height, width = (side + 2 * margin for side in SIZE)
    y, x = torch.arange(height)[:, None] - margin, torch.arange(width)[None, :] - margin
    picture = sum(torch.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 2.0**2)) for u, v in AT)
    full = torch.ones(1, height, width)
    return [Layer(picture.expand(1, 3, height, width), full, full)]


@pytest.mark.parametrize("reference", [4, 0])
@pytest.mark.parametrize("breathing_px", [(0, 0), (2, 2)])
def test_matrices_say_where_rendered_dots_went(reference, breathing_px):
    camera = replace(MOVING, max_coc_px=(0.3, 0.3), breathing_px=breathing_px)  # all sharp
    result = take(dots, camera, reference=reference, seed=7).stack(0)
    y, x = np.mgrid[:64, :80]
    for n in range(5):
        light = result.stack[n][..., 0].astype(np.float64) ** 2.2
        for u, v in AT:
            expected = result.matrices[n] @ [u, v, 1]
            weight = light * ((x - expected[0]) ** 2 + (y - expected[1]) ** 2 < 64)
            found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
            assert np.abs(found - expected).max() < 0.05
    moved = np.abs(result.matrices - np.eye(2, 3)).max(axis=(1, 2))
    assert moved[result.reference] == 0
    assert (np.delete(moved, result.reference) > 0.1).all()


def test_warping_a_moved_slice_back_is_the_still_one():
    still, moved = (simulate(with_camera(camera, size=(96, 96)), 11) for camera in (QUIET, MOVING))
    for n in range(5):
        picture = torch.from_numpy(moved.stack.slices[n]).permute(2, 0, 1)[None]
        back = warp(picture, affine_flow(torch.from_numpy(moved.matrices[n])[None].float(), 96, 96))
        inside = slice(8, -8)
        found = back[0].permute(1, 2, 0).numpy()[inside, inside]
        wanted = still.stack.slices[n][inside, inside]
        assert found.shape == wanted.shape
    assert np.array_equal(still.focus, moved.focus)


def test_moved_slices_see_the_scene_up_to_their_border():
    """A slice that looks past the reference's frame sees scene there, not a repeated edge."""
    result = simulate(with_camera(replace(QUIET, motion=Motion(shift_px=8.0))), 2)
    n = int(np.abs(result.matrices[:, 0, 2]).argmax())
    picture = result.stack[n]
    for column in (picture[:, :4], picture[:, -4:]):
        assert np.abs(np.diff(column, axis=1)).max() > 1e-4


def test_the_blur_of_a_slice_is_that_of_its_lens_however_much_the_slice_is_scaled():
    lens = Lens(0.0044, 1.8, 28e-6, breathing=6.0)
    ladder = Ladder(far_dioptre=1.0, near_dioptre=5.0, n_slices=3)
    camera = CameraModel(lens, SIZE[1], SIZE[0], ladder, sensor=CLEAN)

    def point(margin):
        height, width = (side + 2 * margin for side in SIZE)
        picture = torch.zeros(1, 3, height, width)
        picture[..., margin + 32, margin + 40] = 1
        full = torch.ones(1, height, width)
        return [Layer(picture, full, full * 5)]

    result = take(point, camera, reference=2)
    assert result.sweep.coefficients[0, 0, 0] < 0.92
    light = result.images[0, 0, 0].double() ** 2.2
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    weight = (light / light.sum()).numpy()
    mean = (weight * x).sum(), (weight * y).sum()
    spread = (weight * ((x - mean[0]) ** 2 + (y - mean[1]) ** 2)).sum()
    assert np.sqrt(8 * spread) == pytest.approx(lens.coc_px(5.0, 1.0), rel=0.02)


def test_softness_blurs_what_is_in_focus_too():
    def spread(softness_px):
        camera = replace(QUIET, max_coc_px=(0.3, 0.3), softness_px=(softness_px, softness_px))
        light = take(dots, camera).images[0, 2, 0].double() ** 2.2
        near = light[24:39, 33:48]  # the dot at (40, 31)
        at = torch.arange(15.0, dtype=torch.float64) - 7
        return float((near * at.square()).sum() / near.sum())

    assert spread(0) == pytest.approx(4.0, rel=0.01)
    assert spread(0.8) == pytest.approx(4.0 + 0.64, rel=0.02)


def test_noise_and_exposure_reach_the_pictures():
    grey = flat(torch.full((3, *SIZE), 0.4))
    noisy = take(grey, replace(QUIET, sensors=(Sensor(shot=(1e-3, 1e-3), read=(1e-5, 1e-5), bit_depth=0),)))
    light = noisy.images**2.2
    assert float(light.mean()) == pytest.approx(0.4, abs=1e-3)
    assert float(light.var()) == pytest.approx(1e-3 * 0.4 + 1e-5, rel=0.05)
    drifting = take(grey, replace(QUIET, sensors=(replace(CLEAN, exposure_sd=0.05),))).images ** 2.2
    assert 0.01 < float((drifting.mean(dim=(2, 3, 4)) / 0.4).std()) < 0.15


@pytest.mark.parametrize(("bits", "dtype"), [(0, np.float32), (8, np.uint8), (16, np.uint16)])
def test_bit_depths_agree(bits, dtype):
    def taken(depth):
        return simulate(with_camera(replace(PRIOR, sensors=(Sensor(bit_depth=depth),))), 5).stack

    assert taken(bits).slices[0].dtype == dtype
    assert np.abs(taken(bits).images - taken(0).images).max() < 0.51 / 255


def test_the_truth_is_blurred_by_the_true_focus_not_by_the_reported_one():
    camera = CameraModel(
        Lens(0.0044, 1.8, 28e-6, 0.0), 80, 64, Ladder(far_dioptre=1.0, near_dioptre=5.0, n_slices=5),
        motor=Motor(offset=150.0), sensor=CLEAN,
    )  # fmt: skip
    sweep = camera.sweep(1, SMALL.crop(), np.random.default_rng(0))
    assert abs(sweep.true_focus[0, 2] - 3.0) > 0.05
    picture = torch.rand(3, *SIZE, generator=generator())
    result = take(flat(picture, float(sweep.true_focus[0, 2])), camera).stack(0)
    assert np.array_equal(result.true_focus, sweep.true_focus[0])
    assert np.allclose(result.focus, [1, 2, 3, 4, 5])
    assert np.abs(result.stack.slices[2] - result.aif).max() < 1e-6


def test_dual_pixel_halves_add_up_and_part_across_the_focus():
    picture = torch.rand(3, *SIZE, generator=generator()) ** 2
    result = take(flat(picture, 1.65), replace(QUIET, max_coc_px=(16, 16)), dual_pixel=True)
    left, right = (half**2.2 for half in result.halves)
    assert torch.allclose((left + right) / 2, result.images**2.2, atol=2e-3)

    def disparity(n):
        """Shift [px] of the right picture that fits the left one best."""
        rows = slice(12, -12)
        errors = [
            float((left[0, n, 1, :, rows] - right[0, n, 1].roll(-shift, 1)[:, rows]).square().mean())
            for shift in range(-9, 10)
        ]
        return int(np.argmin(errors)) - 9

    shifts = [disparity(n) for n in range(5)]
    assert shifts[2] == 0
    assert shifts[0] > 1  # focused farther than the scene: in front of the focus
    assert shifts[4] == pytest.approx(-shifts[0], abs=1)


def test_a_raw_green_sensor_gives_one_channel_at_half_the_size():
    raw = simulate(with_camera(replace(PRIOR, sensors=(Sensor(output="raw_green", bit_depth=16),))), 0)
    assert raw.stack.slices[0].shape == (32, 40)
    assert raw.stack.slices[0].dtype == np.uint16
    assert raw.lens.pixel_pitch_m == pytest.approx(2 * simulate(SMALL, 0).lens.pixel_pitch_m)
    green = simulate(with_camera(replace(PRIOR, sensors=(Sensor(output="green"),))), 0)
    assert green.stack.slices[0].shape == SIZE


def test_scenes_may_reach_out_of_the_sweep_but_not_past_infinity():
    sweep = replace(QUIET, far_dioptre=(0.2, 0.2)).sweep(50, SMALL.crop(), np.random.default_rng(0))
    far, near = scene_range(sweep, (0.0, 0.2), np.random.default_rng(0))
    assert far.min() == 0
    assert ((far <= 0.2) & (near >= 3.0) & (near <= 3.57)).all()
    assert near.max() > 3.4


def test_every_recipe_makes_a_stack():
    names = recipe_names("simulator/scenes")
    assert {"align_strong", "align_mild", "depth_simple"} <= set(names)
    for name in names:
        config = load_recipe("simulator/scenes", name, SimulationConfig)
        assert len(simulate(replace(config, size=(64, 64)), 0).stack) >= 2
    mild, strong = (
        load_recipe("simulator/scenes", f"align_{n}", SimulationConfig) for n in ("mild", "strong")
    )
    assert strong.camera.max_coc_px == (20, 40)
    assert mild == replace(strong, camera=replace(strong.camera, max_coc_px=(8.0, 16.0)))
    assert strong.camera.motion.zoom_px == strong.camera.motion.shift_px == 2.5


def test_a_scene_without_margin_is_refused():
    crop = SMALL.crop()
    sweep = MOVING.sweep(1, crop, np.random.default_rng(0))
    with pytest.raises(ValueError, match="margin of at least"):
        capture(dots(1), sweep, SIZE, 4, generator())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": (8, 80)}, "too small"),
        ({"frame": (32, 32)}, "smaller than the size"),
        ({"beyond": (0.3, 0.1)}, "beyond"),
    ],
)
def test_bad_configs_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)
