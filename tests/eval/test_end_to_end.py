"""The benchmark of depth behind every alignment, on two tiny stacks; networks' rows in the others."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dff.eval import alignment_real, alignment_simulated, end_to_end
from dff.eval.__main__ import main
from dff.eval.baselines.aligners import NETWORK, POLISHED, aligners
from dff.learned_alignment import load_aligner
from dff.model.alignment import AlignmentConfig, AlignmentNetwork
from dff.models import load_model
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig, simulate
from dff.stack import FocalStack
from dff.weights import FORMAT

SCENE = """
size = [96, 96]
[scene]
textures = ["noise"]
plain_share = 0.0
dark_share = 0.0
flat_share = 0.0
[camera]
n_slices = [4, 4]
max_coc_px = [6.0, 8.0]
breathing_px = [2.0, 3.0]
sensors = [{ shot = [1e-5, 1e-4] }]
[camera.motion]
zoom_px = 0.5
shift_px = 2.0
"""


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SCENE)
    return path


@pytest.fixture
def untrained(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = AlignmentConfig(channels=4, iterations=(1, 1, 1))
    path = tmp_path / "mine.safetensors"
    header = {"format": FORMAT, "network": "alignment", "config": json.dumps(asdict(config)), "info": "{}"}
    save_file(AlignmentNetwork(config).state_dict(), path, header)
    return path


def end_to_end_protocol(tmp_path: Path, scene: Path, default: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(
        f'scenes = ["{scene.as_posix()}"]\ndefault = "{default}"\nratio = 9.0\n'
        "[seeds]\nfirst = 1\ncount = 2\n"
    )
    return str(path)


def test_the_protocols_of_the_project_are_read() -> None:
    protocol = load_recipe("eval", end_to_end.NAME, end_to_end.Protocol)
    for name in protocol.scenes:
        motion = load_recipe("simulator/scenes", name, SimulationConfig).taken_with().motion
        assert motion.shift_px > 0
    simulated = load_recipe("eval", alignment_simulated.NAME, alignment_simulated.Protocol)
    assert simulated.network_targets["align_strong"] == {"rms": 0.40, "median": 0.22}
    assert load_recipe("eval", alignment_real.NAME, alignment_real.Protocol).targets.network_ratio == 1


def test_every_row(tmp_path: Path, scene: Path, untrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    protocol = end_to_end_protocol(tmp_path, scene, "direct (ours)")
    options = ["--aligner", str(untrained), "--json", "--out", str(tmp_path / "out"), "--protocol", protocol]
    assert main(["end-to-end", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = "python -m dff.eval end-to-end --model base --aligner mine.safetensors --protocol mine.toml"
    assert found["command"] == wanted
    by_method = {row["alignment"]: row for row in found["tables"][0]["rows"]}
    assert list(by_method) == [
        "unaligned",
        "metadata",
        "direct (ours)",
        "network",
        "network + direct",
        "true alignment",
    ]
    true = by_method["true alignment"]
    assert (true["over true"], true["corner rms [px]"], true["CPU [ms/stack]"]) == (1, 0, None)
    assert by_method["direct (ours)"]["corner rms [px]"] < 0.5 * by_method["unaligned"]["corner rms [px]"]
    assert by_method["metadata"]["corner rms [px]"] < by_method["unaligned"]["corner rms [px]"]
    assert true["MAE"] < by_method["unaligned"]["MAE"]
    assert [target["met"] for target in found["targets"]] == [True]


def test_without_a_network_its_rows_are_left_out(
    tmp_path: Path, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    options = ["--limit", "1", "--out", out, "--protocol"]
    assert main(["end-to-end", *options, end_to_end_protocol(tmp_path, scene, "unaligned")]) == 0
    printed = capsys.readouterr().out
    assert "network and network + direct are left out: no --aligner" in printed
    assert "| network" not in printed
    assert main(["end-to-end", *options, end_to_end_protocol(tmp_path, scene, NETWORK)]) == 2
    assert "this row needs an alignment network; give --aligner" in capsys.readouterr().err
    assert main(["end-to-end", *options, end_to_end_protocol(tmp_path, scene, "best")]) == 2
    assert "default: no row 'best'" in capsys.readouterr().err


def test_the_true_alignment_is_scored_without_error(scene: Path) -> None:
    known = simulate(load_recipe("simulator/scenes", str(scene), SimulationConfig), 0)
    stack = FocalStack(known.stack.slices, known.stack.focus)
    model = load_model("classical")
    true = end_to_end.score_alignment(model, stack, known, known.matrices)
    assert not true.corners_px.any()
    off = known.matrices.copy()
    off[0, :, 2] += [3, 4]
    shifted = end_to_end.score_alignment(model, stack, known, off)
    np.testing.assert_allclose(shifted.corners_px, [5, 0, 0])
    assert 0 < true.mae < 0.3


def test_networks_stand_beside_the_other_aligners(
    tmp_path: Path, scene: Path, untrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(aligners((), load_aligner(str(untrained))))[-2:] == [NETWORK, POLISHED]
    protocol = tmp_path / "sim.toml"
    protocol.write_text(
        f'scenes = ["{scene.as_posix()}"]\necc_scales = []\n[seeds]\nfirst = 3\ncount = 1\n'
        f'[network_targets."{scene.as_posix()}"]\nmedian = 9.0\n'
    )
    options = ["--aligner", str(untrained), "--out", str(tmp_path / "out"), "--protocol", str(protocol)]
    assert main(["alignment-simulated", *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in found["tables"][0]["rows"]][-2:] == [NETWORK, POLISHED]
    assert [target["what"] for target in found["targets"]] == [
        f"{scene.as_posix()}: corner error median of network + direct [px]"
    ]


def test_networks_on_real_stacks(
    tmp_path: Path, write_slices, breathing_slices, untrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_slices(tmp_path / "data" / "tiny", breathing_slices)
    protocol = tmp_path / "real.toml"
    protocol.write_text(
        "ecc_scale = 1.0\nruns = 1\n[zoom_last_over_first]\ntiny = 1.02\n"
        "[targets]\nresidual_ratio = 1.0\ncpu_ratio = 1.5\nzoom_error = 0.003\n"
    )
    options = ["--data", str(tmp_path / "data"), "--aligner", str(untrained), "--protocol", str(protocol)]
    assert main(["alignment-real", *options, "--out", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in found["tables"][0]["rows"]][-2:] == [NETWORK, POLISHED]
    assert len(found["targets"]) == 7
    assert "better in the worst slice" in found["targets"][-1]["what"]
