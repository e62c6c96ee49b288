"""Surfaces in dioptres: what a relief is, and that it is kept within its room."""

from __future__ import annotations

import pytest
import torch

from dff.simulator.draws import Draws
from dff.simulator.surfaces import PLANE, RIPPLES, Relief, Surfaces, surface

COUNT = 40
USUAL = (0.05, 0.5)
FAR, NEAR = torch.full((COUNT,), 1.0), torch.full((COUNT,), 3.0)
Y, X = torch.arange(-20.0, 21), torch.arange(-30.0, 31)


def flat_ones(relief: Relief, level: float = 2.0) -> Surfaces:
    zero = torch.zeros(COUNT)
    return surface(
        Draws(torch.Generator().manual_seed(0)),
        (zero, zero, zero + 40),
        zero + level,
        torch.zeros(COUNT, 2),
        zero,
        zero,
        torch.full((COUNT,), PLANE),
        (FAR, NEAR),
        relief,
    )


def maps(surfaces: Surfaces) -> torch.Tensor:
    return surfaces.maps(Y, X, FAR, NEAR)


def test_a_relief_is_as_high_as_wanted_at_most_and_fine() -> None:
    found = maps(flat_ones(Relief(relief_share=1.0, relief=(0.2, 0.4))))
    height = found.amax((1, 2)) - found.amin((1, 2))
    assert float(height.max()) <= 0.4 * 2
    assert float(height.median()) > 0.05 * 2
    turns = found.diff(dim=2).sign().diff(dim=2).ne(0).float().sum(2)
    assert float(turns.mean()) > 2  # summits and valleys along a row of 61 px


def test_some_have_it_and_it_stays_within_its_room() -> None:
    found = maps(flat_ones(Relief(relief_share=0.5, relief=(0.5, 1.0)), level=1.1))
    rough = found.std((1, 2)) > 1e-4
    assert 8 <= int(rough.sum()) <= 32
    assert float((found - 1.1).abs().max()) <= 0.1 + 1e-4


def test_where_none_is_wanted_nothing_is_drawn() -> None:
    draws = Draws(torch.Generator().manual_seed(0))
    plain = flat_ones(Relief(relief_share=0.0, relief=USUAL))
    assert plain.relief.shape == (COUNT, 0)
    assert flat_ones(Relief(relief_share=1.0, relief=USUAL)).ripple.shape == (COUNT, RIPPLES, 3)
    assert torch.equal(plain.axis, draws.angle((COUNT,)))
    torch.testing.assert_close(maps(plain), torch.full((COUNT, 41, 61), 2.0))


def test_hills_are_the_relief_alone() -> None:
    found = flat_ones(Relief(relief_share=1.0, relief=USUAL))
    rows, columns = Y.expand(COUNT, -1), X.expand(COUNT, -1)
    assert found.hills(rows, columns) == pytest.approx(maps(found) - 2, abs=1e-4)
