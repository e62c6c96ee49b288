"""Random surfaces to focus on: coloured 1/f noise, checks, stripes, dots, glyphs, photographs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GAMMA = 2.2


class Draw:
    """Random numbers from one seeded generator; tensors come on the generator's device."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.device = generator.device

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator, device=self.device))

    def log_uniform(self, low: float, high: float) -> float:
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def integer(self, low: int, high: int) -> int:
        """Between ``low`` and ``high``, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator, device=self.device))

    def chance(self, share: float) -> bool:
        return self.uniform(0, 1) < share

    def choice(self, options: Sequence[str]) -> str:
        return options[self.integer(0, len(options) - 1)]

    def rand(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def randn(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, device=self.device)


def pixel_grid(height: int, width: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """(y, x) in pixels from the picture's centre, (H,1) and (1,W)."""
    y = torch.arange(height, device=device, dtype=torch.float32) - (height - 1) / 2
    x = torch.arange(width, device=device, dtype=torch.float32) - (width - 1) / 2
    return y[:, None], x[None, :]


def power_noise(
    draw: Draw, channels: int, height: int, width: int, slope: float, lowest_cycles: float = 1.0
) -> Tensor:
    """(channels,H,W) noise of amplitude 1/f^slope, zero mean, unit deviation, a little soft at pixel scale.

    Frequencies below ``lowest_cycles`` per picture are not raised further.
    """
    fy = torch.fft.fftfreq(height, device=draw.device)[:, None]
    fx = torch.fft.rfftfreq(width, device=draw.device)[None, :]
    frequency = torch.sqrt(fy**2 + fx**2)
    floor = lowest_cycles / max(height, width)
    # The Gaussian (sigma 0.5 px) stands for lens and pixel; without it a half-pixel shift costs contrast.
    amplitude = frequency.clamp_min(floor) ** -slope * torch.exp(-2 * (math.pi * 0.5 * frequency) ** 2)
    spectrum = torch.fft.rfft2(draw.randn(channels, height, width)) * amplitude
    spectrum[:, 0, 0] = 0
    field = torch.fft.irfft2(spectrum, s=(height, width))
    return field / field.std(dim=(-2, -1), keepdim=True).clamp_min(1e-9)


