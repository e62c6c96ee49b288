"""A picture before a camera of known defocus: the targets of Wang et al. 2021, Tables 2, 4 and 5."""

from __future__ import annotations

import math

import numpy as np
import torch

from dff.calibration.degrade import cut, disc_transfer, gaussian_transfer, margin_px
from dff.calibration.table import DefocusTable
from dff.closedloop.drive import View
from dff.closedloop.policy import Track

_LEVELS = ((8.0, 1), (24.0, 2), (80.0, 4), (math.inf, 8))  # blur below so many px, on so coarse a grid
_KEPT = 1200  # views of one scene, 1 MB each at 512 px


class DefocusedScene:
    """A flat thing at one distance, seen through a lens whose defocus is calibrated.

    The region is what the lens metres on; round it the picture goes on, mirrored where it ends, so that
    blur brings in what a real one would. Views are kept, so that all policies see the same noise.

    Args:
        picture: (H,W) what the camera would see in focus, display values in [0,1].
        table: how it defocuses.
        focus: lens position at which the picture is sharp.
        noise: variance of the noise per unit of light, and in the dark; light is 1 at white.
        gain: of the display values.
        side: of the region [px].
        seed: of the noise.

    Attributes:
        track: every whole position from the first to the last of the table.
        truth, depth_of_field: in positions.
        blur_px_per_index: growth of the blur radius from one index to the next.

    Raises:
        ValueError: a focus outside of the table.
    """

    def __init__(
        self,
        picture: np.ndarray,
        table: DefocusTable,
        focus: float,
        *,
        noise: tuple[float, float] = (1e-4, 1e-7),
        gain: float = 1.0,
        side: int = 512,
        seed: int = 0,
    ) -> None:
        first, last = table.positions[0], table.positions[-1]
        if not first <= focus <= last:
            raise ValueError(f"focus at position {focus:g}: the table goes from {first:g} to {last:g}")
        self.track = Track(np.arange(first, last + 1), "index")
        self.truth = float(focus)
        self.depth_of_field: float | None = float(table.depth_of_field)
        self.blur_px_per_index: float | None = table.px_per_position
        self._table, self._noise, self._side, self._seed = table, noise, side, seed
        display = torch.from_numpy(np.clip(gain * picture, 0, 1).astype(np.float32))[None, None]
        self._light = display**table.gamma
        self._spectra: dict[int, torch.Tensor] = {}
        self._views: dict[tuple[int, int], View] = {}

    def view(self, position: float, shot: int, halves: bool) -> View:
        """The region with the lens at ``position``, 8 bit as a camera gives it; halves are none."""
        key = round(position * 100), shot
        if key not in self._views:
            if len(self._views) >= _KEPT:
                self._views.clear()
            self._views[key] = View(self._picture(position, key))
        return self._views[key]

    def _picture(self, position: float, key: tuple[int, int]) -> np.ndarray:
        table = self._table
        radius = float(table.radius(self.truth, position))
        scale = float(table.scale_at(self.truth, position))
        level, k = next((n, k) for n, (most, k) in enumerate(_LEVELS) if radius < most)
        spectrum = self._spectrum(level, k)
        side = spectrum.shape[-2]
        transfer = disc_transfer if table.kernel == "disc" else gaussian_transfer
        shape = transfer(torch.tensor([radius / k]), side, side)
        blurred = torch.fft.irfft2(spectrum * shape, s=(side, side))
        light = cut(blurred, torch.tensor([1 / (k * scale)]), self._side, self._side).clamp_(0)
        generator = torch.Generator().manual_seed(
            int(np.random.SeedSequence([self._seed, *key]).generate_state(1, np.uint64)[0] >> np.uint64(2))
        )
        deviation = (self._noise[0] * light + self._noise[1]).sqrt()
        light = light + deviation * torch.randn(light.shape, generator=generator)
        display = light.clamp_(0, 1) ** (1 / table.gamma)
        return np.asarray((display * 255).round_().div_(255)[0, 0].numpy())

    def _spectrum(self, level: int, k: int) -> torch.Tensor:
        """(1,1,S,S//2+1) of the light round the region, on a grid ``k`` times as coarse; made once."""
        if level not in self._spectra:
            most = min(_LEVELS[level][0], self._table.largest_px)
            spare = 2 * margin_px(most / k, self._table.kernel)
            side = 8 * math.ceil((self._side / float(np.min(self._table.scale)) / k + spare) / 8)
            step = torch.tensor([1.0])
            whole = cut(self._light, step, k * side, k * side, "nearest")
            small = torch.nn.functional.avg_pool2d(whole, k) if k > 1 else whole
            self._spectra[level] = torch.fft.rfft2(small)
        return self._spectra[level]
