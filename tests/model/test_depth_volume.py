"""Expectation over slices, pooling and upsampling."""

from __future__ import annotations

import torch

from dff.model.depth import convex_upsample, expectation, pooled_over_slices


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
