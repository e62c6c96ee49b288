"""What is done to a batch of stacks before the network sees it. Batched torch on the batch's device.

A batch is a dict of tensors: "images" (B,N,3,H,W) in [0,1], "u" (B,N) focus coordinate from 0 to 1,
"target_u" (B,H,W) true focus coordinate in [0,1], and "valid" (B,H,W) bool.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dff.flow import affine_flow, affine_matrix, warp
from dff.train.config import AugmentConfig

Batch = dict[str, Tensor]
_ROWS = ("zoom", "x", "y", "rotation")


def _rand(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device)


def alignment_errors(
    batch: int, n: int, size: tuple[int, int], largest_px: float, generator: torch.Generator
) -> Tensor:
    """(B,N,2,3) small motions, as an estimated alignment leaves them behind.

    The root mean square error at the corners is ``largest_px`` times a uniform number squared, per stack.
    Half of it is independent from slice to slice, half drifts, as chained estimates do.
    """
    height, width = size
    corner = 0.5 * math.hypot(height, width)
    white = torch.randn(2, batch, n, len(_ROWS), generator=generator, device=generator.device)
    drift = white[1].cumsum(dim=1)
    drift = drift - drift.mean(dim=1, keepdim=True)
    mixed = white[0] + drift / drift.std(dim=1, keepdim=True).clamp_min(1e-6)
    # of the squared corner error, zoom and rotation take a third together, each shift a third
    share = mixed.new_tensor([1 / corner, 1.4, 1.4, 1 / corner]) / math.sqrt(12)
    strength = largest_px * _rand(generator, batch, 1, 1).square()
    coefficients = (mixed * share * strength).flatten(0, 1)
    return affine_matrix(coefficients, _ROWS, height, width).unflatten(0, (batch, n))


def align(images: Tensor, matrices: Tensor, errors: Tensor, reference: int) -> Tensor:
    """Stacks (B,N,3,H,W) warped to their reference by their true ``matrices`` with ``errors`` added.

    Args:
        matrices, errors: (B,N,2,3), reference pixel -> slice pixel; the reference itself stays untouched.
    """
    batch, n, _, height, width = images.shape
    last = matrices.new_tensor([0.0, 0.0, 1.0]).expand(batch, n, 1, 3)
    estimated = matrices @ torch.cat((errors.to(matrices), last), dim=2)
    estimated[:, reference] = torch.eye(2, 3).to(matrices)
    flow = affine_flow(estimated.flatten(0, 1), height, width).float()
    return warp(images.flatten(0, 1), flow).clamp(0, 1).unflatten(0, (batch, n))


def chosen_slices(
    size: int,
    count: int,
    n: int,
    keep_ends_share: float,
    generator: torch.Generator,
    run_share: float = 0.0,
) -> Tensor:
    """(size,n) rising indices of ``n`` of ``count`` slices per stack; a share keeps both ends, another
    (``run_share``, of all) are slices that follow one another."""
    order = _rand(generator, size, count)
    keep_ends = _rand(generator, size) < keep_ends_share
    order[:, 0] -= 2.0 * keep_ends
    order[:, -1] -= 2.0 * keep_ends
    chosen = order.argsort(dim=1)[:, :n].sort(dim=1).values
    if run_share:
        first = (_rand(generator, size, 1) * (count - n + 1)).long()
        run = first + torch.arange(n, device=chosen.device)
        chosen = torch.where(_rand(generator, size, 1) < run_share, run, chosen)
    return chosen


def choose_slices(
    batch: Batch, n: int, keep_ends_share: float, generator: torch.Generator, run_share: float = 0.0
) -> Batch:
    """Stacks of ``n`` slices, chosen at random from those that are there."""
    size, count = batch["u"].shape
    return keep_slices(batch, chosen_slices(size, count, n, keep_ends_share, generator, run_share))


def keep_slices(batch: Batch, chosen: Tensor) -> Batch:
    """The slices ``chosen`` (B,n), rising, of each stack; their sweep becomes the new 0 to 1.

    Truth beyond the new sweep moves to its end: that is where such a place looks sharpest.
    """
    u = batch["u"].gather(1, chosen)
    far, near = u[:, :1], u[:, -1:]
    images = batch["images"][torch.arange(len(u), device=u.device)[:, None], chosen]
    target = ((batch["target_u"] - far[..., None]) / (near - far)[..., None]).clamp(0, 1)
    return batch | {"images": images, "u": (u - far) / (near - far), "target_u": target}


def by_number(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """A share of the stacks with the numbers of their slices as focus; truth follows, linear in between."""
    u, target = batch["u"], batch["target_u"]
    numbers = torch.linspace(0, 1, u.shape[1], device=u.device).expand_as(u)
    above = torch.searchsorted(u.contiguous(), target.flatten(1)).clamp(1, u.shape[1] - 1)
    low, high = u.gather(1, above - 1), u.gather(1, above)
    within = ((target.flatten(1) - low) / (high - low)).clamp(0, 1)
    moved = ((above - 1 + within) / (u.shape[1] - 1)).view_as(target)
    chosen = _rand(generator, len(u)) < share
    return batch | {
        "u": torch.where(chosen[:, None], numbers, u),
        "target_u": torch.where(chosen[:, None, None], moved, target),
    }


def crop(batch: Batch, side: int, generator: torch.Generator) -> Batch:
    """A square of ``side`` px, at one random place for the whole batch."""
    height, width = batch["target_u"].shape[-2:]
    top, left = (
        int(torch.randint(0, room + 1, (), generator=generator, device=generator.device))
        for room in (height - side, width - side)
    )
    window = (..., slice(top, top + side), slice(left, left + side))
    return batch | {name: batch[name][window] for name in ("images", "target_u", "valid")}


def turn(batch: Batch, generator: torch.Generator) -> Batch:
    """Each square stack in one of its eight mirrored and turned forms."""
    choices = torch.randint(0, 8, batch["u"].shape[:1], generator=generator, device=generator.device).tolist()
    turned = {name: torch.empty_like(batch[name]) for name in ("images", "target_u", "valid")}
    for choice in sorted(set(choices)):
        alike = [k for k, one in enumerate(choices) if one == choice]
        for name, out in turned.items():
            x = torch.rot90(batch[name][alike], choice % 4, dims=(-2, -1))
            out[alike] = x.flip(-1) if choice >= 4 else x
    return batch | turned


def recolour(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Another exposure, tone curve and order of channels, the same for all slices of a stack."""
    size = images.shape[0]

    def log_uniform(low: float, high: float) -> Tensor:
        exponent = math.log(low) + (math.log(high) - math.log(low)) * _rand(generator, size)
        return exponent.exp()[:, None, None, None, None]

    gain, gamma = log_uniform(*config.gain), log_uniform(*config.gamma)
    images = (images * gain).clamp(0, 1) ** gamma
    order = _rand(generator, size, 3).argsort(dim=1)
    plain = torch.arange(3, device=images.device)
    order = torch.where(_rand(generator, size, 1) < config.swap_channels_share, order, plain)
    images = images.gather(2, order[:, None, :, None, None].expand_as(images))
    grey = (_rand(generator, size) < config.grey_share)[:, None, None, None, None]
    return torch.where(grey, images.mean(dim=2, keepdim=True), images)


def augment(batch: Batch, config: AugmentConfig, n: int, generator: torch.Generator) -> Batch:
    """A batch as a step sees it: ``n`` slices, cropped, turned, recoloured."""
    batch = choose_slices(batch, n, config.keep_ends_share, generator, config.run_share)
    batch = by_number(batch, config.by_number_share, generator)
    batch = crop(batch, config.crop, generator)
    if config.flip:
        batch = turn(batch, generator)
    return batch | {"images": recolour(batch["images"], config, generator)}
