import pytest
import torch
from layer_scenes import SIZE, batched, cluttered, disc_alpha, noise, plane

from dff.simulator.layers import (
    Layer,
    Window,
    all_in_focus,
    carve,
    carve_together,
    extents,
    truth,
    visibility,
)


def test_carve_lets_the_nearest_surface_win():
    ramp = torch.linspace(0, 2, SIZE)[None, :].expand(SIZE, SIZE)
    scene = carve([plane(0.2, 1.0), plane(0.8, ramp)])
    picture = all_in_focus(scene)[0]
    assert torch.allclose(picture[:, :46], torch.tensor(0.2), atol=1e-6)
    assert torch.allclose(picture[:, 50:], torch.tensor(0.8), atol=1e-6)
    dioptre, edges = truth(scene, 0.1)
    assert torch.allclose(dioptre, torch.maximum(ramp, torch.tensor(1.0)), atol=0.03)
    assert not edges.any()  # the surfaces meet: no jump


def test_carve_leaves_what_it_was_given_alone():
    ramp = torch.linspace(0, 2, SIZE)[None, :].expand(SIZE, SIZE)
    given = [plane(0.2, 1.0), plane(0.8, ramp), plane(0.5, 1.2, torch.zeros(SIZE, SIZE))]
    before = [layer.alpha.clone() for layer in given]
    after = carve(given)
    assert all(torch.equal(layer.alpha, alpha) for layer, alpha in zip(given, before, strict=True))
    assert after[2].alpha.max() == 0
    assert carve([]) == []


def test_carve_of_a_batch_is_that_of_its_members():
    ramps = [torch.linspace(0, 2, SIZE)[None, :], torch.linspace(3, 0, SIZE)[:, None]]
    scenes = [
        [plane(0.2, 1.0), plane(0.8, ramp.expand(SIZE, SIZE)), plane(0.5, 1.5, disc_alpha(12 + 20 * i))]
        for i, ramp in enumerate(ramps)
    ]
    alone = batched([carve(scene) for scene in scenes])
    for way in (carve, carve_together):
        for one, other in zip(way(batched(scenes)), alone, strict=True):
            assert torch.allclose(one.alpha, other.alpha, atol=1e-6)


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


def test_extents_say_where_layers_are():
    alpha = torch.zeros(2, SIZE, SIZE)
    alpha[0, 10:20, 30:50] = 0.5
    alpha[0, 12, 33] = 1
    ramp = torch.arange(SIZE).float()[:, None].expand(2, SIZE, SIZE)
    seen, background = extents(
        [Layer(torch.ones(2, 3, SIZE, SIZE), alpha, ramp), plane(0.5, 1.5)],
    )
    assert seen.box == Window(10, 20, 30, 50)
    assert not seen.opaque
    assert seen.low.tolist() == [10, 10]  # the second scene shows none of it: the batch's range
    assert seen.high.tolist() == [19, 19]
    assert background.box == Window(0, SIZE, 0, SIZE)
    assert background.opaque
    assert extents([plane(0.5, 1.0, torch.zeros(SIZE, SIZE))])[0].box.empty


def test_windows_grow_meet_and_index():
    inner, frame = Window(2, 5, 3, 9), Window(0, 6, 0, 8)
    assert inner.size == (3, 6)
    assert inner.grown(2).common(frame) == Window(0, 6, 1, 8)
    picture = torch.arange(48).reshape(6, 8)
    part = inner.common(frame)
    assert torch.equal(picture[part.within(frame)], picture[2:5, 3:8])
    assert Window(4, 6, 0, 2).common(Window(0, 4, 0, 2)).empty


def test_half_precision_composites_as_well_as_its_pictures():
    scene = cluttered(1)
    half = [Layer(*(one.bfloat16() for one in (s.colour, s.alpha, s.dioptre))) for s in scene]
    sharp = all_in_focus(half)
    assert sharp.dtype == torch.bfloat16
    exact = all_in_focus([Layer(s.colour.float(), s.alpha.float(), s.dioptre) for s in half])
    assert torch.equal(sharp, exact.bfloat16())


def test_shapes_that_disagree_are_refused():
    with pytest.raises(ValueError, match="must be"):
        Layer(torch.zeros(3, 8, 8), torch.zeros(8, 9), torch.zeros(8, 8))
    with pytest.raises(ValueError, match="must be"):
        Layer(torch.zeros(2, 8, 8), torch.zeros(8, 8), torch.zeros(8, 8))
    with pytest.raises(ValueError, match="must be"):
        Layer(torch.zeros(8, 8), torch.zeros(8, 8), torch.zeros(8, 8))
    assert Layer(noise(0)[:1], torch.ones(SIZE, SIZE), torch.ones(SIZE, SIZE)).colour.shape[0] == 1
