"""The parts of Blender scenes that need no Blender: geometry, camera, filling, files, and what is said."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dff.camera import Lens
from dff.simulator.blender import meshes
from dff.simulator.blender.gltf import gltf_files
from dff.simulator.blender.hidden import extend, fill_unseen
from dff.simulator.blender.materials import MIN_CONTRAST, image_files, random_colour
from dff.simulator.blender.passes import split_crossing
from dff.simulator.blender.random_scene import KINDS, BlenderConfig, panorama_files, random_scene
from dff.simulator.blender.reference import Reference
from dff.simulator.blender.session import RenderSettings, require_bpy
from dff.simulator.blender.thin_lens import slice_focal_px
from dff.simulator.blender.view import View
from dff.simulator.layers import Layer


def test_bpy_is_loaded_only_when_needed_and_missed_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import sys, dff.simulator.blender.reference; print('bpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
    monkeypatch.setitem(sys.modules, "bpy", None)
    for call in (require_bpy, lambda: random_scene(BlenderConfig("prims", (32, 32)))):
        with pytest.raises(ValueError, match=r'pip install "dff\[blender\]".*Python 3\.11') as caught:
            call()
        assert "\n" not in str(caught.value)


def _shapes() -> dict[str, meshes.Mesh]:
    rng = np.random.default_rng(3)
    stems, leaves = meshes.plant(rng)
    return {
        "box": meshes.box((1, 0.5, 0.2)),
        "sphere": meshes.sphere(0.4),
        "blob": meshes.blob(rng),
        "torus": meshes.torus(0.1),
        "vase": meshes.vase(rng),
        "cone": meshes.cone(0.3),
        "tube": meshes.tube(meshes.smooth_path(rng.normal(size=(4, 3))), 0.01),
        "lattice": meshes.lattice(rng, 0.02),
        "plant": meshes.merge([stems, *leaves]),
    }


@pytest.mark.parametrize("name", list(_shapes()))
def test_shapes_are_sound(name: str) -> None:
    points, faces = _shapes()[name]
    assert np.isfinite(points).all()
    used = {corner for face in faces for corner in face}
    assert min(used) == 0
    assert max(used) < len(points)
    if name != "tube":
        assert 0.5 < np.ptp(points, axis=0).max() < 2.5


def test_tube_keeps_its_thickness() -> None:
    t = np.linspace(0, 1, 40)[:, None]
    path = np.concatenate([np.cos(2 * t), np.sin(2 * t), t**2], axis=1)
    points, _ = meshes.tube(path, 0.03, sides=12)
    distance = np.linalg.norm(points.reshape(40, 12, 3) - path[:, None], axis=-1)
    np.testing.assert_allclose(distance, 0.03, rtol=1e-9)


def test_rotations_turn() -> None:
    rng = np.random.default_rng(0)
    for matrix in (meshes.rotation(rng), meshes.turn(0.7), meshes.turn(-2.0, axis=0)):
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1)
    np.testing.assert_allclose(meshes.turn(math.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_view_places_what_it_projects() -> None:
    view = View(200, 300, 400.0, 0.3, 20.0)
    pixels = np.array([[10.0, -20.0, 0.5], [-140.0, 90.0, 2.0]])
    points = np.stack([view.place(*pixel) for pixel in pixels])
    np.testing.assert_allclose(view.project(points), pixels, rtol=1e-9)
    on_floor = view.place(37.0, view.floor_y_px(0.6), 0.6)
    assert on_floor[2] == pytest.approx(0, abs=1e-12)
    # straight ahead of a camera that looks down lies lower
    assert view.place(0, 0, 1.0)[2] == pytest.approx(0.3 - math.sin(math.radians(20)))


def test_extension_keeps_what_is_known_and_is_smooth() -> None:
    y, x = torch.meshgrid(torch.arange(41.0), torch.arange(53.0), indexing="ij")
    plane = 1 + 0.02 * x - 0.01 * y
    known = (x - 25) ** 2 + (y - 20) ** 2 < 100
    filled = extend(torch.where(known, plane, torch.nan_to_num(plane * math.inf, posinf=7.0)), known)
    assert torch.equal(filled[known], plane[known])
    assert float(plane[known].min()) <= float(filled.min())
    assert float(filled.max()) <= float(plane[known].max())
    beside = filled[:, 1:] - filled[:, :-1]
    assert float(beside.abs().max()) < 0.15  # of the 0.45 that the known part spans
    assert float(filled[20, 8]) < float(filled[20, 25]) < float(filled[20, 42])
    assert float(extend(plane, torch.zeros_like(known)).abs().max()) == 0


def _covered_floor(gap_dioptre: float) -> tuple[list[Layer], torch.Tensor]:
    """A pale floor, black where a square 20 px wide covers it, and where that is."""
    square = torch.zeros(48, 48, dtype=torch.bool)
    square[14:34, 14:34] = True
    floor = torch.where(square, 0.0, 0.8).expand(3, -1, -1)
    alpha, one = square.float(), torch.ones(48, 48)
    cover = Layer(0.3 * one.expand(3, -1, -1), alpha, one + gap_dioptre)
    return [Layer(floor, one, one.clone()), cover], square


def test_what_no_lens_sees_is_recoloured() -> None:
    layers, square = _covered_floor(gap_dioptre=0.0)
    floor, cover = fill_unseen(layers, coc_px_per_dioptre=20.0)
    torch.testing.assert_close(floor.colour, torch.full_like(floor.colour, 0.8))
    assert torch.equal(cover.colour, layers[1].colour)
    # a gap of 0.3 dioptre shows 0.3 * 20 / 2 = 3 px behind the rim: those stay
    layers, square = _covered_floor(gap_dioptre=0.3)
    core = torch.zeros_like(square)
    core[17:31, 17:31] = True
    layers[0].colour = torch.where(square & ~core, 0.5, layers[0].colour)
    colour = fill_unseen(layers, coc_px_per_dioptre=20.0)[0].colour[0]
    assert torch.equal(colour[~core], layers[0].colour[0][~core])
    assert float(colour[core].min()) >= 0.5
    # a gap too wide to hide anything changes nothing
    layers, _ = _covered_floor(gap_dioptre=2.0)
    assert torch.equal(fill_unseen(layers, 20.0)[0].colour, layers[0].colour)


def test_a_wire_through_a_card_is_divided_where_it_passes() -> None:
    one, x = torch.ones(40, 40), torch.arange(40.0).expand(40, 40)
    card = Layer(0.2 * one.expand(3, -1, -1), ((x > 5) & (x < 35)).float(), 2 * one)
    wire = Layer(0.9 * one.expand(3, -1, -1), torch.zeros(40, 40), 1 + x / 20)
    wire.alpha[20:23] = 1
    parts = split_crossing([wire, card])
    assert len(parts) == 3
    assert torch.equal(parts[0].alpha, card.alpha)
    behind, before = sorted(parts[1:], key=lambda part: float((part.alpha * part.dioptre).sum()))
    assert torch.equal(behind.alpha + before.alpha, wire.alpha)
    assert bool((before.dioptre[before.alpha > 0] > 2).all())
    assert bool((behind.dioptre[behind.alpha > 0] <= 2).all())
    clear = Layer(wire.colour, wire.alpha, wire.dioptre + 2)
    assert [part.alpha is clear.alpha for part in split_crossing([clear, card])] == [False, True]


def test_colours_are_neither_black_nor_shrill() -> None:
    rng = np.random.default_rng(1)
    colours = np.array([random_colour(rng) for _ in range(500)])
    assert colours.min() >= 0
    assert colours.max() <= 0.76
    assert np.quantile(colours.max(1), 0.02) > 0.05
    assert MIN_CONTRAST > 1


def test_slices_breathe_as_the_lens_does() -> None:
    lens = Lens(focal_length_m=5e-3, f_number=2.0, pixel_pitch_m=1e-5, breathing=1.8)
    focus = np.array([0.5, 2.0, 8.0])
    focal_px = slice_focal_px(lens, focus)
    np.testing.assert_allclose(focal_px.max() / focal_px, lens.relative_fov(focus), rtol=1e-12)
    still = slice_focal_px(Lens(5e-3, 2.0, 1e-5, breathing=0.0), focus)
    np.testing.assert_allclose(still, 500.0)


def test_reference_comes_back_from_its_file(tmp_path: Path) -> None:
    layer = Layer(torch.rand(3, 20, 22), torch.rand(20, 22), 1 + torch.rand(20, 22))
    stack, focus = torch.rand(4, 3, 16, 18), torch.linspace(1, 3, 4)
    reference = Reference(
        "prims_1", torch.rand(3, 20, 22), torch.rand(20, 22), [layer, layer], stack, focus, 9.5, 2, focus
    )
    reference.save(tmp_path / "one.npz")
    back = Reference.load(tmp_path / "one.npz")
    assert (back.name, back.coc_px_per_dioptre, back.margin_px, len(back.layers)) == ("prims_1", 9.5, 2, 2)
    torch.testing.assert_close(back.slices, stack, atol=1e-3, rtol=0)
    assert torch.equal(back.layers[1].dioptre, layer.dioptre)
    with pytest.raises(ValueError, match="exists"):
        reference.save(tmp_path / "one.npz")
    with pytest.raises(FileNotFoundError, match="no such reference scene"):
        Reference.load(tmp_path / "two.npz")
    np.savez(tmp_path / "three.npz", aif=np.zeros(3))
    with pytest.raises(ValueError, match="not a reference scene"):
        Reference.load(tmp_path / "three.npz")


def test_wrong_configurations_are_refused(tmp_path: Path) -> None:
    for arguments, words in (
        ({"kind": "castle"}, "castle.*choose from prims"),
        ({"size": (8, 256)}, "at least 16x16"),
        ({"focal_px": -3.0}, "focal_px"),
        ({"far_dioptre": 5.0}, "far_dioptre < near_dioptre"),
    ):
        with pytest.raises(ValueError, match=words):
            BlenderConfig(**arguments)
    with pytest.raises(ValueError, match="samples"):
        RenderSettings(samples=0)
    for find in (image_files, gltf_files, panorama_files):
        with pytest.raises(FileNotFoundError, match="no such folder"):
            find(tmp_path / "nowhere")
        with pytest.raises(ValueError, match="holds no"):
            find(tmp_path)
    assert {"prims", "slant", "thin", "close", "plain", "meshes", "mixed"} == set(KINDS)
