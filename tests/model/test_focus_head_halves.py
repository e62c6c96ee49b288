"""The part of the autofocus head that reads the halves of dual pixels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dff.model.focus_head import FocusHeadConfig, FocusNetwork, build_focus_network
from dff.model.focus_head_encode import Seen
from dff.model.focus_head_halves import HalvesConfig, HalvesHead, pair
from dff.model.network import SIZES, DepthNetwork

HEAD = FocusHeadConfig(channels=12, votes=12, blocks=1)
HALVES = HalvesConfig(widths=(4, 8, 8), depths=(1, 1, 1), cues=8, channels=8, votes=8, blocks=1)
REGIONS, BLUR = torch.tensor([[[0.0, 0, 30, 30], [9, 3, 46, 38]]]), torch.tensor([9.0])


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def network(halves: HalvesConfig | None) -> FocusNetwork:
    torch.manual_seed(0)
    net = FocusNetwork(DepthNetwork(SIZES["nano"]), HEAD, halves).eval()
    torch.nn.init.normal_(net.head.residual.weight)
    return net


def seen(n: int, count: int, *, first: int = 0) -> Seen:
    images = torch.rand(1, n, 3, 40, 48, generator=torch.Generator().manual_seed(n))
    ladder = torch.linspace(0, 1, count)[None]
    halves = images[:, :, :1], images[:, :, :1].roll(3, dims=-1)
    return Seen(images, ladder[:, first : first + n], ladder, halves)


def logits(net: FocusNetwork, view: Seen) -> Tensor:
    with torch.inference_mode():
        return net(view, REGIONS, BLUR)


def test_without_halves_the_head_answers_as_if_it_had_no_such_part() -> None:
    plain, whole = network(None), network(HALVES)
    whole.load_state_dict(plain.state_dict(), strict=False)
    torch.nn.init.normal_(whole.halves.residual.weight)  # type: ignore[union-attr]
    view = seen(3, 7)
    hidden = replace(view, halves=None)
    assert torch.equal(logits(whole, hidden), logits(plain, hidden))
    assert not torch.allclose(logits(whole, view), logits(plain, view), atol=1e-2)


def test_untrained_it_leaves_the_answer_to_the_rest_of_the_head() -> None:
    plain, whole = network(None), network(HALVES)
    whole.load_state_dict(plain.state_dict(), strict=False)
    heard, alone = logits(whole, seen(3, 7)), logits(plain, seen(3, 7))
    assert torch.allclose(heard, torch.sigmoid(torch.tensor(2.0)) * alone, atol=1e-4)


@pytest.mark.parametrize(("n", "count"), [(1, 5), (4, 4), (2, 31)])
def test_any_number_of_slices(n: int, count: int) -> None:
    found = logits(network(HALVES), seen(n, count))
    assert found.shape == (1, 2, count)
    assert bool(found.isfinite().all())


def test_maps_made_once_serve_every_region() -> None:
    net, view = network(HALVES), seen(2, 5)
    torch.nn.init.normal_(net.halves.residual.weight)  # type: ignore[union-attr]
    with torch.inference_mode():
        encoded = net.encode(view)
        assert encoded.pair is None
        kept, raw = net(encoded, REGIONS, BLUR), net.encode(view, whole=False)
        assert raw.cues is None
        assert torch.allclose(net(raw, REGIONS, BLUR), kept, atol=1e-5)
    assert torch.allclose(logits(net, view), kept, atol=1e-5)


def test_every_slice_by_itself_is_a_stack_of_one_without_the_rest_of_the_head() -> None:
    net, view = network(HALVES), seen(3, 7)
    torch.nn.init.normal_(net.halves.residual.weight)  # type: ignore[union-attr]
    with torch.inference_mode():
        encoded = net.encode(view)
        found = net.alone(encoded, REGIONS, BLUR)
        one = net.encode(Seen(view.images[:, 1:2], view.places[:, 1:2], view.ladder, tuple(
            half[:, 1:2] for half in view.halves or ()
        )))  # fmt: skip
        assert torch.allclose(net.alone(one, REGIONS, BLUR)[:, 0], found[:, 1], atol=1e-4)
        with pytest.raises(ValueError, match="has no halves"):
            net.alone(net.encode(replace(view, halves=None)), REGIONS, BLUR)


def test_what_counts_is_contrast_not_brightness() -> None:
    head = HalvesHead(HALVES, 12).eval()
    grain = torch.rand(1, 1, 1, 64, 64, generator=torch.Generator().manual_seed(4))
    halves = pair(0.3 * grain, 0.3 * grain.roll(2, dims=-1))
    with torch.inference_mode():
        assert torch.allclose(head.maps(halves), head.maps(halves + 0.4), atol=1e-3)


def test_made_again_from_its_settings() -> None:
    settings = {"head": vars(HEAD), "halves": vars(HALVES), "depth": vars(SIZES["nano"])}
    made = build_focus_network(settings)
    made.load_state_dict(network(HALVES).state_dict())
    with pytest.raises(ValueError, match="three scales"):
        HalvesConfig(widths=(8, 8))
    with pytest.raises(ValueError, match="1 or more"):
        HalvesConfig(cues=0)
