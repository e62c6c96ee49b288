import pytest
import torch

from dff.eval.baselines.naive_gather import naive_gather
from dff.eval.baselines.published_blur import published_blur, published_kernel

SIZE = 64


def picture(seed=0):
    return torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def dot():
    one = torch.zeros(3, SIZE, SIZE)
    one[:, 32, 32] = 1
    return one


FLAT = torch.ones(SIZE, SIZE)


@pytest.mark.parametrize("blur", [naive_gather, published_blur])
def test_shapes_and_a_grey_wall(blur):
    grey = torch.full((3, SIZE, SIZE), 0.25)
    stack = blur(grey, FLAT, torch.tensor([0.5, 1.0, 2.0]), 9.0)
    assert stack.shape == (3, 3, SIZE, SIZE)
    assert (stack - 0.25).abs().max() < 0.005


def test_naive_gather_is_sharp_in_focus_and_spreads_a_dot_over_its_disc():
    assert torch.equal(naive_gather(picture(), FLAT, torch.tensor([1.0]), 9.0)[0], picture())
    spread = naive_gather(dot(), FLAT, torch.tensor([2.0]), 9.0)[0, 0]
    assert float(spread.sum()) == pytest.approx(1, abs=1e-3)
    assert float((spread > 0.2 * spread.max()).sum()) == pytest.approx(torch.pi * 4.5**2, rel=0.1)


def test_naive_gather_lets_a_sharp_object_bleed_into_the_background():
    near = torch.zeros(SIZE, SIZE)
    near[:, :32] = 1
    stack = naive_gather(near.expand(3, -1, -1).contiguous(), near, torch.tensor([1.0]), 10.0)[0, 0]
    assert torch.equal(stack[:, :32], torch.ones(SIZE, 32))
    assert stack[:, 33].mean() > 0.2


def test_published_kernel_is_twice_as_wide_as_the_circle_of_confusion():
    assert (published_kernel(1) > 0).tolist() == [[False, True, False], [True] * 3, [False, True, False]]
    for radius in (2, 5, 9):
        kernel = published_kernel(radius)
        assert kernel.shape == (2 * radius + 1,) * 2
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
    spread = published_blur(dot(), FLAT, torch.tensor([2.0]), 9.0)[0, 0]
    assert (spread > 0).any(0).sum() == 2 * 9 + 1


def test_published_blur_is_never_sharp_and_has_hard_edges():
    blurred = published_blur(picture(), FLAT, torch.tensor([1.0]), 9.0)[0]
    assert (blurred - picture()).abs().mean() > 0.05
    near = torch.zeros(SIZE, SIZE)
    near[:, :32] = 1
    left, right = published_blur(picture(), near, torch.tensor([1.0]), 10.0)[0].split(32, dim=-1)
    whole = published_blur(picture(), FLAT, torch.tensor([1.0, 2.0]), 10.0)
    assert torch.equal(left, whole[0, :, :, :32])
    assert torch.equal(right, whole[1, :, :, 32:])


def test_gain_may_differ_from_slice_to_slice():
    focus = torch.tensor([0.5, 2.0])
    for blur in (naive_gather, published_blur):
        both = blur(picture(), FLAT, focus, torch.tensor([6.0, 9.0]))
        apart = [blur(picture(), FLAT, focus[i : i + 1], gain)[0] for i, gain in enumerate((6.0, 9.0))]
        assert torch.allclose(both, torch.stack(apart), atol=1e-5)
