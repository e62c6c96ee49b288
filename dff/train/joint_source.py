"""Stacks with known motion and known depth to train both networks together on.

A batch is one of `dff.train.alignment_source` that also holds "u" (B,N), "target_u" (B,H,W) and "valid"
(B,H,W), as in `dff.train.augment`; the last two belong to its reference slice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dff.flow import affine_flow, valid_mask, warp
from dff.model.pairs import homogeneous
from dff.simulator.capture import simulate_batch
from dff.simulator.photos import PhotoPack
from dff.train.alignment_config import MotionSourceConfig
from dff.train.alignment_source import as_taken, crop, doubt_metadata, seen_from, turn
from dff.train.augment import Batch, by_number, chosen_slices, keep_slices, recolour
from dff.train.joint_config import JointTrainConfig
from dff.train.source import PooledSource, true_depth, validation_seed


def joint_batch(
    config: MotionSourceConfig, seed: int, photos: PhotoPack | None, device: torch.device | str
) -> Batch:
    """Simulated stacks as the camera took them, with their motion and depth."""
    generator = torch.Generator(device).manual_seed(seed)
    made = simulate_batch(config.simulation, generator, config.batch, photos=photos, n_slices=config.slices)
    return as_taken(made) | true_depth(made)


def thinned(batch: Batch, chosen: Tensor, reference: int) -> Batch:
    """The slices ``chosen`` (B,n), rising, and the truth, seen from the one that is ``reference`` then."""
    rows = torch.arange(len(chosen), device=chosen.device)[:, None]
    kept = keep_slices(batch, chosen) | {
        name: batch[name][rows, chosen] for name in ("matrices", "relative_fov")
    }
    moved = seen_from(kept, reference)
    # where a pixel of the new reference lies in the old one, which may be gone
    back = affine_flow(_inverse(kept["matrices"][:, reference]), *batch["target_u"].shape[-2:]).float()
    truth = torch.stack((kept["target_u"], kept["valid"].float()), dim=1)
    target, valid = warp(truth, back, "nearest").unbind(dim=1)
    return moved | {"target_u": target, "valid": (valid > 0.5) & valid_mask(back)[:, 0]}


def _inverse(matrices: Tensor) -> Tensor:
    """(B,2,3) -> (B,2,3)."""
    return torch.linalg.inv(homogeneous(matrices))[:, :2]


def shown_in_focus(batch: Batch) -> Tensor:
    """(B,H,W) bool: both slices next to the true depth show the pixel, when truly aligned.

    What they do not show, no network can know; the rule does not depend on what the network finds.
    """
    target, places = batch["target_u"], batch["u"]
    height, width = target.shape[-2:]
    flow = affine_flow(batch["matrices"].flatten(0, 1), height, width).float()
    shown = valid_mask(flow).view(*places.shape, height * width)
    above = torch.searchsorted(places.contiguous(), target.flatten(1).contiguous())
    above = above.clamp(1, places.shape[1] - 1)
    both = [shown.gather(1, index[:, None])[:, 0] for index in (above - 1, above)]
    return (both[0] & both[1]).view_as(target)


class JointSource(PooledSource[JointTrainConfig]):
    """Batches for training: other slices, another reference and other metadata each time one is used."""

    def make(self, seed: int) -> Batch:
        return joint_batch(self.config.source, seed, self.photos, self.device)

    def change(self, batch: Batch, n: int, generator: torch.Generator) -> Batch:
        config = self.config.augment
        size, count = batch["u"].shape
        chosen = chosen_slices(size, count, n, config.keep_ends_share, generator, config.run_share)
        reference = int(torch.randint(0, n, (), generator=generator, device=generator.device))
        batch = crop(thinned(batch, chosen, reference), config.crop, generator)
        if config.flip:
            batch = turn(batch, generator)
        batch = batch | {"valid": batch["valid"] & shown_in_focus(batch)}
        batch = by_number(batch, config.by_number_share, generator)
        return batch | {
            "images": recolour(batch["images"], config, generator),
            "relative_fov": doubt_metadata(batch["relative_fov"], self.config.source, generator),
        }


def held_out_joint(
    config: JointTrainConfig, seed: int, photos: PhotoPack | None, device: torch.device | str
) -> list[Batch]:
    """Held-out stacks: all slices, whole pictures, no metadata; the reference is the simulation's."""
    made = [
        joint_batch(config.source, validation_seed(seed, index), photos, device)
        for index in range(config.validation.batches)
    ]
    return [batch | {"relative_fov": torch.ones_like(batch["relative_fov"])} for batch in made]


def even_joint_slices(batch: Batch, n: int) -> Batch:
    """``n`` slices, spread evenly, both ends kept, seen from the last one; valid where it can be known."""
    size, count = batch["u"].shape
    chosen = torch.linspace(0, count - 1, n, device=batch["u"].device).round().long().expand(size, n)
    seen = thinned(batch, chosen, n - 1)
    return seen | {"valid": seen["valid"] & shown_in_focus(seen)}
