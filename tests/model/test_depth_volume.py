"""Expectation over slices, pooling and upsampling."""

from __future__ import annotations

import torch

from dff.model.depth import (
    Uncertainty,
    beyond_two_slices,
    convex_upsample,
    expectation,
    joined,
    pooled_over_slices,
)


def test_expectation_of_known_distributions() -> None:
    u = torch.tensor([[0.0, 0.25, 1.0]])
    logits = torch.log(torch.tensor([0.5, 0.25, 0.25])).view(1, 3, 1, 1)
    share, mean, variance = expectation(logits, u)
    torch.testing.assert_close(share.flatten(), torch.tensor([0.5, 0.25, 0.25]))
    assert abs(float(mean) - 0.3125) < 1e-6
    wanted = 0.5 * 0.3125**2 + 0.25 * 0.0625**2 + 0.25 * 0.6875**2
    assert abs(float(variance) - wanted) < 1e-6


def test_expectation_stays_in_single_precision() -> None:
    logits, u = torch.randn(1, 4, 2, 2).bfloat16(), torch.linspace(0, 1, 4)[None]
    assert {x.dtype for x in expectation(logits, u)} == {torch.float32}


def test_pooling_picks_the_slice_that_has_all_the_weight() -> None:
    features = torch.randn(2 * 3, 5, 4, 4)
    share = torch.zeros(2, 3, 4, 4)
    share[0, 2], share[1, 0] = 1, 1
    pooled = pooled_over_slices(features, share)
    torch.testing.assert_close(pooled, features.unflatten(0, (2, 3))[[0, 1], [2, 0]])


def test_convex_upsampling_repeats_shifts_and_never_leaves_the_range() -> None:
    coarse = torch.rand(2, 5, 6, generator=torch.Generator().manual_seed(0))
    picks = torch.full((2, 9, 4, 5, 6), -50.0)
    picks[:, 4] = 50.0  # the middle one of the 3x3
    repeated = coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(convex_upsample(coarse, picks.flatten(1, 2)), repeated)
    picks[:, 4], picks[:, 5] = -50.0, 50.0  # its right neighbour
    torch.testing.assert_close(convex_upsample(coarse, picks.flatten(1, 2))[..., :-2], repeated[..., 2:])
    mixed = convex_upsample(coarse, torch.randn(2, 36, 5, 6))
    assert float(coarse.min()) <= float(mixed.min())
    assert float(mixed.max()) <= float(coarse.max())


def test_a_mix_of_two_neighbours_leaves_no_variance_beyond_need() -> None:
    u = torch.tensor([[0.0, 0.25, 1.0]])
    share = torch.tensor([0.0, 0.4, 0.6]).clamp_min(1e-12)
    _, mean, variance = expectation(share.log().view(1, 3, 1, 1), u)
    gap, beyond = beyond_two_slices(mean, variance, u)
    assert abs(float(gap) - 0.75) < 1e-6
    assert float(beyond) < 1e-6


def test_a_third_slice_is_variance_beyond_need() -> None:
    u = torch.tensor([[0.0, 0.5, 1.0]])
    share = torch.tensor([0.5, 1e-12, 0.5])  # mean 0.5, variance 0.25; on the slice itself none is needed
    _, mean, variance = expectation(share.log().view(1, 3, 1, 1), u)
    gap, beyond = beyond_two_slices(mean, variance, u)
    assert abs(float(gap) - 0.5) < 1e-6
    assert abs(float(beyond) - 0.25) < 1e-5


def test_uncertainty_rises_with_variance_and_tells_depth_nothing_back() -> None:
    torch.manual_seed(0)
    judge = Uncertainty()
    u = torch.linspace(0, 1, 5)[None]
    mean = torch.full((1, 6, 8), 0.5, requires_grad=True)
    nothing = torch.zeros(1, 6, 8)
    sure = judge(mean, nothing + 1e-4, nothing, u)
    unsure = judge(mean, nothing + 0.2, nothing, u)
    assert sure.shape == (1, 12, 16)
    assert float(unsure.detach().min()) > float(sure.detach().max()) + 1
    unsure.sum().backward()
    assert mean.grad is None
    assert judge.last.conv.weight.grad is not None


def test_joined_adds_what_is_doubled_and_leaves_both_as_they_were() -> None:
    coarse, fine = torch.rand(3, 4, 3, 5), torch.rand(3, 4, 5, 9)
    before = fine.clone()
    at_once = joined(coarse, fine)
    with torch.no_grad():
        in_parts = joined(coarse, fine)
    doubled = torch.nn.functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(at_once, fine + doubled[..., :5, :9])
    torch.testing.assert_close(in_parts, at_once)
    assert torch.equal(fine, before)
