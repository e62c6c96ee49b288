"""Patches for step estimator and discriminator: photographs, degraded by a calibrated defocus table."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dff.calibration.degrade import blur, cut, margin_px
from dff.calibration.table import DefocusTable
from dff.model.step import PATCH
from dff.recipes import load_recipe
from dff.simulator.draws import Draws
from dff.simulator.photos import PhotoPack
from dff.train.augment import Batch
from dff.train.source import PooledSource, validation_seed
from dff.train.step_config import StepRunConfig

_LEVELS = ((8.0, 1), (24.0, 2), (80.0, 4), (math.inf, 8))  # blur below so many px, on so coarse a grid
_NOISE = 1 << 22  # values of noise at hand, of which patches take random parts
_TRIES = 8  # for a patch that is not blank
_HIDDEN = 64  # most values that a discriminator can drop


def load_table(name: str) -> DefocusTable:
    """A defocus table by recipe name or path."""
    return load_recipe("simulator/defocus", name, DefocusTable)


class StepSource(PooledSource[StepRunConfig]):
    """Batches "images" (B,1,512,512) display values, "distance" (B,) positions, "keep" (B,64) uniform.

    Photographs stand for what the camera sees in focus. Their blur is made on a coarser grid where it is
    large, which leaves out at most 4 % of any frequency.

    Raises:
        ValueError: no photographs, or a table whose pictures are narrower than a patch.
    """

    def __init__(
        self,
        config: StepRunConfig,
        seed: int,
        *,
        rank: int = 0,
        photos: PhotoPack | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(config, seed, rank=rank, photos=photos, device=device)
        if photos is None:
            raise ValueError("step networks learn from photographs: give --data PHOTOS")
        self.table = load_table(config.source.table)
        self._tiles: dict[int, Tensor] = {}

    def tiles(self, k: int) -> Tensor:
        """(T,1,S/k,S/k) grey tiles, uint8 display values, ``k`` times reduced in light; made once."""
        if k not in self._tiles:
            assert self.photos is not None
            weights = torch.tensor([0.299, 0.587, 0.114], device=self.device).view(1, 3, 1, 1)
            gamma, made = self.table.gamma, []
            for tile in self.photos.tiles.split(8):  # in parts: floats of all would not fit
                grey = (tile.float() * weights).sum(1, keepdim=True)
                small = grey if k == 1 else F.avg_pool2d((grey / 255) ** gamma, k) ** (1 / gamma) * 255
                made.append(small.round().byte())
            self._tiles[k] = torch.cat(made)
        return self._tiles[k]

    @cached_property
    def _noise(self) -> Tensor:
        generator = torch.Generator(self.device).manual_seed(0)
        return torch.randn(_NOISE, generator=generator, device=self.device)

    def places(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(B,) positions in focus and of the lens: anywhere, or near one another."""
        settings = self.config.source
        low, high = self.table.positions[0], self.table.positions[-1]
        focus, far = random.uniform(low, high, (2, settings.batch))
        lens = focus + random.uniform(-settings.near, settings.near, settings.batch)
        close = (random.random(settings.batch) < settings.near_share) & (lens > low) & (lens < high)
        return focus, np.where(close, lens, far)

    def make(self, seed: int) -> Batch:
        batch = self.seen(seed)
        return batch | {"images": (batch["images"] * 255).round_().byte()}

    def seen(self, seed: int) -> Batch:
        """What `make` gives, as float in [0,1] that is not yet rounded."""
        settings, table = self.config.source, self.table
        draws = Draws(torch.Generator(self.device).manual_seed(seed))
        random = np.random.default_rng(seed)
        focus, lens = self.places(random)
        radius, scale = table.radius(focus, lens), table.scale_at(focus, lens)
        zoom = draws.log_uniform((settings.batch, 1), *settings.zoom)
        tile = draws.integer((settings.batch,), 0, len(self.photos or ()) - 1)
        place = draws.uniform((_TRIES, settings.batch, 2), -1, 1)
        images = torch.empty(settings.batch, 1, PATCH, PATCH, device=self.device)
        least = 0.0
        for most, k in _LEVELS:
            chosen = np.flatnonzero((radius >= least) & (radius < most))
            least = most
            if chosen.size:
                at = torch.from_numpy(chosen).to(self.device)
                made = self._degraded(k, tile[at], zoom[at], place[:, at], radius[chosen], scale[chosen])
                images[at] = made.clamp_(0, 1)
        distance = torch.from_numpy(np.abs(focus - lens)).float().to(self.device)
        return {"images": images, "distance": distance}

    def _degraded(
        self, k: int, tile: Tensor, zoom: Tensor, place: Tensor, radius: np.ndarray, scale: np.ndarray
    ) -> Tensor:
        """(M,1,512,512) display values, made on a grid ``k`` times as coarse."""
        gamma, kernel = self.table.gamma, self.table.kernel
        spare = 2 * k * margin_px(float(radius.max()) / k, kernel)
        side = 2 * math.ceil((PATCH / float(scale.min()) + spare) / k / 2)
        photos = self.tiles(k)[tile].float() / 255
        zoom = zoom[:, 0]
        room = (1 - zoom * side / photos.shape[-1]).clamp_min(0)[:, None]
        picked = cut(photos, zoom, side, side, "bilinear", place[0] * room)
        for other in place[1:]:  # where a patch is blank, look elsewhere
            blank = picked.flatten(1).std(1) < self.config.source.blank
            if not bool(blank.any()):
                break
            where = (other * room)[blank]
            picked[blank] = cut(photos[blank], zoom[blank], side, side, "bilinear", where)
        parts = [torch.from_numpy(part).float().to(self.device) for part in (radius / k, scale)]
        blurred = blur(picked**gamma, parts[0], kernel)
        display = blurred.clamp_(0, 1) ** (1 / gamma)  # before it is enlarged: there are fewer pixels
        return cut(display, 1 / (k * parts[1]), PATCH, PATCH, "bicubic" if k == 1 else "bilinear")

    def change(self, batch: Batch, n: int, generator: torch.Generator) -> Batch:
        settings, augment = self.config.source, self.config.augment
        draws = Draws(generator)
        images = batch["images"]
        if augment.flip:
            quarter, mirrored = draws.integer((2,), 0, 3).tolist()
            images = torch.rot90(images, quarter, dims=(-2, -1))
            images = images.flip(-1) if mirrored % 2 else images
        count = len(images)
        gain, gamma = draws.log_uniform((count,), *augment.gain), draws.log_uniform((count,), *augment.gamma)
        shot, read = draws.log_uniform((count,), *settings.shot), draws.log_uniform((count,), *settings.read)
        value, deviation = noise_curves(gain, gamma, shot, read, self.table.gamma)
        first = draws.integer((count,), 0, _NOISE - PATCH * PATCH).tolist()
        seen = torch.empty(count, 1, PATCH, PATCH, device=self.device)
        for k, start in enumerate(first):
            levels = images[k].int().flatten()
            noise = self._noise[start : start + levels.numel()]
            noisy = value[k].index_select(0, levels).addcmul_(deviation[k].index_select(0, levels), noise)
            seen[k] = noisy.clamp_(0, 1).view(1, PATCH, PATCH)
        return {"images": seen, "distance": batch["distance"], "keep": draws.uniform((count, _HIDDEN))}


def noise_curves(
    gain: Tensor, gamma: Tensor, shot: Tensor, read: Tensor, camera_gamma: float
) -> tuple[Tensor, Tensor]:
    """(B,256) display value that each of 256 becomes, and the deviation of its noise.

    Noise is made in light, var = shot * light + read, and told in display values by the tone curve's slope;
    in the dark, where that grows without bound, by the slope one deviation up.
    """
    display = torch.arange(256, device=gain.device) / 255
    value = (gain[:, None] * display) ** gamma[:, None]
    value = value.clamp(0, 1)
    light = value**camera_gamma
    spread = (shot[:, None] * light + read[:, None]).sqrt()
    above = (light + spread) ** (1 / camera_gamma) - value
    return value, above


def held_out_patches(
    config: StepRunConfig, seed: int, photos: PhotoPack | None, device: torch.device
) -> list[Batch]:
    """Held-out patches with noise, made once."""
    source = StepSource(config, seed, photos=photos, device=device)
    found = []
    for index in range(config.validation.batches):
        of_batch = validation_seed(seed, index)
        generator = torch.Generator(device).manual_seed(of_batch)
        found.append(source.change(source.make(of_batch), 1, generator))
    return found
