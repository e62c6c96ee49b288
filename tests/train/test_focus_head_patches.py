"""Patches of a file as stacks for the autofocus head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dff.data.af_patches import SimulatedPatches
from dff.recipes import load_recipe
from dff.train.__main__ import main
from dff.train.augment import Batch
from dff.train.focus_head_config import FocusHeadSourceConfig, FocusHeadTrainConfig
from dff.train.focus_head_patches import cut_motion, patch_stacks, with_patches
from dff.train.focus_head_source import FocusHeadSource, sets_of, true_index
from dff.train.focus_head_task import FocusHeadTask

CPU = torch.device("cpu")


@pytest.fixture
def recipe() -> FocusHeadTrainConfig:
    """All patches; nothing recoloured or misaligned."""
    config = load_recipe("train", "af_head_debug", FocusHeadTrainConfig)
    plain = replace(config.augment, gain=(1.0, 1.0), gamma=(1.0, 1.0), swap_channels_share=0.0)
    source = replace(config.source, patches_share=1.0, misalignment_px=0.0, batch=3)
    return replace(config, augment=plain, source=source)


def stacks(recipe: FocusHeadTrainConfig, split: str, seed: int) -> Batch:
    return patch_stacks(recipe, split, seed, CPU)


def test_stacks_of_patches_have_their_truth(recipe: FocusHeadTrainConfig, folder: Path) -> None:
    recipe = with_patches(recipe, folder)
    patches = SimulatedPatches(folder / "train.h5")
    made = stacks(recipe, "train", 5)
    count = patches.count
    assert made["images"].shape == (3, count, 3, 32, 32)
    assert made["left"].shape == made["right"].shape == (3, count, 1, 32, 32)
    assert made["ladder"][0, 0] == 0
    assert made["ladder"][0, -1] == 1
    chosen = np.random.default_rng(5).choice(len(patches), 3)
    whole = torch.tensor([[[0.0, 0.0, 32.0, 32.0]]]).expand(3, -1, -1)
    found = true_index(made["dioptre"], made["valid"], whole, made["true_focus"])[:, 0]
    assert np.abs(found.numpy() - patches.index[chosen]).max() <= 1  # depth is kept in 16 bits
    again = stacks(recipe, "train", 5)
    assert all(torch.equal(made[name], again[name]) for name in made)
    assert not torch.equal(stacks(recipe, "val", 5)["images"], made["images"])


def test_a_mirror_swaps_the_halves(recipe: FocusHeadTrainConfig, folder: Path) -> None:
    recipe = with_patches(recipe, folder)
    patches = SimulatedPatches(folder / "train.h5")
    seen = set()
    for seed in range(12):
        made, random = stacks(recipe, "train", seed), np.random.default_rng(seed)
        first = int(random.choice(len(patches), 3)[0])
        across, down = (bool(random.integers(2)) for _ in range(2))
        seen.add((across, down))
        half = patches.stack(first)[patches.reference, 1 if across else 0]
        half = half[:: -1 if down else 1, :: -1 if across else 1]
        shown = made["left"][0, patches.reference, 0].numpy()  # the reference slice is not warped
        assert np.corrcoef(half.ravel(), shown.ravel())[0, 1] > 0.9
    assert len(seen) == 4


def test_held_out_batches_come_from_the_other_file(recipe: FocusHeadTrainConfig, folder: Path) -> None:
    recipe = with_patches(recipe, folder)
    network = FocusHeadTask(recipe).network()
    kept = FocusHeadSource(recipe, 0, network).stacks(7, whole=False)
    assert {"all"} < set(sets_of(kept))
    assert len(sets_of(kept)) == 1 + recipe.source.sets
    held_out = FocusHeadSource(recipe, 0, network, split="val").stacks(7, whole=True)
    assert held_out["dioptre"].shape == (3, 32, 32)
    assert not torch.equal(held_out["dioptre"], kept["dioptre"])


def test_bad_patches_are_refused(
    recipe: FocusHeadTrainConfig, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="give the folder of the patches by --patches"):
        with_patches(recipe, None)
    without = replace(recipe, source=replace(recipe.source, patches_share=0.0))
    with pytest.raises(ValueError, match="this recipe takes none"):
        with_patches(without, folder)
    assert with_patches(without, None) is without
    with pytest.raises(FileNotFoundError, match="no such file of patches"):
        with_patches(recipe, tmp_path)
    with pytest.raises(ValueError, match="patches_share"):
        FocusHeadSourceConfig(patches_share=1.5)
    assert main(["--dataset", "debug", "--out", str(tmp_path / "run"), "--patches", str(folder)]) == 2
    assert "this recipe takes none" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_parts_of_patches_at_half_their_size(recipe: FocusHeadTrainConfig, folder: Path) -> None:
    recipe = with_patches(recipe, folder)
    whole = stacks(recipe, "train", 5)
    cut = replace(recipe, source=replace(recipe.source, patch_px=16))
    assert stacks(cut, "train", 5)["left"].shape[-2:] == (16, 16)
    half = stacks(replace(cut, source=replace(cut.source, halved_share=1.0)), "train", 5)  # all of it, halved
    assert half["left"].shape[-2:] == half["dioptre"].shape[-2:] == (16, 16)
    assert torch.equal(half["blur_px"], whole["blur_px"] / 2)
    small = torch.nn.functional.avg_pool2d(whole["left"].flatten(0, 1), 2).flatten()
    assert float(torch.corrcoef(torch.stack((small, half["left"].flatten())))[0, 1]) > 0.98
    assert torch.equal(half["valid"], torch.isfinite(half["dioptre"]))
    with pytest.raises(ValueError, match=r"the recipe takes 64 of them; make larger ones"):
        stacks(replace(cut, source=replace(cut.source, patch_px=64)), "train", 5)
    with pytest.raises(ValueError, match="multiple of 8"):
        replace(cut.source, patch_px=12)


def test_motion_of_a_part_is_that_of_the_whole() -> None:
    whole = np.array([[1.02, 0.01, 3.0], [-0.01, 1.02, -2.0]])
    part = cut_motion(whole, np.array([10, 20]), 2)
    inside = np.array([4.0, 7.0])
    place = 2 * inside + 0.5 + [10, 20]
    moved = whole[:, :2] @ place + whole[:, 2]
    assert 2 * (part[:, :2] @ inside + part[:, 2]) + 0.5 + [10, 20] == pytest.approx(moved)
