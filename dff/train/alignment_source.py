"""Stacks with known motion to train alignment on, and what is done to them before the network sees them.

A batch is a dict of tensors: "images" (B,N,3,H,W) in [0,1], "matrices" (B,N,2,3) float64, pixel of the
reference -> pixel of the slice, "relative_fov" (B,N) as the metadata has it, ones where it has nothing, and
"reference", a number. What else it holds in pixels of the reference, such as true depth, goes along.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dff.model.pairs import between, homogeneous
from dff.simulator.capture import simulate_batch
from dff.simulator.photos import PhotoPack
from dff.simulator.simulated import SimulatedBatch
from dff.train.alignment_config import AlignmentTrainConfig, MotionSourceConfig
from dff.train.augment import Batch, chosen_slices, recolour
from dff.train.source import PooledSource, validation_seed

_MAPS = ("images", "target_u", "valid")  # what has pixels, (B,...,H,W)


def as_taken(made: SimulatedBatch) -> Batch:
    """Simulated stacks as the camera took them, with the true motion and what the metadata says of it."""
    sweep, device = made.sweep, made.images.device
    told = [
        np.ones(focus.size) if lens is None else lens.relative_fov(focus)
        for lens, focus in zip(sweep.lenses, sweep.focus, strict=True)
    ]
    return {
        "images": made.images,
        "matrices": torch.from_numpy(sweep.matrices).to(device),
        "relative_fov": torch.from_numpy(np.stack(told)).to(device, torch.float32),
        "reference": torch.tensor(made.reference),
    }


def moving_batch(
    config: MotionSourceConfig, seed: int, photos: PhotoPack | None, device: torch.device | str
) -> Batch:
    """Stacks simulated from a seed; see `as_taken`."""
    generator = torch.Generator(device).manual_seed(seed)
    made = simulate_batch(config.simulation, generator, config.batch, photos=photos, n_slices=config.slices)
    return as_taken(made)


def seen_from(batch: Batch, reference: int) -> Batch:
    """The batch with another slice as reference."""
    matrices = batch["matrices"]
    count = matrices.shape[1]
    moved = between(matrices, [reference] * count, list(range(count)))
    return batch | {"matrices": moved, "reference": torch.tensor(reference)}


def _in_other_pixels(matrices: Tensor, change: Tensor) -> Tensor:
    """Motions (B,N,2,3) in new pixels; ``change`` (B,3,3) takes new pixels to those of old."""
    whole = change[:, None]
    return (torch.linalg.inv(whole) @ homogeneous(matrices) @ whole)[..., :2, :]


def crop(batch: Batch, side: int, generator: torch.Generator) -> Batch:
    """A square of ``side`` px, at one random place for the whole batch."""
    matrices = batch["matrices"]
    height, width = batch["images"].shape[-2:]
    top, left = (
        int(torch.randint(0, room + 1, (), generator=generator, device=generator.device))
        for room in (height - side, width - side)
    )
    shift = torch.eye(3).to(matrices)
    shift[:2, 2] = matrices.new_tensor([left, top])
    window = (..., slice(top, top + side), slice(left, left + side))
    return batch | {
        **{name: batch[name][window] for name in _MAPS if name in batch},
        "matrices": _in_other_pixels(matrices, shift[None]),
    }


def turn(batch: Batch, generator: torch.Generator) -> Batch:
    """Each square stack in one of its eight mirrored and turned forms."""
    matrices = batch["matrices"]
    maps = {name: batch[name] for name in _MAPS if name in batch}
    size, last = len(matrices), batch["images"].shape[-1] - 1
    choice = torch.randint(0, 2, (size, 3), generator=generator, device=generator.device).bool()
    change = torch.eye(3).to(matrices).repeat(size, 1, 1)
    mirror = matrices.new_tensor([[-1, 0, last], [0, 1, 0], [0, 0, 1]])
    swap = matrices.new_tensor([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    for mask, axes, step in (
        (choice[:, 0], "x", mirror),
        (choice[:, 1], "y", swap @ mirror @ swap),
        (choice[:, 2], "xy", swap),
    ):
        for name, old in maps.items():
            turned = old.transpose(-1, -2) if axes == "xy" else old.flip(-1 if axes == "x" else -2)
            maps[name] = torch.where(mask.view(size, *[1] * (old.ndim - 1)), turned, old)
        change = torch.where(mask[:, None, None], change @ step, change)
    return batch | maps | {"matrices": _in_other_pixels(matrices, change)}


def doubt_metadata(relative_fov: Tensor, config: MotionSourceConfig, generator: torch.Generator) -> Tensor:
    """Fields of view (B,N) as a user's files tell them: with an error, or not at all."""
    share, known = torch.rand(2, relative_fov.shape[0], 1, generator=generator, device=generator.device)
    trust = 1 + config.fov_error * (2 * share - 1)
    return torch.where(known < config.fov_known_share, 1 + trust * (relative_fov - 1), 1.0)


class MovingSource(PooledSource[AlignmentTrainConfig]):
    """Batches for training: other slices, another reference and other metadata each time one is used."""

    def make(self, seed: int) -> Batch:
        return moving_batch(self.config.source, seed, self.photos, self.device)

    def change(self, batch: Batch, n: int, generator: torch.Generator) -> Batch:
        config = self.config.augment
        size, count = batch["relative_fov"].shape
        chosen = chosen_slices(size, count, n, config.keep_ends_share, generator, config.run_share)
        rows = torch.arange(size, device=chosen.device)[:, None]
        batch = {name: batch[name][rows, chosen] for name in ("images", "matrices", "relative_fov")}
        drawn = torch.randint(0, n, (), generator=generator, device=generator.device)
        batch = crop(seen_from(batch, int(drawn)), config.crop, generator)
        if config.flip:
            batch = turn(batch, generator)
        return batch | {
            "images": recolour(batch["images"], config, generator),
            "relative_fov": doubt_metadata(batch["relative_fov"], self.config.source, generator),
        }


def held_out_moving(
    config: AlignmentTrainConfig, seed: int, photos: PhotoPack | None, device: torch.device | str
) -> list[Batch]:
    """Held-out stacks: all slices, whole pictures, no metadata; the reference is the simulation's."""
    made = [
        moving_batch(config.source, validation_seed(seed, index), photos, device)
        for index in range(config.validation.batches)
    ]
    return [batch | {"relative_fov": torch.ones_like(batch["relative_fov"])} for batch in made]


def even_moving_slices(batch: Batch, n: int) -> Batch:
    """The batch with ``n`` of its slices, spread evenly, both ends kept, seen from the last one."""
    count = batch["images"].shape[1]
    chosen = torch.linspace(0, count - 1, n, device=batch["images"].device).round().long()
    thinned = {name: batch[name][:, chosen] for name in ("images", "matrices", "relative_fov")}
    return seen_from(thinned, n - 1)
