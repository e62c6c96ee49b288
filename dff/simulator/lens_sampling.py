"""Exact defocus of a layered scene: the mean of the pin-hole pictures seen from many places of the pupil.

Slow, and the reference that `dff.simulator.render` is measured against. Nothing is approximated but the
number of places: every place sees every layer resampled by the parallax of its own surface, slanted and
curved ones included, composited sharp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.layers import Layer
from dff.simulator.psf import PSF, Field, Half, share, transmission

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
STEPS = 1  # of the fixed point; each shrinks the error by the change of blur radius per px
STEEPEST = 0.2  # of 1 plus the change of blur radius per px, which at 0 folds the surface over
STILL_PX = 1e-3  # parallax that is none
CHUNK_PX = 2**17  # pixels of views made at once


def pupil_points(psf: PSF, samples: int) -> tuple[Tensor, Tensor]:
    """Places (x, y) in pupil radii, at least ``samples`` over the area of a disc, spread evenly.

    They follow a sunflower spiral out to the reach of the pupil; `transmission` says what each is worth.
    """
    count = math.ceil(samples * psf.reach**2)
    k = torch.arange(count, dtype=torch.float64) + 0.5
    radius, angle = psf.reach * torch.sqrt(k / count), k * GOLDEN_ANGLE
    return radius * torch.cos(angle), radius * torch.sin(angle)


def _finer(picture: Tensor, factor: int) -> Tensor:
    """(C,H,W) -> (C,(H-1)*factor+1,(W-1)*factor+1), band-limited; each ``factor``-th pixel is an old one."""
    if factor == 1:
        return picture
    tall, wide = picture.shape[-2:]
    # the period of a reflected picture
    period = torch.cat([picture, picture[..., 1:-1].flip(-1)], dim=-1)
    period = torch.cat([period, period[..., 1:-1, :].flip(-2)], dim=-2)
    height, width = period.shape[-2:]
    spectrum = torch.fft.fftshift(torch.fft.fft2(period), dim=(-2, -1))
    down, across = height * (factor - 1), width * (factor - 1)
    spectrum = F.pad(spectrum, (across // 2, across - across // 2, down // 2, down - down // 2))
    fine = torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real * factor**2
    return fine[..., : (tall - 1) * factor + 1, : (wide - 1) * factor + 1].contiguous()


def _read(picture: Tensor, x: Tensor, y: Tensor, size: tuple[int, int]) -> Tensor:
    """(C,...) picture of a ``size`` (h, w) frame read at pixel places x, y (M,h',w'): (M,C,h',w')."""
    grid = torch.stack([x * (2 / (size[1] - 1)) - 1, y * (2 / (size[0] - 1)) - 1], dim=-1)
    source = picture.expand(x.shape[0], *picture.shape)
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


class _Surface:
    """One layer, ready to be seen from anywhere in the pupil."""

    def __init__(self, layer: Layer, supersample: int) -> None:
        self.size: tuple[int, int] = (layer.alpha.shape[-2], layer.alpha.shape[-1])
        self.sharp = torch.cat([layer.colour * layer.alpha, layer.alpha[None]])
        self.fine = _finer(self.sharp, supersample)
        self.dioptre = layer.dioptre.expand(self.size)[None]
        low, high = torch.aminmax(self.dioptre)
        self.frontal = bool(low == high)
        covered = layer.alpha > 0
        self.rows = covered.any(1).nonzero().flatten().tolist()
        self.columns = covered.any(0).nonzero().flatten().tolist()

    def seen(self, focus: float, gain: float, a: Tensor, b: Tensor) -> tuple[Tensor, slice, slice]:
        """(M,C+1,h,w) premultiplied from the pupil places a, b (M,), and the rows and columns it covers."""
        coc = gain * (self.dioptre - focus)
        parallax = float(coc.abs().max()) / 2
        if parallax < STILL_PX:
            return self.sharp[None], slice(None), slice(None)
        # the farthest that anything moves, and the reach of a bilinear sample
        margin = math.ceil(parallax * float(torch.hypot(a, b).max())) + 1
        rows = slice(max(0, self.rows[0] - margin), min(self.size[0], self.rows[-1] + 1 + margin))
        columns = slice(max(0, self.columns[0] - margin), min(self.size[1], self.columns[-1] + 1 + margin))
        y = torch.arange(rows.start, rows.stop, dtype=coc.dtype, device=coc.device)[:, None]
        x = torch.arange(columns.start, columns.stop, dtype=coc.dtype, device=coc.device)
        a, b = a[:, None, None], b[:, None, None]
        # the place q of the surface that shows at p solves p = q + coc(q)/2 (a, b)
        here = coc[:, rows, columns]
        if not self.frontal:
            # exact for planes
            down, across = (along[:, rows, columns] for along in torch.gradient(coc, dim=(1, 2)))
            here = here / (1 + (across * a + down * b) / 2).clamp_min(STEEPEST)
        for _ in range(0 if self.frontal else STEPS):
            here = _read(coc, x - here / 2 * a, y - here / 2 * b, self.size)[:, 0]
        return _read(self.fine, x - here / 2 * a, y - here / 2 * b, self.size), rows, columns


def render_exact(
    layers: Sequence[Layer],
    focus: Tensor,
    coc_px_per_dioptre: Tensor | float,
    psf: PSF | None = None,
    half: Half | None = None,
    *,
    field: Field | None = None,
    samples: int = 400,
    supersample: int = 3,
) -> Tensor:
    """Render a focal stack of one scene by sampling the lens.

    Args:
        layers: back to front, colour (C,H,W), alpha and dioptre (H,W), float32 or float64; no batch.
        focus: (N,) dioptres.
        coc_px_per_dioptre: blur diameter [px] per dioptre of defocus; one number or (N,).
        psf, half, field: as in `dff.simulator.render.render_stack`; None is a plain disc.
        samples: places of the pupil, 300 or more for a reference; wide blur of fine detail wants more.
        supersample: layers are enlarged by this before views are read from them bilinearly. At 3 a blurred
            picture is 53 dB or better from the band-limited truth.

    Returns:
        (N,C,H,W) linear light. Beyond its border the scene is continued by reflection.

    Raises:
        ValueError: no layers, batch dimensions, or fewer than 1 sample.
    """
    if not layers:
        raise ValueError("render_exact: a scene needs at least one layer")
    focus = torch.as_tensor(focus, dtype=torch.float64)
    if any(layer.alpha.ndim != 2 or layer.colour.ndim != 3 for layer in layers) or focus.ndim != 1:
        raise ValueError("render_exact: takes one scene, layers without batch dimensions and focus (N,)")
    if samples < 1 or supersample < 1:
        raise ValueError(f"render_exact: samples {samples} and supersample {supersample} must be 1 or more")
    psf = psf or PSF()
    gain = torch.as_tensor(coc_px_per_dioptre, dtype=torch.float64).expand_as(focus)
    colour = layers[0].colour
    channels, height, width = colour.shape
    points = pupil_points(psf, samples)
    light = _light(psf, half, points, (height, width), field).to(colour)
    a, b = (along.to(colour) for along in points)
    used = (light > 0).flatten(1).any(1)
    a, b, light = a[used], b[used], light[used]
    surfaces = [_Surface(layer, supersample) for layer in layers if bool((layer.alpha > 0).any())]
    out = colour.new_zeros(len(focus), channels, height, width)
    step = max(1, CHUNK_PX // (height * width))
    for n, (at, diameter) in enumerate(zip(focus.tolist(), gain.tolist(), strict=True)):
        for first in range(0, len(a), step):
            some = slice(first, first + step)
            views = colour.new_zeros(len(a[some]), channels, height, width)
            for surface in surfaces:
                rgba, rows, columns = surface.seen(at, diameter, a[some], b[some])
                target = views[..., rows, columns]
                target.mul_(1 - rgba[:, channels:]).add_(rgba[:, :channels])
            out[n] += (views * light[some]).sum(0)
    return out / light.sum(0)


def _light(
    psf: PSF, half: Half | None, points: tuple[Tensor, Tensor], size: tuple[int, int], field: Field | None
) -> Tensor:
    """What every pupil place is worth: (M,1,1,1), or (M,1,H,W) where that differs over the field."""
    x, y = points
    if not psf.cats_eye:
        return (transmission(psf, x, y) * share(psf, x, half))[:, None, None, None]
    if half is not None:
        raise ValueError("render_exact: no dual pixel with a cat's eye; set cats_eye to 0")
    down, across = torch.arange(size[0])[:, None], torch.arange(size[1])
    place = (field or Field.middle(size)).place(across, down)
    return transmission(psf, x[:, None, None, None], y[:, None, None, None], place)
