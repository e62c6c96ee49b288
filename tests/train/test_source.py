"""Simulated batches: what is in them, and that they are a function of seed and step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch

from dff.simulator.camera_prior import CameraPrior
from dff.simulator.photos import PhotoPack
from dff.simulator.scene_config import SceneConfig
from dff.simulator.sensor import Sensor
from dff.train.augment import Batch
from dff.train.config import TrainConfig
from dff.train.source import SimulatedSource, even_slices, split, validation_batches


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_batch_is_what_the_network_wants(config: TrainConfig) -> None:
    batch = SimulatedSource(config, seed=0)(0)
    size, n = batch["u"].shape
    assert size == config.source.batch
    assert config.augment.slices[0] <= n <= config.augment.slices[1]
    assert batch["images"].shape == (size, n, 3, 32, 32)
    assert batch["target_u"].shape == batch["valid"].shape == (size, 32, 32)
    assert batch["valid"].dtype == torch.bool
    for name in ("images", "target_u", "u"):
        assert 0 <= float(batch[name].min()) <= float(batch[name].max()) <= 1
    assert batch["u"][:, 0].tolist() == [0] * size
    assert batch["u"][:, -1].tolist() == [1] * size


def test_sharpest_slices_lie_where_the_truth_says(config: TrainConfig) -> None:
    """Over many pixels, the u of the slice with the most contrast follows the target."""
    camera = CameraPrior(max_coc_px=(16.0, 16.0), sensors=(Sensor(shot=(1e-6, 1e-6)),))
    scene = SceneConfig(
        objects=(0, 1), textures=("noise",), plain_share=0, flat_share=0, faded_share=0, dark_share=0
    )
    simulation = replace(config.source.simulation, camera=camera, scene=scene)
    source = replace(config.source, simulation=simulation, misalignment_px=0.0, batch=6)
    config = replace(config, source=source)
    batch = validation_batches(config, seed=0)[0]
    detail = (
        batch["images"] - torch.nn.functional.avg_pool3d(batch["images"], (1, 5, 5), 1, (0, 2, 2))
    ).abs()
    energy = torch.nn.functional.avg_pool2d(detail.mean(2), 9, 1, 4)
    found = batch["u"].gather(1, energy.flatten(2).argmax(1)).flatten()
    truth = batch["target_u"].flatten()
    assert float(torch.corrcoef(torch.stack((found, truth)))[0, 1]) > 0.7


def test_a_step_can_be_made_again_in_any_order(config: TrainConfig) -> None:
    config = replace(config, source=replace(config.source, reuse=2, pool=2))
    source, fresh = SimulatedSource(config, seed=5), SimulatedSource(config, seed=5)
    made = [source(step) for step in range(5)]
    assert same(made[4], fresh(4))
    assert same(made[1], fresh(1))
    assert not same(made[0], made[1])
    assert not same(made[0], SimulatedSource(config, seed=6)(0))


def test_processes_see_other_stacks_of_equal_length(config: TrainConfig) -> None:
    first, second = (SimulatedSource(config, seed=0, rank=rank) for rank in (0, 1))
    for step in range(3):
        one, other = first(step), second(step)
        assert one["u"].shape == other["u"].shape
        assert not torch.equal(one["images"], other["images"])


def test_held_out_stacks_are_not_among_those_trained_on(config: TrainConfig) -> None:
    held_out = validation_batches(config, seed=0)[0]
    source = SimulatedSource(config, seed=0)
    source(0)
    (made,) = source._kept.values()
    assert held_out["images"].shape == made["images"].shape
    assert not torch.equal(held_out["images"], made["images"])
    assert same(held_out, validation_batches(config, seed=0)[0])


def test_even_slices_keep_both_ends(config: TrainConfig) -> None:
    thinned = even_slices(validation_batches(config, seed=0)[0], 3)
    assert thinned["u"][0].tolist() == pytest.approx([0, 0.5, 1])
    assert thinned["images"].shape[1] == 3


def test_held_out_photographs_are_not_trained_on() -> None:
    tiles = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1).expand(12, 3, 4, 4)
    photos = PhotoPack(tiles, tuple(f"{k % 6}.jpg" for k in range(12)))
    seen, unseen = split(photos)
    assert seen is not None
    assert unseen is not None
    assert set(unseen.credits) == {"4.jpg"}
    assert not set(seen.credits) & set(unseen.credits)
    assert unseen.tiles[:, 0, 0, 0].tolist() == [4, 10]
    assert len(seen) == 10
    few = PhotoPack(tiles[:2], ("a", "b"))
    assert split(few) == (few, few)
    assert split(None) == (None, None)


def test_other_versions_of_training_photographs_are_not_held_out() -> None:
    generator = torch.Generator().manual_seed(0)
    tiles = torch.randint(0, 200, (10, 3, 24, 24), generator=generator, dtype=torch.uint8)
    tiles[4] = tiles[1] + 30  # the fifth photograph would be held out
    _, unseen = split(PhotoPack(tiles, tuple(f"{k}.jpg" for k in range(10))))
    assert unseen is not None
    assert set(unseen.credits) == {"9.jpg"}


def test_batches_made_ahead_are_the_same(config: TrainConfig) -> None:
    config = replace(config, source=replace(config.source, reuse=2, pool=2))
    alone, helped = (SimulatedSource(config, seed=5) for _ in range(2))
    with helped.made_ahead(partial(_maker, config), workers=1):
        for step in (0, 1, 2, 3, 6):
            assert same(alone(step), helped(step))


def _maker(config: TrainConfig) -> Callable[[int], Batch]:
    return SimulatedSource(config, seed=5).make
