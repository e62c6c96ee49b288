from dataclasses import replace

import numpy as np
import pytest
import torch

from dff.camera import Lens
from dff.recipes import load_recipe, recipe_names
from dff.simulator.capture import SimulationConfig, Sweep, capture, draw_sweep, simulate
from dff.simulator.layers import Layer
from dff.simulator.procedural import SceneConfig
from dff.simulator.textures import Draw
from dff.stack import FocalStack

SMALL = SimulationConfig(size=(64, 80), n_slices=5, max_coc_px=(6, 12))
CLEAN = replace(SMALL, noise=(0, 0), bit_depth=0)
MOVING = replace(CLEAN, zoom_px=2.5, shift_px=2.5, rotation_deg=1.0)


def still(config, coc_px_per_dioptre=4.0):
    focus = np.linspace(config.far_dioptre, config.near_dioptre, config.n_slices)
    matrices = np.repeat(np.eye(2, 3)[None], config.n_slices, axis=0)
    return Sweep(focus, np.full(config.n_slices, coc_px_per_dioptre), matrices)


def test_everything_has_its_shape():
    result = simulate(SMALL, 0)
    assert isinstance(result.stack, FocalStack)
    assert len(result.stack) == 5
    assert result.stack.slices[0].shape == (64, 80, 3)
    assert result.stack.slices[0].dtype == np.uint8
    assert result.dioptre.shape == (64, 80)
    assert result.dioptre.dtype == np.float32
    assert result.aif.shape == (64, 80, 3)
    assert result.aif.dtype == np.float32
    assert result.matrices.shape == (5, 2, 3)
    assert result.matrices.dtype == np.float64
    assert result.edges.shape == (64, 80)
    assert result.edges.dtype == bool
    assert result.reference == 4
    assert 0.3 <= result.dioptre.min() <= result.dioptre.max() <= 3.0
    assert result.stack.focus[0] == 0.3
    assert result.stack.focus[-1] == 3.0
    assert 6 <= result.coc_px_per_dioptre[0] * 2.7 <= 12


def test_one_seed_is_one_stack():
    first, again, other = (simulate(replace(SMALL, zoom_px=1), seed) for seed in (3, 3, 4))
    for a, b in zip(first.stack.slices, again.stack.slices, strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(first.matrices, again.matrices)
    assert not np.array_equal(first.stack.slices[0], other.stack.slices[0])


def test_sharp_where_in_focus():
    """A scene at the depth of slice 2: that slice is the all-in-focus picture, its neighbours are not."""
    picture = torch.rand(3, 64, 80, generator=torch.Generator().manual_seed(0))
    depth = torch.full((64, 80), float(np.linspace(0.3, 3, 5)[2]))
    scene = [Layer(picture, torch.ones(64, 80), depth)]
    result = capture(scene, CLEAN, still(CLEAN), torch.Generator().manual_seed(0))
    assert np.array_equal(result.stack.slices[2], result.aif)
    assert np.abs(result.stack.slices[1] - result.aif).mean() > 0.05
    assert np.allclose(result.aif, picture.permute(1, 2, 0).numpy() ** (1 / 2.2), atol=1e-6)


def test_sharpest_slice_is_the_one_nearest_in_depth():
    scene = SceneConfig(objects=(0, 0), textures=("noise",), faded_share=0, background_slant=(0.8, 0.8))
    config = replace(CLEAN, size=(128, 128), scene=scene, max_coc_px=(20, 20), n_slices=6)
    result = simulate(config, 1)
    away = np.stack([np.abs(result.stack[k] - result.aif).mean(2) for k in range(6)])
    nearest = np.abs(result.dioptre - result.stack.focus[:, None, None])
    assert (away.argmin(0) == nearest.argmin(0)).mean() > 0.9


def dots(config, margin, at):
    height, width = (side + 2 * margin for side in config.size)
    y, x = torch.arange(height)[:, None] - margin, torch.arange(width)[None, :] - margin
    picture = sum(torch.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 1.5**2)) for u, v in at)
    return [Layer(picture.expand(3, height, width), torch.ones(height, width), torch.ones(height, width))]


@pytest.mark.parametrize("change", [{}, {"reference": 0}, {"lens": Lens(0.012, 4.0, 80e-6, 1.5)}])
def test_matrices_say_where_rendered_dots_went(change):
    config = replace(MOVING, **change)
    drawn = draw_sweep(config, Draw(torch.Generator().manual_seed(7)))
    sweep = replace(drawn, coc_px_per_dioptre=np.full(5, 0.1))  # all sharp
    at = [(15.0, 14.0), (62.0, 12.0), (40.0, 31.0), (17.0, 50.0), (63.0, 47.0)]
    margin = sweep.margin(config.size)
    result = capture(dots(config, margin, at), config, sweep, torch.Generator().manual_seed(0))
    y, x = np.mgrid[:64, :80]
    for n in range(5):
        light = result.stack[n][..., 0].astype(np.float64) ** 2.2
        for u, v in at:
            expected = result.matrices[n] @ [u, v, 1]
            weight = light * ((x - expected[0]) ** 2 + (y - expected[1]) ** 2 < 49)
            found = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
            assert np.abs(found - expected).max() < 0.05
    moved = np.abs(result.matrices - np.eye(2, 3)).max(axis=(1, 2))
    assert moved[result.reference] == 0
    assert (np.delete(moved, result.reference) > 0.1).all()


