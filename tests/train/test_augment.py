"""What a step does to its batch."""

from __future__ import annotations

import torch

from dff.flow import affine_flow, affine_matrix, corner_error, warp
from dff.train.augment import (
    Batch,
    align,
    alignment_errors,
    augment,
    by_number,
    choose_slices,
    crop,
    recolour,
    turn,
)
from dff.train.config import AugmentConfig


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(size: int = 3, n: int = 8, side: int = 48) -> Batch:
    """Slice k is the picture of one value, its u; truth is a ramp; so that each can be told afterwards."""
    u = torch.linspace(0, 1, n).expand(size, n)
    return {
        "images": u[:, :, None, None, None].expand(size, n, 3, side, side).contiguous(),
        "u": u,
        "target_u": torch.linspace(0, 1, side).expand(size, side, side).contiguous(),
        "valid": torch.ones(size, side, side, dtype=torch.bool),
    }


def test_chosen_slices_carry_their_own_pictures_and_the_new_sweep_runs_from_0_to_1() -> None:
    old = batch()
    new = choose_slices(old, 4, 0.0, generator())
    place = new["images"][:, :, 0, 0, 0]
    assert bool((place.diff(dim=1) > 0).all())
    far, near = place[:, :1], place[:, -1:]
    torch.testing.assert_close(new["u"], (place - far) / (near - far))
    wanted = ((old["target_u"] - far[..., None]) / (near - far)[..., None]).clamp(0, 1)
    torch.testing.assert_close(new["target_u"], wanted)


def test_stacks_known_by_number_keep_truth_between_the_same_slices() -> None:
    old = batch()
    old["u"] = old["u"] ** 2
    new = by_number(old, 1.0, generator())
    torch.testing.assert_close(new["u"], batch()["u"])
    torch.testing.assert_close(new["target_u"][:, 0], torch.sqrt(old["target_u"][:, 0]), atol=0.04, rtol=0)
    torch.testing.assert_close(by_number(old, 0.0, generator())["u"], old["u"])


def test_a_share_of_stacks_keeps_slices_that_follow_one_another() -> None:
    for run_share, least, most in ((1.0, 40, 40), (0.5, 12, 28)):
        new = choose_slices(batch(size=40), 4, 0.0, generator(), run_share)
        gaps = new["images"][:, :, 0, 0, 0].diff(dim=1)
        follows = (gaps - 1 / 7).abs().amax(dim=1) < 1e-6
        assert least <= int(follows.sum()) <= most
        assert len(new["images"][:, 0, 0, 0, 0].unique()) == 5  # every place a run of 4 of 8 can begin at


def test_ends_can_be_kept() -> None:
    new = choose_slices(batch(size=20), 3, 1.0, generator())
    torch.testing.assert_close(new["target_u"], batch(size=20)["target_u"])
    assert len({round(float(u), 4) for u in new["u"][:, 1]}) > 1


def test_cropping_and_turning_keep_picture_and_truth_together() -> None:
    old = batch()
    noise = torch.rand(3, 48, 48, generator=generator())
    old["target_u"] = noise
    old["images"] = noise[:, None, None].expand(3, 8, 3, 48, 48).contiguous()
    new = turn(crop(old, 32, generator(1)), generator(2))
    assert new["images"].shape == (3, 8, 3, 32, 32)
    torch.testing.assert_close(new["images"][:, 5, 1], new["target_u"])
    assert not torch.equal(new["target_u"], old["target_u"][:, :32, :32])


def test_recolouring_is_one_for_all_slices_and_stays_in_range() -> None:
    config = AugmentConfig(grey_share=0.5)
    images = torch.rand(16, 1, 3, 4, 4, generator=generator()).expand(16, 3, 3, 4, 4)
    new = recolour(images, config, generator(1))
    torch.testing.assert_close(new[:, 0], new[:, 2])
    assert float(new.min()) >= 0
    assert float(new.max()) <= 1
    grey = (new.amax(2) - new.amin(2)).flatten(1).amax(1) < 1e-6
    assert 0 < int(grey.sum()) < 16


def test_augmentation_is_a_function_of_the_seed() -> None:
    config = AugmentConfig(crop=32)
    first, again, other = (augment(batch(), config, 5, generator(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["images"], other["images"])


def test_alignment_errors_have_the_size_they_are_said_to_have() -> None:
    errors = alignment_errors(400, 6, (64, 96), 2.0, generator())
    flow = affine_flow(errors.flatten(0, 1), 64, 96)
    rms = corner_error(flow, torch.zeros_like(flow)).view(400, 6).square().mean(1).sqrt()
    assert 1.5 < float(rms.max()) < 4.5
    assert 0.5 < float(rms.mean()) < 0.8  # 2 times the mean of a squared uniform number


def test_without_errors_alignment_undoes_the_motion() -> None:
    picture = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 80, 80, generator=generator()), 15, 1, 7)
    coefficients = torch.tensor([[0.03, 2.0, -1.0], [0.0, 0.0, 0.0]])
    matrices = affine_matrix(coefficients, ("zoom", "x", "y"), 80, 80)
    bottom = torch.tensor([[[0.0, 0.0, 1.0]]]).expand(2, 1, 3)
    there = torch.linalg.inv(torch.cat((matrices, bottom), dim=1))[:, :2]
    slices = warp(picture.expand(2, 3, 80, 80), affine_flow(there, 80, 80))[None]
    none = torch.eye(2, 3).expand(1, 2, 2, 3)
    aligned = align(slices, matrices[None], none, 1)[0]
    inside = (..., slice(12, -12), slice(12, -12))
    before, after = ((stack - picture)[inside].abs().mean() for stack in (slices[0], aligned))
    assert float(after) < 0.2 * float(before)
    assert torch.equal(aligned[1], slices[0, 1])


def test_the_reference_is_never_moved() -> None:
    images = torch.rand(2, 4, 3, 32, 32, generator=generator())
    matrices = torch.eye(2, 3).expand(2, 4, 2, 3)
    moved = align(images, matrices, alignment_errors(2, 4, (32, 32), 3.0, generator()), 2)
    assert torch.equal(moved[:, 2], images[:, 2])
    assert not torch.equal(moved[:, 1], images[:, 1])
