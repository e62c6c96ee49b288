"""The alignment network: pinned reference, any N and size, its pairs, its heads, and motion it must know."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dff.camera import Lens
from dff.flow import affine_flow, affine_matrix, basis_fields, flow_from_coefficients, warp
from dff.model.align_slices import network_matrices
from dff.model.alignment import AlignmentConfig, AlignmentNetwork, load_alignment_network
from dff.model.flow_volume import flow_volume, local_correlation, volume_channels
from dff.model.motion_heads import PoolHead, expected_step, weighted_least_squares
from dff.model.pairs import between, flow_from_reference, matrices_from_reference
from dff.stack import FocalStack

SMALL = AlignmentConfig(channels=8)
NAMES = ("zoom", "x", "y")


def network(config: AlignmentConfig = SMALL, stir: float = 0.1) -> AlignmentNetwork:
    """A network whose heads say something."""
    torch.manual_seed(0)
    made = AlignmentNetwork(config).eval()
    for head in made.heads:
        torch.nn.init.normal_(head.out.conv.weight, std=stir)
    return made


def stack(batch: int, n: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    coarse = torch.rand(batch * n, 3, 2 + height // 6, 2 + width // 6, generator=generator)
    size = (height, width)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1).unflatten(0, (batch, n))


@pytest.mark.parametrize("pairing", ["reference", "chained"])
@pytest.mark.parametrize("head", ["wls", "pool"])
@pytest.mark.parametrize(("n", "height", "width"), [(2, 32, 40), (5, 45, 70), (9, 16, 17)])
def test_any_number_of_slices_and_any_size_with_the_reference_pinned(
    n: int, height: int, width: int, head: str, pairing: str
) -> None:
    config = replace(SMALL, head=head, pairing=pairing)
    with torch.inference_mode():
        out = network(config)(stack(2, n, height, width), n // 2)
    assert out.matrices.shape == (2, n, 2, 3)
    assert out.flow.shape == (2, n, 2, height, width)
    assert [tuple(c.shape) for c in out.coefficients] == [(2, n - 1, 3)] * 4
    assert torch.equal(out.matrices[:, n // 2], torch.eye(2, 3).expand(2, 2, 3))
    assert not bool(out.flow[:, n // 2].any())
    assert bool(out.flow.isfinite().all())
    assert bool(out.flow[:, n // 2 - 1].any())


def test_flow_matrices_and_pair_flows_agree_in_padded_pictures() -> None:
    with torch.inference_mode():
        out = network()(stack(1, 4, 45, 70), 1)
    flow = affine_flow(out.matrices.flatten(0, 1), 45, 70)
    torch.testing.assert_close(out.flow.flatten(0, 1), flow)
    torch.testing.assert_close(out.pair_flow()[0], out.flow[0, out.others], atol=1e-4, rtol=1e-4)


def test_chained_and_direct_motions_compose() -> None:
    coefficients = torch.tensor([[0.0, 0, 0], [0.02, 1.0, -2.0], [-0.03, 0.5, 3.0], [0.05, 2.0, 1.0]])
    truth = affine_matrix(coefficients, NAMES, 32, 48)[None].double()
    for pairing, templates, others in (("reference", [0] * 3, [1, 2, 3]), ("chained", [0, 1, 2], [1, 2, 3])):
        pairs = between(truth, templates, others)
        torch.testing.assert_close(matrices_from_reference(pairs, 4, 0, pairing), truth)
    chained = between(truth, [0, 1, 2], [1, 2, 3])
    from_two = matrices_from_reference(chained, 4, 2, "chained")
    torch.testing.assert_close(from_two, between(truth, [2] * 4, [0, 1, 2, 3]))
    flows = affine_flow(chained[0], 32, 48)[None]
    bent = flow_from_reference(flows, 4, 2, "chained")
    wanted = affine_flow(from_two[0], 32, 48)[None]
    inner = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close(bent[inner], wanted[inner], atol=1e-3, rtol=1e-3)


def test_without_corrections_only_the_metadata_moves_and_ones_are_as_none() -> None:
    images, fov = stack(1, 3, 32, 48), torch.tensor([[1.06, 1.03, 1.0]])
    silent = AlignmentNetwork(replace(SMALL, head="pool")).eval()
    out = silent(images, -1, fov)
    wanted = affine_matrix(torch.zeros(3, 3), NAMES, 32, 48, fov[0])
    torch.testing.assert_close(out.matrices[0], wanted)
    torch.testing.assert_close(silent(images, -1, 3 * fov).matrices, out.matrices)
    made = network()
    assert torch.equal(made(images, 0).matrices, made(images, 0, torch.ones(1, 3)).matrices)


def test_exposure_does_not_matter() -> None:
    images, made = stack(1, 3, 32, 48), network()
    with torch.inference_mode():
        plain, dimmed = made(images, 0).flow, made(0.6 * images, 0).flow
    torch.testing.assert_close(plain, dimmed, atol=1e-3, rtol=1e-3)


def test_least_squares_recovers_a_motion_from_flow_known_along_edges_only() -> None:
    """Of each place only one direction is known; the wrong flow across it must not count."""
    fields = basis_fields(NAMES, 24, 32)
    truth = torch.tensor([[0.02, 1.5, -0.7], [-0.01, 0.0, 2.0]])
    flow = torch.einsum("mr,rchw->mchw", truth, fields)
    angle = torch.rand(2, 24, 32, generator=torch.Generator().manual_seed(0)) * torch.pi
    x, y = angle.cos(), angle.sin()
    wrong = flow + 5 * torch.stack((-y, x), dim=1)
    information = torch.stack((x * x, x * y, y * y), dim=1)
    torch.testing.assert_close(
        weighted_least_squares(wrong, information, fields), truth, rtol=0.01, atol=1e-4
    )
    nothing = weighted_least_squares(flow, torch.zeros(2, 3, 24, 32), fields)
    assert not bool(nothing.any())


def test_correlation_finds_the_step() -> None:
    a = torch.randn(1, 12, 14, 15, generator=torch.Generator().manual_seed(0))
    b = torch.roll(a, (1, -2), dims=(2, 3))  # a(p) = b(p + d), d = (x -2, y +1)
    step = expected_step(50 * local_correlation(a, b, 2), 2)[..., 3:-3, 3:-3]
    torch.testing.assert_close(step[:, 0], torch.full_like(step[:, 0], -2.0), atol=0.05, rtol=0)
    torch.testing.assert_close(step[:, 1], torch.full_like(step[:, 1], 1.0), atol=0.05, rtol=0)
    for radius in (0, 2):
        volume = flow_volume(a, b, torch.zeros(1, 2, 14, 15), radius)
        assert volume.shape[1] == volume_channels(12, radius)


def test_pooled_coefficients_are_pixels_at_the_border_and_masked() -> None:
    head = PoolHead(4, 4, 3, "none")
    torch.nn.init.zeros_(head.out.conv.weight)
    head.out.conv.bias.data = torch.tensor([1.0, 0.5, -0.5])
    mask = torch.zeros(1, 1, 8, 16)
    mask[..., :5] = 1
    found = head(torch.randn(1, 4, 8, 16), mask, basis_fields(NAMES, 8, 16))
    torch.testing.assert_close(
        found[0] * torch.tensor([7.5, 1, 1]), torch.tensor([1.0, 0.5, -0.5]), atol=0.05, rtol=0
    )


def test_it_learns_one_motion_and_corrections_get_better() -> None:
    """Some steps on shifted textures: what is left of the motion falls at every level."""
    torch.manual_seed(0)
    made = AlignmentNetwork(replace(SMALL, iterations=(1, 1, 1)))
    optimiser = torch.optim.Adam(made.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(25):
        texture = stack(4, 1, 48, 48)[:, 0] + 0.3 * torch.rand(4, 3, 48, 48, generator=generator)
        wanted = (torch.rand(4, 3, generator=generator) * 2 - 1) * torch.tensor([0.08, 4, 4])
        truth = flow_from_coefficients(wanted, NAMES, 48, 48)
        # the reference is the other slice, moved: the flow of the pair is the truth
        out = made(torch.stack((warp(texture, truth), texture), dim=1).clamp(0, 1), 0)
        errors = [
            (out.pair_flow(k).flatten(0, 1) - truth).square().mean().sqrt()
            for k in range(len(out.coefficients))
        ]
        optimiser.zero_grad()
        torch.stack(errors).sum().backward()
        optimiser.step()
    before = float(truth.square().mean().sqrt())
    first, last = float(errors[0].detach()), float(errors[-1].detach())
    assert last < 0.35 * before
    assert last < first


def test_bent_motions_give_flow_but_no_matrices() -> None:
    config = replace(SMALL, names=("zoom", "x", "y", "rotation", "perspective_x", "perspective_y"))
    out = network(config)(stack(1, 3, 32, 32), 0)
    assert out.flow.shape == (1, 3, 2, 32, 32)
    assert not bool(out.flow[:, 0].any())
    with pytest.raises(ValueError, match="not affine"):
        _ = out.matrices


def test_half_precision_is_close() -> None:
    images, made = stack(1, 3, 48, 48), network()
    with torch.inference_mode():
        exact = made(images, 0).flow
        with torch.autocast("cpu", torch.bfloat16):
            half = made(images, 0).flow
    assert half.dtype == torch.float32
    assert float((half - exact).abs().max()) < 0.2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_matrices_of_a_stack_are_in_its_own_pixels(dtype: type) -> None:
    """Seen small, a zoom about the middle stays one about the middle of the full picture."""
    images = stack(1, 3, 300, 520)[0].permute(0, 2, 3, 1).numpy()
    pictures = [np.round(x * np.iinfo(dtype).max).astype(dtype) for x in images]
    lens = Lens(focal_length_m=0.05, f_number=2.0, pixel_pitch_m=5e-6, breathing=1.0)
    known = FocalStack(pictures, focus=[0.2, 1.0, 2.0], lens=lens)
    silent = AlignmentNetwork(replace(SMALL, head="pool")).eval()
    found = network_matrices(silent, known, 0)
    fov = lens.relative_fov(known.focus)
    wanted = affine_matrix(torch.zeros(3, 3), NAMES, 300, 520, torch.from_numpy(fov / fov[0]))
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert np.array_equal(found[0], np.eye(2, 3))


def test_a_stack_may_be_grey_and_its_reference_any_slice() -> None:
    pictures = [x[0].numpy() for x in stack(1, 4, 40, 60)[0]]
    made = network()
    first, last = (network_matrices(made, FocalStack(pictures), k) for k in (0, -1))
    back = torch.from_numpy(last)[None]
    np.testing.assert_allclose(first, between(back, [0] * 4, [0, 1, 2, 3])[0], atol=1e-6)
    with pytest.raises(ValueError, match="slices 0 to 3"):
        network_matrices(made, FocalStack(pictures), 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.rand(1, 3, 1, 8, 8), 0), r"\(B,N,3,H,W\)"),
        ((torch.rand(1, 1, 3, 8, 8), 0), "at least 2 slices"),
        ((torch.rand(1, 3, 3, 8, 8), 3), "slices 0 to 2"),
        ((torch.zeros(1, 3, 3, 8, 8, dtype=torch.uint8), 0), "floating point"),
        ((torch.rand(1, 3, 3, 8, 8), 0, torch.ones(3)), "relative_fov"),
    ],
)
def test_wrong_inputs_are_told(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network()(*arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ("zoom", "spin")}, "choose from zoom, x, y, rotation"),
        ({"names": ()}, "names"),
        ({"head": "mean"}, "choose from wls, pool"),
        ({"pairing": "all"}, "choose from reference, chained"),
        ({"stem": 3}, "choose 1, 2 or 4"),
        ({"iterations": (1, 1)}, "iterations"),
    ],
)
def test_wrong_settings_are_told(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from dff.weights import FORMAT

    def written(name: str, kind: str, config: AlignmentConfig) -> Path:
        header = {"format": FORMAT, "network": kind, "config": json.dumps(asdict(config)), "info": "{}"}
        path = tmp_path / f"{name}.safetensors"
        save_file(network().state_dict(), path, header)
        return path

    images = stack(1, 3, 32, 32)
    same = load_alignment_network(written("good", "alignment", SMALL))
    assert torch.equal(same(images, 0).flow, network()(images, 0).flow)
    with pytest.raises(ValueError, match="for depth, not for alignment"):
        load_alignment_network(written("other", "depth", SMALL))
    with pytest.raises(ValueError, match="does not fit"):
        load_alignment_network(written("wide", "alignment", replace(SMALL, channels=16)))
