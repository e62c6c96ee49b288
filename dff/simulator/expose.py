"""From the light on the sensor to the picture in the file: shading, noise, converter, colours, JPEG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dff.simulator.jpeg import jpeg
from dff.simulator.mosaic import demosaic, green_sites, mosaic
from dff.simulator.sensor import SensorDraw
from dff.simulator.textures import to_display


def expose(
    linear: Tensor,
    draw: SensorDraw,
    generator: torch.Generator,
    field: Tensor | Sequence[float] | None = None,
) -> Tensor:
    """Focal stacks as the sensor of ``draw`` records them.

    Args:
        linear: (B,N,C,H,W) linear light, 1 at white, more where it saturates. C is 3, or 1 for a grey sensor
            ("rgb") and for green light alone ("raw_green", "green").
        draw: settings of the B stacks of N slices.
        generator: seeded, for the noise, on the device of the pictures. Patterns that stay the same over the
            slices are drawn in each call: give all slices of a stack at once.
        field: (centre_y, centre_x, corner_radius) in pixels of these pictures, or (B,3): where they lie in
            the field of view that shading and flicker are defined over, when they are crops. None: they are
            the field; the middle of the corner pixels is its corner.

    Returns:
        float32 (B,N,C,H,W) in [0,1]: display values (gamma 2.2), or one channel of linear values for
        "raw_green" (B,N,1,H/2,W/2) and "green" (B,N,1,H,W). Unless bit_depth is 0 they are k/255 or k/65535.

    Raises:
        ValueError: pictures that do not fit the draw or the kind of sensor.
    """
    sensor = draw.sensor
    _check(linear, draw)
    height, width = linear.shape[-2:]
    light = linear.float() * _illumination(draw, height, width, field)
    picture = (_green if sensor.is_green else _colours)(light, draw, generator)
    if sensor.bit_depth:
        top = 2**sensor.bit_depth - 1
        picture = picture.mul_(top).round_().div_(top)
    if sensor.jpeg_quality != (0, 0):
        picture = jpeg(picture, draw.jpeg_quality[:, None], sensor.jpeg_subsampling)
    return picture


def expose_dual_pixel(
    left: Tensor,
    right: Tensor,
    draw: SensorDraw,
    generator: torch.Generator,
    field: Tensor | Sequence[float] | None = None,
) -> tuple[Tensor, Tensor]:
    """The two pictures of a dual-pixel sensor, with independent noise; arguments as for `expose`.

    ``left`` and ``right`` are in light that is 1 at the white of a half pixel, so that their mean is the
    picture of the full aperture; `SensorDraw.half_pixels` tells what half the light does to the noise.
    """
    halves = draw.half_pixels()
    return expose(left, halves, generator, field), expose(right, halves, generator, field)


def _check(linear: Tensor, draw: SensorDraw) -> None:
    sensor = draw.sensor
    wanted = tuple(draw.exposure.shape)
    if linear.ndim != 5 or tuple(linear.shape[:2]) != wanted:
        raise ValueError(
            f"expose: pictures {tuple(linear.shape)} must be {wanted} stacks and slices, then CxHxW"
        )
    channels = linear.shape[2]
    if channels not in (1, 3):
        raise ValueError(f"expose: {channels} channels; give 1 or 3")
    if channels == 1 and (sensor.output == "bayer_rgb" or (sensor.white_balances and not sensor.is_green)):
        raise ValueError("expose: one channel, but bayer_rgb and white balance need three")


# --- the light -------------------------------------------------------------------------------------------


def _illumination(
    draw: SensorDraw, height: int, width: int, field: Tensor | Sequence[float] | None
) -> Tensor:
    """Factor on the light: (B,N,1,1,1), or (B,N,1,H,1 or H,1 or W) where it changes over the picture."""
    sensor, factor = draw.sensor, draw.exposure[:, :, None, None, None]
    shaded = sensor.vignetting != (0, 0) or sensor.vignetting_trend != (0, 0)
    if not shaded and sensor.flicker == (0, 0):
        return factor
    y, x = _field_coordinates(height, width, field, factor.device)
    if shaded:
        # cos^4 of a ray's slope t r, with t such that the corner, r = 1, loses its share.
        slope2 = (1 - draw.corner_loss).rsqrt()[:, :, None, None, None] - 1
        factor = factor / (1 + slope2 * (y**2 + x**2)) ** 2
    if sensor.flicker != (0, 0):
        turns = (
            draw.flicker_cycles[:, None, None, None, None] * y / 2 + draw.flicker_phase[..., None, None, None]
        )
        factor = factor * (1 + draw.flicker[:, None, None, None, None] * torch.sin(2 * math.pi * turns))
    return factor


def _field_coordinates(
    height: int, width: int, field: Tensor | Sequence[float] | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """y (B or 1,1,1,H,1) and x (B or 1,1,1,1,W) from the field's centre, in units of its corner radius."""
    if field is None:
        field = ((height - 1) / 2, (width - 1) / 2, math.hypot(height - 1, width - 1) / 2)
    where = torch.as_tensor(field, dtype=torch.float32, device=device).reshape(-1, 3)
    centre_y, centre_x, radius = where.T[:, :, None, None, None, None]
    y = torch.arange(height, dtype=torch.float32, device=device)[:, None]
    x = torch.arange(width, dtype=torch.float32, device=device)
    return (y - centre_y) / radius, (x - centre_x) / radius


