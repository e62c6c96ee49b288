import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from dff.simulator.layers import (
    Layer,
    all_in_focus,
    blur_levels,
    carve,
    disc_kernel,
    render_stack,
    truth,
    visibility,
)

SIZE = 96


def plane(colour, dioptre, alpha=None, size=SIZE):
    """A layer of one colour (number) or picture, at one dioptre or on a surface."""
    picture = torch.as_tensor(colour, dtype=torch.float32).expand(3, size, size)
    cover = torch.ones(size, size) if alpha is None else alpha
    return Layer(picture, cover, torch.as_tensor(dioptre, dtype=torch.float32).expand(size, size))


def noise(seed, size=SIZE):
    """Smooth random picture in linear light (3,size,size)."""
    raw = torch.rand(1, 3, size + 4, size + 4, generator=torch.Generator().manual_seed(seed))
    return F.avg_pool2d(raw, 5, 1)[0].clamp(0, 1) ** 2


def disc_alpha(radius, size=SIZE):
    at = torch.arange(size) - (size - 1) / 2
    return (0.5 + radius - torch.hypot(at[:, None], at[None, :])).clamp(0, 1)


@pytest.mark.parametrize("diameter", [1.5, 2.0, 3.3, 7.0, 20.0, 41.0])
def test_disc_kernel_has_energy_one_and_its_diameter(diameter):
    kernel = disc_kernel(diameter).double()
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert torch.allclose(kernel, kernel.flip(0))
    assert torch.allclose(kernel, kernel.T)
    at = torch.arange(kernel.shape[0]) - kernel.shape[0] // 2
    spread = (kernel * (at[:, None] ** 2 + at[None, :] ** 2)).sum()
    assert float(spread) == pytest.approx(diameter**2 / 8, rel=0.005)


def test_disc_of_one_pixel_is_the_identity():
    assert disc_kernel(1.0).tolist() == [[1.0]]
    assert disc_kernel(0.3).tolist() == [[1.0]]


def test_levels_rise_from_one_past_the_maximum():
    levels = blur_levels(40.0)
    assert levels[0] == 1
    assert levels[-2] < 40 <= levels[-1]
    assert all(b > a for a, b in itertools.pairwise(levels))
    assert blur_levels(0.4) == (1.0,)


def test_slice_in_focus_is_the_sharp_scene_exactly():
    scene = [plane(noise(0), 1.0), plane(noise(1), 1.0, disc_alpha(20))]
    slices = render_stack(scene, torch.tensor([0.0, 1.0, 1.04]), 20.0)
    sharp = all_in_focus(scene)
    assert torch.equal(slices[1], sharp)
    assert torch.equal(slices[2], sharp)  # 0.8 px of blur is none
    assert (slices[0] - sharp).abs().max() > 0.05


@pytest.mark.parametrize("coc", [2.0, 2.9, 6.6, 15.0, 30.0])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_point_becomes_a_disc_of_the_circle_of_confusion(coc, side):
    dot = torch.zeros(3, SIZE, SIZE)
    dot[:, 48, 40] = 1
    picture = render_stack([plane(dot, 2.0)], torch.tensor([2.0 + side * 0.5]), 2 * coc)[0, 0].double()
    y, x = torch.arange(SIZE)[:, None] - 48, torch.arange(SIZE)[None, :] - 40
    assert float(picture.sum()) == pytest.approx(1, abs=1e-4)
    assert float((picture * (x**2 + y**2)).sum()) == pytest.approx(coc**2 / 8, rel=0.01)
    assert picture[torch.hypot(x.double(), y.double()) > 0.62 * coc + 1].abs().max() < 1e-6


def test_near_blur_spreads_over_the_sharp_background():
    scene = [plane(0.0, 0.0), plane(1.0, 1.0, disc_alpha(20))]
    middle = render_stack(scene, torch.tensor([0.0]), 16.0)[0, 0, 48]
    rim = 48 + 20
    assert float(middle[rim - 1 : rim + 1].mean()) == pytest.approx(0.5, abs=0.06)
    assert 0.02 < float(middle[rim + 5]) < 0.3  # light outside the object
    assert float(middle[rim - 10]) == pytest.approx(1, abs=1e-3)
    assert float(middle[rim + 10]) == pytest.approx(0, abs=1e-3)


def test_background_blur_stays_behind_a_sharp_object():
    scene = [plane(noise(3), 0.0), plane(0.0, 1.0, disc_alpha(20))]
    picture = render_stack(scene, torch.tensor([1.0]), 16.0)[0]
    inside = disc_alpha(20) == 1
    assert picture[:, inside].abs().max() == 0
    # nor is the dark object smeared into the background: that is complete behind it
    alone = render_stack(scene[:1], torch.tensor([1.0]), 16.0)[0]
    outside = disc_alpha(20) == 0
    assert torch.equal(picture[:, outside], alone[:, outside])


def test_a_border_does_not_darken():
    picture = render_stack([plane(0.7, 0.0)], torch.tensor([1.0, 2.0]), 15.0)
    assert torch.allclose(picture, torch.tensor(0.7), atol=1e-5)


def test_slanted_plane_is_sharp_where_it_is_in_focus():
    stripes = (torch.arange(SIZE) % 4 < 2).float()[:, None].expand(3, SIZE, SIZE)
    slope = torch.linspace(0, 2, SIZE)[None, :].expand(SIZE, SIZE)
    picture = render_stack([plane(stripes, slope)], torch.tensor([1.0]), 12.0)[0, 0]
    contrast = picture[8:-8].std(0)
    assert float(contrast[47:49].min()) == pytest.approx(float(stripes.std()), rel=0.05)
    assert contrast[47] == contrast.max()
    assert contrast[0] < 0.2 * contrast[47]
    assert contrast[-1] < 0.2 * contrast[47]


