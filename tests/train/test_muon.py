"""Muon: orthogonal steps, AdamW for the rest, and the two together minimise."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dff.train.config import OptimiserConfig
from dff.train.muon import orthogonal
from dff.train.optimise import build_optimiser


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (3, 8, 8)])
def test_singular_values_come_near_one(shape: tuple[int, ...]) -> None:
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert 0.3 < float(values.min()) <= float(values.max()) < 1.4


def test_kernels_take_steps_of_the_rate_and_the_others_those_of_adamw() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 1, 1))
    before = [p.detach().clone() for p in network.parameters()]
    optimiser = build_optimiser(network, OptimiserConfig(lr=0.01, weight_decay=0.0))
    assert [group["orthogonal"] for group in optimiser.param_groups] == [True, False, False]
    for p in network.parameters():
        p.grad = torch.randn_like(p)
    optimiser.step()
    moved = [
        float((p.detach() - old).square().mean().sqrt())
        for p, old in zip(network.parameters(), before, strict=True)
    ]
    assert moved[0] == pytest.approx(0.2 * 0.01, rel=0.3)
    assert moved[1:] == pytest.approx([0.01] * 3, rel=0.05)  # AdamW's first step


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_both_kinds_minimise(kind: str) -> None:
    torch.manual_seed(0)
    network, wanted = nn.Conv2d(8, 8, 3, padding=1), torch.randn(8, 8, 3, 3)
    optimiser = build_optimiser(network, OptimiserConfig(kind=kind, lr=0.1))  # type: ignore[arg-type]
    x = torch.randn(4, 8, 12, 12)
    losses = []
    for _ in range(60):
        loss = (network(x) - nn.functional.conv2d(x, wanted, padding=1)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
