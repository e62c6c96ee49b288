"""Batches for the autofocus head: stacks seen in part, and regions drawn on them."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from dff.model.focus_head import FocusNetwork
from dff.model.focus_head_encode import Encoded, Seen
from dff.simulator.photos import PhotoPack
from dff.train.augment import Batch
from dff.train.focus_head_config import FocusHeadSourceConfig, FocusHeadTrainConfig
from dff.train.focus_head_patches import patch_stacks
from dff.train.focus_head_stacks import focus_stacks
from dff.train.source import PooledSource, validation_seed

_TRUTH = ("true_focus", "dioptre", "valid", "blur_px")
_ENCODED = tuple(one.name for one in fields(Encoded) if one.name != "size")


def consecutive(count: int, frames: int, starts: Tensor) -> Tensor:
    """(...) starts -> (...,frames) slices that follow one another; at the near end the last ones."""
    first = starts.clamp_max(count - frames)
    return first[..., None] + torch.arange(frames, device=starts.device)


def seen_sets(
    config: FocusHeadSourceConfig, count: int, batch: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """Sets (B,F,n) of slices seen, by name: F starts of every number of frames, and the whole stack."""

    def order() -> Tensor:
        return torch.rand(batch, config.starts, count, generator=generator, device=generator.device)

    sets = {}
    for frames in config.frames:
        if frames < count:
            starts = order()[:, 0].argsort(dim=1)[:, : config.starts]
            sets[f"{frames}"] = consecutive(count, frames, starts)
    for n in config.scattered:
        if n < count:
            sets[f"{n} scattered"] = order().argsort(dim=2)[..., :n].sort(dim=2).values
    if config.whole or not sets:
        sets["all"] = torch.arange(count, device=generator.device).expand(batch, 1, count)
    return sets


def random_regions(
    config: FocusHeadSourceConfig, size: tuple[int, int], batch: int, generator: torch.Generator
) -> Tensor:
    """(B,R,4) whole px, as (x0, y0, x1, y1); some reach out of the picture, none lies outside."""
    height, width = size

    def rand(*shape: int) -> Tensor:
        return torch.rand(batch, config.regions, *shape, generator=generator, device=generator.device)

    low, high = (float(np.log(side)) for side in config.region_px)
    room = torch.tensor([width, height], device=generator.device)
    side = (low + (high - low) * (rand(1) + 0.3 * (rand(2) - 0.5)).clamp(0, 1)).exp()
    side = torch.minimum(side.round(), room).clamp_min(2)
    out = (rand(1) < config.outside_share) * 0.5 * side
    corner = (-out + rand(2) * (room - side + 2 * out)).round()
    return torch.cat((corner, corner + side), dim=-1)


def true_index(dioptre: Tensor, valid: Tensor, regions: Tensor, focus: Tensor) -> Tensor:
    """(B,R) slice nearest, in dioptres, to the median depth of each region (Herrmann et al. 2020).

    Args:
        dioptre: (B,H,W) true depth.
        valid: (B,H,W) where it is known; a region that knows none takes all.
        regions: (B,R,4) whole px.
        focus: (B,K) where the lens truly stood: a slice that is sharp is in focus, whatever the motor says.
    """
    height, width = dioptre.shape[-2:]
    x, y = (torch.arange(side, device=dioptre.device) for side in (width, height))
    left, top, right, bottom = (edge[..., None] for edge in regions.unbind(-1))
    columns, rows = (x >= left) & (x < right), (y >= top) & (y < bottom)
    inside = rows[..., :, None] & columns[..., None, :]  # B,R,H,W
    known = inside & valid[:, None]
    taken = torch.where(known.flatten(2).any(dim=-1)[..., None, None], known, inside).flatten(2)
    depth = torch.where(taken, dioptre[:, None].flatten(2), torch.inf).sort(dim=-1).values
    middle = (taken.sum(dim=-1, keepdim=True) - 1) // 2
    return (focus[:, None] - depth.gather(-1, middle)).abs().argmin(dim=-1)


def seen_of(stacks: Batch, chosen: Tensor) -> Seen:
    """What is seen of stacks through sets (B,F,n) of slices: B x F small stacks of n slices."""
    batch, sets = chosen.shape[:2]
    rows = torch.arange(batch, device=chosen.device)[:, None, None]

    def pick(name: str) -> Tensor:
        return stacks[name][rows, chosen].flatten(0, 1)

    ladder = stacks["ladder"][:, None].expand(-1, sets, -1).flatten(0, 1)
    halves = (pick("left"), pick("right")) if "left" in stacks else None
    return Seen(pick("images"), pick("ladder"), ladder, halves)


class FocusHeadSource(PooledSource[FocusHeadTrainConfig]):
    """Batches of one number of slices seen: maps of the frozen backbone, or pictures where it is trained.

    Every batch holds stacks (B), sets of slices of each (F), regions (R), the true index (B,R), and how much
    of the training is done.

    Args:
        split: of the patches, where the recipe takes some.
    """

    def __init__(
        self,
        config: FocusHeadTrainConfig,
        seed: int,
        network: FocusNetwork,
        *,
        rank: int = 0,
        photos: PhotoPack | None = None,
        device: torch.device | str = "cpu",
        split: str = "train",
    ) -> None:
        super().__init__(config, seed, rank=rank, photos=photos, device=device)
        self.network, self.split = network, split

    def make(self, seed: int) -> Batch:
        return self.stacks(seed, whole=False)

    def stacks(self, seed: int, *, whole: bool) -> Batch:
        """The batch of a seed: the whole stack, and ``source.sets`` choices of a few slices, or all."""
        random = np.random.default_rng(seed)
        stacks = self._pictures(random, seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        batch, count = stacks["ladder"].shape
        sets = seen_sets(self.config.source, count, batch, generator)
        if not whole:
            few = sorted(set(sets) - {"all"})
            some = random.choice(few, min(self.config.source.sets, len(few)), replace=False)
            sets = {name: sets[name] for name in sets if name == "all" or name in some}
        if self.config.joint:
            return stacks | {f"{name}/chosen": chosen for name, chosen in sets.items()}
        kept = {name: stacks[name] for name in _TRUTH}
        for name, chosen in sets.items():
            with torch.inference_mode():
                encoded = self.network.encode(seen_of(stacks, chosen), whole=self.config.cues_kept)
            parts = {part: getattr(encoded, part) for part in _ENCODED}
            kept |= {f"{name}/{part}": maps.clone() for part, maps in parts.items() if maps is not None}
        return kept

    def _pictures(self, random: np.random.Generator, seed: int) -> Batch:
        """Stacks of a file of patches, or of one kind of simulated ones."""
        share = self.config.source.patches_share
        if share > 0 and random.random() < share:
            return patch_stacks(self.config, self.split, seed, self.device)
        weights = np.array([kind.weight for kind in self.config.source.kinds])
        kind = self.config.source.kinds[int(random.choice(len(weights), p=weights / weights.sum()))]
        return focus_stacks(kind, self.config, seed, self.photos, self.device)

    def change(self, batch: Batch, n: int, generator: torch.Generator) -> Batch:
        del n  # slices seen are chosen with the stacks
        names = sets_of(batch)
        pick = int(torch.randint(len(names), (), generator=generator, device=generator.device))
        return draw(self.config.source, batch, names[pick], generator)

    def __call__(self, step: int) -> Batch:
        progress = torch.tensor(min(1.0, step / self.config.steps))
        return super().__call__(step) | {"progress": progress}


def sets_of(batch: Batch) -> list[str]:
    """Names of the sets of slices seen in a batch."""
    return sorted({key.split("/")[0] for key in batch if "/" in key})


def draw(config: FocusHeadSourceConfig, batch: Batch, name: str, generator: torch.Generator) -> Batch:
    """Set ``name`` of slices seen, with regions and their truth; lens and halves are hidden at random."""
    size = (int(batch["dioptre"].shape[-2]), int(batch["dioptre"].shape[-1]))
    count = len(batch["dioptre"])
    regions = random_regions(config, size, count, generator)
    chance = torch.rand(count + 1, generator=generator, device=generator.device)
    known = chance[:count] < config.blur_known_share
    drawn = {
        "regions": regions,
        "index": true_index(batch["dioptre"], batch["valid"], regions, batch["true_focus"]),
        "blur_px": torch.where(known, batch["blur_px"], torch.nan),
        "height": torch.tensor(size[0]),
        "width": torch.tensor(size[1]),
    }
    hide = bool(chance[count] >= config.phase_share)
    if f"{name}/chosen" in batch:
        seen = seen_of(batch, batch[f"{name}/chosen"])
        drawn |= {"images": seen.images, "places": seen.places, "ladder": seen.ladder}
        if seen.halves is not None and not hide:
            drawn |= {"left": seen.halves[0], "right": seen.halves[1]}
        return drawn
    drawn |= {part: batch[f"{name}/{part}"] for part in _ENCODED if f"{name}/{part}" in batch}
    if hide:
        drawn["has_phase"] = torch.zeros_like(drawn["has_phase"])
        drawn = {part: maps for part, maps in drawn.items() if part not in ("pair", "cues")}
    return drawn


def as_seen(batch: Batch) -> Seen | Encoded:
    """What a batch shows to `FocusNetwork.forward`."""
    if "images" not in batch:
        size = int(batch["height"]), int(batch["width"])
        return Encoded(**{name: batch[name] for name in _ENCODED if name in batch}, size=size)
    halves = (batch["left"], batch["right"]) if "left" in batch else None
    return Seen(batch["images"], batch["places"], batch["ladder"], halves)


def held_out_batches(
    config: FocusHeadTrainConfig,
    network: FocusNetwork,
    seed: int,
    photos: PhotoPack | None,
    device: torch.device,
) -> list[Batch]:
    """Held-out stacks, each through every set of slices seen, as `FocusHeadSource` makes them."""
    source = FocusHeadSource(config, seed, network, photos=photos, device=device, split="val")
    found = []
    for index in range(config.validation.batches):
        made = source.stacks(validation_seed(seed, index), whole=True)
        generator = torch.Generator(device).manual_seed(validation_seed(seed, index))
        found += [draw(config.source, made, name, generator) for name in sets_of(made)]
    return found
