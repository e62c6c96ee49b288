"""Flat things before a camera of known defocus, rendered in milliseconds: for benchmarks of many runs.

The targets of Wang et al. 2021 (Tables 2, 4 and 5) are one part; scenes of mixed depth have several, side by
side. Parts do not hide one another: their blurred light adds up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dff.autofocus.disparity import zncc_disparity
from dff.calibration.degrade import cut, disc_transfer, gaussian_transfer, margin_px
from dff.calibration.table import DefocusTable
from dff.closedloop.drive import View
from dff.closedloop.policy import Frame, Track
from dff.closedloop.scan import Phase

_LEVELS = ((8.0, 1), (24.0, 2), (80.0, 4), (math.inf, 8))  # blur below so many px, on so coarse a grid
_KEPT = 1200  # views of one scene
_HALF = 4 / (3 * math.pi)  # from the middle of a disc to that of its half, in radii
_SURE = 64.0  # confidence of phase where contrast is full


@dataclass(frozen=True, eq=False)
class Part:
    """What lies at one distance: ``light`` (H,W), linear, 0 where other parts are; in focus at ``focus``."""

    light: np.ndarray
    focus: float


@dataclass(frozen=True)
class Light:
    """Noise of the sensor: variance per unit of light, and in the dark; light is 1 at white."""

    shot: float = 1e-4
    read: float = 1e-7


class DefocusedScene:
    """The middle of flat parts, through a lens whose defocus is calibrated. Views are kept.

    Args:
        parts: of one size; beyond their edges they are mirrored, so that blur brings in what it should.
        table: how they defocus; its positions are those of ``track``.
        track: where the lens can be sent; None: every whole position from the first of the table to the last.
        truth: position in focus; None: that of the first part.
        light: noise.
        side: of the region [px].
        seed: of the noise.

    Attributes:
        track, truth, depth_of_field, blur_px_per_index: as of any `dff.closedloop.drive.Scene`.

    Raises:
        ValueError: no parts, or a focus outside of the table.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        table: DefocusTable,
        *,
        track: Track | None = None,
        truth: float | None = None,
        light: Light | None = None,
        side: int = 512,
        seed: int = 0,
    ) -> None:
        first, last = table.positions[0], table.positions[-1]
        if not parts or any(not first <= part.focus <= last for part in parts):
            raise ValueError(f"a scene needs parts in focus within the table's {first:g} to {last:g}")
        self.track = track or Track(np.arange(first, last + 1), "index")
        self.truth = float(parts[0].focus if truth is None else truth)
        self.depth_of_field: float | None = float(table.depth_of_field)
        step = self.track.span / self.track.last
        self.blur_px_per_index: float | None = table.px_per_position * step
        self._parts, self._table, self._light = tuple(parts), table, light or Light()
        self._side, self._seed, self._step = side, seed, step
        self._spectra: dict[int, Tensor] = {}
        self._views: dict[tuple[int, int, bool], View] = {}

    def view(self, position: float, shot: int, halves: bool) -> View:
        """The region with the lens at ``position``, 8 bit as a camera gives it."""
        key = round(position / self._step * 100), shot, halves
        if key not in self._views:
            if len(self._views) >= _KEPT:
                self._views.clear()
            self._views[key] = self._made(position, key)
        return self._views[key]

    def phase(self) -> Phase:
        """What tells the signed defocus of frames with halves, and a confidence from contrast."""
        px_per_unit = self._table.px_per_position * 2 * _HALF

        def told(frame: Frame) -> tuple[float, float]:
            if frame.halves is None:
                raise ValueError("the phase loop needs frames with the halves of a dual-pixel sensor")
            left, right = frame.halves
            disparity = float(zncc_disparity(left, right, min(24, (left.shape[-1] - 3) // 2)))
            contrast = float(left.std() / max(left.mean(), 1e-3))
            return disparity / px_per_unit, _SURE * min(1.0, 4 * contrast)

        return told

    def _made(self, position: float, key: tuple[int, int, bool]) -> View:
        table = self._table
        focus = np.array([part.focus for part in self._parts])
        radius = table.radius(focus, position)
        level, k = next((n, k) for n, (most, k) in enumerate(_LEVELS) if radius.max() < most)
        spectra = self._spectrum(level, k)
        side = spectra.shape[-2]
        transfer = disc_transfer if table.kernel == "disc" else gaussian_transfer
        blurred = spectra * transfer(torch.from_numpy(radius / k).float(), side, side)[:, None]
        scale = torch.tensor([float(table.scale_at(self.truth, position)) * k])
        seeds = np.random.SeedSequence([self._seed, *map(int, key)]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(seeds[0] >> np.uint64(2)))

        def seen(shift_px: np.ndarray | None, noise: float) -> np.ndarray:
            moved = blurred
            if shift_px is not None:
                turn = -2j * math.pi * torch.fft.rfftfreq(side) * torch.from_numpy(shift_px / k)[:, None]
                moved = blurred * torch.exp(turn).to(torch.complex64)[:, None, None]
            light = torch.fft.irfft2(moved.sum(0, keepdim=True), s=(side, side))
            light = cut(light, 1 / scale, self._side, self._side).clamp_(0)
            spread = (noise * (self._light.shot * light + self._light.read)).sqrt()
            light = light + spread * torch.randn(light.shape, generator=generator)
            display = light.clamp_(0, 1) ** (1 / table.gamma)
            return np.asarray((display * 255).round_().div_(255)[0, 0].numpy())

        if not key[2]:
            return View(seen(None, 1.0))
        # a thing nearer than the focus is shifted one way in one half, and the other way in the other
        apart = np.sign(position - focus) * radius * _HALF
        return View(seen(None, 1.0), (seen(apart, 2.0), seen(-apart, 2.0)))

    def _spectrum(self, level: int, k: int) -> Tensor:
        """(P,1,S,S//2+1) of the parts' light round the region, on a grid ``k`` times as coarse; made once."""
        if level not in self._spectra:
            most = min(_LEVELS[level][0], self._table.largest_px)
            spare = 2 * margin_px(most / k, self._table.kernel)
            side = 8 * math.ceil((self._side / float(np.min(self._table.scale)) / k + spare) / 8)
            light = torch.from_numpy(np.stack([part.light for part in self._parts]).astype(np.float32))[
                :, None
            ]
            step = torch.ones(len(light))
            whole = cut(light, step, k * side, k * side, "nearest")
            self._spectra[level] = torch.fft.rfft2(F.avg_pool2d(whole, k) if k > 1 else whole)
        return self._spectra[level]
