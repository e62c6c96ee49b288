"""The image sensor of a simulated camera: what can be asked of it, and one draw of its random settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from dff.simulator.jpeg import Subsampling
from dff.simulator.mosaic import BAYER, Demosaic

Range = tuple[float, float]
Output = Literal["rgb", "bayer_rgb", "raw_green", "green"]
# (slope, offset, deviation) of log10 read-noise variance over log10 shot-noise variance per unit of light.
READ_RELATIONS = {
    "brooks2019": (2.18, 1.2 / math.log(10), 0.26 / math.log(10)),  # stated there in natural logarithms
    "sidd": (1.85, 0.30, 0.20),
}
# One uniform random number each: a change of one range leaves the other quantities as they were.
DRAWN = (
    "shot",
    "iso",
    "read",
    "bayer",
    "red_gain",
    "blue_gain",
    "jpeg_quality",
    "vignetting",
    "vignetting_trend",
    "exposure_trend",
    "contrast",
    "near_contrast",
    "flicker",
    "flicker_cycles",
)


@dataclass(frozen=True)
class Sensor:
    """A kind of image sensor and what follows it, up to the file. Ranges are (low, high), drawn per stack.

    Light is linear, 1 at the white level, 0 at black; noise variances are in units of that scale, squared.

    Args:
        output: "rgb": noise on each colour of each pixel, gamma 2.2. "bayer_rgb": noise on a Bayer mosaic,
            demosaiced, gamma 2.2. "raw_green": the mean of the two green sites of each 2x2 cell, one linear
            channel at half the size, as an autofocus system gets it. "green": the same from pictures that
            already have one pixel per cell, at their own size.
        bit_depth: 8 or 16: values are k/255 or k/65535; 0: not rounded.
        shot: variance of the shot noise per unit of light, drawn log-uniformly; (0, 0): none.
        iso: takes the place of ``shot`` unless (0, 0), drawn log-uniformly.
        shot_at_iso_100: variance of the shot noise per unit of light at ISO 100; it is one over the
            photoelectrons at white (2e-4: 5000, an assumption for pixels of about 1.4 um).
        read_relation: how the variance of the read noise follows the shot noise, with scatter: "brooks2019"
            (Brooks et al. 2019, "Unprocessing Images for Learned Raw Denoising", section 3), or "sidd" (Zamir
            et al. 2020, "CycleISP", the noise of its training data for the SIDD phones).
        read: variance of the read noise itself, drawn log-uniformly; (0, 0): by ``read_relation``.
        row_noise, fixed_pattern: deviation of an offset per row of each slice, and of an offset per pixel
            that is the same in all slices, as shares of the deviation of the read noise.
        gain_pattern: deviation of the sensitivity from pixel to pixel, the same in all slices.
        raw_bit_depth: of the analogue-digital converter; 0: not rounded, and nothing below black is lost.
        black_level_dn: black in numbers of that converter (64 of 1023 in many phones).
        subtract_black: "raw_green" and "green" only: black is 0; otherwise black_level_dn / white.
        bayer: colours of the top left 2x2 pixels; "random" for crops from anywhere.
        demosaic: how "bayer_rgb" is interpolated.
        red_gain, blue_gain: white balance that the noise of these colours is multiplied by.
        jpeg_quality: drawn uniformly, of 8-bit "rgb" and "bayer_rgb"; (0, 0): none.
        jpeg_subsampling: of the chroma.
        vignetting: light lost in the corner of the field, in the middle of the focus sweep.
        vignetting_trend: change of that loss from the far to the near end of the sweep.
        exposure_sd: deviation of the logarithm of each slice's exposure.
        exposure_trend: change of that logarithm from the far to the near end of the sweep.
        contrast: factor on display values round mid-grey; the far and the near end of the sweep draw one
            each, between them it is linear. Single phone stacks span 0.95 to 1.04.
        flicker: amplitude of the light bands that mains light leaves with a rolling shutter; their phase
            changes from slice to slice.
        flicker_cycles: number of bands over the diagonal of the field, drawn log-uniformly.

    Raises:
        ValueError: a value out of its range, or settings that contradict each other.
    """

    output: Output = "rgb"
    bit_depth: Literal[0, 8, 16] = 8
    shot: Range = (1e-4, 2e-3)
    iso: Range = (0.0, 0.0)
    shot_at_iso_100: float = 2e-4
    read_relation: Literal["brooks2019", "sidd"] = "brooks2019"
    read: Range = (0.0, 0.0)
    row_noise: float = 0.0
    fixed_pattern: float = 0.0
    gain_pattern: float = 0.0
    raw_bit_depth: int = 0
    black_level_dn: float = 0.0
    subtract_black: bool = True
    bayer: Literal["RGGB", "GRBG", "GBRG", "BGGR", "random"] = "RGGB"
    demosaic: Demosaic = "malvar2004"
    red_gain: Range = (1.0, 1.0)
    blue_gain: Range = (1.0, 1.0)
    jpeg_quality: tuple[int, int] = (0, 0)
    jpeg_subsampling: Subsampling = "4:2:0"
    vignetting: Range = (0.0, 0.0)
    vignetting_trend: Range = (0.0, 0.0)
    exposure_sd: float = 0.0
    exposure_trend: Range = (0.0, 0.0)
    contrast: Range = (1.0, 1.0)
    flicker: Range = (0.0, 0.0)
    flicker_cycles: Range = (0.3, 3.0)

    def __post_init__(self) -> None:
        for name in ("shot", "iso", "read"):
            low, high = getattr(self, name)
            if not 0 <= low <= high < math.inf or (low == 0) != (high == 0):
                raise ValueError(f"Sensor: {name} {(low, high)} must be 0 < low <= high, or (0, 0) for none")
        for name, lowest, highest in (
            ("red_gain", 1, 10),
            ("blue_gain", 1, 10),
            ("vignetting", 0, 0.95),
            ("vignetting_trend", -0.95, 0.95),
            ("exposure_trend", -3, 3),
            ("contrast", 0, 3),
            ("flicker", 0, 1),
            ("flicker_cycles", 0.01, 1000),
        ):
            low, high = getattr(self, name)
            if not lowest <= low <= high <= highest:
                raise ValueError(
                    f"Sensor: {name} {(low, high)} must be low <= high within {lowest} to {highest}"
                )
        for name in ("row_noise", "fixed_pattern", "gain_pattern", "exposure_sd", "black_level_dn"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"Sensor: {name} {getattr(self, name)} must not be negative")
        if not 0 < self.shot_at_iso_100 < math.inf:
            raise ValueError(f"Sensor: shot_at_iso_100 {self.shot_at_iso_100} must be positive")
        if self.raw_bit_depth and not 4 <= self.raw_bit_depth <= 16:
            raise ValueError(f"Sensor: raw_bit_depth {self.raw_bit_depth}; choose 0 (not rounded) or 4 to 16")
        if self.black_level_dn and self.black_level_dn >= self.white_level_dn:
            raise ValueError(
                f"Sensor: black_level_dn {self.black_level_dn:g} must be below white, {self.white_level_dn} "
                f"at raw_bit_depth {self.raw_bit_depth}"
            )
        low_quality, high_quality = self.jpeg_quality
        if self.jpeg_quality != (0, 0):
            if not 1 <= low_quality <= high_quality <= 100:
                raise ValueError(
                    f"Sensor: jpeg_quality {self.jpeg_quality} must be within 1 to 100, or (0, 0)"
                )
            if self.bit_depth != 8 or self.is_green:
                raise ValueError(
                    f"Sensor: jpeg_quality needs bit_depth 8 and output rgb or bayer_rgb, not {self.output} "
                    f"with bit_depth {self.bit_depth}"
                )

    @property
    def is_green(self) -> bool:
        """Whether pictures have one linear channel instead of display colours."""
        return self.output in ("raw_green", "green")

    @property
    def white_level_dn(self) -> int:
        """Largest number of the converter; 0 without one."""
        return 2**self.raw_bit_depth - 1 if self.raw_bit_depth else 0

    @property
    def is_noisy(self) -> bool:
        return self.shot[1] > 0 or self.iso[1] > 0 or self.read[1] > 0

    @property
    def white_balances(self) -> bool:
        return self.red_gain != (1, 1) or self.blue_gain != (1, 1)

    def draw(
        self, generator: torch.Generator, batch: int, n_slices: int, ramp: Tensor | None = None
    ) -> SensorDraw:
        """Random settings of ``batch`` focal stacks, on the generator's device.

        Args:
            generator: seeded. How much is taken from it depends on ``batch`` and ``n_slices`` alone.
            batch: number of stacks.
            n_slices: slices in each.
            ramp: (B,N) place of each slice in the focus sweep: 0 at the far end, 1 at the near end. None:
                evenly from 0 to 1.

        Raises:
            ValueError: ``ramp`` has another shape.
        """
        device = generator.device
        if ramp is None:
            ramp = torch.linspace(0, 1, n_slices).expand(batch, n_slices)
        if ramp.shape != (batch, n_slices):
            raise ValueError(f"Sensor.draw: ramp {tuple(ramp.shape)} must be {(batch, n_slices)}")
        ramp = ramp.to(device, torch.float32)
        chance = torch.rand(batch, len(DRAWN), generator=generator, device=device).T
        chances = dict(zip(DRAWN, chance, strict=True))
        scatter = torch.randn(batch, generator=generator, device=device)
        jitter = torch.randn(batch, n_slices, generator=generator, device=device)
        flicker_phase = torch.rand(batch, n_slices, generator=generator, device=device)

        def uniform(name: str) -> Tensor:
            low, high = getattr(self, name)
            return low + (high - low) * chances[name]

        def log_uniform(name: str) -> Tensor:
            low, high = getattr(self, name)
            return low * (high / low) ** chances[name] if low > 0 else torch.zeros_like(chances[name])

        def along_sweep(far: Tensor, near: Tensor) -> Tensor:
            return far[:, None] + (near - far)[:, None] * ramp

        shot = log_uniform("shot") if self.iso == (0, 0) else log_uniform("iso") / 100 * self.shot_at_iso_100
        read = log_uniform("read") if self.read != (0, 0) else self._read_that_follows(shot, scatter)
        loss, loss_change = uniform("vignetting"), uniform("vignetting_trend")
        exposure_change = uniform("exposure_trend")
        low_contrast, high_contrast = self.contrast
        near_contrast = low_contrast + (high_contrast - low_contrast) * chances["near_contrast"]
        gains = uniform("red_gain"), torch.ones_like(shot), uniform("blue_gain")
        low_quality, high_quality = self.jpeg_quality
        phase = 4 * chances["bayer"]
        if self.bayer != "random":
            phase = torch.full_like(phase, BAYER.index(self.bayer))
        return SensorDraw(
            sensor=self,
            shot=shot,
            read=read,
            exposure=(
                along_sweep(-exposure_change / 2, exposure_change / 2) + self.exposure_sd * jitter
            ).exp(),
            corner_loss=along_sweep(loss - loss_change / 2, loss + loss_change / 2).clamp(0, 0.95),
            contrast=along_sweep(uniform("contrast"), near_contrast),
            white_balance=torch.stack(gains, dim=1),
            phase=phase.long(),
            jpeg_quality=low_quality + (chances["jpeg_quality"] * (high_quality - low_quality + 1)).long(),
            flicker=uniform("flicker"),
            flicker_cycles=log_uniform("flicker_cycles"),
            flicker_phase=flicker_phase,
        )

    def _read_that_follows(self, shot: Tensor, scatter: Tensor) -> Tensor:
        slope, offset, deviation = READ_RELATIONS[self.read_relation]
        read = 10 ** (slope * shot.clamp_min(1e-12).log10() + offset + deviation * scatter)
        return torch.where(shot > 0, read, 0.0)


@dataclass(frozen=True, eq=False)
class SensorDraw:
    """The random settings of the sensor for B focal stacks of N slices; all tensors on one device.

    Args:
        sensor: what was drawn from.
        shot, read: (B,) noise variances: per unit of light, and constant.
        exposure: (B,N) factor on the light.
        corner_loss: (B,N) share of the light lost in the corner of the field.
        contrast: (B,N) factor on display values round mid-grey.
        white_balance: (B,3) factors on red, green (1) and blue.
        phase: (B,) int64 place in `dff.simulator.mosaic.BAYER`.
        jpeg_quality: (B,) int64; 0: none.
        flicker, flicker_cycles: (B,) amplitude, and bands over the diagonal of the field.
        flicker_phase: (B,N) in turns.
    """

    sensor: Sensor
    shot: Tensor
    read: Tensor
    exposure: Tensor
    corner_loss: Tensor
    contrast: Tensor
    white_balance: Tensor
    phase: Tensor
    jpeg_quality: Tensor
    flicker: Tensor
    flicker_cycles: Tensor
    flicker_phase: Tensor

    def half_pixels(self) -> SensorDraw:
        """The same settings for one half of every dual pixel, in light that is 1 at the half's own white.

        A half has half the full well, so twice the shot noise, and the same readout on half the range, so
        four times the variance of the read noise. The mean of both halves has the shot noise of the whole
        pixel, and twice the variance of its read noise.
        """
        return replace(self, shot=2 * self.shot, read=4 * self.read)

    def describe(self, stack: int) -> dict[str, Any]:
        """Settings of one stack as plain numbers, lists (one number per slice, or per colour) and names."""
        told = {
            field.name: getattr(self, field.name)[stack].tolist()
            for field in fields(self)
            if field.name not in ("sensor", "phase")
        }
        told["bayer"] = BAYER[int(self.phase[stack])]
        return told
