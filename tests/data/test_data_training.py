"""Three steps of training on every data set, by the command line; what a batch holds; what is refused."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import data_fakes
import numpy as np
import pytest
import torch

from dff.data.catalogue import NAMES, open_dataset
from dff.data.sample import DepthSample, Truth
from dff.model.network import NAMED, load_depth_network
from dff.recipes import load_recipe
from dff.train import export
from dff.train.__main__ import main
from dff.train.dataset_config import DatasetSourceConfig, DatasetTrainConfig
from dff.train.dataset_source import DatasetSource, open_splits, read_window

WITHOUT_TRUTH = ("mobile_depth",)
QUICKER = {
    "nyuv2": 'split = "dered_train"\nheld_out = "dered_test"\nslices = 5'
}  # on disk: nothing to render
RECIPES = tuple(name for name in NAMES if name not in WITHOUT_TRUTH)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def small_recipe(name: str, path: Path, size: int = 32, more: str = "") -> Path:
    """The recipe ``name`` with the smallest network, on windows of ``size`` px."""
    path.write_text(f"""
base = "{name}"
size = "nano"
log_every = 1
[source]
batch = 2
size = [{size}, {size}]
pool = 1
readers = 0
{more}
[augment]
slices = [2, 3]
crop = {size}
[validation]
batches = 1
slices = [3]
pictures = 1
""")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", RECIPES)
def test_three_steps(name: str, tmp_path: Path) -> None:
    getattr(data_fakes, name)(tmp_path / "data")
    recipe = small_recipe(name, tmp_path / "small.toml", more=QUICKER.get(name, ""))
    out = tmp_path / "run"
    arguments = [
        "--dataset",
        recipe,
        "--data",
        tmp_path / "data",
        "--out",
        out,
        "--steps",
        "3",
        "--threads",
        "1",
    ]
    assert main([str(word) for word in arguments]) == 0
    losses = [float(row["total"]) for row in rows(out / "train.csv")]
    assert len(losses) == 3
    assert np.isfinite(losses).all()
    (scores,) = rows(out / "validation.csv")
    assert 0 < float(scores["mae_3"]) < 1


def test_resume_and_export(tmp_path: Path) -> None:
    data_fakes.defocusnet(tmp_path / "data")
    recipe = small_recipe("defocusnet", tmp_path / "small.toml")
    data = ["--dataset", recipe, "--data", tmp_path / "data", "--threads", "1"]
    runs = (("whole", 3, []), ("parts", 2, []), ("parts", 3, ["--resume"]))
    for out, steps, more in runs:
        assert main([str(word) for word in (*data, "--out", tmp_path / out, "--steps", steps, *more)]) == 0
    losses = [[row["total"] for row in rows(tmp_path / out / "train.csv")] for out in ("whole", "parts")]
    assert losses[0] == losses[1]
    assert (
        export.main([str(tmp_path / "whole" / "checkpoint.safetensors"), str(tmp_path / "n.safetensors")])
        == 0
    )
    assert load_depth_network(tmp_path / "n.safetensors").config == NAMED["nano"]


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipes(name: str) -> None:
    config = load_recipe("train", name, DatasetTrainConfig)
    assert config.source.dataset == name


def sample(**changes: object) -> DepthSample:
    """Six slices of 40x50 px; depth rises along a row from half a dioptre before the sweep to behind it."""
    depth = data_fakes.ramp(0.5, 4.5, 40, 50).astype(np.float32)
    settings = {
        "name": "made",
        "images": list(data_fakes.pictures(0, 6, 40, 50)),
        "focus": np.array([1.0, 1.5, 2.0, 2.5, 3.0, 4.0]),
        "unit": "dioptre",
        "read_truth": lambda: Truth(depth, np.ones((40, 50), bool), np.full((40, 50), 0.25, np.float32)),
    }
    return DepthSample(**{**settings, **changes})


def config(**changes: object) -> DatasetSourceConfig:
    return DatasetSourceConfig(
        **{"dataset": "zedd", "split": "val", "held_out": "test", "size": (40, 50), **changes}
    )


def test_a_window() -> None:
    batch = read_window(sample(), config(slices=3), np.random.default_rng(0))
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "images": (1, 3, 3, 40, 50), "u": (1, 3), "target_u": (1, 40, 50), "valid": (1, 40, 50)
    }  # fmt: skip
    assert (batch["images"][0, :, 0, 0, 0] * 255).round().tolist() == [0, 2, 5]
    assert batch["u"][0].tolist() == pytest.approx([0, 1 / 3, 1])
    target = batch["target_u"][0, 0]
    assert (target[0], target[-1]) == (0, 1)
    assert target[20] == pytest.approx((0.5 + 4 * 20 / 49 - 1) / 3)
    # a pixel trusted by a quarter counts in a quarter of all draws
    assert float(batch["valid"].float().mean()) == pytest.approx(0.25, abs=0.03)


def test_known_motion_is_undone() -> None:
    rows = np.tile(np.arange(50, dtype=np.float32) / 100, (40, 1))
    shifts = [3.0, 2.0, 1.0, 0.0]
    # slice n shows at x + shift what the reference shows at x
    images = [np.repeat((rows - shift / 100).clip(0)[..., None], 3, axis=2) for shift in shifts]
    matrices = np.array([[[1, 0, shift], [0, 1, 0]] for shift in shifts], dtype=np.float64)
    moved = sample(images=images, focus=np.arange(4.0), matrices=matrices, reference=3)
    seen = read_window(moved, config(slices=2, misalignment_px=0.0), np.random.default_rng(0))["images"]
    assert torch.allclose(seen[0, 0, :, :, 5:-5], seen[0, 1, :, :, 5:-5], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        ({}, {"slices": 7}, "made: has 6 slices; set source.slices, now 7"),
        (
            {},
            {"slices": 3, "size": (64, 64)},
            r"made: 50x40 px are less than the window, source.size \[64, 64\]",
        ),
        ({"read_truth": None}, {"slices": 3}, "made: has no true depth"),
        (
            {"images": [np.zeros((8, 8, 3), np.uint8)] * 6},
            {"slices": 3},
            "depth is 50x40 px, the slices are 8x8 px",
        ),
    ],
)
def test_what_does_not_fit(changes: dict, settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_window(sample(**changes), config(**settings), np.random.default_rng(0))


def test_samples_far_first() -> None:
    with pytest.raises(ValueError, match=r"made: focus \[dioptre\] must rise from the farthest slice"):
        sample(focus=np.arange(6.0)[::-1])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "ddff12: give the folder of the data set with --data; expected: DIR/ddff-dataset-trainval.h5"),
        (["--data", "nowhere"], "nowhere: no such file or folder; ddff12 is expected as"),
    ],
)
def test_the_folder_is_asked_for(
    given: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--dataset", "ddff12", "--out", "run", *given]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"dff.train: {words}")
    assert told.count("\n") == 1
    assert not Path("run").exists()


def test_split_and_held_out_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="held_out_every goes with one split for both"):
        config(held_out="val")
    with pytest.raises(ValueError, match="zedd: no split 'train'; choose from val, test"):
        config(split="train")


def test_open_dataset_by_hand(tmp_path: Path) -> None:
    samples = open_dataset("folder", data_fakes.folder(tmp_path / "data"), "all")
    assert samples.names == ("000000", "000001", "000002")
    first = samples[0]
    truth = first.truth()
    assert (first.unit, first.images[0].dtype) == ("dioptre", np.uint8)
    assert first.matrices is not None
    assert truth.valid.any()
    assert 0.2 < float(np.median(truth.depth[truth.valid])) < 20


def test_a_batch_is_a_function_of_the_step(tmp_path: Path) -> None:
    """However it is read: ahead, at once, in order, or after a resume."""
    data_fakes.defocusnet(tmp_path / "data")
    recipe = small_recipe("defocusnet", tmp_path / "small.toml")
    found = []
    for readers, steps in ((2, (0, 1, 2, 3, 4)), (0, (0, 1, 2, 3, 4)), (2, (4,))):
        settings = load_recipe("train", recipe, DatasetTrainConfig)
        source = replace(settings.source, pool=3, readers=readers, folder=str(tmp_path / "data"))
        settings = replace(settings, source=source)
        made = DatasetSource(settings, open_splits(source)[0], seed=5)
        batches = [made(step) for step in steps]
        found.append(batches[-1])
        for name, value in found[0].items():
            assert torch.equal(found[-1][name], value), name
