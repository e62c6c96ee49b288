"""Pictures made blurred and larger by the defocus model: Gamma^-1(I_d) = imscale(Gamma^-1(I_i) * h, alpha).

Wang et al. 2021, Eq. 1. Light is linear here; the caller takes display values to the power of gamma first.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def disc_transfer(radius_px: Tensor, height: int, width: int) -> Tensor:
    """(B,height,width//2+1) transfer of discs of ``radius_px`` (B,), exact for any radius."""
    across = torch.fft.rfftfreq(width, device=radius_px.device)
    down = torch.fft.fftfreq(height, device=radius_px.device)
    frequency = (down[:, None].square() + across[None, :].square()).sqrt()
    x = 2 * math.pi * radius_px[:, None, None] * frequency
    return torch.where(x > 1e-3, 2 * torch.special.bessel_j1(x) / x.clamp_min(1e-3), 1.0)


def gaussian_transfer(sigma_px: Tensor, height: int, width: int) -> Tensor:
    """(B,height,width//2+1) transfer of Gaussians of ``sigma_px`` (B,)."""
    across = torch.fft.rfftfreq(width, device=sigma_px.device)
    down = torch.fft.fftfreq(height, device=sigma_px.device)
    squared = down[:, None].square() + across[None, :].square()
    return torch.exp(-2 * (math.pi * sigma_px[:, None, None]).square() * squared)


def blur(light: Tensor, radius_px: Tensor, kernel: str = "disc") -> Tensor:
    """(B,1,H,W) light blurred; what goes over one edge comes in at the other, so give a margin.

    Args:
        radius_px: (B,) radius of the disc, or sigma of the Gaussian.
        kernel: "disc" or "gaussian".
    """
    size = light.shape[-2:]
    transfer = {"disc": disc_transfer, "gaussian": gaussian_transfer}[kernel](radius_px, *size)
    return torch.fft.irfft2(torch.fft.rfft2(light) * transfer[:, None], s=size)


def margin_px(radius_px: float, kernel: str = "disc") -> int:
    """Pixels at every edge that a blur of this radius spoils."""
    return math.ceil(radius_px if kernel == "disc" else 4 * radius_px) + 1


def cut(
    light: Tensor,
    step: Tensor,
    height: int,
    width: int,
    mode: str = "bicubic",
    middle: Tensor | None = None,
) -> Tensor:
    """(B,C,height,width) part of pictures, sampled every ``step`` (B,) px; beyond the edge it is mirrored.

    A scale of alpha is a step of 1 / alpha.

    Args:
        middle: (B,2) place of its middle across and down, -1 to 1 over the picture; None: the middle.
    """

    def places(count: int, whole: int, axis: int) -> Tensor:
        even = (torch.arange(count, device=light.device) + 0.5) * (2 / count) - 1
        at = even * step[:, None] * (count / whole)
        return at if middle is None else at + middle[:, axis, None]

    x, y = places(width, light.shape[-1], 0), places(height, light.shape[-2], 1)
    size = (len(light), height, width)
    grid = torch.stack([x[:, None, :].expand(size), y[:, :, None].expand(size)], dim=-1)
    return F.grid_sample(light, grid, mode, padding_mode="reflection", align_corners=False)


def degrade(
    light: Tensor, radius_px: Tensor, scale: Tensor, height: int, width: int, kernel: str = "disc"
) -> Tensor:
    """(B,1,height,width) the middle of sharp light (B,1,H,W) as the lens sees it out of focus.

    Args:
        radius_px, scale: (B,) of `dff.calibration.table.DefocusTable`.

    Raises:
        ValueError: too little light round the middle for that blur.
    """
    spare = min(light.shape[-2] - height / float(scale.min()), light.shape[-1] - width / float(scale.min()))
    need = 2 * margin_px(float(radius_px.max()), kernel)
    if spare < need:
        raise ValueError(
            f"degrade: {height}x{width} px of a picture of {light.shape[-2]}x{light.shape[-1]} px blurred by "
            f"{float(radius_px.max()):.0f} px need {need - spare:.0f} px more at the edges"
        )
    return cut(blur(light, radius_px, kernel), 1 / scale, height, width)
