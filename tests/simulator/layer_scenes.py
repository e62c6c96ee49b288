"""Small scenes for the tests of layers and their renderers."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.layers import Layer

SIZE = 96


def plane(colour, dioptre, alpha=None, size: int = SIZE) -> Layer:
    """A layer of one colour (number) or picture, at one dioptre or on a surface."""
    picture = torch.as_tensor(colour, dtype=torch.float32)
    picture = picture.expand(picture.shape[0] if picture.ndim == 3 else 3, size, size)
    cover = torch.ones(size, size) if alpha is None else alpha
    return Layer(picture, cover, torch.as_tensor(dioptre, dtype=torch.float32).expand(size, size))


def noise(seed: int, size: int = SIZE, grain: int = 5) -> Tensor:
    """Smooth random picture in linear light (3,size,size)."""
    raw = torch.rand(1, 3, size + grain - 1, size + grain - 1, generator=torch.Generator().manual_seed(seed))
    return F.avg_pool2d(raw, grain, 1)[0].clamp(0, 1) ** 2


def disc_alpha(radius: float, size: int = SIZE, at: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Cover of a disc, its middle (down, right) of that of the frame."""
    along = torch.arange(size) - (size - 1) / 2
    return (0.5 + radius - torch.hypot(along[:, None] - at[0], along[None, :] - at[1])).clamp(0, 1)


def dot(row: int, column: int, size: int = SIZE) -> Tensor:
    picture = torch.zeros(3, size, size)
    picture[:, row, column] = 1
    return picture


def cluttered(seed: int, size: int = SIZE) -> list[Layer]:
    """A slanted background, a slanted disc, a fence and a curved disc, all within 0.1 to 3 dioptres."""
    at = torch.linspace(-1, 1, size)
    y, x = at[:, None].expand(size, size), at[None, :].expand(size, size)
    draw = torch.rand(12, generator=torch.Generator().manual_seed(1000 + seed)).tolist()
    place = [(size * (u - 0.5) / 2, size * (v - 0.5) / 2) for u, v in zip(draw[:3], draw[3:6], strict=True)]
    turn = math.pi * draw[6]
    rails = (x * math.cos(turn) + y * math.sin(turn)) * size / 2
    fence = (0.5 + 1.5 + draw[7] - (torch.remainder(rails, 15.0) - 7.5).abs()).clamp(0, 1)
    fence = fence * disc_alpha(0.2 * size, size, place[1])
    return [
        plane(noise(seed, size), 0.8 + 0.5 * draw[8] * x + 0.2 * y, size=size),
        plane(noise(seed + 1, size), 1.5 + 0.2 * draw[9] * y, disc_alpha(0.22 * size, size, place[0]), size),
        plane(noise(seed + 2, size), 2.0 + 0.1 * x, fence, size),
        plane(
            noise(seed + 3, size),
            2.8 - 0.4 * (x.square() + y.square()) + 0.2 * draw[10],
            disc_alpha(0.18 * size, size, place[2]),
            size,
        ),
    ]


def batched(scenes: list[list[Layer]]) -> list[Layer]:
    """Scenes of as many layers each, as one batch."""
    names = ("colour", "alpha", "dioptre")
    return [
        Layer(*(torch.stack([getattr(layer, name) for layer in same]) for name in names))
        for same in zip(*scenes, strict=True)
    ]


def display(linear: Tensor) -> Tensor:
    return linear.clamp(0, 1) ** (1 / 2.2)


def psnr(picture: Tensor, reference: Tensor) -> float:
    """Decibels between two pictures in linear light, compared at gamma 2.2."""
    return -10 * math.log10(float((display(picture) - display(reference)).square().mean()) + 1e-12)
