"""Light on things: relief under one lamp, highlights, points of light, soft shadows on what lies behind."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.draws import Draws
from dff.simulator.kernels import fft_size
from dff.simulator.surfaces import CYLINDER, PLANE, SPHERE, Surfaces
from dff.simulator.textures import noise_fields

HILLS_SLOPE = (0.1, 0.8)  # rms, of surfaces with a relief
STEEPEST = 0.97  # of the radius: where a ball's relief stops to fall ever faster


@dataclass
class Finish:
    """Relief and polish of n surfaces.

    Args:
        form: (n,) PLANE, SPHERE or CYLINDER: the large relief.
        axis: (n,) direction of the cylinder's axis.
        radius: (n,) of the relief, pixels.
        lamp: (n,3) unit vector to the light; z points at the camera.
        rough: (n,) slope (rms) of the small relief.
        gloss: (n,) linear light of the highlight, 0: none.
    """

    form: Tensor
    axis: Tensor
    radius: Tensor
    lamp: Tensor
    rough: Tensor
    gloss: Tensor

    def __getitem__(self, at: Tensor | list[int]) -> Finish:
        return Finish(*(getattr(self, one.name)[at] for one in fields(self)))


def random_lamps(draws: Draws, scenes: int) -> Tensor:
    """(scenes,3) unit vectors to the light: mostly from above, x to the right, y down, z to the camera."""
    angle = -math.pi / 2 + draws.normal((scenes,), 0.8)
    towards = draws.uniform((scenes,), 0.3, 0.9)
    across = (1 - towards**2).sqrt()
    return torch.stack([across * angle.cos(), across * angle.sin(), towards], -1)


def random_finish(draws: Draws, surfaces: Surfaces, lamp: Tensor, glossy_share: float) -> Finish:
    """Finishes of (B,L) surfaces under the lamps (B,3) of their scenes, flattened scene by scene."""
    many = tuple(surfaces.level.shape)
    rough = draws.log_uniform(many, 0.02, 0.5) * draws.chance(many, 0.5)
    # a plane would mirror the lamp all over
    brightest = torch.where(surfaces.form == PLANE, 1.0, 10.0)
    gloss = draws.log_uniform(many, 0.1, brightest) * draws.chance(many, glossy_share)
    return Finish(
        form=surfaces.form.flatten(),
        axis=surfaces.axis.flatten(),
        radius=surfaces.radius.flatten(),
        lamp=lamp.repeat_interleave(many[1], 0),
        rough=rough.flatten(),
        gloss=gloss.flatten(),
    )


def _relief(
    draws: Draws,
    inside: Tensor,
    x: Tensor,
    y: Tensor,
    finish: Finish,
    hills: Tensor | None,
    rough: Tensor | slice | None,
) -> tuple[Tensor, Tensor]:
    """Slopes of the relief along y and x, (n,h,w) each."""
    radius, axis = finish.radius[:, None, None], finish.axis[:, None, None]
    # flat things have rounded edges: a thin bevel, or a cushion as wide as the thing
    bevel = draws.log_uniform(radius.shape, 0.06, 0.8) * radius
    off_edge = (1 - inside / bevel).clamp(0, 1)
    cylinder = (x * axis.sin() - y * axis.cos()).abs() / radius
    off_middle = torch.where((finish.form == SPHERE)[:, None, None], torch.hypot(x, y) / radius, cylinder)
    round_ = ((finish.form == SPHERE) | (finish.form == CYLINDER))[:, None, None]
    # sides of a box need not fall off as steeply as a ball's
    depth = torch.where(round_, radius, bevel * draws.uniform(radius.shape, 0.15, 0.8))
    off = torch.where(round_, off_middle, off_edge).clamp_max(STEEPEST)
    down, across = torch.gradient(depth * torch.sqrt(1 - off**2), dim=(1, 2))
    if hills is not None:
        steep = torch.stack(torch.gradient(hills, dim=(1, 2)))
        deviation = steep.square().mean(dim=(0, 2, 3)).sqrt().clamp_min(1e-9)
        steep *= (draws.log_uniform(deviation.shape, *HILLS_SLOPE) / deviation)[:, None, None]
        down, across = down + steep[0], across + steep[1]
    if rough is not None:
        longest_px = finish.radius[rough].clamp_max(120.0)
        slope = draws.uniform(longest_px.shape, 1.0, 2.0)
        bumps = noise_fields(draws, inside.shape[1], inside.shape[2], slope, longest_px)[:, 0]
        steep = torch.stack(torch.gradient(bumps, dim=(1, 2)))
        steep *= (finish.rough[rough] / steep[0].std(dim=(1, 2)).clamp_min(1e-6))[:, None, None]
        down[rough] += steep[0]
        across[rough] += steep[1]
    return down, across


def shaded(
    draws: Draws,
    colour: Tensor,
    inside: Tensor,
    x: Tensor,
    y: Tensor,
    finish: Finish,
    hills: Tensor | None,
    rough: Tensor | slice | None,
    glossy: Tensor | slice | None,
) -> Tensor:
    """Light n surfaces: Lambert shading of their relief, a rim, highlights.

    Args:
        colour: (n,3,h,w) linear light under flat lighting.
        inside: (n,h,w) signed distance to the outline in pixels.
        x, y: (n,h,w) pixels from the middle of the thing.
        finish: of each.
        hills: (n,h,w) height of the relief in any unit, None: all are smooth; its slope is drawn.
        rough, glossy: numbers of those with bumps, and with highlights; None: of none.

    Returns:
        (n,3,h,w) linear light; highlights go above 1.
    """
    down, across = _relief(draws, inside, x, y, finish, hills, rough)
    facing = torch.rsqrt(1 + down**2 + across**2)  # z of the normal; the others are -slope times it
    lamp = finish.lamp[..., None, None]
    lit = (facing * (lamp[:, 2] - lamp[:, 0] * across - lamp[:, 1] * down)).clamp_min(0)
    ambient = draws.uniform(finish.rough.shape, 0.15, 0.6)[:, None, None]
    rim = draws.normal(finish.rough.shape, 0.35)[:, None, None] * (1 - facing) ** 2
    # what faces the camera keeps its colour, more or less
    light = (ambient + (1 - ambient) * lit / lamp[:, 2].clamp_min(0.75) + rim).clamp_min(0.02)
    out = colour * light[:, None]
    if glossy is not None:
        camera = torch.tensor([0.0, 0.0, 1.0], device=lamp.device)
        half = F.normalize(finish.lamp[glossy] + camera, dim=1)[..., None, None]
        leaning = half[:, 2] - half[:, 0] * across[glossy] - half[:, 1] * down[glossy]
        mirrored = (facing[glossy] * leaning).clamp_min(1e-3)
        gloss = finish.gloss[glossy]
        # the brighter a highlight, the smaller
        polish = (25 * draws.log_uniform(gloss.shape, 0.5, 2) * (10 * gloss).sqrt()).clamp_min(10)
        shine = gloss[:, None, None] * (polish[:, None, None] * mirrored.log()).exp()
        out[glossy] += shine[:, None]
    return out


def light_points(draws: Draws, x: Tensor, y: Tensor, count: int, spread: Tensor) -> Tensor:
    """Small lamps and glints, far brighter than anything lit: out of focus they show the aperture.

    Args:
        x, y: (n,w) and (n,h) pixels from the middle of the thing.
        count: of points per surface at most; some of them are faint.
        spread: (n,) half side of the square in which they lie, pixels.

    Returns:
        (n,3,h,w) linear light to add.
    """
    number = x.shape[0]
    at_x, at_y = draws.uniform((2, number, count, 1), -1, 1) * spread[:, None, None]
    sharpness = draws.uniform((number, count, 1), 0.55, 1.3).square().reciprocal() / 2
    power = draws.log_uniform((number, count, 1), 0.5, 50)
    tint = (draws.normal((number, 1, 3), 0.25) + draws.normal((number, count, 3), 0.2)).exp()
    across = (-sharpness * (x[:, None] - at_x) ** 2).exp()
    down = (-sharpness * (y[:, None] - at_y) ** 2).exp() * power
    return down.transpose(1, 2)[:, None] @ (across[:, None] * tint.transpose(1, 2)[..., None])


def cast_shadow(alpha: Tensor, shift: Tensor, sigma: Tensor) -> Tensor:
    """Shade of things on a surface behind them: their outline moved and blurred.

    Args:
        alpha: (...,h,w) coverage.
        shift: (...,2) x and y in pixels.
        sigma: (...) pixels.

    Returns:
        (...,h,w) in [0,1].
    """
    height, width = alpha.shape[-2:]
    tall, wide = fft_size(height + height // 2, 8), fft_size(width + width // 2, 8)
    fy = torch.fft.fftfreq(tall, device=alpha.device)
    fx = torch.fft.rfftfreq(wide, device=alpha.device)
    # beyond the padding a shadow would come back on the other side
    room = torch.tensor([wide - width, tall - height], device=alpha.device) / 2
    moved = torch.minimum(torch.maximum(shift, -room), room)

    def transfer(frequency: Tensor, step: Tensor) -> Tensor:
        width_there = (math.pi * sigma[..., None] * frequency).square()
        return torch.exp(torch.complex(-2 * width_there, -2 * math.pi * frequency * step[..., None]))

    kernel = transfer(fy, moved[..., 1])[..., :, None] * transfer(fx, moved[..., 0])[..., None, :]
    shade = torch.fft.irfft2(torch.fft.rfft2(alpha, s=(tall, wide)) * kernel, s=(tall, wide))
    return shade[..., :height, :width].clamp(0, 1)
