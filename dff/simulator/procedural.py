"""Random layered scenes: a background and objects of many shapes, textured, slanted, curved, some pale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dff.simulator.layers import Layer, carve
from dff.simulator.textures import TEXTURES, Draw, faded, pixel_grid, power_noise, texture, to_linear


@dataclass(frozen=True)
class SceneConfig:
    """What random scenes are made of. Pairs are (low, high), both possible.

    Args:
        objects: number of objects in front of the background.
        shapes: names of `SHAPES` to draw from.
        textures: names of `TEXTURES` to draw from; "photo" counts only when photographs are given.
        object_size: largest extent of an object over the shorter side of the picture.
        background_slant, object_slant: dioptre range over the frame (over the object) of the surface's
            slope, as a share of the scene's dioptre range.
        bumps: deviation of a surface from its plane, same share.
        faded_share, fade: share of surfaces with low contrast, and their remaining contrast.
        flat_share: share of objects without any texture.
    """

    objects: tuple[int, int] = (3, 7)
    shapes: tuple[str, ...] = ("ellipse", "box", "star", "blob", "bars", "wire", "fence")
    textures: tuple[str, ...] = ("noise", "noise", "checks", "stripes", "dots", "glyphs", "photo", "photo")
    object_size: tuple[float, float] = (0.2, 0.7)
    background_slant: tuple[float, float] = (0.0, 0.9)
    object_slant: tuple[float, float] = (0.0, 0.3)
    bumps: float = 0.02
    faded_share: float = 0.2
    fade: tuple[float, float] = (0.05, 0.4)
    flat_share: float = 0.05

    def __post_init__(self) -> None:
        for name, known in (("shapes", tuple(SHAPES)), ("textures", TEXTURES)):
            unknown = sorted(set(getattr(self, name)) - set(known))
            if unknown or not getattr(self, name):
                raise ValueError(
                    f"SceneConfig: {name} {', '.join(unknown) or 'is empty'}; choose from {', '.join(known)}"
                )
        for name in ("objects", "object_size", "background_slant", "object_slant", "fade"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"SceneConfig: {name} ({low}, {high}) must be 0 <= low <= high")
        if self.object_size[0] <= 0 or self.fade[0] <= 0:
            raise ValueError("SceneConfig: object_size and fade must be above 0")
        for name in ("faded_share", "flat_share", "bumps"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"SceneConfig: {name} must lie in [0,1], got {getattr(self, name)}")


# --- shapes: signed distance [px] (positive inside) on coordinates round the object, turned at random ------


def _ellipse(draw: Draw, u: Tensor, v: Tensor, size: float) -> Tensor:
    a, b = size / 2, size / 2 * draw.uniform(0.4, 1.0)
    q = torch.sqrt((u / a) ** 2 + (v / b) ** 2).clamp_min(1e-6)
    slope = torch.sqrt((u / a**2) ** 2 + (v / b**2) ** 2) / q
    return (1 - q) / slope.clamp_min(1e-6)


def _box(draw: Draw, u: Tensor, v: Tensor, size: float) -> Tensor:
    a, b = size * 0.42, size * 0.42 * draw.uniform(0.3, 1.0)
    corner = draw.uniform(0, 0.3) * b
    out_u, out_v = u.abs() - (a - corner), v.abs() - (b - corner)
    outside = torch.hypot(out_u.clamp_min(0), out_v.clamp_min(0))
    return corner - outside - torch.maximum(out_u, out_v).clamp_max(0)


def _star(draw: Draw, u: Tensor, v: Tensor, size: float) -> Tensor:
    """A closed curve whose radius is a short Fourier series: leaves, stars, pebbles."""
    angle, distance = torch.atan2(v, u), torch.hypot(u, v)
    radius, slope = torch.ones_like(angle), torch.zeros_like(angle)
    for cycles in range(2, draw.integer(3, 7)):
        height, phase = draw.uniform(0, 0.5 / cycles), draw.uniform(0, 2 * math.pi)
        radius = radius + height * torch.cos(cycles * angle + phase)
        slope = slope - height * cycles * torch.sin(cycles * angle + phase)
    scale = 0.36 * size
    return (scale * radius - distance) / torch.sqrt(1 + (slope / radius.clamp_min(0.2)) ** 2)


def _blob(draw: Draw, u: Tensor, v: Tensor, size: float) -> Tensor:
    """Thresholded 1/f noise inside an ellipse: ragged, with holes and islands."""
    slope = draw.uniform(1.4, 2.2)
    noise = power_noise(draw, 1, u.shape[0], u.shape[1], slope, lowest_cycles=max(u.shape) / size)[0]
    field = noise + 1.5 - 3 * torch.hypot(u, v) / (size / 2)
    return field / torch.hypot(*torch.gradient(field)).clamp_min(0.02)


def _bars(draw: Draw, u: Tensor, v: Tensor, size: float) -> Tensor:
    count = draw.integer(2, 6)
    width = draw.log_uniform(1.2, max(2.0, 0.35 * size / count))
    inside = torch.full_like(u, -math.inf)
    for i in range(count):
        middle = (i + 0.5) / count * size - size / 2 + draw.uniform(-0.1, 0.1) * size / count
        length = size * draw.uniform(0.6, 1.0)
        inside = torch.maximum(inside, torch.minimum(width / 2 - (u - middle).abs(), length / 2 - v.abs()))
    return inside


def _wire(draw: Draw, u: Tensor, v: Tensor, size: float) -> Tensor:
    swing, cycles = draw.uniform(0.02, 0.25) * size, draw.uniform(0.5, 2.0) / size
    phase, width = draw.uniform(0, 2 * math.pi), draw.log_uniform(1.2, 7)
    angle = 2 * math.pi * cycles * u + phase
    slope = 2 * math.pi * cycles * swing * torch.cos(angle)
    beside = (v - swing * torch.sin(angle)).abs() / torch.sqrt(1 + slope**2)
    return torch.minimum(width / 2 - beside, size - u.abs())  # twice as long as other objects: often across


def _fence(draw: Draw, u: Tensor, v: Tensor, size: float) -> Tensor:
    period = draw.log_uniform(8, max(9.0, size / 3))
    width = draw.uniform(0.12, 0.3) * period

    def rails(axis: Tensor) -> Tensor:
        return width / 2 - (torch.remainder(axis, period) - period / 2).abs()

    inside = torch.maximum(rails(u), rails(v))
    return torch.minimum(inside, size / 2 - torch.maximum(u.abs(), v.abs()))


SHAPES: dict[str, Callable[[Draw, Tensor, Tensor, float], Tensor]] = {
    "ellipse": _ellipse,
    "box": _box,
    "star": _star,
    "blob": _blob,
    "bars": _bars,
    "wire": _wire,
    "fence": _fence,
}


# --- surfaces --------------------------------------------------------------------------------------------


def _surface(
    draw: Draw, y: Tensor, x: Tensor, middle: float, rise: float, bump: float, limits: tuple[float, float]
) -> Tensor:
    """Dioptre map: a plane that rises by ``rise`` over the unit disc of (y, x), with bumps, in ``limits``."""
    angle = draw.uniform(0, 2 * math.pi)
    room = min(middle - limits[0], limits[1] - middle)
    half = min(rise / 2, room)
    bump = min(bump, room - half)
    plane = middle + half * (x * math.cos(angle) + y * math.sin(angle))
    wave = torch.sin(draw.uniform(1, 3) * x + draw.uniform(0, 6)) * torch.sin(
        draw.uniform(1, 3) * y + draw.uniform(0, 6)
    )
    return (plane + bump * wave).clamp(*limits)


def _paint(
    draw: Draw, config: SceneConfig, height: int, width: int, photos: Sequence[np.ndarray], flat_share: float
) -> Tensor:
    """A random texture in linear light, (3,H,W)."""
    kinds = [kind for kind in config.textures if kind != "photo" or len(photos)] or ["noise"]
    kind = "flat" if draw.chance(flat_share) else draw.choice(kinds)
    image = texture(draw, kind, height, width, photos)
    if draw.chance(config.faded_share):
        image = faded(image, draw.log_uniform(*config.fade))
    return to_linear(image)


def random_scene(
    config: SceneConfig,
    height: int,
    width: int,
    far_dioptre: float,
    near_dioptre: float,
    generator: torch.Generator,
    photos: Sequence[np.ndarray] = (),
) -> list[Layer]:
    """A random scene, layers back to front, every surface within [far_dioptre, near_dioptre].

    Args:
        config: what to draw from.
        height, width: size in pixels.
        generator: seeded; the layers come on its device.
        photos: (H,W,3) uint8 pictures to cut textures from.

    Returns:
        Layers of colour (3,H,W) in linear light, alpha (H,W) and dioptre (H,W), already carved so that they
        do not cross in depth.
    """
    draw = Draw(generator)
    limits = far_dioptre, near_dioptre
    span = near_dioptre - far_dioptre
    y, x = pixel_grid(height, width, draw.device)
    unit = math.hypot(height, width) / 2

    rise = span * draw.uniform(*config.background_slant)
    middle = far_dioptre + draw.uniform(rise / 2, max(rise / 2, 0.4 * span))
    surface = _surface(draw, y / unit, x / unit, middle, rise, config.bumps * span, limits)
    colour = _paint(draw, config, height, width, photos, flat_share=0.0)
    layers = [Layer(colour, torch.ones(height, width, device=draw.device), surface)]

    depths = sorted(draw.uniform(*limits) for _ in range(draw.integer(*config.objects)))
    for middle in depths:
        size = min(height, width) * draw.log_uniform(*config.object_size)
        at_y, at_x = draw.uniform(-0.5, 0.5) * height, draw.uniform(-0.5, 0.5) * width
        angle = draw.uniform(0, 2 * math.pi)
        u = (x - at_x) * math.cos(angle) + (y - at_y) * math.sin(angle)
        v = (y - at_y) * math.cos(angle) - (x - at_x) * math.sin(angle)
        alpha = (0.5 + SHAPES[draw.choice(config.shapes)](draw, u, v, size) / 1.2).clamp(0, 1)
        rise = span * draw.uniform(*config.object_slant)
        surface = _surface(
            draw, (y - at_y) / (size / 2), (x - at_x) / (size / 2), middle, rise, config.bumps * span, limits
        )
        layers.append(Layer(_paint(draw, config, height, width, photos, config.flat_share), alpha, surface))
    return carve(layers)