def _by_lens_sampling(scene, focus, coc_px_per_dioptre, samples=160):
    """Mean of pin-hole pictures over the pupil: exact for frontal layers."""
    k = torch.arange(samples) + 0.5
    radius, angle = torch.sqrt(k / samples) / 2, k * math.pi * (3 - math.sqrt(5))
    pad, total = 16, torch.zeros(3, SIZE, SIZE)
    side = SIZE + 2 * pad
    for a, b in zip((radius * torch.cos(angle)).tolist(), (radius * torch.sin(angle)).tolist(), strict=True):
        view = torch.zeros(3, SIZE, SIZE)
        for layer in scene:
            coc = coc_px_per_dioptre * (float(layer.dioptre[0, 0]) - focus)
            rgba = F.pad(
                torch.cat([layer.colour * layer.alpha, layer.alpha[None]])[None], (pad,) * 4, "reflect"
            )
            x, y = ((torch.arange(side) + coc * s) * 2 / (side - 1) - 1 for s in (a, b))
            grid = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), -1)[None]
            moved = F.grid_sample(rgba, grid, mode="bicubic", align_corners=True)[0, :, pad:-pad, pad:-pad]
            view = view * (1 - moved[3]) + moved[:3]
        total += view
    return total / samples


@pytest.mark.parametrize("focus", [0.0, 0.5, 1.0])
def test_layers_agree_with_exact_lens_sampling(focus):
    scene = [plane(noise(5), 0.0), plane(noise(6), 1.0, disc_alpha(24))]
    ours = render_stack(scene, torch.tensor([focus]), 14.0)[0]
    exact = _by_lens_sampling(scene, focus, 14.0)
    error = (ours.clamp(0, 1) ** (1 / 2.2) - exact.clamp(0, 1) ** (1 / 2.2))[:, 16:-16, 16:-16]
    assert -10 * math.log10(float(error.square().mean())) > 42


def test_a_batch_is_rendered_like_its_members():
    scenes = [
        [plane(noise(i), 0.2 * i), plane(noise(i + 9), 1.0 + 0.3 * i, disc_alpha(9 + 6 * i))] for i in (0, 1)
    ]
    focus = torch.tensor([[0.0, 0.7, 1.5], [0.3, 1.0, 2.0]])
    gain = torch.tensor([[9.0], [14.0]]).expand(2, 3)
    alone = torch.stack([render_stack(scenes[i], focus[i], gain[i]) for i in (0, 1)])
    batched = [
        Layer(
            *(torch.stack([getattr(s[j], name) for s in scenes]) for name in ("colour", "alpha", "dioptre"))
        )
        for j in (0, 1)
    ]
    together = render_stack(batched, focus, gain)
    assert together.shape == (2, 3, 3, SIZE, SIZE)
    assert torch.allclose(together, alone, atol=1e-5)


def test_gradients_reach_the_scene():
    picture = noise(2).requires_grad_()
    scene = [Layer(picture, torch.ones(SIZE, SIZE), torch.zeros(SIZE, SIZE))]
    render_stack(scene, torch.tensor([1.0]), 8.0).sum().backward()
    assert picture.grad is not None
    assert float(picture.grad.sum()) == pytest.approx(3 * SIZE**2, rel=0.01)


def test_empty_layers_are_skipped():
    scene = [plane(noise(0), 0.0)]
    nothing = plane(1.0, 2.0, torch.zeros(SIZE, SIZE))
    focus = torch.tensor([1.0])
    assert torch.equal(render_stack([*scene, nothing], focus, 9.0), render_stack(scene, focus, 9.0))


def test_carve_lets_the_nearest_surface_win():
    ramp = torch.linspace(0, 2, SIZE)[None, :].expand(SIZE, SIZE)
    scene = carve([plane(0.2, 1.0), plane(0.8, ramp)])
    picture = all_in_focus(scene)[0]
    assert torch.allclose(picture[:, :46], torch.tensor(0.2), atol=1e-6)
    assert torch.allclose(picture[:, 50:], torch.tensor(0.8), atol=1e-6)
    dioptre, edges = truth(scene, 0.1)
    assert torch.allclose(dioptre, torch.maximum(ramp, torch.tensor(1.0)), atol=0.03)
    assert not edges.any()  # the surfaces meet: no jump


def test_truth_takes_the_visible_layer_and_marks_its_rim():
    scene = [plane(0.2, 0.5), plane(0.8, 2.0, disc_alpha(20))]
    dioptre, edges = truth(scene, 0.1)
    assert dioptre[48, 48] == 2
    assert dioptre[3, 3] == 0.5
    assert edges.any()
    assert not edges[48, 48]
    assert not edges[3, 3]
    distance = torch.hypot(*torch.meshgrid(*[torch.arange(SIZE) - 47.5] * 2, indexing="ij"))
    assert (distance[edges] - 20).abs().max() < 2.5
    assert torch.allclose(visibility(scene).sum(0), torch.tensor(1.0))


def test_errors_name_the_trouble():
    with pytest.raises(ValueError, match="must be"):
        Layer(torch.zeros(3, 8, 8), torch.zeros(8, 9), torch.zeros(8, 8))
    with pytest.raises(ValueError, match="at least one layer"):
        render_stack([], torch.tensor([1.0]), 1.0)
    with pytest.raises(ValueError, match="does not fit"):
        render_stack([plane(0.5, 0.0)], torch.tensor([1.0]), 300.0)
