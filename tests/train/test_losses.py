"""The parts of the loss, against values worked by hand."""

from __future__ import annotations

import math

import torch

from dff.model.depth import Scale, expectation
from dff.model.network import DepthOutput
from dff.train.config import LossConfig
from dff.train.losses import (
    bin_error,
    depth_error,
    depth_loss,
    gradient_error,
    likelihood_error,
    relative_error,
    two_bins,
)

EVERYWHERE = torch.ones(1, 4, 4, dtype=torch.bool)


def test_depth_error_is_smooth_l1_of_valid_pixels_alone() -> None:
    target = torch.zeros(1, 4, 4)
    u = torch.full((1, 4, 4), 0.1)
    u[0, 0] = 100
    valid = EVERYWHERE.clone()
    valid[0, 0] = False
    assert math.isclose(float(depth_error(u, target, valid, 0.02)), 0.1 - 0.01, rel_tol=1e-5)


def test_depth_error_of_the_paper_is_the_mean_square() -> None:
    output = DepthOutput(torch.full((1, 4, 4), 0.3), torch.zeros(1, 4, 4), [])
    logits = torch.zeros(1, 2, 4, 4)
    places = torch.tensor([[0.0, 1.0]])
    output.scales = [Scale(logits, expectation(logits, places)[1])] * 3  # 0.5 everywhere
    config = LossConfig(kind="mse", scales=(0.3, 0.5, 0.7, 1.0))
    found = depth_loss(output, places, torch.full((1, 4, 4), 0.1), EVERYWHERE, config)
    assert math.isclose(float(found["depth"]), 1.5 * 0.4**2 + 0.2**2, rel_tol=1e-5)


def test_coarse_depth_is_compared_at_full_size() -> None:
    ramp = torch.linspace(0, 1, 8).expand(1, 8, 8)
    coarse = torch.nn.functional.avg_pool2d(ramp, 2)
    inside = torch.zeros(1, 8, 8, dtype=torch.bool)
    inside[:, 1:-1, 1:-1] = True
    assert float(depth_error(coarse, ramp, inside, 0.02)) < 1e-9


def test_nothing_valid_gives_a_zero_that_can_be_differentiated() -> None:
    u = torch.rand(1, 4, 4, requires_grad=True)
    depth_error(u, torch.zeros(1, 4, 4), ~EVERYWHERE, 0.02).backward()
    assert u.grad is not None
    assert not u.grad.any()


def test_two_bins_have_the_target_as_their_mean() -> None:
    places = torch.tensor([[0.0, 0.1, 0.6, 1.0], [0.0, 0.3, 0.4, 1.0]])
    target = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(0))
    target[:, 0, 0], target[:, 0, 1], target[:, 0, 2] = 0, 1, places[:, 1]
    bins = two_bins(target, places)
    torch.testing.assert_close(bins.sum(1), torch.ones(2, 5, 6))
    torch.testing.assert_close((bins * places[:, :, None, None]).sum(1), target)
    assert int((bins > 0).sum(1).max()) == 2


def test_bin_error_of_a_perfect_and_of_an_undecided_volume() -> None:
    places = torch.tensor([[0.0, 1.0]])
    bins = two_bins(torch.ones(1, 4, 4), places)
    sure = torch.tensor([-30.0, 30.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    assert float(bin_error(sure, bins, EVERYWHERE)) < 1e-6
    undecided = torch.zeros(1, 2, 2, 2)
    assert math.isclose(float(bin_error(undecided, bins, EVERYWHERE)), math.log(2), rel_tol=1e-5)


def test_likelihood_is_best_where_the_scale_is_the_error() -> None:
    u, target = torch.full((1, 4, 4), 0.3), torch.zeros(1, 4, 4)
    log_scale = torch.full((1, 4, 4), math.log(0.3), requires_grad=True)
    likelihood_error(u, log_scale, target, EVERYWHERE).backward()
    assert log_scale.grad is not None
    assert float(log_scale.grad.abs().max()) < 1e-6


def test_gradient_error_forgives_an_offset_and_not_a_slope() -> None:
    target = torch.zeros(1, 8, 8)
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    assert float(gradient_error(target + 0.3, target, valid)) == 0
    slope = 0.01 * torch.arange(8.0).expand(1, 8, 8)
    wanted = 0.01 * (1 + 2 + 4) / 6  # only along x
    assert math.isclose(float(gradient_error(slope, target, valid)), wanted, rel_tol=1e-4)


def test_total_is_the_weighted_sum() -> None:
    places, target = torch.tensor([[0.0, 0.5, 1.0]]), torch.rand(1, 8, 8)
    scales = []
    for side in (1, 2, 4):
        logits = torch.randn(1, 3, side, side)
        scales.append(Scale(logits, expectation(logits, places)[1]))
    output = DepthOutput(torch.rand(1, 8, 8), torch.randn(1, 8, 8), scales)
    config = LossConfig(depth=2.0, bins=3.0, likelihood=5.0, gradient=7.0, relative=11.0)
    parts = depth_loss(output, places, target, torch.ones(1, 8, 8, dtype=torch.bool), config)
    weights = {"depth": 2, "bins": 3, "likelihood": 5, "gradient": 7, "relative": 11}
    total = torch.stack([weight * parts[name] for name, weight in weights.items()]).sum()
    torch.testing.assert_close(parts["total"], total)


def test_relative_error_is_that_of_distances() -> None:
    # from 3 m to 0.3 m: a dioptre of 1/3 + 3 u
    u, target = torch.tensor([[[0.1, 0.5]]]), torch.tensor([[[0.2, 0.4]]])
    distances = (1 / (1 / 3 + 3 * u)) / (1 / (1 / 3 + 3 * target))
    found = relative_error(u, target, torch.ones(1, 1, 2, dtype=torch.bool), 1 / 9)
    torch.testing.assert_close(found, distances.log().abs().mean())
