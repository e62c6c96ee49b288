import importlib.util
import json
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dff.eval import simulator_blender as blender
from dff.eval import simulator_camera as camera
from dff.eval import simulator_exact as exact
from dff.eval import simulator_speed as speed
from dff.eval.__main__ import main
from dff.eval.alignment_simulated import corner_errors_px
from dff.eval.simulator_dots import dot_matrices, take_dots
from dff.eval.simulator_halves import disparity
from dff.eval.simulator_score import Likeness, central, procedural_layers
from dff.recipes import load_recipe
from dff.simulator.blender.reference import Reference
from dff.simulator.camera_prior import load_camera
from dff.simulator.capture import SimulationConfig
from dff.simulator.layers import all_in_focus, truth
from dff.simulator.psf import PSF
from dff.simulator.render import render_stack
from dff.simulator.scene_config import SceneConfig
from dff.simulator.textures import to_linear

TINY = """
base = "simulator-exact"
radii_px = [4.0]
n_slices = 2
size = [64, 64]
margin_px = 8
samples = 60
seeds = { first = 1, count = 2 }
"""


@pytest.mark.parametrize("module", [exact, speed, camera, blender])
def test_protocols_of_the_project_are_read(module):
    assert load_recipe("eval", module.NAME, module.Protocol).targets


def test_likeness_of_display_values():
    random = torch.Generator().manual_seed(0)
    shown = 0.3 + 0.4 * torch.rand(2, 3, 48, 40, generator=random)
    off = 0.01 * torch.randn(2, 3, 48, 40, generator=random)
    linear = to_linear(shown)
    same = Likeness.of(linear, linear, 4)
    assert np.isinf(same.psnr_db).all()
    assert same.ssim == pytest.approx([1, 1], abs=1e-6)
    other = Likeness.of(to_linear(shown + off), linear, 4)
    assert other.psnr_db == pytest.approx([40, 40], abs=0.3)
    assert (other.ssim < 1).all()
    assert Likeness.pooled([same, other]).ssim.shape == (4,)


def test_border_is_left_out():
    linear = torch.full((1, 3, 32, 32), 0.5)
    broken = linear.clone()
    broken[..., :3, :] = 0
    assert central(broken, 3).shape == (1, 3, 26, 26)
    assert np.isinf(Likeness.of(broken, linear, 3).psnr_db).all()
    assert np.isfinite(Likeness.of(broken, linear, 2).psnr_db).all()


