import math

import pytest
import torch
from kornia.metrics import ssim
from layer_scenes import SIZE, batched, cluttered, disc_alpha, display, dot, noise, plane, psnr

from dff.simulator import render
from dff.simulator.layers import Layer, all_in_focus
from dff.simulator.lens_sampling import render_exact
from dff.simulator.psf import PSF, Field, disparity_per_coc_px
from dff.simulator.render import render_dual_pixel, render_stack

LOPSIDED = PSF("polygon", blades=5, rotation_deg=20)


def as_dtype(layer: Layer, dtype: torch.dtype) -> Layer:
    return Layer(layer.colour.to(dtype), layer.alpha.to(dtype), layer.dioptre.to(dtype))


def centroid(picture):
    light = picture.double()
    y, x = torch.arange(light.shape[-2])[:, None], torch.arange(light.shape[-1])
    return float((light * x).sum() / light.sum()), float((light * y).sum() / light.sum())


# --- one point, one layer --------------------------------------------------------------------------------


@pytest.mark.parametrize("psf", [PSF(), LOPSIDED, PSF(cats_eye=0.5)])
def test_slice_in_focus_is_the_sharp_scene_exactly(psf):
    scene = [plane(noise(0), 1.0), plane(noise(1), 1.0, disc_alpha(20))]
    slices = render_stack(scene, torch.tensor([0.0, 1.0, 1.04]), 20.0, psf)
    sharp = all_in_focus(scene)
    if psf.cats_eye:  # the cells' weights round
        assert torch.allclose(slices[1], sharp, atol=1e-6)
    else:
        assert torch.equal(slices[1], sharp)
        assert torch.equal(slices[2], sharp)  # 0.8 px of blur is none
    assert (slices[0] - sharp).abs().max() > 0.05


@pytest.mark.parametrize("coc", [2.0, 2.9, 6.6, 15.0, 30.0])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_point_becomes_a_disc_of_the_circle_of_confusion(coc, side):
    picture = render_stack([plane(dot(48, 40), 2.0)], torch.tensor([2.0 + side * 0.5]), 2 * coc)[
        0, 0
    ].double()
    y, x = torch.arange(SIZE)[:, None] - 48, torch.arange(SIZE)[None, :] - 40
    assert float(picture.sum()) == pytest.approx(1, abs=1e-4)
    assert float((picture * (x**2 + y**2)).sum()) == pytest.approx(coc**2 / 8, rel=0.01)
    assert picture[torch.hypot(x.double(), y.double()) > 0.62 * coc + 1].abs().max() < 1e-6


def test_lopsided_blur_turns_round_across_the_focus():
    before, behind = render_stack(
        [plane(dot(48, 48, 97), 1.0, size=97)], torch.tensor([0.0, 2.0]), 17.0, LOPSIDED
    )
    assert torch.allclose(before.flip(-2, -1), behind, atol=1e-6)
    assert not torch.allclose(before, behind, atol=1e-4)


def test_a_border_does_not_darken():
    for psf in (PSF(), PSF(cats_eye=1.0)):
        picture = render_stack([plane(0.7, 0.0)], torch.tensor([1.0, 2.0]), 15.0, psf)
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


# --- occlusion -------------------------------------------------------------------------------------------


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


def test_empty_layers_are_skipped():
    scene = [plane(noise(0), 0.0)]
    nothing = plane(1.0, 2.0, torch.zeros(SIZE, SIZE))
    focus = torch.tensor([1.0])
    assert torch.equal(render_stack([*scene, nothing], focus, 9.0), render_stack(scene, focus, 9.0))


# --- against exact lens sampling -------------------------------------------------------------------------


def test_cluttered_scenes_are_as_by_lens_sampling():
    """Four scenes, eight slices, blur radius up to 4.5, 9 and 18 px: the bars of the renderer."""
    cases = [(0, 9.0, (0.3, 2.9)), (1, 18.0, (0.5, 2.0)), (2, 36.0, (0.3, 1.6)), (3, 36.0, (1.1, 3.0))]
    decibels, likeness = [], []
    for seed, widest, focus in cases:
        scene, gain = cluttered(10 * seed), widest / 2.7
        ours = render_stack(scene, torch.tensor(focus), gain)
        exact = render_exact(scene, torch.tensor(focus), gain, samples=300)
        decibels += [psnr(one, other) for one, other in zip(ours, exact, strict=True)]
        likeness += [float(one.mean()) for one in ssim(display(ours), display(exact), 11)]
    assert len(decibels) == 8
    assert sum(decibels) / 8 > 40
    assert min(decibels) > 33
    assert sum(likeness) / 8 > 0.99


