"""The paper's networks: their size, any number of slices and any size, and the same dealings as our own."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from dff.model.depth import VARIANCE_FLOOR
from dff.model.infer import InferenceConfig, infer
from dff.model.network import NAMED, build_depth_network, load_depth_network
from dff.model.wild import WildConfig, WildNetwork, log_shares
from dff.model.wild_alignment import WildAlignmentNetwork
from dff.model.wild_layers import Aggregation, EffectiveDownsampling, Hourglass, SharpRegionDetector
from dff.recipes import load_recipe
from dff.train import checkpoint, export
from dff.train.config import TrainConfig
from dff.train.distributed import World
from dff.train.loop import RunOptions, train

SMALL = WildConfig(channels=2)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def stack(batch: int, n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    return torch.rand(batch, n, 3, height, width, generator=generator), torch.linspace(0, 1, n).expand(
        batch, n
    )


def small() -> WildNetwork:
    torch.manual_seed(0)
    return WildNetwork(SMALL)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_those_of_the_paper() -> None:
    network = build_depth_network(NAMED["dff-wild"])
    assert isinstance(network, WildNetwork)
    assert network.parameter_count == 4_038_832 - 22_240  # those that nothing depends on
    assert WildAlignmentNetwork().parameter_count == 195_593


def test_parameters_of_every_block_are_those_of_the_paper() -> None:
    assert count(EffectiveDownsampling(8, 16)) + count(SharpRegionDetector(16)) == 12_672
    assert count(EffectiveDownsampling(16, 32)) + count(SharpRegionDetector(32)) == 50_432
    assert count(Aggregation(32)) == 2_899_584 - 16_640
    assert count(Hourglass(16)) + 13_856 + 16 == 167_408 - 1_088


@pytest.mark.parametrize(("n", "height", "width"), [(2, 32, 32), (3, 45, 70), (7, 33, 16)])
def test_any_number_of_slices_and_any_size(n: int, height: int, width: int) -> None:
    images, u = stack(2, n, height, width)
    network = small()
    with torch.no_grad():
        out = network(images, u)
    assert out.u.shape == out.log_scale.shape == (2, height, width)
    assert out.u.dtype == out.log_scale.dtype == torch.float32
    assert bool(((out.u >= 0) & (out.u <= 1)).all())
    assert [scale.logits.shape[:2] for scale in out.scales] == [(2, n)] * 3
    assert [scale.u.shape[0] for scale in out.scales] == [2] * 3
    with torch.inference_mode():
        assert not network.eval()(images, u).scales


def test_shares_are_softplus_over_its_sum() -> None:
    cost = torch.tensor([-1.0, 0.0, 2.0]).view(1, 3, 1, 1)
    plus = np.log1p(np.exp([-1.0, 0.0, 2.0]))
    np.testing.assert_allclose(log_shares(cost).exp().flatten(), plus / plus.sum(), rtol=1e-5)
    assert bool(log_shares(torch.full((1, 2, 1, 1), -1e4)).isfinite().all())


def test_spread_follows_from_the_shares() -> None:
    network = small().eval()
    torch.nn.init.zeros_(network.scores[-1].weight)  # the same share for every slice
    images, u = stack(1, 3, 32, 32)
    with torch.inference_mode():
        out = network(images, u)
    torch.testing.assert_close(out.u, torch.full_like(out.u, 0.5))
    variance = 2 * out.log_scale.exp().square() - 2 * VARIANCE_FLOOR
    torch.testing.assert_close(variance, torch.full_like(variance, 1 / 6))


def test_every_parameter_learns() -> None:
    network = small()
    images, u = stack(1, 3, 64, 64)
    out = network(images, u)
    (out.u.square().mean() + sum(scale.u.square().mean() for scale in out.scales)).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert not idle


def test_it_is_trained_exported_loaded_and_run_as_our_own(tmp_path: Path) -> None:
    recipe = load_recipe("train", "dff_wild", TrainConfig)
    assert isinstance(build_depth_network(recipe.network_config), WildNetwork)
    debug = load_recipe("train", "debug", TrainConfig)
    source = replace(debug.source, batch=1, simulation=replace(debug.source.simulation, size=(32, 32)))
    config = replace(
        debug, size="dff-wild", loss=recipe.loss, source=source, augment=replace(debug.augment, crop=32)
    )
    run = RunOptions(out=tmp_path, steps=1)
    train(config, run, World(0, 1, torch.device("cpu")), say=lambda text: None)
    out = tmp_path / "wild.safetensors"
    assert export.main([str(tmp_path / checkpoint.NAME), str(out)]) == 0
    network = load_depth_network(out)
    assert isinstance(network, WildNetwork)
    found = infer(network, [np.full((20, 40, 3), 9 * k, np.uint8) for k in range(3)], np.arange(3.0))
    assert found.u.shape == (20, 40)
    assert np.isfinite(found.scale).all()


def test_tiles_keep_to_their_memory(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    header = {
        "format": "dff-weights-1",
        "network": "depth",
        "config": json.dumps(asdict(SMALL)),
        "info": "{}",
    }
    save_file(small().state_dict(), path, header)
    network = load_depth_network(path)
    config = InferenceConfig(tile_bytes=3 * network.slice_bytes * 64 * 64, overlap=32)
    found = infer(network, [np.full((64, 128, 3), 9 * k, np.uint8) for k in range(3)], np.arange(3.0), config)
    assert found.tiles > 1


@pytest.mark.parametrize("settings", [{"architecture": "other"}, {"channels": 0}])
def test_unknown_make_up_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="WildConfig"):
        WildConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("n", "height", "width"), [(2, 32, 40), (5, 21, 30)])
def test_alignment_of_any_number_of_slices_and_any_size(n: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        out = WildAlignmentNetwork(4).eval()(stack(2, n, height, width)[0], n - 1, torch.ones(2, n))
    assert [tuple(c.shape) for c in out.coefficients] == [(2, n - 1, 3)] * 3
    assert out.flow.shape == (2, n, 2, height, width)
    assert not bool(out.flow[:, -1].any())
    assert bool(out.flow[:, 0].any())
