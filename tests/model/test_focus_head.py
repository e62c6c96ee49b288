"""The autofocus head: pooling, cues, encoding of any slices seen, and logits over any ladder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dff.model.focus_head import (
    FocusHead,
    FocusHeadConfig,
    FocusNetwork,
    Pooled,
    build_focus_network,
    depth_index,
)
from dff.model.focus_head_cues import PHASES, octave_energy, phase, phase_maps
from dff.model.focus_head_encode import Encoded, Seen, brightened, encode
from dff.model.focus_head_pool import clipped, cover, region_mean
from dff.model.network import SIZES, DepthNetwork

SMALL = FocusHeadConfig(channels=12, votes=12, blocks=2)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def network() -> FocusNetwork:
    torch.manual_seed(0)
    net = FocusNetwork(DepthNetwork(SIZES["nano"]), SMALL).eval()
    for parameter in net.head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net


def seen(n: int, count: int, *, size: tuple[int, int] = (40, 48), first: int = 0, batch: int = 1) -> Seen:
    generator = torch.Generator().manual_seed(n)
    images = torch.rand(batch, n, 3, *size, generator=generator)
    ladder = torch.linspace(0, 1, count).expand(batch, count)
    return Seen(images, ladder[:, first : first + n], ladder)


# --- pooling ---------------------------------------------------------------------------------------------


def test_region_mean_equals_fine_sampling_of_the_cells() -> None:
    """A second way: every cell cut into 20 x 20 points, those inside the region averaged."""
    maps = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    regions = torch.tensor([[[3.2, 1.6, 18.4, 17.2], [0, 0, 28, 20], [8.4, 8.4, 8.8, 9.2]]]).double()
    fine = maps.repeat_interleave(20, -1).repeat_interleave(20, -2)
    at = (np.arange(7 * 20) + 0.5) / 5  # px, of cells of 4 px
    found = region_mean(maps, regions, 4)
    for r, (x0, y0, x1, y1) in enumerate(regions[0].tolist()):
        columns, rows = (at > x0) & (at < x1), (at[: 5 * 20] > y0) & (at[: 5 * 20] < y1)
        expected = fine[0][:, rows][:, :, columns].mean(dim=(1, 2))
        assert torch.allclose(found[0, r], expected, atol=1e-9)


def test_region_mean_by_hand() -> None:
    maps = torch.tensor([[[[0.0, 8.0]]]])
    assert region_mean(maps, torch.tensor([[[6.0, 0.0, 10.0, 8.0]]]), 8)[0, 0, 0] == 4.0
    assert region_mean(maps, torch.tensor([[[7.0, 3.0, 11.0, 4.0]]]), 8)[0, 0, 0] == 6.0
    assert cover(torch.tensor(0.25), torch.tensor(1.5), 3).tolist() == [0.75, 0.5, 0.0]


def test_regions_are_cut_to_the_picture() -> None:
    assert clipped(torch.tensor([[-4.0, 2, 9, 30]]), 20, 8).tolist() == [[0, 2, 8, 20]]
    for outside in ([9.0, 0, 12, 4], [3.0, 3, 3, 9]):
        with pytest.raises(ValueError, match="empty or outside the picture, which is 8x20 px"):
            clipped(torch.tensor([outside]), 20, 8)


def test_a_region_partly_outside_is_what_is_inside_of_it() -> None:
    net, view = network(), seen(3, 5)
    with torch.inference_mode():
        encoded = net.encode(view)
        regions = torch.tensor([[[-30.0, -9, 16, 24], [0, 0, 16, 24]]])
        logits = net(encoded, regions, torch.tensor([10.0]))
    assert torch.equal(logits[0, 0], logits[0, 1])


# --- cues ------------------------------------------------------------------------------------------------


def test_energy_is_in_the_octave_of_the_pattern() -> None:
    fine = (torch.arange(64) % 2).float().expand(64, 64)
    coarse = ((torch.arange(64) // 8) % 2).float().expand(64, 64)
    energies = octave_energy(torch.stack([fine, coarse])[None, :, None])[0].mean(dim=(2, 3))
    assert int(energies[0].argmax()) == 0
    assert int(energies[1].argmax()) in (2, 3)
    assert energies[0, 0] == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize("shift", [-6, 0, 4])
def test_phase_peaks_where_the_halves_meet(shift: int) -> None:
    grain = torch.rand(1, 1, 1, 64, 96, generator=torch.Generator().manual_seed(2))
    grain = torch.nn.functional.avg_pool2d(grain[0], 5, 1, 2)[None]
    maps = phase_maps(grain, grain.roll(shift, dims=-1))
    found = phase(maps[0, 0, :, 2:6, 4:8].mean(dim=(1, 2)))
    assert found.shape == (PHASES,)
    # left(x + s/2) = right(x - s/2) for s = -shift px, which is half as many cells at the first level
    assert int(found[:17].argmax()) - 8 == -shift // 2
    assert found.max() <= 1.05  # energies are those of the region, and what is compared reaches beyond it


# --- encoding --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "count"), [(1, 7), (2, 7), (7, 7), (13, 13), (3, 49)])
def test_any_number_of_slices_and_any_ladder(n: int, count: int) -> None:
    net = network()
    with torch.inference_mode():
        view = seen(n, count, batch=2)
        encoded = net.encode(view)
        regions = torch.tensor([[[0.0, 0, 48, 40], [5.5, 3, 20, 31], [1, 1, 2, 2]]]).expand(2, 3, 4)
        logits = net(encoded, regions, torch.tensor([12.0, torch.nan]))
    assert logits.shape == (2, 3, count)
    assert bool(logits.isfinite().all())
    assert encoded.features.shape[:3] == (2, n, 7 * SIZES["nano"].channels + 4)


def test_one_slice_knows_no_depth_and_several_do() -> None:
    net = network()
    with torch.inference_mode():
        assert float(net.encode(seen(1, 5, first=2)).depth.abs().max()) == 0
        depth = net.encode(seen(3, 5)).depth
    assert torch.allclose(depth[:, :-1].sum(dim=1), depth[:, -1], atol=1e-5)
    assert bool((depth[:, -1] > 0).all())


def test_without_halves_phase_is_hidden() -> None:
    net = network()
    view = seen(2, 5)
    halves = view.images[:, :, :1], view.images[:, :, 1:2]
    with torch.inference_mode():
        with_halves = net.encode(Seen(view.images, view.places, view.ladder, halves))
        hidden = Encoded(**{**vars(with_halves), "has_phase": torch.zeros(1)})
        regions, blur = torch.tensor([[[0.0, 0, 30, 30]]]), torch.tensor([9.0])
        plain = net(view, regions, blur)
        assert torch.allclose(net(hidden, regions, blur), plain, atol=1e-5)
        assert not torch.allclose(net(with_halves, regions, blur), plain, atol=1e-3)


def test_dark_stacks_are_brightened() -> None:
    dark = torch.full((1, 2, 3, 8, 8), 0.1)
    assert float(brightened(dark).max()) == pytest.approx(0.5)
    assert torch.equal(brightened(dark * 9), dark * 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"places": torch.tensor([[0.0, 0.5, 0.5]])}, "must rise"),
        ({"places": torch.tensor([[0.0, 0.5, 1.5]])}, "on the ladder"),
        ({"places": torch.tensor([[0.0, 0.5]])}, r"places must be \(B,n\)"),
        ({"ladder": torch.tensor([[0.0, 1.0]])}, "no more than it has"),
        ({"images": torch.zeros(1, 3, 3, 8, 8, dtype=torch.uint8)}, "floats"),
    ],
)
def test_bad_input_is_named(change: dict[str, Tensor], message: str) -> None:
    view = Seen(**{**vars(seen(3, 5)), **change})
    with pytest.raises(ValueError, match=message):
        encode(network().depth, view)


# --- the head --------------------------------------------------------------------------------------------


def test_depth_index_is_the_median_between_the_slices() -> None:
    shares = torch.tensor([[0, 1.0, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75], [0, 0, 0, 0]])
    assert depth_index(shares).tolist() == pytest.approx([1.0, 0.5, 2.8333333, 0.0], abs=1e-5)


def test_logits_move_with_the_slices_seen() -> None:
    """The same slice, five places further on: the same logits, five places further on, away from the ends."""
    head = network().head
    ladder = torch.linspace(0, 1, 41)[None]
    slices = torch.rand(1, 1, 2, 7 * 8 + 4 + 10 + PHASES + 1, generator=torch.Generator().manual_seed(3))
    moved = []
    for first in (15, 20):
        depth = torch.zeros(1, 1, 41)
        depth[..., first : first + 2] = torch.tensor([0.3, 0.5])
        encoded = Encoded(
            *(torch.empty(0),) * 4, ladder[:, [first, first + 1]], ladder, torch.zeros(1), (8, 8)
        )
        pooled = Pooled(slices, depth, torch.tensor([[0.8]]))
        with torch.inference_mode():
            geometry = head.geometry(encoded.places, ladder, torch.tensor([20.0]))
            moved.append(head(pooled, encoded, geometry)[0][0, 0])
    assert torch.allclose(moved[0][5:30], moved[1][10:35], atol=1e-4)
    assert not torch.allclose(moved[0][5:30], moved[1][5:30], atol=1e-2)


def test_trusted_depth_makes_a_parabola() -> None:
    torch.manual_seed(0)
    head = FocusHead(SMALL, 60)
    torch.nn.init.constant_(head.trust.bias, 2.0)
    depth = torch.zeros(1, 1, 9)
    depth[..., 4] = 1
    ladder = torch.linspace(0, 1, 9)[None]
    encoded = Encoded(*(torch.empty(0),) * 4, ladder, ladder, torch.zeros(1), (8, 8))
    slices = torch.zeros(1, 1, 9, 60 + 10 + PHASES + 1)
    geometry = head.geometry(ladder, ladder, torch.tensor([torch.nan]))
    logits = head(Pooled(slices, depth, torch.ones(1, 1)), encoded, geometry)[0][0, 0]
    tau = 1 / float(torch.nn.functional.softplus(torch.tensor(2.0)))
    expected = -((torch.arange(9) - 4.0) ** 2) / tau
    assert torch.allclose(logits, expected, atol=1e-4)


def test_the_frozen_backbone_takes_no_gradient_and_the_joint_one_does() -> None:
    for frozen in (True, False):
        net = FocusNetwork(DepthNetwork(SIZES["nano"]), SMALL, trained="head" if frozen else "all").train()
        torch.nn.init.normal_(net.head.residual.weight)
        net(seen(2, 4), torch.tensor([[[0.0, 0, 20, 20]]]), torch.tensor([5.0])).sum().backward()
        graded = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.depth.encode.parameters()]
        assert any(graded) is not frozen
        assert net.depth.training is not frozen


def test_made_again_from_its_settings() -> None:
    settings = {"head": vars(SMALL), "depth": vars(SIZES["nano"])}
    made = build_focus_network(settings)
    made.load_state_dict(network().state_dict())
    with pytest.raises(ValueError, match="4 or more"):
        FocusHeadConfig(channels=2)
