"""A training run that takes a second, and a few patches for autofocus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dff.recipes import load_recipe
from dff.train.autofocus_patches import main as make_patches
from dff.train.config import TrainConfig


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With train.h5 and val.h5, patches of 32 px."""
    place = tmp_path_factory.mktemp("patches")
    for split in ("train", "val"):
        told = ["--split", split, "--scenes", "2", "--size", "32", "--region", "64"]
        assert make_patches([str(place / f"{split}.h5"), *told]) == 0
    return place


@pytest.fixture
def config() -> TrainConfig:
    """The debug recipe, on yet smaller pictures."""
    recipe = load_recipe("train", "debug", TrainConfig)
    simulation = replace(recipe.source.simulation, size=(48, 48))
    return replace(
        recipe,
        source=replace(recipe.source, simulation=simulation),
        augment=replace(recipe.augment, crop=32),
    )