@pytest.mark.parametrize(
    ("psf", "half"),
    [(LOPSIDED, None), (PSF("ring", softness=0.2), None), (PSF(), "left"), (PSF(cats_eye=1.0), None)],
    ids=["polygon", "ring", "left", "cats_eye"],
)
def test_every_pupil_is_as_by_lens_sampling(psf, half):
    scene, focus = cluttered(5)[:3], torch.tensor([2.6])
    field = Field((30.0, 40.0), 60.0) if psf.cats_eye else None
    ours = render_stack(scene, focus, 7.0, psf, half, field)
    exact = render_exact(scene, focus, 7.0, psf, half, field=field, samples=300)
    assert psnr(ours[0], exact[0]) > 42
    if psf.cats_eye:  # and the cells matter
        assert psnr(render_stack(scene, focus, 7.0)[0], exact[0]) < psnr(ours[0], exact[0]) - 3


# --- dual pixel ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("psf", [PSF(), PSF(split_ramp=2, crosstalk=0), LOPSIDED])
def test_halves_average_to_the_full_aperture(psf):
    focus = torch.tensor([0.3, 1.2, 3.0])
    scene = cluttered(7)
    left, right = render_dual_pixel(scene, focus, 6.0, psf)
    assert psnr((left + right) / 2, render_stack(scene, focus, 6.0, psf)) > 45
    assert torch.allclose(left, render_stack(scene, focus, 6.0, psf, "left"), atol=1e-5)
    assert torch.allclose(right, render_stack(scene, focus, 6.0, psf, "right"), atol=1e-5)
    one = scene[:1]
    left, right = render_dual_pixel(one, focus, 6.0, psf)
    assert torch.allclose((left + right) / 2, render_stack(one, focus, 6.0, psf), atol=1e-5)


@pytest.mark.parametrize("psf", [PSF(), LOPSIDED])
def test_disparity_changes_sign_across_the_focus_and_follows_the_blur(psf):
    focus = torch.tensor([0.0, 0.5, 0.8, 1.0, 1.2, 1.5, 2.0])
    gain = 20.0
    left, right = render_dual_pixel([plane(dot(48, 48), 1.0)], focus, gain, psf)
    for n, at in enumerate(focus.tolist()):
        shift = centroid(right[n, 0])[0] - centroid(left[n, 0])[0]
        coc = gain * (1.0 - at)
        assert shift == pytest.approx(disparity_per_coc_px(psf) * coc, abs=0.01 + 0.01 * abs(coc))


# --- batches, types, devices -----------------------------------------------------------------------------


def some_scenes():
    focus = torch.tensor([[0.0, 0.7, 1.5], [0.3, 1.0, 2.0]])
    gain = torch.tensor([[4.0], [7.0]]).expand(2, 3)
    return [cluttered(20), cluttered(30)], focus, gain


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("psf", [PSF(), LOPSIDED])
def test_a_batch_is_rendered_like_its_members(at_once, psf, monkeypatch):
    scenes, focus, gain = some_scenes()
    alone = torch.stack([render_stack(scenes[i], focus[i], gain[i], psf) for i in (0, 1)])
    monkeypatch.setattr(render, "_at_once", lambda device: at_once)
    together = render_stack(batched(scenes), focus, gain, psf)
    assert together.shape == (2, 3, 3, SIZE, SIZE)
    # blur levels are those of the whole batch, crops as well
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_batch_may_lack_a_layer_in_some_scenes(monkeypatch):
    scenes, focus, gain = some_scenes()
    scenes[1][2].alpha.zero_()
    alone = torch.stack([render_stack(scenes[i], focus[i], gain[i]) for i in (0, 1)])
    monkeypatch.setattr(render, "_at_once", lambda device: True)
    assert torch.allclose(render_stack(batched(scenes), focus, gain), alone, atol=1e-5)


def test_one_scene_may_be_swept_in_many_ways():
    scene = cluttered(3)
    focus = torch.tensor([[[0.3, 2.0]], [[1.0, 3.0]]])
    stacks = render_stack(scene, focus, 6.0)
    assert stacks.shape == (2, 1, 2, 3, SIZE, SIZE)
    assert torch.equal(stacks[1, 0], render_stack(scene, focus[1, 0], 6.0))


def test_grey_is_rendered_like_a_channel():
    scene, focus = cluttered(4), torch.tensor([0.4, 1.5])
    grey = [Layer(layer.colour[1:2], layer.alpha, layer.dioptre) for layer in scene]
    assert torch.allclose(render_stack(grey, focus, 8.0), render_stack(scene, focus, 8.0)[:, 1:2], atol=1e-6)


