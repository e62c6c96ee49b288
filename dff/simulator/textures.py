"""Random surfaces to focus on: 1/f noise, stains, wood, weave, bricks, pebbles, checks, stripes, dots, print.

A texture is linear light whose logarithm is a paint's base colour plus its steps times a pattern and noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dff.simulator.draws import Draws
from dff.simulator.kernels import fft_size
from dff.simulator.lettering import print_distance
from dff.simulator.paints import Paint
from dff.stack import DISPLAY_GAMMA


def pixel_grid(height: int, width: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """(y, x) in pixels from the picture's centre, (H,1) and (1,W)."""
    y = torch.arange(height, device=device, dtype=torch.float32) - (height - 1) / 2
    x = torch.arange(width, device=device, dtype=torch.float32) - (width - 1) / 2
    return y[:, None], x[None, :]


def noise_fields(draws: Draws, height: int, width: int, slope: Tensor, longest_px: Tensor) -> Tensor:
    """Two independent fields of noise of amplitude 1/f^slope per item, zero mean, unit deviation.

    Args:
        slope: (n,) exponent.
        longest_px: (n,) wavelength above which the spectrum rises no further.

    Returns:
        (n,2,height,width), a little soft at pixel scale.
    """
    tall, wide = fft_size(height, 8), fft_size(width, 8)
    fy = torch.fft.fftfreq(tall, device=draws.device)[:, None]
    fx = torch.fft.fftfreq(wide, device=draws.device)[None, :]
    squared = fy**2 + fx**2
    floor = longest_px.reciprocal().square()[:, None, None]
    # The Gaussian (sigma 0.5 px) stands for lens and pixel; without it a half-pixel shift costs contrast.
    amplitude = (
        torch.maximum(squared, floor).log() * (-slope / 2)[:, None, None] - 2 * (math.pi * 0.5) ** 2 * squared
    ).exp()
    amplitude[:, 0, 0] = 0
    amplitude *= tall * wide / amplitude.square().sum((1, 2), keepdim=True).sqrt()
    # a complex spectrum without symmetry holds two real fields
    spectrum = torch.view_as_complex(draws.normal((*amplitude.shape, 2))) * amplitude
    fields = torch.view_as_real(torch.fft.ifft2(spectrum))[:, :height, :width]
    return fields.permute(0, 3, 1, 2).contiguous()


# --- patterns: (n,h,w) in [0,1] on coordinates (u, v) [px] along the surface -------------------------------


def _edge(signed_px: Tensor) -> Tensor:
    """Coverage from a signed distance in pixels, over a pixel and a half."""
    return (0.5 + signed_px / 1.5).clamp(0, 1)


def _per_item(draws: Draws, like: Tensor, low: float, high: float) -> Tensor:
    return draws.log_uniform((like.shape[0], 1, 1), low, high)