def test_exact_end_to_end(tmp_path, capsys):
    protocol = tmp_path / "tiny.toml"
    protocol.write_text(TINY)
    options = ["--limit", "1", "--json", "--out", str(tmp_path / "out"), "--protocol", str(protocol)]
    assert main(["simulator-exact", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["method"]: row for row in found["tables"][0]["rows"]}
    assert list(rows) == [exact.LAYERS, exact.RGBD, exact.NAIVE, exact.PUBLISHED]
    assert rows[exact.LAYERS]["mean PSNR [dB]"] > rows[exact.PUBLISHED]["mean PSNR [dB]"] + 3
    assert rows[exact.LAYERS]["worst [dB]"] <= rows[exact.LAYERS]["mean PSNR [dB]"]
    assert len(found["targets"]) == 4


# --- the camera ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pixel6", "imx708"])
def test_dots_tell_the_motion(name):
    known = take_dots(load_camera(name), (240, 320), seed=3, n_slices=5)
    errors = corner_errors_px(dot_matrices(known), known.matrices, known.reference, (240, 320))
    assert errors.max() < 0.1
    still = np.repeat(np.eye(2, 3)[None], 5, axis=0)
    assert corner_errors_px(still, known.matrices, known.reference, (240, 320)).max() > 3


def test_dots_that_leave_the_picture():
    known = take_dots(load_camera("pixel6"), (64, 64), seed=3, n_slices=3)
    with pytest.raises(ValueError, match="larger picture"):
        dot_matrices(known)


def test_scale_is_fitted_in_the_unit_of_the_law():
    law = camera.Law("tablet", 0.99869, 0.00575, 0.00016)
    fit = camera.fit_scale(take_dots(load_camera("tablet"), (240, 320), 0, n_slices=6), law)
    assert fit.slope == pytest.approx(law.slope, rel=0.05)
    assert fit.offset == pytest.approx(law.offset, abs=1e-3)
    assert fit.off_law < 5e-4


def test_disparity_follows_the_signed_blur():
    found = disparity(PSF(split_ramp=0.0, crosstalk=0.0), 12.0, 7)
    assert found.predicted == pytest.approx(4 / (3 * np.pi), rel=0.01)
    assert found.slope == pytest.approx(found.predicted, rel=0.03)
    assert found.right_sign == 1
    assert found.off_line_px.max() < 0.2
    assert (np.sign(found.shift_px) == np.sign(found.coc_px.round(6))).all()


# --- references ------------------------------------------------------------------------------------------


def reference(margin: int = 8) -> Reference:
    """A made-up one, whose slices are what the fast renderer makes of its layers."""
    layers = procedural_layers(SceneConfig(), (64 + 2 * margin, 80 + 2 * margin), 0.3, 3.0, 5)
    focus = torch.linspace(0.3, 3.0, 3)
    return Reference(
        name="prims_1",
        aif=all_in_focus(layers),
        dioptre=truth(layers)[0],
        layers=layers,
        slices=central(render_stack(layers, focus, 4.0), margin),
        focus=focus,
        coc_px_per_dioptre=4.0,
        margin_px=margin,
        floor_db=torch.tensor([40.0, 41.0, 42.0]),
    )


def test_references_are_scored(tmp_path):
    reference().save(tmp_path / "prims_1.npz")
    protocol = load_recipe("eval", blender.NAME, blender.Protocol)
    with pytest.raises(ValueError, match=r"prims_1.npz: blur radius 5.4 px, the protocol wants 13"):
        blender.run(protocol, tmp_path, limit=1, say=lambda line: None)
    protocol = replace(protocol, scenes=(blender.SceneChoice("prims", 1, 5.4),))
    report = blender.run(protocol, tmp_path, tmp_path / "maps", limit=1, say=lambda line: None)
    summary = {row[0]: row[1:] for row in report.tables[0].rows}
    assert summary[exact.LAYERS][0] > 60  # half precision of the file is all that is left
    assert summary[exact.LAYERS][2] < 0.01
    assert summary[exact.RGBD][0] > summary[exact.PUBLISHED][0]
    shown = cv2.imread(str(tmp_path / "maps" / "prims_1.png"))
    assert shown.shape == (5 * 64, 3 * 80, 3)  # the reference and four methods, three slices
    assert abs(float(shown[64:128].mean()) - 127.5) < 1


def test_edges_of_depth_are_grown_by_the_blur():
    dioptre = torch.ones(21, 21)
    dioptre[:, 11:] = 2
    near = blender.near_edges(dioptre, gain=4.0, radius_px=3.0)
    assert near[10].tolist() == [7 <= x <= 14 for x in range(21)]
    assert not blender.near_edges(dioptre, gain=1.0, radius_px=3.0).any()


@pytest.mark.skipif(importlib.util.find_spec("bpy") is not None, reason="bpy is installed")
def test_a_missing_reference_without_bpy(tmp_path, capsys):
    assert main(["simulator-blender", "--refs", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "bpy" in said[-1]
    assert said[-1].startswith("error: ")


# --- speed -----------------------------------------------------------------------------------------------


def test_speed_of_one_thread():
    protocol = load_recipe("eval", speed.NAME, speed.Protocol)
    tiny = replace(protocol, size=(48, 48), n_slices=2, repeats=1, patch=speed.Patch("imx219", (48, 48)))
    table, targets = speed.cpu_part(tiny, 1, lambda line: None)
    assert len(table.rows) == 5
    assert all(0 < row[2] <= row[1] <= row[3] for row in table.rows)
    assert [target.limit for target in targets] == [0.25, 0.12]


def test_patches_need_a_camera_with_pictures():
    protocol = load_recipe("eval", speed.NAME, speed.Protocol)
    with pytest.raises(ValueError, match="random_camera"):
        speed._patch(replace(protocol, patch=speed.Patch("random_camera", (48, 48))), 0)


def test_a_worker_supplies_stacks(monkeypatch):
    monkeypatch.setattr(speed, "_worker", speed._Worker(threading.Barrier(1)))
    config = SimulationConfig(camera="pixel6", size=(48, 48))
    wall_s, cpu_s = speed._supply(config, n_slices=2, stacks=3, batch=2, seed=0)
    assert wall_s > 0
    assert cpu_s > 0
