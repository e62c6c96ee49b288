"""The classical focus measures that the network is fed with."""

from __future__ import annotations

import math

import pytest
import torch

from dff.model.prior import CHANNELS, box_mean, focus_prior, modified_laplacian


def test_modified_laplacian_of_a_parabola_and_of_a_plane() -> None:
    x = torch.arange(8.0).expand(1, 1, 8, 8)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(modified_laplacian(x**2)[inside], torch.full((1, 1, 6, 6), 2.0))
    torch.testing.assert_close(modified_laplacian(3 * x + 1)[inside], torch.zeros(1, 1, 6, 6))


def blurred_stack() -> torch.Tensor:
    grain = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    slices = [grain]
    for _ in range(2):
        slices.append(torch.nn.functional.avg_pool2d(slices[-1], 3, 1, 1, count_include_pad=False))
    return torch.stack(slices, dim=1)


def test_sharper_slices_have_more_energy_at_every_window() -> None:
    hints = focus_prior(blurred_stack())
    assert hints.shape == (1, 3, CHANNELS, 16, 16)
    assert bool((hints[:, :-1].mean((-2, -1)) > hints[:, 1:].mean((-2, -1))).all())


def test_relative_channels_do_not_know_exposure_or_contrast() -> None:
    stack = blurred_stack()
    hints, darker = focus_prior(stack), focus_prior(0.5 * stack)
    torch.testing.assert_close(hints[:, :, :3].mean(dim=1), torch.zeros(1, 3, 16, 16), atol=1e-5, rtol=0)
    assert float((hints - darker)[:, :, :3].abs().max()) < 0.05
    assert math.isclose(float((hints - darker)[:, :, 3].mean()), math.log(2), abs_tol=0.05)


def test_flat_stacks_give_no_preference() -> None:
    hints = focus_prior(torch.full((1, 4, 3, 16, 16), 0.5))
    assert float(hints[:, :, :3].abs().max()) < 1e-5


@pytest.mark.parametrize(("side", "size"), [(3, (9, 12)), (7, (9, 12)), (7, (2, 3)), (3, (1, 1))])
def test_a_box_is_the_mean_of_what_of_it_is_inside(side: int, size: tuple[int, int]) -> None:
    x = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(0))
    pooled = torch.nn.functional.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)
    torch.testing.assert_close(box_mean(x, side), pooled)
