"""Losses of learned autofocus: known constants, bounds, gradients, agreement."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from dff.autofocus import losses
from dff.autofocus.sampler import FocalSampler

K = 49


def scenes(count: int = 2, seen_from: int = 3, classes: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, seen_from, classes, generator=generator, dtype=torch.float64)
    return logits.requires_grad_()


def test_soft_labels_have_the_known_values() -> None:
    label = losses.soft_labels(torch.tensor([24, 0]), K)
    assert label[0, 24:27].tolist() == pytest.approx([0.5641, 0.2075, 0.0103], abs=5e-5)
    assert label[1, 0].item() == pytest.approx(0.7213, abs=5e-5)
    torch.testing.assert_close(label.sum(-1), torch.ones(2))
    absolute = losses.soft_labels(torch.tensor(24), K, "absolute")
    assert (absolute[25] / absolute[24]).item() == pytest.approx(math.exp(-1))
    with pytest.raises(ValueError, match="choose from square, absolute"):
        losses.soft_labels(torch.tensor(3), K, "cubic")  # type: ignore[arg-type]


@pytest.mark.parametrize(("cost", "floor"), [("square", 1.0714), ("absolute", 1.6229)])
def test_the_ordinal_loss_bottoms_at_the_entropy_of_its_labels(cost: losses.Cost, floor: float) -> None:
    target = torch.tensor([24])
    distance = (torch.arange(K) - target).abs().float()
    perfect = -(distance.square() if cost == "square" else distance)[None]
    assert losses.ordinal_loss(perfect, target, cost).item() == pytest.approx(floor, abs=1e-3)
    assert losses.ordinal_loss(torch.zeros(1, K), target, cost).item() == pytest.approx(math.log(K))


def test_divergences_by_hand() -> None:
    p, q = (0.75, 0.25), (0.25, 0.75)
    logits = torch.tensor([[p, q]], dtype=torch.float64).log()
    jeffreys = sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True)) / 2
    assert losses.kld(logits).item() == pytest.approx(jeffreys)
    assert losses.kld(logits, "per-class").item() == pytest.approx(jeffreys / 2)
    shannon = sum(a * math.log(a / 0.5) for a in p)  # the mean is even, and both sides alike
    assert losses.jsd(logits).item() == pytest.approx(shannon)


def test_all_pairs_count_once() -> None:
    logits = scenes(1, 4)
    for loss in (losses.kld, losses.jsd):
        pairs = [loss(logits[:, [i, j]]).item() for i, j in combinations(range(4), 2)]
        assert loss(logits).item() == pytest.approx(sum(pairs))
        assert loss(logits, "mean").item() == pytest.approx(sum(pairs) / 6)


def test_jsd_is_bounded_and_below_kld() -> None:
    apart = torch.tensor([[[60.0, 0.0], [0.0, 60.0]]])
    assert losses.jsd(apart).item() == pytest.approx(math.log(2))
    assert losses.kld(apart).item() > 50
    logits = scenes()
    assert losses.jsd(logits) < losses.kld(logits)


def test_soft_argmax_and_msd_are_in_shares_of_the_sweep() -> None:
    sure = 50 * torch.nn.functional.one_hot(torch.tensor([[0, 48]]), K).float()
    assert losses.soft_argmax(sure)[0].tolist() == pytest.approx([1 / 49, 1.0])
    assert losses.msd(sure).item() == pytest.approx(24 / 49, abs=2e-4)
    assert losses.soft_argmax(torch.zeros(K)).item() == pytest.approx(25 / 49)


def test_agreement_costs_nothing_and_its_gradient_is_finite() -> None:
    logits = torch.randn(2, 1, K).expand(2, 4, K).clone().requires_grad_()
    for loss in (losses.kld, losses.jsd, losses.msd):
        value = loss(logits)
        assert value.item() == pytest.approx(0, abs=1e-7)
        (gradient,) = torch.autograd.grad(value, logits)
        assert torch.isfinite(gradient).all()
        assert loss(logits[:, :1]).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("name", ["kld", "jsd", "msd", "ordinal"])
def test_gradients(name: str) -> None:
    target = torch.tensor([[2, 2, 2], [5, 5, 5]])
    loss = (lambda x: losses.ordinal_loss(x, target)) if name == "ordinal" else getattr(losses, name)
    assert torch.autograd.gradcheck(loss, scenes())


def test_agreement_is_switched_on_half_way() -> None:
    logits, target = scenes(), torch.tensor([1, 4])
    config = losses.FocalConsistencyConfig(divergence_weight=3, msd_weight=5, reduction="sum")
    before = losses.focal_consistency_loss(logits, target, 0.49, config)
    after = losses.focal_consistency_loss(logits, target, 0.5, config)
    assert before["total"].item() == before["ordinal"].item()
    expected = after["ordinal"] + 3 * losses.kld(logits) + 5 * losses.msd(logits)
    torch.testing.assert_close(after["total"], expected)
    shannon = losses.FocalConsistencyConfig(divergence="jsd", reduction="mean")
    told = losses.focal_consistency_loss(logits, target, 1, shannon)
    torch.testing.assert_close(told["divergence"], losses.jsd(logits, "mean").detach())
    with pytest.raises(ValueError, match="from_progress"):
        losses.FocalConsistencyConfig(from_progress=2)
    with pytest.raises(ValueError, match="scenes, focal indices, classes"):
        losses.kld(logits[0])


def test_sampler_draws_every_scene_once_from_different_indices() -> None:
    sampler = FocalSampler(10, K, scenes_per_batch=3, per_scene=4, seed=1)
    batches = list(sampler.epoch(0))
    assert len(batches) == len(sampler) == 3
    assert len({int(s) for scene, _ in batches for s in scene}) == 9
    assert all(len(set(row)) == 4 and 0 <= min(row) <= max(row) < K for _, index in batches for row in index)
    again, other = list(sampler.epoch(0)), list(sampler.epoch(1))
    assert np.array_equal(batches[2][1], again[2][1])
    assert not np.array_equal(batches[0][1], other[0][1])
    with pytest.raises(ValueError, match="50 focal indices a scene of 49"):
        FocalSampler(10, K, 3, 50)
    with pytest.raises(ValueError, match="11 scenes a batch of 10"):
        FocalSampler(10, K, 11)