def _soften(image: Tensor) -> Tensor:
    """Binomial 3x3 blur (sigma about 0.7 px) of (C,H,W): takes the staircase off drawn patterns."""
    tap = torch.tensor([0.25, 0.5, 0.25], device=image.device)
    padded = F.pad(image[:, None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(F.conv2d(padded, tap.view(1, 1, 3, 1)), tap.view(1, 1, 1, 3))[:, 0]


def colour_pair(draw: Draw) -> tuple[Tensor, Tensor]:
    """Two display colours (3,) in [0,1] that differ in lightness, with restrained saturation."""
    light = torch.tensor([draw.uniform(0.08, 0.4), draw.uniform(0.5, 0.95)], device=draw.device)
    if draw.chance(0.5):
        light = light.flip(0)
    tint = draw.randn(2, 3) * draw.uniform(0.02, 0.15)
    colours = (light[:, None] + tint - tint.mean(1, keepdim=True)).clamp(0.02, 0.98)
    return colours[0], colours[1]


def _turned(draw: Draw, height: int, width: int) -> tuple[Tensor, Tensor]:
    y, x = pixel_grid(height, width, draw.device)
    angle = draw.uniform(0, math.pi)
    return x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)


def _edge(signed_px: Tensor) -> Tensor:
    """Coverage from a signed distance in pixels, over a pixel and a half."""
    return (0.5 + signed_px / 1.5).clamp(0, 1)


def _checks(draw: Draw, height: int, width: int) -> Tensor:
    u, v = _turned(draw, height, width)
    period = draw.log_uniform(8, 40)
    wave = torch.sin(2 * math.pi * u / period) * torch.sin(2 * math.pi * v / period)
    return _edge(wave * period / (2 * math.pi))


def _stripes(draw: Draw, height: int, width: int) -> Tensor:
    u, _ = _turned(draw, height, width)
    period = draw.log_uniform(4, 30)
    return _edge(torch.sin(2 * math.pi * (u / period + draw.uniform(0, 1))) * period / (2 * math.pi))


def _dots(draw: Draw, height: int, width: int) -> Tensor:
    u, v = _turned(draw, height, width)
    period = draw.log_uniform(7, 30)
    radius = period * draw.uniform(0.2, 0.42)
    u, v = (torch.remainder(axis, period) - period / 2 for axis in (u, v))
    return _edge(radius - torch.sqrt(u**2 + v**2))


def _glyphs(draw: Draw, height: int, width: int) -> Tensor:
    """Lines of random 5x7 bitmaps: sharp strokes at a letter's scale, as on a page or a label."""
    scale = draw.integer(1, 4)
    rows, columns = -(-height // (10 * scale)), -(-width // (6 * scale))
    bitmaps = torch.zeros(rows, columns, 10, 6, device=draw.device)
    strokes = (draw.rand(rows, columns, 7, 3) < 0.55).float()
    bitmaps[:, :, 1:8, 0:3] = strokes
    bitmaps[:, :, 1:8, 3:5] = strokes[..., :2].flip(-1)  # mirrored, as most letters nearly are
    bitmaps *= (draw.rand(rows, columns) > 0.15)[..., None, None]  # blanks between words
    page = bitmaps.permute(0, 2, 1, 3).reshape(rows * 10, columns * 6)
    page = page.repeat_interleave(scale, 0).repeat_interleave(scale, 1)
    return page[:height, :width]


def _noise(draw: Draw, height: int, width: int) -> Tensor:
    """Coloured 1/f noise around one colour, (3,H,W) display values."""
    slope = draw.uniform(0.7, 1.6)
    grey = power_noise(draw, 1, height, width, slope, lowest_cycles=3)
    tint = power_noise(draw, 3, height, width, slope + 0.4, lowest_cycles=3)
    dark, light = colour_pair(draw)
    base = (dark + light)[:, None, None] / 2
    return base + draw.uniform(0.1, 0.22) * (grey + draw.uniform(0, 0.5) * tint)


def _photo(draw: Draw, photos: Sequence[np.ndarray], height: int, width: int) -> Tensor:
    """A random crop of a random photograph, flipped or turned, magnified when too small; (3,H,W) display."""
    picture = photos[draw.integer(0, len(photos) - 1)]
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"photos: give (H,W,3) uint8 arrays, got {picture.shape} {picture.dtype}")
    image = torch.from_numpy(np.ascontiguousarray(picture)).to(draw.device).permute(2, 0, 1)
    if draw.chance(0.5):
        image = image.transpose(1, 2)
    smallest = max(height / image.shape[1], width / image.shape[2])
    zoom = max(smallest, draw.log_uniform(0.5, 1.5))
    crop_h, crop_w = min(image.shape[1], round(height / zoom)), min(image.shape[2], round(width / zoom))
    top, left = draw.integer(0, image.shape[1] - crop_h), draw.integer(0, image.shape[2] - crop_w)
    crop = image[None, :, top : top + crop_h, left : left + crop_w].float() / 255
    crop = F.interpolate(crop, (height, width), mode="bicubic", align_corners=False, antialias=zoom < 1)[0]
    return crop.flip(2) if draw.chance(0.5) else crop


PATTERNS = {"checks": _checks, "stripes": _stripes, "dots": _dots, "glyphs": _glyphs}
TEXTURES = ("noise", *PATTERNS, "photo", "flat")


def texture(draw: Draw, kind: str, height: int, width: int, photos: Sequence[np.ndarray] = ()) -> Tensor:
    """A random texture of one kind (`TEXTURES`), (3,H,W) display values (gamma 2.2) in [0.01, 0.99]."""
    if kind == "noise":
        image = _noise(draw, height, width)
    elif kind == "photo":
        image = _photo(draw, photos, height, width)
    elif kind == "flat":
        image = colour_pair(draw)[0][:, None, None].expand(3, height, width)
    elif kind in PATTERNS:
        dark, light = (colour[:, None, None] for colour in colour_pair(draw))
        image = _soften(dark + (light - dark) * PATTERNS[kind](draw, height, width))
        grain = power_noise(draw, 1, height, width, 0.8, lowest_cycles=3)
        image = image * (1 + draw.uniform(0.02, 0.12) * grain)
    else:
        raise ValueError(f"texture {kind!r} is unknown; choose from {', '.join(TEXTURES)}")
    return image.clamp(0.01, 0.99)


def faded(image: Tensor, contrast: float) -> Tensor:
    """The picture with its contrast round its own mean colour multiplied by ``contrast``."""
    mean = image.mean(dim=(-2, -1), keepdim=True)
    return mean + contrast * (image - mean)


def to_linear(display: Tensor) -> Tensor:
    """Display values (gamma 2.2) in [0,1] to linear light."""
    return display.clamp(0, 1) ** GAMMA


def to_display(linear: Tensor) -> Tensor:
    """Linear light to display values (gamma 2.2) in [0,1]."""
    return linear.clamp(0, 1) ** (1 / GAMMA)
