"""The depth network: any N, any size, its sizes, precision, errors."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from dff.model.interface import Tones, padded
from dff.model.network import (
    SIZES,
    DepthNetwork,
    NetworkConfig,
    _in_blocks,
    focus_coordinate,
    load_depth_network,
)

NANO = SIZES["nano"]


def stack(batch: int, n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    images = torch.rand(batch, n, 3, height, width, generator=torch.Generator().manual_seed(n))
    return images, torch.linspace(0, 1, n).expand(batch, n)


def network(config: NetworkConfig = NANO) -> DepthNetwork:
    torch.manual_seed(0)
    return DepthNetwork(config).eval()


def test_parameters_of_the_named_sizes() -> None:
    counts = {name: DepthNetwork(config).parameter_count for name, config in SIZES.items()}
    assert 0.15e6 < counts["nano"] < 0.25e6
    assert 0.7e6 < counts["tiny"] < 0.8e6
    assert 1.7e6 < counts["base"] <= 3e6


@pytest.mark.parametrize(("n", "height", "width"), [(2, 32, 32), (3, 45, 70), (11, 64, 33), (5, 16, 17)])
def test_any_number_of_slices_and_any_size(n: int, height: int, width: int) -> None:
    images, u = stack(2, n, height, width)
    with torch.inference_mode():
        out = network()(images, u)
    assert out.u.shape == out.log_scale.shape == (2, height, width)
    assert out.u.dtype == torch.float32
    assert bool(((out.u >= 0) & (out.u <= 1) & out.log_scale.isfinite()).all())
    assert [tuple(scale.logits.shape[:2]) for scale in out.scales] == [(2, n)] * 3


def test_without_gradient_the_answer_is_the_same() -> None:
    images, u = stack(2, 4, 45, 70)
    with torch.no_grad():
        in_parts = network()(images, u).u
    torch.testing.assert_close(in_parts, network()(images, u).u.detach())


def halves_sharp_at_either_end(height: int, width: int) -> Tensor:
    """(1,3,3,H,W): the left half is sharp in the first slice, the right half in the last."""
    grain = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    soft = torch.nn.functional.avg_pool2d(grain, 5, 1, 2, count_include_pad=False)
    left = torch.arange(width) < width // 2
    return torch.stack((torch.where(left, grain, soft), soft, torch.where(left, soft, grain)), dim=1)


def test_sizes_that_halve_unevenly_are_as_good_as_padded_ones() -> None:
    """72 x 104 is 3 x 4 at 1/32, rounded up twice; with its border repeated it is 96 x 128."""
    trained = load_depth_network("nano")
    images, u = halves_sharp_at_either_end(72, 104), torch.tensor([[0, 0.5, 1.0]])
    truth = (torch.arange(104) >= 52).float()
    with torch.inference_mode():
        uneven = (trained(images, u).u - truth).abs()
        even = (trained(padded(images), u).u[:, :72, :104] - truth).abs()
    assert float(uneven.mean()) < 1.1 * float(even.mean())
    assert float(uneven[:, -8:].mean()) < 1.2 * float(even[:, -8:].mean())


def test_untrained_it_follows_the_classical_prior() -> None:
    images = halves_sharp_at_either_end(64, 64)
    with torch.inference_mode():
        u = network()(images, torch.tensor([[0, 0.5, 1.0]])).u[0]
    assert float(u[:, :24].mean()) < 0.25 < 0.75 < float(u[:, 40:].mean())


def test_slices_of_one_stack_do_not_touch_another() -> None:
    images, u = stack(2, 3, 32, 32)
    net = network()
    with torch.inference_mode():
        together = net(images, u).u
        alone = torch.cat([net(images[i : i + 1], u[i : i + 1]).u for i in range(2)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_uneven_sweeps_are_read_off_the_given_coordinate() -> None:
    images, _ = stack(1, 3, 32, 32)
    with torch.inference_mode():
        low = network()(images, torch.tensor([[0, 0.1, 1.0]])).u
        high = network()(images, torch.tensor([[0, 0.9, 1.0]])).u
    assert float(low.mean()) < float(high.mean())


def test_bfloat16_is_close() -> None:
    images, u = stack(1, 4, 64, 64)
    net = network()
    with torch.inference_mode():
        full = net(images, u)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(images, u)
        pure = network().bfloat16()(images.bfloat16(), u)
    assert half.u.dtype == pure.u.dtype == torch.float32
    assert float((half.u - full.u).abs().mean()) < 0.02
    assert float((pure.u - full.u).abs().mean()) < 0.03


@pytest.mark.parametrize(
    "change", [{"prior": False}, {"srd": "residual-3d"}, {"efd": "pool3d"}, {"norm": "batch"}]
)
def test_alternatives_train(change: dict[str, object]) -> None:
    net = network(dataclasses.replace(NANO, **change)).train()  # type: ignore[arg-type]
    images, u = stack(2, 3, 32, 32)
    out = net(images, u)
    (out.u.mean() + out.log_scale.mean() + sum(scale.u.mean() for scale in out.scales)).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_focus_coordinate() -> None:
    torch.testing.assert_close(
        focus_coordinate(torch.tensor([[0.5, 1.0, 2.5]])), torch.tensor([[0.0, 0.25, 1.0]])
    )
    with pytest.raises(ValueError, match="rising"):
        focus_coordinate(torch.tensor([[1.0, 0.5]]))


@pytest.mark.parametrize(
    ("images", "u", "message"),
    [
        (torch.rand(2, 3, 32, 32), torch.rand(2, 3), r"\(B,N,3,H,W\)"),
        (torch.rand(1, 1, 3, 32, 32), torch.rand(1, 1), "at least 2 slices, got 1"),
        (torch.rand(1, 3, 3, 32, 32), torch.rand(1, 4), r"u must be \(B,N\) = \(1, 3\)"),
        (torch.zeros(1, 3, 3, 32, 32, dtype=torch.uint8), torch.rand(1, 3), "floating point"),
    ],
)
def test_bad_inputs(images: Tensor, u: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network()(images, u)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"channels": 2}, "at least 4"), ({"srd": "x"}, "choose from srd"), ({"norm": "x"}, "none, batch")],
)
def test_bad_configs(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(NANO, **change)  # type: ignore[arg-type]


def test_pixels_in_blocks_are_those_of_pixel_unshuffle() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures, hints = (torch.rand(shape, generator=generator) for shape in ((6, 3, 8, 12), (2, 3, 4, 4, 6)))
    stacks, plain = pictures.unflatten(0, (2, 3)), Tones(torch.zeros(2, 3), torch.ones(2))
    found = _in_blocks(stacks, plain, hints)
    assert found.is_contiguous(memory_format=torch.channels_last)
    wanted = torch.nn.functional.pixel_unshuffle(pictures, 2)
    assert torch.equal(found, torch.cat((wanted, hints.flatten(0, 1)), dim=1))
    assert torch.equal(_in_blocks(stacks, plain, None), wanted)
