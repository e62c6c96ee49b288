"""Both networks trained together: their batches, the network, the loop on the debug recipe, and export."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dff.flow import affine_flow, warp
from dff.model.alignment import AlignmentConfig, AlignmentNetwork, load_alignment_network
from dff.model.network import SIZES, DepthNetwork, load_depth_network
from dff.recipes import load_recipe
from dff.train import checkpoint, export
from dff.train.__main__ import main
from dff.train.augment import Batch
from dff.train.distributed import World
from dff.train.joint_config import JointTrainConfig
from dff.train.joint_network import JointNetwork
from dff.train.joint_source import JointSource, held_out_joint, shown_in_focus, thinned
from dff.train.loop import RunOptions, train
from dff.train.tasks import load_config

HERE = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def recipe() -> JointTrainConfig:
    return load_recipe("train", "joint_debug", JointTrainConfig)


@pytest.fixture(scope="module")
def batch(recipe: JointTrainConfig) -> Batch:
    return held_out_joint(recipe, 0, None, "cpu")[0]


def test_the_truth_moves_with_the_reference(batch: Batch) -> None:
    """Seen from another slice, depth lies where that slice shows the things; and back again."""
    whole = torch.arange(4).expand(2, 4)
    other = thinned(batch, whole, 0)
    assert int(other["reference"]) == 0
    flow = affine_flow(other["matrices"][:, -1], 64, 64).float()
    expected = warp(batch["target_u"][:, None], flow, "nearest")[:, 0]
    assert torch.equal(other["target_u"], expected)
    assert not bool(other["valid"].all())
    again = thinned(other, whole, 3)
    inside = again["valid"]
    assert float(inside.float().mean()) > 0.7
    assert float((again["target_u"] - batch["target_u"]).abs()[inside].median()) == 0
    torch.testing.assert_close(again["matrices"], batch["matrices"])
    assert torch.equal(thinned(batch, whole, 3)["target_u"], batch["target_u"])


def test_the_reference_may_be_gone(batch: Batch) -> None:
    chosen = torch.tensor([[0, 2], [1, 2]])
    kept = thinned(batch, chosen, 1)
    assert torch.equal(kept["images"][1, 0], batch["images"][1, 1])
    assert torch.equal(kept["u"], torch.tensor([[0.0, 1.0]]).expand(2, 2))
    still = torch.eye(2, 3, dtype=torch.float64).expand(2, 2, 3)
    torch.testing.assert_close(kept["matrices"][:, 1], still)


def test_pixels_that_no_slice_in_focus_shows_do_not_count() -> None:
    away = torch.eye(2, 3, dtype=torch.float64).repeat(1, 3, 1, 1)
    away[0, 0, 0, 2] = 3.0  # of the farthest slice, the three columns on the right are missing
    target = torch.full((1, 8, 8), 0.3)
    target[:, 4:] = 0.9
    shown = shown_in_focus({"matrices": away, "u": torch.tensor([[0, 0.5, 1]]), "target_u": target})
    assert bool(shown[0, 4:].all())
    assert shown[0, 0].tolist() == [True] * 5 + [False] * 3


def test_a_step_can_be_made_again_in_any_order(recipe: JointTrainConfig) -> None:
    source, fresh = JointSource(recipe, 5), JointSource(recipe, 5)
    made = [source(step) for step in range(3)]
    again = fresh(2)
    assert all(torch.equal(made[2][name], again[name]) for name in again)
    count = again["images"].shape[1]
    assert again["target_u"].shape == again["valid"].shape == (2, 64, 64)
    assert again["matrices"].shape == (2, count, 2, 3)
    assert float(again["u"].min()) == 0


def test_depth_teaches_alignment_and_the_norm_stands_still() -> None:
    torch.manual_seed(0)
    alignment = AlignmentNetwork(AlignmentConfig(channels=4, stem=1, radius=0, head="pool", norm="batch"))
    network = JointNetwork(alignment, DepthNetwork(SIZES["nano"])).train()
    assert network.depth.training
    before = {name: value.clone() for name, value in alignment.named_buffers()}
    images = torch.rand(1, 3, 3, 32, 32)
    output = network(images, torch.tensor([[0.0, 0.4, 1.0]]), 2)
    assert output.depth.u.shape == (1, 32, 32)
    output.depth.u.mean().backward()
    slope = alignment.heads[-1].out.conv.weight.grad
    assert slope is not None
    assert float(slope.abs().max()) > 0
    assert all(torch.equal(value, before[name]) for name, value in alignment.named_buffers())


# --- the loop --------------------------------------------------------------------------------------------


def run(config: JointTrainConfig, out: Path, **options: object) -> list[dict[str, str]]:
    torch.set_num_threads(1)
    out.mkdir(exist_ok=True)
    train(config, RunOptions(out=out, **options), HERE, say=lambda text: None)  # type: ignore[arg-type]
    with (out / "train.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_both_losses_fall(recipe: JointTrainConfig, tmp_path: Path) -> None:
    found = run(replace(recipe, steps=12, log_every=4), tmp_path)
    assert float(found[-1]["total"]) < 0.8 * float(found[0]["total"])
    assert float(found[-1]["corner_px"]) < 0.8 * float(found[0]["corner_px"])
    with (tmp_path / "validation.csv").open(newline="") as file:
        scores = list(csv.DictReader(file))[-1]
    assert 0 < float(scores["mae_4"]) < 0.5
    assert 0 < float(scores["mae_true_4"]) < 0.5
    assert 0 < float(scores["corner_median_4"]) < 3
    assert (tmp_path / "validation.png").is_file()


def test_same_seed_same_loss_and_resume_is_exact(recipe: JointTrainConfig, tmp_path: Path) -> None:
    config = replace(recipe, log_every=1)
    whole = run(config, tmp_path / "whole", steps=4)
    run(config, tmp_path / "parts", steps=2)
    parts = run(config, tmp_path / "parts", steps=4, resume=True)
    assert [row["total"] for row in parts] == [row["total"] for row in whole]
    one, other = (checkpoint.read(tmp_path / name / checkpoint.NAME)[0] for name in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_two_files_out_and_in_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--dataset", "joint_debug", "--threads", "1"]
    assert main([*arguments, "--steps", "1", "--out", str(tmp_path / "first")]) == 0
    out = str(tmp_path / "net.safetensors")
    assert export.main([str(tmp_path / "first" / checkpoint.NAME), out, "--no-half"]) == 0
    files = [tmp_path / f"net_{kind}.safetensors" for kind in ("depth", "alignment")]
    assert load_alignment_network(files[1]).config.channels == 8
    assert load_depth_network(files[0]).config == SIZES["nano"]
    more = ["--steps", "0", "--seed", "7", "--weights", *map(str, files)]
    assert main([*arguments, *more, "--out", str(tmp_path / "second")]) == 0
    first, second = (
        checkpoint.part(checkpoint.read(tmp_path / name / checkpoint.NAME)[0], "averaged/")
        for name in ("first", "second")
    )
    assert all(torch.equal(second[name], value) for name, value in first.items())
    wrong = ["--dataset", "debug", "--weights", str(files[1]), "--out", str(tmp_path / "third")]
    capsys.readouterr()
    assert main(wrong) == 2
    assert "weights for alignment; this recipe trains depth" in capsys.readouterr().err


def test_recipes_say_what_they_train(tmp_path: Path) -> None:
    assert isinstance(load_config("joint"), JointTrainConfig)
    assert load_config("alignment_handheld").network.names == ("zoom", "x", "y", "rotation")
    assert load_config("alignment_wild").loss.kind == "photometric"
    other = tmp_path / "other.toml"
    other.write_text('task = "tracking"\n')
    with pytest.raises(ValueError, match="no task 'tracking'; give depth, alignment, joint"):
        load_config(str(other))
