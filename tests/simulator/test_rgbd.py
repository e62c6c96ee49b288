import math

import pytest
import torch
import torch.nn.functional as F

from dff.eval.baselines.naive_gather import naive_gather
from dff.simulator.layers import Layer, all_in_focus, truth, visibility
from dff.simulator.lens_sampling import render_exact
from dff.simulator.render import render_stack
from dff.simulator.rgbd import rgbd_layers

SIZE = 96


def noise(seed, size=SIZE, grain=5):
    """Smooth random picture in linear light (3,size,size)."""
    raw = torch.rand(1, 3, size + grain - 1, size + grain - 1, generator=torch.Generator().manual_seed(seed))
    return F.avg_pool2d(raw, grain, 1)[0] ** 2


def edge(signed_px):
    """Coverage over a pixel from a signed distance."""
    return (0.5 + signed_px).clamp(0, 1)


def grid(size=SIZE):
    at = torch.arange(size) - (size - 1) / 2
    return at[:, None], at[None, :]


def true_scene():
    """A slanted wall, a floor-like ramp of a board, a disc before them and a wire before all."""
    y, x = grid()
    ones = torch.ones(SIZE, SIZE)
    wall = Layer(noise(0), ones, (0.3 + 0.002 * (x + 48)).expand(SIZE, SIZE))
    board = Layer(0.3 * noise(1), edge(26 - (y + 10).abs()) * edge(20 - (x + 16).abs()), ones * 1.5)
    disc = Layer(noise(2), edge(18 - torch.hypot(y - 14, x - 12)), (2.2 + 0.01 * y).expand(SIZE, SIZE))
    wire = Layer(1.5 * noise(3), edge(1.2 - (x + 0.4 * y - 5).abs() / 1.08), ones * 3.0)
    return [wall, board, disc, wire]


def psnr(a, b, margin=14):
    error = a.clamp(0, 1) ** (1 / 2.2) - b.clamp(0, 1) ** (1 / 2.2)
    return -10 * math.log10(float(error[..., margin:-margin, margin:-margin].square().mean()))


def test_all_in_focus_the_layers_are_the_picture_again():
    scene = true_scene()
    picture, dioptre = all_in_focus(scene), truth(scene)[0]
    generator = torch.Generator().manual_seed(0)
    ragged = 3 * torch.rand(SIZE // 8, SIZE // 8, generator=generator).repeat_interleave(
        8, 0
    ).repeat_interleave(8, 1)
    for depth in (dioptre, ragged, 3 * torch.rand(SIZE, SIZE, generator=generator)):
        layers = rgbd_layers(picture, depth, n_layers=16)
        assert 1 < len(layers) <= 16
        assert (all_in_focus(layers) - picture).abs().max() < 2e-6
        assert all(layer.colour.min() >= 0 for layer in layers)
        assert all(0 <= layer.alpha.min() <= layer.alpha.max() <= 1 for layer in layers)
        assert (layers[0].alpha == 1).all()


def test_a_slice_in_focus_is_the_picture():
    picture = noise(0)
    flat = rgbd_layers(picture, torch.full((SIZE, SIZE), 1.25))
    assert len(flat) == 1
    assert torch.equal(render_stack(flat, torch.tensor([1.25]), 20.0)[0], picture)


def test_one_slanted_surface_is_one_layer_blurred_like_the_true_one():
    y, x = grid()
    slope = (1.5 + 0.01 * x + 0.005 * y).expand(SIZE, SIZE)
    layers = rgbd_layers(noise(4), slope)
    assert len(layers) == 1
    assert torch.equal(layers[0].dioptre, slope)


def test_near_to_exact_lens_sampling_and_better_than_the_naive_blur():
    scene = true_scene()
    picture, dioptre = all_in_focus(scene), truth(scene)[0]
    focus, gain = torch.tensor([0.4, 1.5, 2.9]), 5.0
    exact = render_exact(scene, focus, gain, samples=200, supersample=2)
    ours = render_stack(rgbd_layers(picture, dioptre), focus, gain)
    naive = naive_gather(picture, dioptre, focus, gain)
    lead = [psnr(a, c) - psnr(b, c) for a, b, c in zip(ours, naive, exact, strict=True)]
    assert psnr(ours, exact) > 36
    assert min(lead) > 1.5
    assert sum(lead) / len(lead) > 3