# --- the pixels ------------------------------------------------------------------------------------------


def _randn(shape: Sequence[int], like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(tuple(shape), generator=generator, device=like.device)


def _read_out(light: Tensor, draw: SensorDraw, generator: torch.Generator) -> Tensor:
    """Light (B,N,P,H,W), changed in place -> what the converter says of it: 1 at white, 0 at black.

    Values below black are kept as far as the converter has numbers for them.
    """
    sensor = draw.sensor
    batch, n_slices, planes, height, width = light.shape
    shot, read = (variance[:, None, None, None, None] for variance in (draw.shot, draw.read))
    light = light.clamp_min_(0)
    if sensor.gain_pattern:
        light *= 1 + sensor.gain_pattern * _randn((batch, 1, planes, height, width), light, generator)
    if sensor.is_noisy:
        deviation = (light * shot).add_(read).sqrt_()
        light += _randn(light.shape, light, generator).mul_(deviation)
        if sensor.row_noise:
            # The two planes of green sites lie on rows of their own; colours of one pixel share theirs.
            rows = (batch, n_slices, planes if sensor.is_green else 1, height, 1)
            light += sensor.row_noise * read.sqrt() * _randn(rows, light, generator)
        if sensor.fixed_pattern:
            pattern = _randn((batch, 1, planes, height, width), light, generator)
            light += sensor.fixed_pattern * read.sqrt() * pattern
    if not sensor.raw_bit_depth:
        return light.clamp_max_(1)
    black, white = sensor.black_level_dn, sensor.white_level_dn
    numbers = light.mul_(white - black).add_(black).round_().clamp_(0, white)
    return numbers.sub_(black).div_(white - black)


def _green(light: Tensor, draw: SensorDraw, generator: torch.Generator) -> Tensor:
    """Light (B,N,C,H,W) -> the mean of the two green sites of each cell, (B,N,1,.,.) linear in [0,1]."""
    sensor = draw.sensor
    green = light[:, :, 1:2] if light.shape[2] == 3 else light
    raw = sensor.output == "raw_green"
    sites = green_sites(green, draw.phase) if raw else green.repeat(1, 1, 2, 1, 1)
    mean = _read_out(sites, draw, generator).mean(dim=2, keepdim=True)
    if not sensor.subtract_black and sensor.raw_bit_depth:
        black = sensor.black_level_dn / sensor.white_level_dn
        mean = mean.mul_(1 - black).add_(black)
    return mean.clamp_(0, 1)


def _colours(light: Tensor, draw: SensorDraw, generator: torch.Generator) -> Tensor:
    """Light (B,N,C,H,W) -> display values (gamma 2.2) in [0,1] of the same shape."""
    sensor = draw.sensor
    gains = draw.white_balance[:, None, :, None, None] if sensor.white_balances else None
    if sensor.output == "bayer_rgb":
        if gains is not None:
            gains = mosaic(gains.expand(-1, -1, -1, *light.shape[-2:]), draw.phase)
        light = mosaic(light, draw.phase)
    if gains is not None:
        light = light / gains
    light = _read_out(light, draw, generator)
    if gains is not None:
        light = (light * gains).clamp_max_(1)  # else the white of a light would take the colour of the gains
    if sensor.output == "bayer_rgb":
        light = demosaic(light, draw.phase, sensor.demosaic)
    display = to_display(light)
    if sensor.contrast != (1, 1):
        contrast = draw.contrast[:, :, None, None, None]
        display = display.sub_(0.5).mul_(contrast).add_(0.5).clamp_(0, 1)
    return display
