"""What JPEG does to a picture: colour transform, 8x8 DCT, quantisation, and back, without the bytes."""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Subsampling = Literal["4:2:0", "4:4:4"]

# ITU-T T.81, Annex K, tables K.1 and K.2: luminance and chrominance steps at quality 50.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
# JFIF 1.02: full-range BT.601; chroma without its offset of 128.
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
_CHROMA_TO_RGB = ((0.0, 1.402), (-0.344136286, -0.714136286), (1.772, 0.0))  # and luma to each


@cache
def _constant(rows: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    return torch.tensor(rows, dtype=torch.float32, device=device)


@cache
def _dct(device: torch.device) -> Tensor:
    """(64,64) orthonormal DCT-II of an 8x8 block that is read row by row; its transpose is the inverse."""
    waves = [
        [math.cos((2 * i + 1) * k * math.pi / 16) * (0.5 if k else math.sqrt(0.125)) for i in range(8)]
        for k in range(8)
    ]
    wave = torch.tensor(waves, dtype=torch.float64)
    return torch.kron(wave, wave).float().to(device)


def _steps(table: tuple[tuple[float, ...], ...], quality: Tensor) -> Tensor:
    """Quantisation steps (n,8,8) for ``quality`` (n,), by libjpeg's rule (jcparam.c)."""
    quality = quality.clamp(1, 100)
    percent = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    base = _constant(table, quality.device).long()
    return ((base * percent[:, None, None] + 50) // 100).clamp(1, 255).float()


def _code(planes: Tensor, steps: Tensor) -> Tensor:
    """Planes (n,H,W) round 0, H and W multiples of 8 -> the same after quantisation by ``steps`` (n,8,8)."""
    n, height, width = planes.shape
    dct, steps = _dct(planes.device), steps.reshape(n, 1, 64)
    blocks = planes.reshape(n, height // 8, 8, width // 8, 8).transpose(2, 3).reshape(n, -1, 64)
    # Steps a hair finer round exact halves away from zero, as libjpeg does, whatever float32 made of them.
    blocks = (blocks @ dct.T).div_(steps * (1 - 1e-5)).round_().mul_(steps) @ dct
    return blocks.view(n, height // 8, width // 8, 8, 8).transpose(2, 3).reshape(n, height, width)


def _halve(chroma: Tensor) -> Tensor:
    """(n,2,H,W) -> (n,2,H/2,W/2): whole numbers, rounded up and down in turn along a row, as libjpeg does."""
    rows = chroma[..., ::2, :] + chroma[..., 1::2, :]
    total = rows[..., ::2] + rows[..., 1::2]
    total[..., ::2] += 1
    total[..., 1::2] += 2
    return total.mul_(0.25).floor_()


def _code_colour(rgb: Tensor, quality: Tensor, subsampling: Subsampling, size: tuple[int, int]) -> Tensor:
    """RGB (n,3,H,W) in 0..255, padded to whole blocks -> the decoded (n,3,*size)."""
    n, _, height, width = rgb.shape
    ycc = (_constant(_TO_YCC, rgb.device) @ rgb.flatten(2)).round_().view(n, 3, height, width)
    luma = _code(ycc[:, 0] - 128, _steps(_LUMINANCE, quality))
    chroma = ycc[:, 1:] if subsampling == "4:4:4" else _halve(ycc[:, 1:])
    steps = _steps(_CHROMINANCE, quality).repeat_interleave(2, 0)
    chroma = _code(chroma.flatten(0, 1), steps).unflatten(0, (n, 2))
    if subsampling == "4:2:0":
        # The decoder knows nothing beyond the picture: it repeats the last chroma sample.
        chroma = chroma[..., : (size[0] + 1) // 2, : (size[1] + 1) // 2].round()
        chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    luma = (luma[:, None, : size[0], : size[1]] + 128).round_().clamp_(0, 255)
    chroma = chroma[..., : size[0], : size[1]].round().clamp_(-128, 127)
    return luma + (_constant(_CHROMA_TO_RGB, rgb.device) @ chroma.flatten(2)).unflatten(2, size)


def jpeg(pictures: Tensor, quality: Tensor, subsampling: Subsampling = "4:2:0") -> Tensor:
    """Pictures as they come back from a baseline JPEG file.

    Follows libjpeg: JFIF colours, Annex K tables scaled by quality, 2x2 mean of the chroma and its triangle
    interpolation back ("fancy upsampling").

    Args:
        pictures: (...,C,H,W) display values in [0,1], C 1 (grey) or 3 (RGB), any H and W.
        quality: whole numbers 1..100 that broadcast to the leading dimensions; beyond, the nearest of them.
        subsampling: of the chroma of RGB pictures.

    Returns:
        float32 values k/255 of the same shape.

    Raises:
        ValueError: C is neither 1 nor 3.
    """
    *lead, channels, height, width = pictures.shape
    if channels not in (1, 3):
        raise ValueError(f"jpeg: {channels} channels; give 1 (grey) or 3 (RGB)")
    quality = quality.to(pictures.device).long().expand(lead).reshape(-1)
    flat = (pictures.reshape(-1, channels, height, width).float() * 255).round_()
    block = 16 if channels == 3 and subsampling == "4:2:0" else 8
    beyond = (-width % block, -height % block)
    if any(beyond):
        flat = F.pad(flat, (0, beyond[0], 0, beyond[1]), mode="replicate")
    if channels == 1:
        decoded = _code(flat[:, 0] - 128, _steps(_LUMINANCE, quality))[:, None, :height, :width] + 128
    else:
        decoded = _code_colour(flat, quality, subsampling, (height, width))
    return decoded.round_().clamp_(0, 255).div_(255).reshape(pictures.shape)
