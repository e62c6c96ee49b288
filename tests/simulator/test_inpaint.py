import pytest
import torch

from dff.simulator.inpaint import fill_from_behind, push_pull


@pytest.mark.parametrize("size", [(32, 32), (37, 50), (7, 9)])
def test_push_pull_keeps_what_is_known_and_continues_it(size):
    values = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    weight = (torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    filled = push_pull(values, weight)
    known = weight.bool().expand_as(values)
    assert torch.equal(filled[known], values[known])
    assert filled.min() >= values[known].min() - 1e-6
    assert filled.max() <= values[known].max() + 1e-6


def test_push_pull_of_a_constant_is_the_constant():
    weight = torch.zeros(1, 40, 56)
    weight[0, 3, 50] = 0.01
    assert torch.allclose(push_pull(torch.full((1, 40, 56), 0.7), weight), torch.tensor(0.7), atol=1e-5)


def test_push_pull_takes_the_nearer_side():
    values = torch.zeros(1, 64, 64)
    values[..., 32:] = 1
    weight = torch.ones(1, 64, 64)
    weight[..., 24:40] = 0
    filled = push_pull(values, weight)[0]
    assert filled[:, 25].max() < 0.3
    assert filled[:, 38].min() > 0.7
    assert torch.equal(push_pull(values, torch.zeros_like(weight)), torch.zeros_like(values))


def test_a_hole_beside_a_near_object_is_filled_from_behind():
    dioptre = torch.full((64, 64), 0.5)
    dioptre[:, 32:] = 3.0
    valid = torch.ones(64, 64, dtype=torch.bool)
    valid[:, 24:32] = False  # what the second camera of a stereo pair does not see
    dioptre[~valid] = float("nan")
    filled = fill_from_behind(dioptre, valid)
    assert torch.equal(filled[valid], dioptre[valid])
    assert filled[~valid].max() < 0.8
    straddling = valid.clone()
    straddling[:, 24:40] = False
    assert fill_from_behind(dioptre, straddling)[:, 24:36].max() < 0.8


def test_a_small_hole_inside_an_object_stays_on_it():
    dioptre = torch.full((64, 64), 0.5)
    dioptre[16:, 16:] = 3.0
    valid = torch.ones(64, 64, dtype=torch.bool)
    valid[40:42, 40:42] = False
    assert torch.allclose(fill_from_behind(dioptre, valid)[40:42, 40:42], torch.tensor(3.0), atol=1e-4)


def test_a_map_without_holes_and_one_of_holes_alone():
    dioptre = torch.rand(2, 9, 9)
    everywhere = torch.ones(2, 9, 9, dtype=torch.bool)
    assert fill_from_behind(dioptre, everywhere) is dioptre
    nowhere = everywhere.clone()
    nowhere[0] = False
    filled = fill_from_behind(dioptre, nowhere)
    assert not filled[0].any()
    assert torch.equal(filled[1], dioptre[1])
