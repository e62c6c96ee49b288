"""Spectra to learn from: sharp photographs' times the transfer of the blur, or blurred ones'; plus noise.

A picture's spectrum out of focus follows from the sharp one, so no picture needs to be blurred: a batch takes
milliseconds. What is left out is how the window smears zeros that lie close, as those of large blur do: so
a share of the batches is of blurred photographs. Noise joins either kind anew whenever it is looked at.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from dff.calibration.degrade import cut
from dff.model.step import PATCH
from dff.model.step_spectrum import SPREAD, band_edges, display_spectrum, filled, to_level, to_power
from dff.simulator.draws import Draws
from dff.simulator.photos import PhotoPack
from dff.train.augment import Batch
from dff.train.source import stream_seed
from dff.train.step_config import SpectrumTrainConfig
from dff.train.step_source import StepSource, held_out_patches

_WITHIN = 12  # frequencies looked at in a band
_WINDOWED = 0.375**2  # of the power of noise that a Hann window leaves
_NOISE = (1e-7, 1e-3)  # power of noise in light: from rounding to 8 bit in the dark, to little light
_CONTRAST = (0.05, 1.0)  # of power: light that is less bright has less of it
_EULER = 0.5772  # the mean logarithm of a power of random phase lies this far below that of its mean
_FINENESS = 0.05  # px of blur radius that are one
_SHARP, _KIND = 6, 7  # streams of seeds
_HELD_OUT = 64  # patches in a held-out batch


class SpectrumSource(StepSource):
    """Batches "spectra" (B,bands) and "distance" (B,); as `StepSource` takes its arguments."""

    config: SpectrumTrainConfig

    @cached_property
    def _sharp(self) -> Tensor:
        """(crops,bands) power in focus, of parts of the photographs."""
        settings, augment = self.config.source, self.config.augment
        draws = Draws(torch.Generator(self.device).manual_seed(stream_seed(self.seed, _SHARP)))
        tiles = self.tiles(1)
        found = []
        for count in [32] * (settings.crops // 32) + [settings.crops % 32] * bool(settings.crops % 32):
            photos = tiles[draws.integer((count,), 0, len(tiles) - 1)].float() / 255
            zoom = draws.log_uniform((count,), *settings.zoom)
            room = (1 - zoom * PATCH / photos.shape[-1]).clamp_min(0)[:, None]
            middle = draws.uniform((count, 2), -1, 1) * room
            patches = cut(photos, zoom, PATCH, PATCH, "bilinear", middle)
            gain, gamma = (
                draws.log_uniform((count,), *augment.gain),
                draws.log_uniform((count,), *augment.gamma),
            )
            patches = (patches * gain[:, None, None, None]).clamp(0, 1) ** gamma[:, None, None, None]
            kept = patches.flatten(1).std(1) >= settings.blank
            found.append(to_power(display_spectrum(self.config.network, patches[kept])))
        return torch.cat(found) * np.exp(_EULER)

    @cached_property
    def _frequencies(self) -> Tensor:
        """(bands,12) cycles per pixel within each band that has any."""
        edges = band_edges(self.config.network.bands).to(self.device)
        part = (torch.arange(_WITHIN, device=self.device) + 0.5) / _WITHIN
        inside = edges[:-1, None] * (edges[1:] / edges[:-1])[:, None] ** part
        return inside[filled(self.config.network.bands)]

    @cached_property
    def _transfer(self) -> Tensor:
        """(R,bands,12) share of power that a blur leaves; the row's number is its radius in 20ths of px."""
        count = round(self.table.largest_px / _FINENESS) + 1
        radius = torch.arange(count, device=self.device)[:, None, None] * _FINENESS
        x = 2 * torch.pi * radius * self._frequencies
        if self.table.kernel == "disc":
            share = torch.where(x > 1e-3, 2 * torch.special.bessel_j1(x) / x.clamp_min(1e-3), 1.0)
        else:
            share = torch.exp(-x.square() / 2)
        return share.square()

    def make(self, seed: int) -> Batch:
        settings, table = self.config.source, self.table
        if np.random.default_rng([seed, _KIND]).random() < settings.blurred_share:
            patches = self.seen(seed)
            level = display_spectrum(self.config.network, patches["images"])
            return {"spectra": level, "distance": patches["distance"]}
        draws = Draws(torch.Generator(self.device).manual_seed(seed))
        focus, lens = self.places(np.random.default_rng(seed))
        row = torch.from_numpy(np.rint(table.radius(focus, lens) / _FINENESS)).long().to(self.device)
        sharp = self._sharp[draws.integer((settings.batch,), 0, len(self._sharp) - 1)][:, :, None]
        level = to_level(sharp * self._transfer[row]).mean(-1) - _EULER / SPREAD
        distance = torch.from_numpy(np.abs(focus - lens)).float().to(self.device)
        return {"spectra": level, "distance": distance}

    def change(self, batch: Batch, n: int, generator: torch.Generator) -> Batch:
        draws, count = Draws(generator), len(batch["spectra"])
        noise = draws.log_uniform((count, 1), *_NOISE) * _WINDOWED
        contrast = draws.log_uniform((count, 1), *_CONTRAST)
        power = to_power(batch["spectra"] + _EULER / SPREAD) * contrast + noise
        level = to_level(power) - _EULER / SPREAD
        # as many frequencies as a band has, so well its mean is known; the lowest have few
        spread = 0.05 / (self._frequencies.mean(-1) * PATCH).clamp_min(1).sqrt()
        scatter = torch.randn(level.shape, generator=generator, device=self.device)
        return batch | {"spectra": level + spread * scatter}


def held_out_spectra(
    config: SpectrumTrainConfig, seed: int, photos: PhotoPack | None, device: torch.device
) -> list[Batch]:
    """Spectra of held-out patches that were blurred in light."""
    smaller = replace(config, source=replace(config.source, batch=_HELD_OUT))
    return [
        {
            "spectra": display_spectrum(config.network, patches["images"]),
            "distance": patches["distance"],
        }
        for patches in held_out_patches(smaller, seed, photos, device)
    ]
