"""Learning rate, weight decay groups, averaged weights."""

from __future__ import annotations

import pytest
import torch

from dff.train.config import OptimiserConfig
from dff.train.optimise import AveragedWeights, build_optimiser, learning_rate

CONFIG = OptimiserConfig(lr=1.0, warm_up=10, decay=20, ema=0.5)


@pytest.mark.parametrize(
    ("samples", "decay_from", "wanted"),
    [
        (0, None, 0.1),
        (9, None, 1.0),
        (10_000_000, None, 1.0),
        (100, 100, 1.0),
        (110, 100, 0.5),
        (120, 100, 0.0),
        (500, 100, 0.0),
        (4, 0, 0.5 * 0.8),
    ],
)
def test_rise_constant_fall(samples: int, decay_from: int | None, wanted: float) -> None:
    assert learning_rate(CONFIG, samples, decay_from) == pytest.approx(wanted)


def test_only_kernels_decay() -> None:
    optimiser = build_optimiser(
        torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3), torch.nn.BatchNorm2d(1)), CONFIG
    )
    assert [len(group["params"]) for group in optimiser.param_groups] == [1, 3]
    assert [group["weight_decay"] for group in optimiser.param_groups] == [CONFIG.weight_decay, 0.0]


def test_averaged_weights_follow_and_copy_buffers() -> None:
    network = torch.nn.BatchNorm1d(1)
    averaged = AveragedWeights(network, 0.5)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.running_mean.fill_(7.0)  # type: ignore[union-attr,operator]
    averaged.update(network, step=10**6)
    assert float(averaged.network.weight) == pytest.approx(2.0)  # type: ignore[arg-type]
    assert float(averaged.network.running_mean) == pytest.approx(7.0)  # type: ignore[arg-type]
    assert not averaged.network.weight.requires_grad
