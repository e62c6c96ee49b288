"""Layered, occlusion-aware defocus: what a lens makes of a scene whose hidden parts are known.

A scene is a list of layers, back to front. Every layer is blurred as premultiplied RGBA in linear light by
the circle of confusion of its own surface and the layers are then composited, so the blurred rim of a near
object shows the far one behind it, and a blurred background never leaks over a sharp near object.

Leading batch dimensions are allowed everywhere ("..." in the shapes below).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MIN_SLOPE = 1e-6  # dioptre per px below which two surfaces count as parallel


@dataclass
class Layer:
    """One surface of a scene, complete also where nearer layers hide it.

    Args:
        colour: (...,3,H,W) linear light, not premultiplied.
        alpha: (...,H,W) coverage in [0,1], with a soft edge.
        dioptre: (...,H,W) smooth surface, defined everywhere (its values near the edge of ``alpha`` blur
            the rim too).
    """

    colour: Tensor
    alpha: Tensor
    dioptre: Tensor

    def __post_init__(self) -> None:
        size = self.alpha.shape[-2:]
        if self.colour.shape[-3:] != (3, *size) or self.dioptre.shape[-2:] != size:
            raise ValueError(
                f"Layer: colour {tuple(self.colour.shape)}, alpha {tuple(self.alpha.shape)} and dioptre "
                f"{tuple(self.dioptre.shape)} must be (...,3,H,W), (...,H,W) and (...,H,W)"
            )


# --- the point spread function ---------------------------------------------------------------------------


def _sampled_disc(diameter_px: float) -> tuple[Tensor, float]:
    """Disc averaged over pixels, (S,S) with odd S and sum 1, and its mean squared radius."""
    fine = min(64, math.ceil(256 / diameter_px))  # points per pixel and axis
    reach = max(0, math.ceil(diameter_px / 2 - 0.5))
    side = 2 * reach + 1
    at = (torch.arange(side * fine, dtype=torch.float64) + 0.5) / fine - side / 2
    inside = (at[:, None] ** 2 + at[None, :] ** 2 <= (diameter_px / 2) ** 2).double()
    kernel = F.avg_pool2d(inside[None, None], fine)[0, 0]
    kernel = kernel / kernel.sum()
    pixel = torch.arange(-reach, reach + 1, dtype=torch.float64) ** 2
    return kernel, float((kernel * (pixel[:, None] + pixel[None, :])).sum())


@lru_cache(maxsize=64)
def disc_kernel(diameter_px: float) -> Tensor:
    """Antialiased disc of the given diameter, (S,S) float32 with odd S, sum 1. Up to 1 px: a single 1.

    Averaging over pixels widens a disc (by up to 1/6 px^2 in mean squared distance), so a slightly smaller
    one is sampled, such that the mean squared distance is that of the true disc, diameter^2 / 8.
    """
    if diameter_px <= 1:
        return torch.ones(1, 1)
    low, high = 1.0, diameter_px
    for _ in range(12):
        middle = (low + high) / 2
        kernel, spread = _sampled_disc(middle)
        low, high = (middle, high) if spread < diameter_px**2 / 8 else (low, middle)
    return kernel.float()


def blur_levels(max_diameter_px: float) -> tuple[float, ...]:
    """Diameters [px] of the blur bank: 1 (the identity), then steps of 20 %."""
    levels = [1.0]
    while levels[-1] < max_diameter_px:
        levels.append(1.2 * levels[-1])
    return tuple(levels)


@lru_cache(maxsize=256)
def _disc_spectrum(diameter_px: float, height: int, width: int, device: torch.device) -> Tensor:
    """Spectrum of the disc centred on pixel 0, (height, width//2+1): real, since the disc is symmetric."""
    kernel = disc_kernel(diameter_px).to(device)
    reach = kernel.shape[0] // 2
    field = torch.zeros(height, width, device=device)
    field[: kernel.shape[0], : kernel.shape[1]] = kernel
    return torch.fft.rfft2(torch.roll(field, (-reach, -reach), (0, 1))).real.contiguous()


def _fft_size(size: int) -> int:
    """The next multiple of 16 without prime factors above 5: fast, and few, so that spectra are reused."""
    size = -(-size // 16) * 16
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 16


# --- blur of one layer -----------------------------------------------------------------------------------


def _reflect(image: Tensor, pad: int) -> Tensor:
    flat = image.reshape(-1, 1, *image.shape[-2:])
    padded = F.pad(flat, (pad, pad, pad, pad), mode="reflect")
    return padded.reshape(*image.shape[:-2], *padded.shape[-2:])


def _bounds(alpha: Tensor) -> tuple[int, int, int, int]:
    """Bounding box (top, bottom, left, right) of everything that is not fully transparent."""
    covered = (alpha > 0).reshape(-1, *alpha.shape[-2:]).any(0)
    rows, columns = covered.any(1).nonzero(), covered.any(0).nonzero()
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


class _BlurredLayer:
    """Premultiplied RGBA (RGB of an opaque layer), blurred to any level of the bank on demand."""

    def __init__(self, layer: Layer, levels: Sequence[float], dioptre_range: tuple[float, float]) -> None:
        height, width = layer.alpha.shape[-2:]
        self.levels = levels
        self.pad = math.ceil(levels[-1] / 2) + 1
        top, bottom, left, right = _bounds(layer.alpha)
        self.rows = slice(max(0, top - self.pad), min(height, bottom + self.pad))
        self.columns = slice(max(0, left - self.pad), min(width, right + self.pad))
        self.opaque = bool((layer.alpha == 1).all())  # a background: its alpha need not be blurred
        self._rgba = layer.colour
        if not self.opaque:
            alpha = layer.alpha[..., None, :, :]
            alpha_like = alpha.expand(*layer.colour.shape[:-3], 1, height, width)
            self._rgba = torch.cat([layer.colour * alpha, alpha_like], dim=-3)
        self.sharp = self._rgba[..., self.rows, self.columns]
        self._spectrum: Tensor | None = None
        self._cache: dict[int, Tensor] = {0: self.sharp}

        # Outside its support a surface is only extrapolated: keep the rim as blurred as the edge is.
        self.dioptre = layer.dioptre[..., self.rows, self.columns].clamp(*dioptre_range)

    def level(self, j: int) -> Tensor:
        """(...,3 or 4,h,w) blurred with the j-th disc, on ``rows`` x ``columns``."""
        if j not in self._cache:
            if self._spectrum is None:
                padded = _reflect(self._rgba, self.pad)[
                    ...,
                    self.rows.start : self.rows.stop + 2 * self.pad,
                    self.columns.start : self.columns.stop + 2 * self.pad,
                ]
                self._fft_shape = _fft_size(padded.shape[-2]), _fft_size(padded.shape[-1])
                self._spectrum = torch.fft.rfft2(padded, s=self._fft_shape)
            kernel = _disc_spectrum(self.levels[j], *self._fft_shape, self.sharp.device)
            blurred = torch.fft.irfft2(self._spectrum * kernel, s=self._fft_shape)
            h, w = self.sharp.shape[-2:]
            self._cache[j] = blurred[..., self.pad : self.pad + h, self.pad : self.pad + w]
        return self._cache[j]

    def at(self, focus: Tensor, gain: Tensor, widest: tuple[float, float]) -> Tensor:
        """(...,3 or 4,h,w) as seen by one slice: every pixel between the two levels round its own blur.

        The weights keep the second moment (diameter squared) of the blur, not the diameter.
        """
        squared = (gain[..., None, None] * (self.dioptre - focus[..., None, None])).square()
        squares = [level**2 for level in self.levels]
        first = max(0, sum(level <= widest[0] for level in self.levels) - 1)
        last = min(len(squares) - 1, sum(level < widest[1] for level in self.levels))
        out: Tensor | None = None
        for j in range(first, last + 1):
            if first == last:
                return self.level(j)
            weight = torch.full_like(squared, 1.0)
            if j > first:
                weight = (squared - squares[j - 1]) / (squares[j] - squares[j - 1])
            if j < last:
                weight = torch.minimum(weight, (squares[j + 1] - squared) / (squares[j + 1] - squares[j]))
            weight = weight.clamp_(0, 1)[..., None, :, :]
            out = weight * self.level(j) if out is None else out.addcmul_(weight, self.level(j))
        assert out is not None
        return out


def _coc_range(dioptre_range: tuple[float, float], focus: Tensor, gain: Tensor) -> tuple[float, float]:
    """Smallest and largest blur diameter [px] of a dioptre range over (all batch elements of) one slice."""
    low, high = dioptre_range
    focus, gain = torch.broadcast_tensors(focus.double().cpu(), gain.double().cpu())
    ends = torch.stack([(low - focus) * gain, (high - focus) * gain])
    between = (focus >= low) & (focus <= high)
    smallest = torch.where(between, torch.zeros_like(focus), ends.abs().amin(0))
    return float(smallest.amin()), float(ends.abs().amax())


# --- the scene -------------------------------------------------------------------------------------------


def render_stack(layers: Sequence[Layer], focus: Tensor, coc_px_per_dioptre: Tensor | float) -> Tensor:
    """Render a focal stack of a layered scene.

    Args:
        layers: back to front, all of one size; the first should be opaque (what stays open is black).
        focus: (...,N) focus of each slice in dioptres.
        coc_px_per_dioptre: blur diameter [px] per dioptre of defocus; one number or (...,N).

    Returns:
        (...,N,3,H,W) linear light. Blur below 1 px is none at all: in focus is `all_in_focus` exactly.
        Beyond its border the scene is continued by reflection.
    """
    if not layers:
        raise ValueError("render_stack: a scene needs at least one layer")
    focus = torch.as_tensor(focus)
    gain = torch.as_tensor(coc_px_per_dioptre, dtype=focus.dtype).expand_as(focus)
    device = layers[0].alpha.device
    dtype = layers[0].colour.dtype
    batch = np.broadcast_shapes(tuple(focus.shape[:-1]), *(tuple(layer.alpha.shape[:-2]) for layer in layers))
    height, width = layers[0].alpha.shape[-2:]
    out = torch.zeros(*batch, focus.shape[-1], 3, height, width, device=device, dtype=dtype)
    focus_here, gain_here = focus.to(device, dtype), gain.to(device, dtype)
    for layer in layers:
        support = layer.dioptre.expand_as(layer.alpha)[layer.alpha > 0]
        if not support.numel():
            continue
        dioptre_range = float(support.min()), float(support.max())
        spans = [_coc_range(dioptre_range, focus[..., n], gain[..., n]) for n in range(focus.shape[-1])]
        levels = blur_levels(max(span[1] for span in spans))
        if math.ceil(levels[-1] / 2) + 1 >= min(height, width):
            raise ValueError(
                f"render_stack: a blur of {levels[-1]:.0f} px does not fit a scene of {width}x{height} px"
            )
        blurred = _BlurredLayer(layer, levels, dioptre_range)
        for n, span in enumerate(spans):
            rgba = blurred.at(focus_here[..., n], gain_here[..., n], span)
            target = out[..., n, :, blurred.rows, blurred.columns]
            if blurred.opaque:
                target.copy_(rgba)
            else:
                target.mul_(1 - rgba[..., 3:, :, :]).add_(rgba[..., :3, :, :])
    return out


def visibility(layers: Sequence[Layer]) -> Tensor:
    """(L,...,H,W) share of each pixel that shows each layer when everything is sharp."""
    through = torch.ones_like(layers[-1].alpha)
    shares = []
    for layer in reversed(layers):
        shares.append(layer.alpha * through)
        through = through * (1 - layer.alpha)
    return torch.stack(shares[::-1])


def all_in_focus(layers: Sequence[Layer]) -> Tensor:
    """(...,3,H,W) linear light: the scene without any blur."""
    out = torch.zeros_like(layers[0].colour)
    for layer in layers:
        alpha = layer.alpha[..., None, :, :]
        out = out * (1 - alpha) + layer.colour * alpha
    return out


def truth(layers: Sequence[Layer], min_jump_dioptre: float = 0.0) -> tuple[Tensor, Tensor]:
    """Dioptre map of the layer that fills most of each pixel, occlusion boundaries (bool); both (...,H,W).

    A boundary is where the 3x3 neighbourhood shows different layers more than ``min_jump_dioptre`` apart.
    """
    owner = visibility(layers).argmax(0)
    surfaces = torch.stack([layer.dioptre.expand_as(layer.alpha) for layer in layers])
    dioptre = surfaces.gather(0, owner[None])[0]

    def spread(field: Tensor) -> Tensor:
        flat = field.reshape(-1, 1, *field.shape[-2:]).float()
        window = F.max_pool2d(flat, 3, 1, 1) + F.max_pool2d(-flat, 3, 1, 1)
        return window.reshape(field.shape)

    return dioptre, (spread(owner) > 0) & (spread(dioptre) > min_jump_dioptre)


def carve(layers: Sequence[Layer]) -> list[Layer]:
    """Cut layers that cross in depth, pixel by pixel, so that the nearest surface wins.

    Every layer loses the part of it that lies behind a layer earlier in the list.
    """
    out: list[Layer] = []
    for front in layers:
        alpha = front.alpha
        if out and bool((alpha > 0).any()):
            top, bottom, left, right = _bounds(alpha)
            box = (..., slice(top, bottom), slice(left, right))
            alpha = alpha.clone()
            for back in out:
                lead = front.dioptre[box] - back.dioptre[box]
                if float(lead.amin()) >= 0 or min(lead.shape[-2:]) < 2:
                    continue
                down, across = torch.gradient(lead, dim=(-2, -1))
                # one pixel of soft edge where the surfaces meet
                keep = (0.5 + lead / torch.hypot(down, across).clamp_min(MIN_SLOPE)).clamp_(0, 1)
                alpha[box] *= 1 - back.alpha[box] * (1 - keep)
        out.append(Layer(front.colour, alpha, front.dioptre))
    return out