def test_motion_stays_in_its_limits():
    config = replace(MOVING, n_slices=400, rotation_deg=0.0)
    matrices = draw_sweep(config, Draw(torch.Generator().manual_seed(0))).matrices
    zoom_px = (matrices[:, 0, 0] - 1) * 40
    centre = np.array([39.5, 31.5])
    shift = matrices[:, :, :2] @ centre + matrices[:, :, 2] - centre
    for value in (zoom_px, shift[:, 0], shift[:, 1]):
        assert 2.3 < np.abs(value).max() <= 2.5
        assert abs(value.mean()) < 0.3


def test_breathing_is_that_of_the_lens():
    lens = Lens(0.012, 2.0, 160e-6, breathing=1.3)
    sweep = draw_sweep(replace(CLEAN, lens=lens), Draw(torch.Generator().manual_seed(0)))
    fov = lens.relative_fov(sweep.focus)
    assert np.allclose(sweep.matrices[:, 0, 0], fov[-1] / fov)
    assert np.allclose(sweep.coc_px_per_dioptre * (2.0 - sweep.focus), lens.coc_px(2.0, sweep.focus))
    grown = draw_sweep(replace(CLEAN, breathing_px=4.0), Draw(torch.Generator().manual_seed(0))).matrices[
        :, 0, 0
    ]
    assert grown[0] == pytest.approx(0.9)
    assert np.allclose(np.diff(grown), 0.025)


def test_moved_slices_see_the_scene_up_to_their_border():
    """A slice that looks past the reference's frame sees scene there, not a repeated edge."""
    config = replace(CLEAN, shift_px=8.0)
    result = simulate(config, 2)
    n = int(np.abs(result.matrices[:, 0, 2]).argmax())
    picture = result.stack[n]
    for column in (picture[:, :4], picture[:, -4:]):
        assert np.abs(np.diff(column, axis=1)).max() > 1e-4


def test_noise_and_gain():
    grey = [Layer(torch.full((3, 64, 80), 0.4), torch.ones(64, 80), torch.ones(64, 80))]
    noisy = replace(CLEAN, noise=(1e-3, 1e-3))
    light = capture(grey, noisy, still(noisy), torch.Generator().manual_seed(0)).stack.images ** 2.2
    assert light.mean() == pytest.approx(0.4, abs=1e-3)
    assert light.var() == pytest.approx(1e-3 * 0.4 + np.exp(2.18 * np.log(1e-3) + 1.2), rel=0.05)
    drifting = replace(CLEAN, gain_drift=0.05)
    gains = capture(grey, drifting, still(drifting), torch.Generator().manual_seed(0)).stack.images ** 2.2
    means = gains.mean(axis=(1, 2, 3)) / 0.4
    assert 0.01 < means.std() < 0.15
    assert gains.std(axis=(1, 2, 3)).max() < 1e-5


@pytest.mark.parametrize(("bits", "dtype"), [(0, np.float32), (8, np.uint8), (16, np.uint16)])
def test_bit_depths_agree(bits, dtype):
    result = simulate(replace(SMALL, bit_depth=bits), 5)
    assert result.stack.slices[0].dtype == dtype
    assert (
        np.abs(result.stack.images - simulate(replace(SMALL, bit_depth=0), 5).stack.images).max() < 0.51 / 255
    )


def test_every_recipe_makes_a_stack():
    names = recipe_names("simulator/scenes")
    assert {"align_strong", "align_mild", "depth_simple", "demo"} <= set(names)
    for name in names:
        config = load_recipe("simulator/scenes", name, SimulationConfig)
        assert len(simulate(replace(config, size=(64, 64)), 0).stack) == config.n_slices
    mild, strong = (
        load_recipe("simulator/scenes", f"align_{n}", SimulationConfig) for n in ("mild", "strong")
    )
    assert strong.max_coc_px == (20, 40)
    assert mild == replace(strong, max_coc_px=(8.0, 16.0))
    assert strong.zoom_px == strong.shift_px == 2.5
    assert strong.reference == -1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_slices": 1}, "at least 2"),
        ({"reference": 5}, "reference"),
        ({"size": (8, 80)}, "too small"),
        ({"near_dioptre": 0.1}, "below near_dioptre"),
        ({"max_coc_px": (9.0, 3.0)}, "max_coc_px"),
        ({"noise": (0.0, 0.1)}, "noise"),
        ({"shift_px": -1.0}, "shift_px"),
        ({"bit_depth": 12}, "bit_depth"),
    ],
)
def test_bad_configs_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)


def test_a_scene_without_margin_is_refused():
    sweep = draw_sweep(MOVING, Draw(torch.Generator().manual_seed(0)))
    with pytest.raises(ValueError, match="margin of at least"):
        capture(dots(MOVING, 1, [(5, 5)]), MOVING, sweep, torch.Generator().manual_seed(0))
