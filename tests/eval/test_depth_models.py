"""The benchmark of depth models: rivals, scores, stacks on disk, and a run of an untrained network."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dff.eval import depth_models
from dff.eval.__main__ import main
from dff.eval.baselines.guided import guided_filter
from dff.eval.baselines.total_variation import tv_l1
from dff.eval.depth_models_cycles import (
    CyclesSet,
    SceneChoice,
    ThinLensStack,
    held_out_textures,
    thin_lens_stacks,
)
from dff.eval.depth_models_report import (
    BEST_OF,
    CYCLES,
    FIVE_LAYERS,
    misaligned,
    of_slices,
    targets,
    tuned_for,
)
from dff.eval.depth_models_rivals import Grid, trials, tune
from dff.eval.depth_models_score import Found, Score, mean_score, metres, score
from dff.eval.depth_models_sets import Case, controlled_errors
from dff.flow import affine_flow
from dff.formats.pictures import write_picture
from dff.model.network import SIZES, DepthNetwork
from dff.recipes import load_recipe
from dff.simulator.photos import PhotoPack
from dff.stack import FocalStack
from dff.weights import FORMAT

GRID = Grid((1,), (2.0,), (4,), (1e-3,), (0.3,), (20.0,))
TINY = """
camera = "random_camera"
parts = "{scene}"
scene = "{scene}"
crowded_size = [32, 32]
rgbd_size = [32, 32]
n_slices = 3
misalignment_px = [0.0, 1.5]
slice_counts = [2]
seeds.procedural = { first = 1, count = 1 }
seeds.crowded = { first = 6, count = 1 }
seeds.slice_counts = { first = 2, count = 1 }
seeds.five_layers = { first = 3, count = 1 }
seeds.rgbd = { first = 4, count = 1 }
seeds.tuning = { first = 5, count = 1 }
[rivals]
steps_px = [1]
sigmas_px = [2.0]
radii_px = [4]
eps = [1e-3]
fidelity = [0.3]
edge = [20.0]
[targets]
procedural = 9.0
rgbd = 9.0
cycles = 9.0
five_layers_mae = 9.0
five_layers_delta1 = 0.0
confident_half = 9.0
[cycles]
size = [40, 48]
n_slices = 3
scenes = [{ kind = "plain", seed = 1, max_coc_px = 6.0 }]
"""


@pytest.fixture
def rendered(half_sharp) -> ThinLensStack:
    pictures = np.stack([half_sharp[0][0], half_sharp[1], half_sharp[0][1]])[:, :40, 56:104]
    dioptre = np.full((40, 48), 3.0, np.float32)
    dioptre[:, :24] = 1.0
    return ThinLensStack("plain_1", pictures, np.array([1.0, 2.0, 3.0]), dioptre, 6.0)


def test_protocol_of_the_project_is_read():
    protocol = load_recipe("eval", depth_models.NAME, depth_models.Protocol)
    assert protocol.targets.five_layers_mae == 0.045
    assert len({scene.file for scene in protocol.cycles.scenes}) == len(protocol.cycles.scenes) >= 12
    with pytest.raises(ValueError, match="some of rgbd are also in tuning"):
        replace(protocol.seeds, rgbd=protocol.seeds.tuning)


# --- rivals ----------------------------------------------------------------------------------------------


def test_guided_filter_smooths_within_edges_only():
    random = np.random.default_rng(0)
    step = np.zeros((40, 40), np.float32)
    step[:, 20:] = 1
    noisy = (step + random.normal(0, 0.1, step.shape)).astype(np.float32)
    smooth = guided_filter(noisy, step, 4, 1e-4)
    assert np.abs(smooth - step).max() < 0.05
    blurred = guided_filter(noisy, np.zeros_like(step), 4, 1e-4)
    assert np.abs(blurred[:, 19:21] - 0.5).max() < 0.15
    weight = np.ones_like(step)
    weight[10:12], noisy[10:12] = 0, 50
    assert np.abs(guided_filter(noisy, step, 4, 1e-4, weight) - step).max() < 0.1


def test_tv_l1_drops_specks_and_fills_what_has_no_data():
    step = np.zeros((24, 24), np.float32)
    step[:, 12:] = 1
    speckled = step.copy()
    speckled[5, 5] = speckled[18, 20] = 0.5
    everywhere = np.ones_like(step)
    assert np.abs(tv_l1(speckled, everywhere, everywhere) - step).max() < 0.02
    known = everywhere.copy()
    known[:, 8:16] = 0
    edge = everywhere.copy()
    edge[:, 13] = 1e-3  # the only cheap place for a step is between columns 13 and 14
    moved = tv_l1(step, known, edge, 2000)
    assert np.abs(moved[:, :14]).max() < 0.05
    assert np.abs(moved[:, 14:] - 1).max() < 0.05


def test_tuning_takes_the_best(rendered):
    case = Case.of("half", rendered.stack, rendered.dioptre)
    grid = replace(GRID, sigmas_px=(0.3, 2.0))
    tried = trials(grid, case)
    tuned = tune([tried, tried])
    assert len(tried) == 6
    for method in tuned.settings:
        errors = [error for name, _, error in tried.values() if name == method]
        assert tuned.errors[method] == min(errors)
    assert all(np.abs(u - case.u).mean() < 0.3 for u in tuned.depth(case.stack).values())
    with pytest.raises(ValueError, match="no stacks"):
        tune([])
    with pytest.raises(ValueError, match="radii_px"):
        replace(GRID, radii_px=())


# --- stacks and scores -----------------------------------------------------------------------------------


def test_misalignment_is_what_was_asked_for():
    errors = controlled_errors(6, (40, 60), 1.5, 5, seed=3)
    corners = affine_flow(errors[0], 40, 60)[:5, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert float(corners.square().sum(1).mean().sqrt()) == pytest.approx(1.5, rel=1e-4)
    assert torch.equal(controlled_errors(6, (40, 60), 0.0, 5, seed=3)[0, 0], torch.eye(2, 3))


def test_truth_beyond_the_sweep_moves_to_its_end():
    stack = FocalStack(np.zeros((5, 3, 4, 6), np.float32), np.arange(1.0, 6))
    dioptre = np.array([[0.5, 1, 3, 7]] * 4)
    case = Case.of("x", stack, np.pad(dioptre, ((0, 0), (0, 2)), constant_values=np.nan))
    assert case.u[0, :4].tolist() == [0, 0, 0.5, 1]
    assert case.valid[0].tolist() == [True] * 4 + [False] * 2
    assert case.spread(3).stack.positions.tolist() == [1, 3, 5]


def test_scores():
    stack = FocalStack(np.zeros((2, 3, 1, 4), np.float32), [1.0, 2.0])
    case = Case("x", stack, np.array([[0, 0.5, 1, 1]], np.float32), np.array([[True, True, True, False]]))
    assert metres(np.array([0.0, 1.0])) == pytest.approx([3.0, 0.3])
    sure, valid = np.array([[3, 2, 1, 9]]), np.array([[True, True, False, True]])
    one = score(Found(np.array([[0, 0.5, 0.7, 0]], np.float32), sure, valid), case)
    assert one.mae == pytest.approx(0.1)
    assert one.gross == one.delta1 - 1 / 3 == pytest.approx(1 / 3)
    assert (one.half, one.mae_valid, one.ause) == (0, 0, 0)
    assert one.valid == pytest.approx(2 / 3)
    plain = score(Found(case.u), case)
    assert plain.mae == 0
    assert np.isnan(plain.half)
    assert mean_score([one, plain]).half == 0
    assert np.isnan(mean_score([plain]).valid)
    assert one.pooled_half == 0
    assert mean_score([one, one]).pooled_half == 0


def test_targets_compare_with_the_best_rival():
    protocol = load_recipe("eval", depth_models.NAME, depth_models.Protocol)
    rivals = {
        m: Score(mae, 0, d, 0) for m, mae, d in zip(BEST_OF, (0.2, 0.1, 0.3), (0.7, 0.5, 0.8), strict=True)
    }
    found = {t: {"seed 1": {**rivals, "net": Score(0.05, 0, 0.75, 0, 0.02)}} for t in (CYCLES, FIVE_LAYERS)}
    bars = {target.what: target for target in targets(protocol, found, "net")}
    assert bars["Cycles: MAE over best rival's"].value == pytest.approx(0.5)
    assert bars["Cycles: delta1 above best rival's"].value == pytest.approx(-0.05)
    assert math.isnan(bars["Cycles: confident half over all, pooled"].value)
    assert not bars["Five layers: MAE"].met
    assert [tuned_for(title) for title in (of_slices(3), misaligned(0), FIVE_LAYERS, CYCLES)] == [
        *("Procedural", "Procedural", FIVE_LAYERS, "Others")
    ]


# --- path-traced stacks on disk --------------------------------------------------------------------------


def test_rendered_stacks_are_read_and_checked(tmp_path, rendered):
    choice = SceneChoice("plain", 1, 6.0)
    wanted = CyclesSet((choice, SceneChoice("mixed", 2, 8.0, textured=True)), (40, 48), 3)
    rendered.save(tmp_path / choice.file)
    (read,) = thin_lens_stacks(wanted, tmp_path, None, 1, print)
    assert (read.name, read.max_coc_px) == ("plain_1", 6.0)
    assert np.array_equal(read.pictures, rendered.pictures)
    assert np.array_equal(read.stack.positions, rendered.focus)
    with pytest.raises(ValueError, match="give --textures"):
        list(thin_lens_stacks(wanted, tmp_path, None, None, print))
    with pytest.raises(ValueError, match="the protocol wants"):
        list(thin_lens_stacks(replace(wanted, n_slices=4), tmp_path, None, 1, print))
    (tmp_path / choice.file).write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"plain_1.npz: not a rendered focal stack"):
        list(thin_lens_stacks(wanted, tmp_path, None, 1, print))


def test_textures_are_held_out(tmp_path, half_sharp):
    (tmp_path / "a").mkdir()
    for name in ("a/one.png", "two.png"):
        write_picture(half_sharp[1], tmp_path / name)
    pack = PhotoPack(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), ("a/one.png",))
    with held_out_textures(tmp_path, pack) as folder:
        assert [path.resolve() for path in folder.iterdir()] == [(tmp_path / "a/one.png").resolve()]
    with held_out_textures(tmp_path, None) as folder:
        assert folder == tmp_path
    other = replace(pack, credits=("three.png",))
    with (
        pytest.raises(ValueError, match="none of its pictures is held out"),
        held_out_textures(tmp_path, other),
    ):
        pass


# --- end to end ------------------------------------------------------------------------------------------


def test_end_to_end(tmp_path, rendered, capsys):
    torch.manual_seed(0)
    weights = tmp_path / "mine.safetensors"
    header = {"format": FORMAT, "network": "depth", "config": json.dumps(asdict(SIZES["nano"])), "info": "{}"}
    save_file(DepthNetwork(SIZES["nano"]).state_dict(), weights, header)
    scene, protocol = tmp_path / "small.toml", tmp_path / "tiny.toml"
    scene.write_text("size = [32, 32]\n[camera]\nmax_coc_px = [6.0, 8.0]\n")
    protocol.write_text(TINY.replace("{scene}", scene.as_posix()))
    rendered.save(tmp_path / "plain_1.npz")
    common = ["depth-models", "--json", "--out", str(tmp_path / "out"), "--protocol", str(protocol)]

    assert main([*common, "--models", str(weights), "--cycles", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    tables = {table["title"]: table for table in found["tables"]}
    assert list(tables) == [
        *(
            "Procedural, aligned",
            "Procedural, 1.5 px misaligned",
            "Procedural, many small things",
            "Procedural, N = 2",
            "Five layers",
            "Cycles",
        ),
        *("Cycles, scene by scene", "Rivals", "Left out"),
    ]
    methods = ["SML + parabola", "SML + guided filter", "SML + TV", "classical", "mine"]
    assert [row["method"] for row in tables["Cycles"]["rows"]] == methods
    assert tables["Cycles"]["rows"][4]["AUSE"] > 0
    assert tables["Cycles, scene by scene"]["rows"][0]["scene"] == "plain_1, 6 px"
    assert [row["set"] for row in tables["Left out"]["rows"]] == ["RGB-D"]
    assert "--models mine.safetensors --cycles DIR" in found["command"]

    assert main([*common, "--models", "classical"]) == 2
    assert "names no network" in capsys.readouterr().err
    assert main([*common, "--models", str(weights), "--rgbd", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
