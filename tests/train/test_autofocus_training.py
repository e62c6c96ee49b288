"""Autofocus networks in the training loop, on a handful of patches."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dff.autofocus.load import load_autofocus
from dff.data.af_patches import SimulatedPatches
from dff.recipes import load_recipe, recipe_names
from dff.train import checkpoint, export
from dff.train.__main__ import main
from dff.train.autofocus_config import AutofocusTrainConfig
from dff.train.autofocus_patches import main as make
from dff.train.autofocus_source import PatchSource, at_patches
from dff.train.autofocus_task import AutofocusTask
from dff.train.distributed import World
from dff.train.loop import RunOptions, train

HERE = World(0, 1, torch.device("cpu"))


@pytest.fixture
def config(folder: Path) -> AutofocusTrainConfig:
    return at_patches(load_recipe("train", "af_debug", AutofocusTrainConfig), folder)


def run(config: AutofocusTrainConfig, out: Path, **options: object) -> list[dict[str, str]]:
    out.mkdir(exist_ok=True)
    train(config, RunOptions(out=out, **options), HERE, None, lambda line: None)  # type: ignore[arg-type]
    with (out / "train.csv").open() as file:
        return list(csv.DictReader(file))


def test_resume_is_exact_and_agreement_counts_from_half_way(
    config: AutofocusTrainConfig, tmp_path: Path
) -> None:
    config = replace(config, log_every=1)
    whole = run(config, tmp_path / "whole")
    run(config, tmp_path / "parts", steps=2)
    parts = run(config, tmp_path / "parts", resume=True)
    assert [row["total"] for row in parts] == [row["total"] for row in whole]
    one, other = (checkpoint.read(tmp_path / name / checkpoint.NAME)[0] for name in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows = run(config, tmp_path / "whole", resume=True, decay=True)
    assert len(rows) == 8
    agreed = [float(row["total"]) > float(row["ordinal"]) for row in rows]
    assert agreed == [False] * 4 + [True] * 4
    assert (tmp_path / "whole" / "validation.png").is_file()


def test_batches_are_a_function_of_the_step(config: AutofocusTrainConfig, folder: Path) -> None:
    patches = SimulatedPatches(folder / "train.h5")
    one, other = (PatchSource(config, patches, 3) for _ in range(2))
    other(7)
    a, b = one(2), other(2)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert a["frames"].shape == (6, 1, 2, 32, 32)
    assert a["index"].shape == (6, 1)
    assert a["target"].shape == (2,)
    assert not torch.equal(PatchSource(config, patches, 4)(2)["index"], a["index"])
    assert not torch.equal(PatchSource(config, patches, 3, rank=1)(2)["index"], a["index"])


def test_a_mirrored_patch_has_mirrored_halves_and_places(config: AutofocusTrainConfig, folder: Path) -> None:
    patches = SimulatedPatches(folder / "train.h5")
    plain = replace(config, source=replace(config.source, flip=False))
    found = set()
    for step in range(12):
        changed, same = PatchSource(config, patches, 0)(step), PatchSource(plain, patches, 0)(step)
        for k in (0, 3):
            frames, place = same["frames"][k], same["place"][k]
            kinds = {
                "none": (frames, place),
                "x": (frames.flip(-1, -3), torch.stack([1 - place[0], place[1]]).flip(-1)),
                "y": (frames.flip(-2), torch.stack([place[0], 1 - place[1]]).flip(-2)),
                "both": (frames.flip(-1, -2, -3), 1 - place.flip(-1, -2)),
            }
            alike = [name for name, (one, _) in kinds.items() if torch.equal(changed["frames"][k], one)]
            assert len(alike) == 1
            torch.testing.assert_close(changed["place"][k], kinds[alike[0]][1])
            found.add(alike[0])
    assert found == {"none", "x", "y", "both"}


def test_windows_are_cut_with_their_places(config: AutofocusTrainConfig, tmp_path: Path) -> None:
    assert make([str(tmp_path / "train.h5"), "--scenes", "1", "--size", "48", "--region", "48"]) == 0
    patches = SimulatedPatches(tmp_path / "train.h5")
    source = replace(config.source, crop=32, scenes=1, flip=False)
    batch = PatchSource(replace(config, source=source), patches, 0)(0)
    assert batch["frames"].shape[-2:] == (32, 32)
    x, y = (batch["place"][0, :, 0, 0] * torch.tensor([2016.0, 1512.0])).floor().long().tolist()
    x, y = x - int(patches.corner[0, 0]), y - int(patches.corner[0, 1])
    whole = torch.from_numpy(patches.frames(0, batch["index"][0].numpy()))
    torch.testing.assert_close(batch["frames"][0], whole[..., y : y + 32, x : x + 32])


def test_the_second_step_sees_the_first_ones_answer(config: AutofocusTrainConfig, tmp_path: Path) -> None:
    run(config, tmp_path / "first", steps=1)
    out = tmp_path / "first.safetensors"
    assert export.main([str(tmp_path / "first" / checkpoint.NAME), str(out), "--no-half"]) == 0
    network = replace(config.network, steps=2)
    second = replace(config, network=network, source=replace(config.source, first=str(out)))
    task = AutofocusTask(second)
    batch = task.source(0, 0, None, HERE.device)(0)
    assert batch["frames"].shape[1] == 2
    first = load_autofocus(out)
    with torch.no_grad():
        said = first(batch["frames"][:, :1], batch["index"][:, :1], batch["place"]).argmax(-1)
    assert torch.equal(batch["index"][:, 1], said)
    rows = run(second, tmp_path / "second", steps=2)
    assert np.isfinite(float(rows[-1]["total"]))


def test_exported_weights_answer_as_the_averaged_network(
    config: AutofocusTrainConfig, tmp_path: Path
) -> None:
    config = replace(config, source=replace(config.source, crop=32))
    run(config, tmp_path / "run", steps=2)
    out = tmp_path / "net.safetensors"
    assert export.main([str(tmp_path / "run" / checkpoint.NAME), str(out)]) == 0
    loaded = load_autofocus(out)
    assert loaded.config == replace(config.network, window=32)
    averaged = checkpoint.part(checkpoint.read(tmp_path / "run" / checkpoint.NAME)[0], "averaged/")
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, averaged[name], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "name", [name for name in recipe_names("train") if name.startswith(("af_afpe", "af_l2a"))]
)
def test_recipes_of_the_papers(name: str) -> None:
    config = load_recipe("train", name, AutofocusTrainConfig)
    layout, problem = name.split("_")[1:3]
    assert config.network.layout == layout
    assert config.network.problem.lower().replace("*", "star") == problem
    assert config.source.batch == 128
    assert config.progress(config.steps) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "problem", "weight"),
    [("af_small", "D1", 4.0), ("af_small_long", "D1", 4.0), ("af_small_i1", "I1", 1.0)],
)
def test_small_recipes_switch_the_agreement_on_half_way(name: str, problem: str, weight: float) -> None:
    config = load_recipe("train", name, AutofocusTrainConfig)
    assert (config.network.layout, config.network.problem, config.network.width) == ("afpe", problem, 0.5)
    assert (config.loss.divergence_weight, config.loss.msd_weight) == (weight, weight)
    assert config.progress(config.steps) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--data: give the folder of the patches"),
        (["--data", "nowhere"], "no such file of patches"),
    ],
)
def test_errors_are_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--dataset", "af_debug", "--out", str(tmp_path / "run"), *options]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told


def test_ladders_and_steps_must_fit(config: AutofocusTrainConfig, folder: Path) -> None:
    short = replace(config, network=replace(config.network, count=20))
    with pytest.raises(ValueError, match="49 slices; the network's ladder has 20"):
        at_patches(short, folder)
    with pytest.raises(ValueError, match=r"source\.first"):
        replace(config, network=replace(config.network, steps=2))
