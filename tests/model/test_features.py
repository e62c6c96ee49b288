"""Folded convolutions against 3D ones, SRD and EFD and their alternatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dff.model.features import (
    EffectiveDownsampling,
    FocalConv,
    largest_of_four,
    sharp_region_detector,
    with_neighbours,
)


def folded(batch: int, n: int, channels: int, side: int = 8) -> Tensor:
    return torch.randn(batch * n, channels, side, side, generator=torch.Generator().manual_seed(0))


def test_neighbours_stay_within_their_stack() -> None:
    x = torch.arange(6.0).view(6, 1, 1, 1)  # two stacks of three slices
    assert with_neighbours(x, 3).flatten(1).tolist() == [
        [0, 0, 1],
        [0, 1, 2],
        [1, 2, 2],
        [3, 3, 4],
        [3, 4, 5],
        [4, 5, 5],
    ]


@pytest.mark.parametrize("kernel", [1, 3])
def test_focal_convolution_is_a_3d_convolution_with_its_end_slices_repeated(kernel: int) -> None:
    batch, n, c_in, c_out = 2, 4, 5, 6
    layer = FocalConv(c_in, c_out, kernel)
    x = folded(batch, n, c_in)
    volume = x.unflatten(0, (batch, n)).transpose(1, 2)  # B,C,N,H,W
    padded = torch.cat((volume[:, :, :1], volume, volume[:, :, -1:]), dim=2)
    weight = layer.conv.weight.unflatten(1, (3, c_in)).transpose(1, 2)
    pad = kernel // 2
    wanted = F.conv3d(padded, weight, layer.conv.bias, padding=(0, pad, pad))
    torch.testing.assert_close(layer(x, n), wanted.transpose(1, 2).flatten(0, 1), atol=1e-5, rtol=1e-4)


def test_folding_keeps_channels_last() -> None:
    x = folded(2, 3, 16).contiguous(memory_format=torch.channels_last)
    assert with_neighbours(x, 3).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", ["srd", "residual-2d", "residual-3d"])
def test_srd_keeps_shape_and_begins_close_to_its_input(kind: str) -> None:
    x = folded(2, 5, 8).abs()
    out = sharp_region_detector(kind, 8)(x, 5)  # type: ignore[arg-type]
    assert out.shape == x.shape
    assert float((out - x).detach().abs().mean()) < 0.2 * float(x.mean())


def reach(block: torch.nn.Module, n: int, channels: int) -> list[bool]:
    """Which slices of a stack of ``n`` change when the middle one does."""
    x = folded(1, n, channels).abs()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(std=0.2)
        changed = x.clone()
        changed[n // 2] += 1
        difference = (block(changed, n) - block(x, n)).abs().flatten(1).amax(1)
    return (difference > 1e-6).tolist()


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("srd", [False, False, True, True, True, False, False]),
        ("residual-2d", [False, False, False, True, False, False, False]),
        ("residual-3d", [False, True, True, True, True, True, False]),
    ],
)
def test_srd_looks_at_the_slices_it_should(kind: str, wanted: list[bool]) -> None:
    assert reach(sharp_region_detector(kind, 4), 7, 4) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["efd", "max+conv3d", "avg+conv3d", "strided", "pool3d"])
def test_efd_halves_the_size_and_talks_to_its_neighbours(kind: str) -> None:
    block = EffectiveDownsampling(4, 6, kind)  # type: ignore[arg-type]
    assert block(folded(2, 5, 4), 5).shape == (10, 6, 4, 4)
    assert reach(block, 5, 4)[1:4] == [True, True, True]


def test_unknown_kinds_are_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"srd 'nothing'; choose from srd, residual-2d"):
        sharp_region_detector("nothing", 8)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"efd 'nothing'; choose from efd, max\+conv3d"):
        EffectiveDownsampling(4, 8, "nothing")  # type: ignore[arg-type]


def test_batch_norm_replaces_the_bias() -> None:
    layer = FocalConv(4, 4, norm="batch")
    assert layer.conv.bias is None
    assert isinstance(layer.norm, torch.nn.BatchNorm2d)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_srd_slice_by_slice_is_srd_at_once(n: int) -> None:
    torch.manual_seed(0)
    srd = sharp_region_detector("srd", 8)
    for weights in srd.parameters():
        torch.nn.init.normal_(weights, std=0.2)
    x = torch.randn(2 * n, 8, 6, 10)
    at_once = srd(x, n).detach()
    with torch.no_grad():
        in_parts = srd(x.clone(), n)
    torch.testing.assert_close(in_parts, at_once)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("kind", ["efd", "max+conv3d", "avg+conv3d", "strided", "pool3d"])
def test_efd_slice_by_slice_is_efd_at_once(kind: str, n: int) -> None:
    torch.manual_seed(0)
    block = EffectiveDownsampling(4, 6, kind)  # type: ignore[arg-type]
    x = torch.randn(2 * n, 4, 6, 10)
    with torch.no_grad():
        in_parts = block(x, n)
    torch.testing.assert_close(in_parts, block(x, n).detach())


def test_largest_of_four_is_max_pooling() -> None:
    x = torch.randn(2, 3, 6, 10).to(memory_format=torch.channels_last)
    with torch.no_grad():
        in_parts = largest_of_four(x)
    assert torch.equal(in_parts, torch.nn.functional.max_pool2d(x, 2))
    assert torch.equal(largest_of_four(x), in_parts)