def test_half_precision_layers_are_blurred_in_full():
    scene, focus = cluttered(6), torch.tensor([0.4, 1.5])
    half = [as_dtype(layer, torch.bfloat16) for layer in scene]
    slices = render_stack(half, focus, 8.0)
    assert slices.dtype == torch.bfloat16
    full = render_stack([as_dtype(layer, torch.float32) for layer in half], focus, 8.0)
    assert torch.equal(slices, full.bfloat16())
    sharp = render_stack([plane(noise(0), 1.0)], focus, 8.0)
    double = render_stack([as_dtype(plane(noise(0), 1.0), torch.float64)], focus, 8.0)
    assert double.dtype == torch.float64
    assert torch.allclose(double.float(), sharp, atol=1e-5)


def test_gradients_reach_the_scene():
    picture = noise(2).requires_grad_()
    scene = [Layer(picture, torch.ones(SIZE, SIZE), torch.zeros(SIZE, SIZE))]
    with torch.inference_mode():
        render_stack([plane(noise(2), 0.0)], torch.tensor([1.0]), 8.0)  # what is kept of this serves below
    render_stack(scene, torch.tensor([1.0]), 8.0).sum().backward()
    assert picture.grad is not None
    assert float(picture.grad.sum()) == pytest.approx(3 * SIZE**2, rel=0.01)


# --- cat's eyes ------------------------------------------------------------------------------------------


def test_highlights_become_lemons_towards_the_corners():
    size = 160
    lights = torch.zeros(3, size, size)
    for row, column in ((79, 79), (30, 30), (79, 140)):
        lights[:, row, column] = 1
    picture = render_stack([plane(lights, 1.0, size=size)], torch.tensor([0.0]), 20.0, PSF(cats_eye=1.0))[
        0, 0
    ]

    def along(row, column, direction):
        """Standard deviation of a light along a direction (y, x)."""
        y = torch.arange(-14, 15).double()[:, None].expand(29, 29)
        light = picture[row - 14 : row + 15, column - 14 : column + 15].double()
        u = (y * direction[0] + y.T * direction[1]) / math.hypot(*direction)
        mean = (light * u).sum() / light.sum()
        return float((light * (u - mean) ** 2).sum() / light.sum()) ** 0.5

    assert along(79, 79, (0, 1)) == pytest.approx(20 / 4, rel=0.03)
    assert along(79, 79, (0, 1)) == pytest.approx(along(79, 79, (1, 0)), rel=0.02)
    assert along(30, 30, (1, 1)) < 0.85 * along(30, 30, (1, -1))
    assert along(79, 140, (0, 1)) < 0.85 * along(79, 140, (1, 0))


def test_errors_name_the_trouble():
    scene = [plane(0.5, 0.0)]
    with pytest.raises(ValueError, match="at least one layer"):
        render_stack([], torch.tensor([1.0]), 1.0)
    with pytest.raises(ValueError, match="does not fit a scene of 96x96 px"):
        render_stack(scene, torch.tensor([1.0]), 300.0)
    with pytest.raises(ValueError, match="channels of the first"):
        render_stack([*scene, plane(noise(0)[:1], 1.0)], torch.tensor([1.0]), 3.0)


@pytest.mark.parametrize("together", [False, True])
def test_a_scene_without_a_layer_does_not_lend_it_its_focus(together, monkeypatch):
    """Far and near sweeps in one batch: 9 dioptres between them would be a blur of 180 px."""
    monkeypatch.setattr(render, "_at_once", lambda device: together)
    far, near = torch.tensor([[0.0, 1.0]]), torch.tensor([[9.0, 10.0]])
    disc = disc_alpha(20)
    scenes = [
        [plane(noise(0), 0.5), plane(noise(1), 0.8, disc)],
        [plane(noise(2), 9.5), plane(noise(3), 9.8, torch.zeros_like(disc))],
    ]
    alone = [render_stack(scene, focus[0], 20.0) for scene, focus in zip(scenes, (far, near), strict=True)]
    both = [
        Layer(*(torch.stack(parts) for parts in zip(*map(_arrays, pair), strict=True)))
        for pair in zip(*scenes, strict=True)
    ]
    shown = render_stack(both, torch.cat([far, near]), 20.0)
    assert torch.allclose(shown, torch.stack(alone), atol=1e-5)


def _arrays(layer: Layer) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return layer.colour, layer.alpha, layer.dioptre
