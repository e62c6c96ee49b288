import pytest
import torch

from dff.simulator.draws import Draws
from dff.simulator.lettering import print_distance
from dff.simulator.shapes import SHAPES, THINNEST_PX, outlines, rows_where

SIZE = torch.tensor([40.0, 60.0, 90.0, 60.0])


def drawn(kind, side=260, seed=0):
    """Signed distances of four objects of one kind round the middle of a large picture."""
    draws = Draws(torch.Generator().manual_seed(seed))
    axis = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
    u, v = (one.expand(4, side, side) for one in (axis[None, None], axis[None, :, None]))
    return outlines(draws, [kind] * 4, u, v, SIZE), u, v


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes_cover_a_part_of_their_reach_and_nothing_beyond(kind):
    inside, u, v = drawn(kind)
    reach = SHAPES[kind].reach * SIZE + 2
    beyond = torch.maximum(u.abs(), v.abs()) > reach[:, None, None]
    assert float(inside[beyond].max()) < -0.6  # alpha is 0 there
    area = (inside > 0).float().sum((1, 2))
    assert bool((area > 0.005 * SIZE**2).all())
    assert bool((area < 1.1 * SIZE**2).all())


@pytest.mark.parametrize("kind", SHAPES)
def test_distances_are_pixels_at_the_outline(kind):
    inside, _, _ = drawn(kind)
    slope = torch.hypot(*torch.gradient(inside, dim=(1, 2)))
    at_outline = slope[inside.abs() < 0.5]
    # strokes of small letters are hardly wider than the step of the differences
    assert (0.4 if kind == "text" else 0.6) < float(at_outline.median()) < 1.3
    assert float(at_outline.quantile(0.95)) < 2.2


@pytest.mark.parametrize("kind", ["wire", "wires", "bars", "fence", "lattice", "branch"])
def test_thin_things_are_at_least_as_wide_as_a_pixel(kind):
    for seed in range(3):
        inside, _, _ = drawn(kind, seed=seed)
        ridge = inside.flatten(1).amax(1)
        assert bool((ridge > THINNEST_PX / 2 - 0.5).all())


def test_a_kind_is_drawn_once_for_all_its_objects():
    draws = Draws(torch.Generator().manual_seed(0))
    axis = torch.arange(80.0) - 39.5
    u, v = (one.expand(3, 80, 80) for one in (axis[None, None], axis[None, :, None]))
    inside = outlines(draws, ["box", "ellipse", "box"], u, v, torch.tensor([30.0, 60.0, 60.0]))
    area = (inside > 0).sum((1, 2))
    assert area[2] > area[0]
    corner = inside[1, :10, :10]
    assert bool((corner < 0).all())
    assert rows_where([True, True], u.device) == slice(None)
    assert rows_where([False, True], u.device).tolist() == [1]


def test_an_ellipse_is_as_long_as_its_size():
    inside, _, _ = drawn("ellipse")
    length = (inside > 0).any(1).sum(1)
    assert length.tolist() == pytest.approx(SIZE.tolist(), abs=1.5)


def test_print_is_made_of_letters_with_blanks_between_lines():
    draws = Draws(torch.Generator().manual_seed(0))
    axis = torch.arange(160.0) - 79.5
    u, v = (one.expand(2, 160, 160) for one in (axis[None, None], axis[None, :, None]))
    ink = print_distance(draws, u, v, torch.full((2, 1, 1), 32.0), lines=5, columns=8) > 0
    assert 0.03 < float(ink.float().mean()) < 0.3
    lines = ink.any(2).float()
    assert 0.3 < float(lines.mean()) < 0.98
    assert not torch.equal(ink[0], ink[1])
