"""A training run that takes a second."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dff.recipes import load_recipe
from dff.train.config import TrainConfig


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


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