def _in_table(table: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Entries of (n,R,C) tables at whole-numbered (n,h,w) rows and columns, repeated without end."""
    rows, columns = table.shape[1:]
    at = torch.remainder(row, rows) * columns + torch.remainder(column, columns)
    return table.flatten(1).gather(1, at.long().flatten(1)).reshape(row.shape)


def _checks(draws: Draws, u: Tensor, v: Tensor, noise: Tensor) -> Tensor:
    period = _per_item(draws, u, 8, 40)
    wave = torch.sin(2 * math.pi * u / period) * torch.sin(2 * math.pi * v / period)
    return _edge(wave * period / (2 * math.pi))


def _stripes(draws: Draws, u: Tensor, v: Tensor, noise: Tensor) -> Tensor:
    period = _per_item(draws, u, 4, 30)
    return _edge(
        (torch.sin(2 * math.pi * u / period) - _per_item(draws, u, 0.1, 0.8)) * period / (2 * math.pi)
    )


def _dots(draws: Draws, u: Tensor, v: Tensor, noise: Tensor) -> Tensor:
    period = _per_item(draws, u, 7, 30)
    radius = period * _per_item(draws, u, 0.2, 0.42)
    u, v = (torch.remainder(axis, period) - period / 2 for axis in (u, v))
    return _edge(radius - torch.hypot(u, v))


def _glyphs(draws: Draws, u: Tensor, v: Tensor, noise: Tensor) -> Tensor:
    """Printed words, from small print to headlines."""
    letter = _per_item(draws, u, 7, 32)
    boldness = letter * draws.uniform((u.shape[0], 1, 1), -0.01, 0.03)
    return _edge(print_distance(draws, u, v, letter, lines=12, columns=22) + boldness)


def _stains(draws: Draws, u: Tensor, v: Tensor, noise: Tensor) -> Tensor:
    """Patches with ragged borders: foliage, rust, stone, snow."""
    level = draws.uniform((u.shape[0], 1, 1), -1.0, 1.2)
    return torch.sigmoid((noise[:, 0] - level) * _per_item(draws, u, 2, 12))


def _grain(draws: Draws, u: Tensor, v: Tensor, noise: Tensor) -> Tensor:
    """Veins: wood when the waves are long, marble when the noise bends them."""
    period = _per_item(draws, u, 5, 40)
    bent = u / period + _per_item(draws, u, 0.05, 1.5) * noise[:, 1]
    return 0.5 + 0.5 * torch.sin(2 * math.pi * bent)


def _weave(draws: Draws, u: Tensor, v: Tensor, noise: Tensor) -> Tensor:
    period = 2 * math.pi / _per_item(draws, u, 2.8, 9)
    slub = 0.7 * noise[:, 1]
    return 0.5 + 0.25 * (torch.sin(u * period + slub) + torch.sin(v * period - slub))


def _bricks(draws: Draws, u: Tensor, v: Tensor, noise: Tensor) -> Tensor:
    """Bricks, boards, books or tiles, every one of its own tone, with joints."""
    tall = _per_item(draws, u, 7, 32)
    wide = tall * _per_item(draws, u, 1, 8)
    row = torch.floor(v / tall)
    along = u + wide * _in_table(draws.uniform((u.shape[0], 16, 1)), row, torch.zeros_like(row))
    column = torch.floor(along / wide)
    middle_u, middle_v = along - (column + 0.5) * wide, v - (row + 0.5) * tall
    tone = 0.6 * _in_table(draws.uniform((u.shape[0], 16, 16)), row, column)
    to_joint = torch.minimum(wide / 2 - middle_u.abs(), tall / 2 - middle_v.abs())
    return 1 - (1 - tone) * _edge(to_joint - tall * _per_item(draws, u, 0.02, 0.1))


def _pebbles(draws: Draws, u: Tensor, v: Tensor, noise: Tensor) -> Tensor:
    """Cells round scattered points, every one of its own tone, dark towards the borders."""
    period = _per_item(draws, u, 7, 36)
    u, v = u / period, v / period
    row, column = torch.floor(v), torch.floor(u)
    at_u, at_v, tones = draws.uniform((3, u.shape[0], 16, 16), 0.1, 0.9)
    nearest = torch.full_like(u, 9.0)
    second, tone = nearest.clone(), torch.zeros_like(u)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            cell = row + down, column + across
            square = (u - cell[1] - _in_table(at_u, *cell)) ** 2 + (v - cell[0] - _in_table(at_v, *cell)) ** 2
            second = torch.minimum(second, torch.maximum(nearest, square))
            tone = torch.where(square < nearest, _in_table(tones, *cell), tone)
            nearest = torch.minimum(nearest, square)
    border = (second.sqrt() - nearest.sqrt()) * period
    return 1 - (1 - 0.7 * tone) * (border / _per_item(draws, u, 1.5, 6)).clamp(0, 1)


PATTERNS: dict[str, Callable[[Draws, Tensor, Tensor, Tensor], Tensor]] = {
    "checks": _checks,
    "stripes": _stripes,
    "dots": _dots,
    "glyphs": _glyphs,
    "stains": _stains,
    "grain": _grain,
    "weave": _weave,
    "bricks": _bricks,
    "pebbles": _pebbles,
}
DRAWN = ("flat", "noise", *PATTERNS)
"""Textures made of nothing but random numbers."""

TEXTURES = (*DRAWN, "photo")


def texture(draws: Draws, kind: str, x: Tensor, y: Tensor, unit: Tensor, paint: Paint) -> Tensor:
    """Random textures of one kind of `DRAWN`.

    Args:
        draws: of everything but the colours.
        x, y: (n,h,w) pixel coordinates on the surface.
        unit: (n,) length over which the light of the paint falls by its ``ramp`` [px].
        paint: of n surfaces.

    Returns:
        (n,3,h,w) linear light.
    """
    if kind not in DRAWN:
        raise ValueError(f"texture {kind!r} is unknown; choose from {', '.join(DRAWN)}")
    count, height, width = x.shape
    ramp = (paint.ramp / unit[:, None])[..., None, None]
    fields = [(ramp[:, 0] * x + ramp[:, 1] * y).clamp(-1.2, 1.2)]
    steps = [torch.ones_like(paint.base)]
    if kind != "flat":
        slope = draws.uniform((count,), 0.55, 1.7)
        noise = noise_fields(draws, height, width, slope, draws.log_uniform((count,), 20, 300))
        fields += [noise[:, 0], noise[:, 1]]
        steps += [paint.grain if kind == "noise" else 0.45 * paint.grain, paint.tint]
    if kind in PATTERNS:
        # nothing that people make is quite regular
        bend = draws.uniform((count, 1, 1), 0.0, 2.5) * draws.chance((count, 1, 1), 0.6)
        fields.append(PATTERNS[kind](draws, x + bend * noise[:, 0], y + bend * noise[:, 1], noise))
        steps.append(paint.other)
    change = torch.stack(steps, dim=2) @ torch.stack(fields, dim=1).flatten(2)
    return (paint.base[:, :, None] + change).exp_().unflatten(2, (height, width))


def to_linear(display: Tensor) -> Tensor:
    """Display values (gamma 2.2) in [0,1] to linear light."""
    return display.clamp(0, 1) ** DISPLAY_GAMMA


def to_display(linear: Tensor) -> Tensor:
    """Linear light to display values (gamma 2.2) in [0,1]."""
    return linear.clamp(0, 1) ** (1 / DISPLAY_GAMMA)


def shown_halves(light: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Display values of light (B,N,2,H,W) of two halves: grey of both (B,N,3,H,W), and either (B,N,1,H,W)."""
    left, right = to_display(light).split(1, dim=2)
    return to_display(light.mean(dim=2, keepdim=True)).expand(-1, -1, 3, -1, -1), (left, right)