def test_a_wire_is_kept_and_leaves_nothing_behind():
    x = grid()[1]
    wire = edge(1 - (x - 3).abs()).expand(SIZE, SIZE)
    picture = 0.1 + 0.8 * wire.expand(3, SIZE, SIZE)
    dioptre = torch.where(wire > 0.5, 3.0, 0.5)
    back, front = rgbd_layers(picture, dioptre)
    assert (front.alpha - wire).abs().mean() < 0.01
    assert (back.colour - 0.1).abs().max() < 0.05
    far = render_stack([back, front], torch.tensor([0.5]), 10.0)[0, :, 20:-20, 20:-20]
    assert float(far.mean()) == pytest.approx(float(picture[:, 20:-20, 20:-20].mean()), rel=0.03)


def test_edges_are_as_soft_as_the_picture_shows_them():
    y, x = grid()
    disc = edge((22 - torch.hypot(y, x)) / 1.4)
    picture = 0.2 * (1 - disc) + 0.7 * disc + 0 * noise(0)
    layers = rgbd_layers(picture, torch.where(disc > 0.5, 2.0, 0.5))
    seen = visibility(layers)[1]
    mixed = (disc > 0) & (disc < 1)
    hard = (disc > 0.5).float()
    assert (seen - disc).abs()[mixed].mean() < 0.4 * (hard - disc).abs()[mixed].mean()
    assert (seen - disc)[~mixed].abs().max() < 0.02
    # nor does the near colour stay behind
    assert (layers[0].colour - 0.2).abs().amax(0)[mixed].mean() < 0.05


def test_depth_smoothed_over_its_edges_makes_the_same_layers():
    y, x = grid()
    sharp = torch.where(torch.hypot(y, x) < 24, 2.5, 0.5)
    smooth = F.avg_pool2d(F.pad(sharp[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
    layers = rgbd_layers(noise(1), smooth)
    assert len(layers) == 2
    dioptre = truth(layers)[0]
    assert (dioptre - sharp).abs().gt(0.1).float().mean() < 0.02
    # where the depth given was a mean of two, the layers have one of the two
    mean = ((smooth - 0.5) > 0.2) & ((2.5 - smooth) > 0.2)
    assert mean.any()
    assert (dioptre - smooth)[mean].abs().min() > 0.1


def test_holes_take_the_surface_behind():
    dioptre = torch.full((SIZE, SIZE), 0.5)
    dioptre[20:70, 40:70] = 2.5
    valid = torch.ones(SIZE, SIZE, dtype=torch.bool)
    valid[20:70, 32:40] = False
    valid[5:10, 5:10] = False
    whole = rgbd_layers(noise(3), dioptre)
    holed = rgbd_layers(noise(3), torch.where(valid, dioptre, float("nan")), valid)
    assert len(whole) == len(holed) == 2
    assert (holed[1].alpha - whole[1].alpha).abs().mean() < 0.005
    told = (truth(holed)[0] - dioptre).abs() < 0.01
    assert told[valid].float().mean() > 0.99
    assert truth(holed)[0][~valid].max() < 0.6


def test_a_batch_is_layered_like_its_members():
    scene = true_scene()
    pictures = torch.stack([all_in_focus(scene), noise(7), noise(8)])
    dioptre = torch.stack([truth(scene)[0], torch.full((SIZE, SIZE), 1.0), truth(scene)[0].flip(1)])
    together = rgbd_layers(pictures[:, None], dioptre[:, None])
    focus = torch.tensor([0.3, 2.0])
    stack = render_stack(together, focus.expand(3, 1, 2), 6.0)
    for i in range(3):
        alone = rgbd_layers(pictures[i], dioptre[i])
        assert torch.allclose(stack[i, 0], render_stack(alone, focus, 6.0), atol=1e-4)


def test_dtypes_stay_and_the_same_input_gives_the_same_layers():
    scene = true_scene()
    picture, dioptre = all_in_focus(scene), truth(scene)[0]
    half = rgbd_layers(picture.bfloat16(), dioptre)
    assert half[0].colour.dtype == half[0].alpha.dtype == torch.bfloat16
    assert half[0].dioptre.dtype == torch.float32
    for one, other in zip(rgbd_layers(picture, dioptre), rgbd_layers(picture, dioptre), strict=True):
        assert torch.equal(one.colour, other.colour)
        assert torch.equal(one.alpha, other.alpha)


def test_errors_name_the_trouble():
    with pytest.raises(ValueError, match="must be"):
        rgbd_layers(torch.zeros(3, 8, 8), torch.zeros(8, 9))
    with pytest.raises(ValueError, match="n_layers 0"):
        rgbd_layers(torch.zeros(3, 8, 8), torch.zeros(8, 8), n_layers=0)
    with pytest.raises(ValueError, match="not finite where it is valid"):
        rgbd_layers(torch.zeros(3, 8, 8), torch.full((8, 8), float("nan")))
