"""Training of the alignment network: its batches, its losses, and the loop on its debug recipe."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dff.flow import affine_flow, warp
from dff.model.alignment import AlignmentConfig, AlignmentNetwork, load_alignment_network
from dff.recipes import load_recipe
from dff.train import checkpoint, export
from dff.train.__main__ import main
from dff.train.alignment_config import AlignmentLossConfig, AlignmentTrainConfig
from dff.train.alignment_losses import alignment_loss, photometric_error, robust, true_pair_flow
from dff.train.alignment_source import (
    MovingSource,
    crop,
    doubt_metadata,
    even_moving_slices,
    held_out_moving,
    seen_from,
    turn,
)
from dff.train.augment import Batch
from dff.train.distributed import World
from dff.train.loop import RunOptions, train

HERE = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def recipe() -> AlignmentTrainConfig:
    return load_recipe("train", "alignment_debug", AlignmentTrainConfig)


@pytest.fixture(scope="module")
def batch(recipe: AlignmentTrainConfig) -> Batch:
    return held_out_moving(recipe, 0, None, "cpu")[0]


def left_over(batch: Batch) -> float:
    """Mean difference of the reference and the slices brought onto it by the true motion, inside."""
    images, reference = batch["images"], int(batch["reference"])
    flow = affine_flow(batch["matrices"].flatten(0, 1), *images.shape[-2:]).float()
    warped = warp(images.flatten(0, 1), flow).unflatten(0, images.shape[:2])
    gap = (warped - images[:, reference : reference + 1]).abs()
    return float(gap[..., 6:-6, 6:-6].mean())


def test_motions_go_with_the_pictures_through_every_augmentation(batch: Batch) -> None:
    """Whatever is done, the true motion still brings the slices together, and no other does as well."""
    generator = torch.Generator().manual_seed(4)
    still = torch.eye(2, 3, dtype=torch.float64).expand_as(batch["matrices"])
    assert left_over(batch) < 0.7 * left_over(batch | {"matrices": still})
    usual = left_over(batch)
    for changed in (
        seen_from(batch, 1),
        crop(batch, 48, generator),
        turn(batch, generator),
        turn(crop(seen_from(batch, 0), 56, generator), generator),
        even_moving_slices(batch, 3),
    ):
        assert left_over(changed) < 1.25 * usual
        reference = changed["matrices"][:, int(changed["reference"])]
        torch.testing.assert_close(reference, torch.eye(2, 3, dtype=torch.float64).expand_as(reference))


def test_metadata_is_wrong_or_missing_but_keeps_its_order(recipe: AlignmentTrainConfig) -> None:
    fov = torch.tensor([[1.06, 1.03, 1.0]]).expand(200, 3)
    told = doubt_metadata(fov, recipe.source, torch.Generator().manual_seed(0))
    unknown = (told == 1).all(dim=1)
    assert 0.45 < float(unknown.float().mean()) < 0.75
    growth = (told[~unknown] - 1) / (fov[~unknown] - 1).clamp_min(1e-9)
    assert 0.5 <= float(growth[:, 0].min()) < 0.6
    assert 1.4 < float(growth[:, 0].max()) <= 1.5


def test_a_step_can_be_made_again_in_any_order(recipe: AlignmentTrainConfig) -> None:
    source, fresh = MovingSource(recipe, 5), MovingSource(recipe, 5)
    made = [source(step) for step in range(3)]
    again = fresh(2)
    assert all(torch.equal(made[2][name], again[name]) for name in again)
    assert not torch.equal(made[0]["images"], made[1]["images"])
    count = made[0]["images"].shape[1]
    assert recipe.augment.slices[0] <= count <= recipe.augment.slices[1]
    assert made[0]["matrices"].shape == (2, count, 2, 3)


def test_the_robust_difference_is_that_of_the_paper() -> None:
    values = torch.tensor([0.0, 0.09, -0.99])
    torch.testing.assert_close(robust(values), torch.tensor([0.01**0.4, 0.1**0.4, 1.0]))


@pytest.mark.parametrize("pairing", ["reference", "chained"])
def test_losses_are_least_at_the_truth(batch: Batch, pairing: str) -> None:
    network = AlignmentNetwork(AlignmentConfig(channels=4, pairing=pairing, names=("zoom", "x", "y")))
    seen = seen_from(batch, 1)
    with torch.no_grad():
        output = network(seen["images"], 1)
    truth = true_pair_flow(output, seen["matrices"]).unflatten(0, output.coefficients[0].shape[:2])
    # coefficients of the true motion, read off its matrices
    pairs = len(output.others)
    height, width = seen["images"].shape[-2:]
    middle = truth[..., height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1].mean(dim=(-1, -2))
    stretch = (truth[:, :, 0, 0, -1] - truth[:, :, 0, 0, 0]) / (width - 1)
    exact = torch.cat((1 / (1 + stretch[..., None]) - 1, middle), dim=-1)
    assert exact.shape == (2, pairs, 3)
    config = AlignmentLossConfig()
    found = []
    for off in (0.0, 0.5, 2.0):
        output.coefficients = [exact + torch.tensor([0.0, off, 0.0])] * 2
        parts = alignment_loss(output, seen["images"], seen["matrices"], config)
        assert float(parts["corner_px"]) == pytest.approx(off, abs=0.02)
        found.append((float(parts["total"]), float(photometric_error(seen["images"], output))))
    assert found == sorted(found)
    assert found[0][1] < found[1][1] < found[2][1]


def test_the_loss_has_a_finite_slope_even_without_any_motion() -> None:
    network = AlignmentNetwork(AlignmentConfig(channels=4))
    images = torch.rand(1, 3, 3, 32, 32)
    still = torch.eye(2, 3, dtype=torch.float64).expand(1, 3, 2, 3)
    for kind in ("corner", "photometric"):
        output = network(images, 0)
        config = AlignmentLossConfig(kind=kind)  # type: ignore[arg-type]
        network.zero_grad()
        alignment_loss(output, images, still, config)["total"].backward()
        slopes = [p.grad for p in network.parameters() if p.grad is not None]
        assert slopes
        assert all(bool(slope.isfinite().all()) for slope in slopes)


# --- the loop --------------------------------------------------------------------------------------------


def run(config: AlignmentTrainConfig, out: Path, **options: object) -> list[dict[str, str]]:
    torch.set_num_threads(1)
    out.mkdir(exist_ok=True)
    train(config, RunOptions(out=out, **options), HERE, say=lambda text: None)  # type: ignore[arg-type]
    with (out / "train.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_error_falls_and_files_appear(recipe: AlignmentTrainConfig, tmp_path: Path) -> None:
    found = run(replace(recipe, steps=24, log_every=6), tmp_path)
    totals, errors = ([float(row[name]) for row in found] for name in ("total", "corner_px"))
    assert totals[-1] < 0.85 * totals[0]
    assert errors[-1] < 0.6 * errors[0]
    assert {path.name for path in tmp_path.iterdir()} == {
        "checkpoint.safetensors",
        "train.csv",
        "validation.csv",
        "validation.png",
    }
    with (tmp_path / "validation.csv").open(newline="") as file:
        scores = list(csv.DictReader(file))[-1]
    assert 0 < float(scores["median_4"]) <= float(scores["p90_4"])
    assert float(scores["rms_4"]) < float(scores["unaligned_rms_4"])


def test_training_without_truth_runs_too(recipe: AlignmentTrainConfig, tmp_path: Path) -> None:
    loss = AlignmentLossConfig(kind="photometric")
    network = replace(recipe.network, head="pool", pairing="chained")
    found = run(replace(recipe, loss=loss, network=network, log_every=1), tmp_path, steps=2)
    assert all(float(row["total"]) > 0 for row in found)


def test_same_seed_same_loss_and_resume_is_exact(recipe: AlignmentTrainConfig, tmp_path: Path) -> None:
    config = replace(recipe, log_every=1)
    whole = run(config, tmp_path / "whole", steps=5)
    run(config, tmp_path / "parts", steps=3)
    parts = run(config, tmp_path / "parts", steps=5, resume=True)
    assert [row["total"] for row in parts] == [row["total"] for row in whole]
    one, other = (checkpoint.read(tmp_path / name / checkpoint.NAME)[0] for name in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [row["total"] for row in run(config, tmp_path / "c", steps=2, seed=2)] != [
        row["total"] for row in whole[:2]
    ]


def test_from_the_command_line_to_exported_weights(tmp_path: Path) -> None:
    arguments = ["--dataset", "alignment_debug", "--threads", "1", "--steps", "2"]
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 0
    out = tmp_path / "net.safetensors"
    assert export.main([str(tmp_path / "run" / checkpoint.NAME), str(out)]) == 0
    network = load_alignment_network(out)
    assert network.config.channels == 8
    with torch.inference_mode():
        assert network(torch.rand(1, 3, 3, 40, 40), 0).matrices.shape == (1, 3, 2, 3)


def test_wrong_recipes_are_told(recipe: AlignmentTrainConfig) -> None:
    with pytest.raises(ValueError, match="9 slices wanted"):
        replace(recipe, augment=replace(recipe.augment, slices=(3, 9)))
    with pytest.raises(ValueError, match="crop of 96 px"):
        replace(recipe, augment=replace(recipe.augment, crop=96))
    with pytest.raises(ValueError, match="reuse and pool"):
        replace(recipe.source, pool=0)
    with pytest.raises(ValueError, match="corner_px"):
        AlignmentLossConfig(corner_px=0)


def test_the_recipe_reads() -> None:
    config = load_recipe("train", "alignment", AlignmentTrainConfig)
    assert config.network.head == "wls"
