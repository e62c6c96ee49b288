"""Small path-traced pictures: depth, layers, blur, breathing and shift against what geometry says."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from torch import Tensor

from dff.camera import Lens
from dff.simulator.blender.light_field import refocus, render_light_field
from dff.simulator.blender.materials import paint
from dff.simulator.blender.meshes import sphere
from dff.simulator.blender.passes import all_in_focus, object_layers
from dff.simulator.blender.random_scene import KINDS, BlenderConfig, random_scene
from dff.simulator.blender.scene import BlenderScene, Stage
from dff.simulator.blender.session import RenderSettings
from dff.simulator.blender.thin_lens import render_thin_lens, slice_focal_px
from dff.simulator.blender.view import View
from dff.simulator.layers import all_in_focus as flatten

pytestmark = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="needs the blender extra")

FEW = RenderSettings(samples=2, denoise=False, threads=1)
SHARP = RenderSettings(samples=64, denoise=False, threads=1)
BALLS = np.array([(-12.3, -8.0), (10.2, 9.1)])  # px from the middle
BALL_M, BALL_PX = 0.5, 2.0


def _two_balls(size: int = 48) -> BlenderScene:
    """Two dark balls 0.5 m away before a wall that shines evenly: nothing to be noisy but their rims."""
    rng = np.random.default_rng(0)
    stage = Stage(View(size, size, 1.4 * size, 5.0, 0.0), 0.4, 2.5, rng)
    shining = paint(rng, (0.0, 0.0, 0.0))
    surface = next(n for n in shining.node_tree.nodes if n.bl_idname == "ShaderNodeBsdfPrincipled")
    surface.inputs["Emission Color"].default_value = (1, 1, 1, 1)
    surface.inputs["Emission Strength"].default_value = 1.0
    stage.add_background(shining, shining, 0.0)
    points, faces = sphere()
    for x, y in BALLS:
        ball = (points * 2 * BALL_PX * BALL_M / stage.view.focal_px, faces)
        stage.add([(ball, paint(rng, (0.01, 0.01, 0.01)), True)], np.eye(3), stage.view.place(x, y, BALL_M))
    stage.add_sky((0, 0, 0), 0.0)
    return stage.finish("two balls")


def _spots(picture: Tensor, near: np.ndarray) -> np.ndarray:
    """(2,3) x, y [px from the middle] and mean squared radius of two dark spots near given places."""
    grey = picture.mean(0)
    half = (grey.shape[-1] - 1) / 2
    y, x = torch.meshgrid(*(torch.arange(n) - half for n in grey.shape), indexing="ij")
    found = []
    for at_x, at_y in near:
        dark = (grey.median() - grey) * ((x - at_x) ** 2 + (y - at_y) ** 2 < 7**2)
        dark = dark / dark.sum()
        middle = float((dark * x).sum()), float((dark * y).sum())
        found.append((*middle, float((dark * ((x - middle[0]) ** 2 + (y - middle[1]) ** 2)).sum())))
    return np.array(found)


def test_balls_are_where_they_are_put() -> None:
    scene = _two_balls()
    picture, dioptre = all_in_focus(scene, SHARP, margin_px=4)
    assert picture.shape == (3, 56, 56)
    np.testing.assert_allclose(_spots(picture, BALLS)[:, :2], BALLS, atol=0.05)
    ball = dioptre[round(27.5 + BALLS[1][1]), round(27.5 + BALLS[1][0])]
    radius_m = BALL_PX * BALL_M / scene.view.focal_px
    assert 1 / BALL_M <= float(ball) <= 1 / (BALL_M - radius_m) + 1e-4
    # the wall is parallel to the sensor: one planar depth
    assert float(dioptre[:20].amin()) == pytest.approx(0.4 / 0.98, rel=1e-4)


def test_lens_breathes_shifts_and_blurs() -> None:
    scene = _two_balls()
    lens = Lens(focal_length_m=0.1, f_number=0.1 / 0.2, pixel_pitch_m=0.1 / (1.4 * 48), breathing=0.7)
    focus, shift = np.array([2.0, 1.7, 2.0]), np.array([[0, 0], [0, 0], [1.5, -2.25]])
    fine = RenderSettings(samples=300, denoise=False, threads=1, bounces=0)
    stack = render_thin_lens(scene, lens, focus, shift, settings=fine)
    focal_px = slice_focal_px(lens, focus)
    scale = focal_px / scene.view.focal_px
    expected = scale[:, None, None] * BALLS + shift[:, None]
    sharp, blurred, moved = (_spots(*pair) for pair in zip(stack, expected, strict=True))
    assert scale[0] / scale[1] > 1.02
    for spots, places in zip((sharp, blurred, moved), expected, strict=True):
        np.testing.assert_allclose(spots[:, :2], places, atol=0.05)
    coc_px = focal_px[1] * 0.2 * (1 / BALL_M - focus[1])
    in_focus = sharp[:, 2] * (scale[1] / scale[0]) ** 2
    np.testing.assert_allclose(blurred[:, 2] - in_focus, coc_px**2 / 8, rtol=0.1)
    with pytest.raises(ValueError, match="above 0"):
        render_thin_lens(scene, lens, [0.0])
    with pytest.raises(ValueError, match="focal length"):
        render_thin_lens(scene, lens, [11.0])


def test_light_field_is_the_thin_lens() -> None:
    scene = random_scene(BlenderConfig("prims", (32, 32), margin_px=8), seed=4)
    aperture = 2 * 4 / scene.view.focal_px / (scene.near_dioptre - scene.far_dioptre)
    focus = np.array([scene.far_dioptre, 3.0])
    field = render_light_field(scene, aperture, 24, RenderSettings(samples=4, denoise=False, threads=1))
    lens = Lens(5e-3, 5e-3 / aperture, 5e-3 / scene.view.focal_px, breathing=0.0)
    native = render_thin_lens(scene, lens, focus, settings=SHARP)
    error = (
        refocus(field, torch.from_numpy(focus)).clamp(0, 1) ** 0.45 - native.clamp(0, 1) ** 0.45
    ).square()
    assert float(-10 * error.mean((1, 2, 3)).log10().max()) > 30
    assert float(-10 * error.mean((1, 2, 3)).log10().min()) > 28


def test_layers_add_up_to_the_picture() -> None:
    scene = random_scene(BlenderConfig("slant", (32, 32), margin_px=4), seed=2)
    picture, dioptre = all_in_focus(scene, RenderSettings(16, threads=1), margin_px=4)
    layers = object_layers(scene, RenderSettings(8, threads=1), margin_px=4)
    assert picture.shape == (3, 40, 40)
    assert all(layer.alpha.shape == (40, 40) for layer in layers)
    assert float(layers[0].alpha.min()) == 1
    error = (flatten(layers).clamp(0, 1) ** 0.45 - picture.clamp(0, 1) ** 0.45).square().mean()
    assert float(-10 * error.log10()) > 30
    low, high = scene.far_dioptre * 0.999, scene.near_dioptre * 1.001
    for surface in (dioptre, *(layer.dioptre for layer in layers)):
        assert low <= float(surface.min())
        assert float(surface.max()) <= high


@pytest.mark.parametrize("kind", list(KINDS))
def test_kinds_are_repeatable_and_fill_the_picture(kind: str) -> None:
    config = BlenderConfig(kind, (24, 24), margin_px=4)
    first = all_in_focus(random_scene(config, seed=7), FEW, margin_px=4)
    scene = random_scene(config, seed=7)
    again = all_in_focus(scene, FEW, margin_px=4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    picture, dioptre = again
    assert bool(torch.isfinite(picture).all())
    assert float(dioptre.min()) >= scene.far_dioptre * 0.999
    assert float(dioptre.max()) <= scene.near_dioptre * 1.001
    assert 0.05 < float(picture.mean()) < 0.7


def test_one_scene_at_a_time() -> None:
    import bpy

    config = BlenderConfig("thin", (24, 24))
    first = random_scene(config, seed=0)
    counts = len(bpy.data.meshes), len(bpy.data.materials), len(bpy.data.objects)
    other = random_scene(config, seed=1)
    random_scene(config, seed=0)
    assert (len(bpy.data.meshes), len(bpy.data.materials), len(bpy.data.objects)) == counts
    with pytest.raises(ValueError, match="another scene"):
        all_in_focus(other, FEW)
    assert len(first.items) > 5
