"""Layered, occlusion-aware defocus: focal stacks of a scene whose hidden parts are known.

Every layer is blurred as premultiplied RGBA in linear light by the circle of confusion of its own surface
and the layers are then composited, so the blurred rim of a near object shows the far one behind it, and a
blurred background never leaks over a sharp near object.

Every pixel lies between two sizes of a bank of kernels, so slanted and curved surfaces blur smoothly. The
layers are convolved by FFT, each cropped to where it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.kernels import Bank, Levels, fft_size, spectrum
from dff.simulator.layers import Extent, Layer, Window, extents
from dff.simulator.psf import PSF, Field, Half, Place

MOST_BLENDED = 5  # levels that one slice adds up where many scenes are rendered at once
CELLS = 4  # stretches of each side of a field with cat's eyes, between places with a kernel of their own
CHUNK_BYTES = 2**31  # of blurred pictures held at once, on a GPU


def _at_once(device: torch.device) -> bool:
    """Whether to render many scenes together, with blur of every size at hand: not on a CPU, where each scene
    by itself has tighter crops and fewer sizes."""
    return device.type != "cpu"


@dataclass(frozen=True)
class _View:
    """One picture of every slice: a half of the pupil, seen with its own sign of the circle of confusion."""

    half: Half | None
    sign: int = 1

    @staticmethod
    def of(psf: PSF, half: Half | None) -> _View:
        # the right half in front of the focus is the left one behind it: one bank serves both
        return _View("left", -1) if half == "right" and psf.symmetric() else _View(half)


class _Source:
    """Premultiplied RGBA (colour alone of an opaque layer) of one layer in a window of the frame."""

    def __init__(self, layer: Layer, extent: Extent, window: Window, pad: int, dtype: torch.dtype) -> None:
        frame = Window(0, layer.alpha.shape[-2], 0, layer.alpha.shape[-1])
        self.window, self.pad, self.opaque = window, pad, extent.opaque
        inside = window.grown(pad).common(frame)
        crop = (..., *inside.within(frame))
        rgba = layer.colour[crop].to(dtype)
        if not extent.opaque:
            alpha = layer.alpha[crop][:, None].to(dtype)
            rgba = torch.cat([rgba * alpha, alpha], dim=1)
        top, left = inside.top - window.top + pad, inside.left - window.left + pad
        bottom, right = window.bottom + pad - inside.bottom, window.right + pad - inside.right
        # beyond its border the scene is continued by reflection
        self._padded = F.pad(rgba, (left, right, top, bottom), mode="reflect")
        self._spectrum: Tensor | None = None

        dioptre = layer.dioptre[(..., *window.within(frame))].to(dtype)
        low, high = (dioptre.new_tensor(ends)[:, None, None] for ends in (extent.low, extent.high))
        # outside its support a surface is only extrapolated: keep the rim as blurred as the edge is
        self.dioptre = torch.minimum(torch.maximum(dioptre, low), high)

    def blurred(self, psf: PSF, diameter_px: float, half: Half | None, place: Place) -> Tensor:
        """(B,C,h,w) blurred by one kernel, on ``window``."""
        h, w = self.window.size
        middle = (..., slice(self.pad, self.pad + h), slice(self.pad, self.pad + w))
        if abs(diameter_px) <= 1:
            return self._padded[middle]
        size = fft_size(h + 2 * self.pad), fft_size(w + 2 * self.pad)
        if self._spectrum is None:
            self._spectrum = torch.fft.rfft2(self._padded, s=size)
        kernel = spectrum(psf, diameter_px, half, place, size, self._padded.device)
        return torch.fft.irfft2(self._spectrum * kernel, s=size)[middle]


@dataclass(frozen=True)
class _Sweep:
    """How the slices are focused: (B,N) on the device of the scene, and as numbers to plan with."""

    focus: Tensor
    gain: Tensor
    focus_cpu: np.ndarray
    gain_cpu: np.ndarray

    def coc_range(self, extent: Extent) -> tuple[list[float], list[float]]:
        """Lowest and highest signed circle of confusion [px] of a layer in each slice, over the batch."""
        ends = np.stack([extent.low, extent.high])[:, :, None] - self.focus_cpu
        coc = (ends * self.gain_cpu)[:, extent.there]
        return coc.min((0, 1)).tolist(), coc.max((0, 1)).tolist()

    def coc(self, n: int, dioptre: Tensor) -> Tensor:
        """Signed circle of confusion [px] of surfaces (B,h,w) in slice n."""
        return self.gain[:, n, None, None] * (dioptre - self.focus[:, n, None, None])


def _add_layer(
    canvases: Sequence[Tensor],
    views: Sequence[_View],
    layer: Layer,
    extent: Extent,
    sweep: _Sweep,
    psf: PSF,
    window: Window,
    place: Place,
) -> None:
    """Composite a layer over what the canvases (B,N,C,h,w) of ``window``, one per view, show already."""
    if extent.box.empty:
        return
    lowest, highest = sweep.coc_range(extent)
    signed = not psf.symmetric(views[0].half)
    turned = any(view.sign < 0 for view in views)
    farthest = max(highest), max(-low for low in lowest)
    levels = Levels(
        -max(farthest) if turned else min(lowest), max(farthest) if turned else max(highest), signed
    )
    widest = max(map(abs, levels.diameters))
    pad = math.ceil(psf.reach * widest / 2) + 1
    height, width = layer.alpha.shape[-2:]
    if pad >= min(height, width):
        raise ValueError(
            f"render_stack: a blur of {widest:.0f} px does not fit a scene of {width}x{height} px"
        )
    region = extent.box.grown(pad).common(window)
    if region.empty:
        return
    source = _Source(layer, extent, region, pad, canvases[0].dtype)
    for half in dict.fromkeys(view.half for view in views):
        shots = []
        for v, view in enumerate(views):
            for n, ends in enumerate(zip(lowest, highest, strict=True)):
                low, high = sorted(view.sign * end for end in ends)
                span = levels.span(low, high)
                blur = max(abs(levels.diameters[j]) for j in span)
                here = extent.box.grown(math.ceil(psf.reach * blur / 2) + 1).common(region)
                if view.half == half and not here.empty:
                    shots.append((span, v, n, here))
        shots.sort()

        def blurred(j: int, half: Half | None = half) -> Tensor:
            return source.blurred(psf, levels.diameters[j], half, place)

        spans = [shot[0] for shot in shots]
        wide = any(last - first > MOST_BLENDED for first, last in spans)
        bank = Bank(levels, blurred, spans, pick=wide and _at_once(layer.alpha.device))
        for k, (_, v, n, here) in enumerate(shots):
            crop = here.within(region)
            coc = sweep.coc(n, source.dioptre[(..., *crop)])
            if not extent.there.all():
                coc = coc.clamp(lowest[n], highest[n])  # a scene without this layer is as good as any
            square = levels.square(views[v].sign * coc)
            rgba = bank.at(k, square, crop)
            target = canvases[v][:, n][(..., *here.within(window))]
            if extent.opaque:
                target.copy_(rgba)
            else:
                target.mul_(1 - rgba[:, -1:]).add_(rgba[:, :-1])


# --- the field -------------------------------------------------------------------------------------------


def _cells(size: tuple[int, int], field: Field) -> Iterator[tuple[Window, Place, Tensor | None]]:
    """Windows that overlap, the place in the field each is rendered for, and its weight (h,w), in sum 1."""
    knots = [np.linspace(0, side - 1, CELLS + 1) for side in size]

    def stretch(axis: int, i: int) -> tuple[int, int, Tensor]:
        knot, step = knots[axis][i], knots[axis][1]
        start = max(0, math.floor(knot - step) + 1)
        end = min(size[axis], math.ceil(knot + step))
        weight = 1 - (torch.arange(start, end, dtype=torch.float64) - knot).abs() / step
        return start, end, weight

    for i in range(CELLS + 1):
        for j in range(CELLS + 1):
            top, bottom, down = stretch(0, i)
            left, right, across = stretch(1, j)
            place = field.place(float(knots[1][j]), float(knots[0][i]))
            yield Window(top, bottom, left, right), place, down[:, None] * across


def _render(
    layers: Sequence[Layer],
    focus: Tensor,
    coc_px_per_dioptre: Tensor | float,
    psf: PSF,
    halves: Sequence[Half | None],
    field: Field | None,
) -> list[Tensor]:
    if not layers:
        raise ValueError("render_stack: a scene needs at least one layer")
    focus = torch.as_tensor(focus)
    gain = torch.as_tensor(coc_px_per_dioptre, dtype=focus.dtype, device=focus.device).expand_as(focus)
    colour = layers[0].colour
    channels, height, width = colour.shape[-3:]
    if any(layer.colour.shape[-3:] != colour.shape[-3:] for layer in layers):
        raise ValueError("render_stack: all layers must have the size and the channels of the first")
    batch = np.broadcast_shapes(tuple(focus.shape[:-1]), *(tuple(layer.alpha.shape[:-2]) for layer in layers))
    scenes, slices = math.prod(batch), focus.shape[-1]
    work = torch.promote_types(colour.dtype, torch.float32)

    def flat(one: Tensor, *size: int) -> Tensor:
        return one.expand(*batch, *size).reshape(scenes, *size)

    flat_layers = [
        Layer(
            flat(layer.colour, channels, height, width),
            flat(layer.alpha, height, width),
            flat(layer.dioptre, height, width),
        )
        for layer in layers
    ]
    focus, gain = (flat(one, slices).double() for one in (focus, gain))
    focus_cpu, gain_cpu = torch.stack([focus, gain]).cpu().numpy()
    focus, gain = (one.to(colour.device, work) for one in (focus, gain))
    views = [_View.of(psf, half) for half in halves]
    outs = [colour.new_zeros(scenes, slices, channels, height, width) for _ in halves]
    frame = Window(0, height, 0, width)
    cells: list[tuple[Window, Place, Tensor | None]] = [(frame, (0.0, 0.0), None)]
    if psf.cats_eye:
        cells = list(_cells((height, width), field or Field.middle((height, width))))

    together = 1
    if _at_once(colour.device):
        together = max(1, CHUNK_BYTES // (80 * (channels + 1) * height * width))  # of about 20 levels
    for start in range(0, scenes, together):
        part = slice(start, start + together)
        part_layers = [Layer(one.colour[part], one.alpha[part], one.dioptre[part]) for one in flat_layers]
        part_extents = extents(part_layers)
        sweep = _Sweep(focus[part], gain[part], focus_cpu[part], gain_cpu[part])
        for window, place, weight in cells:
            whole = weight is None and work == colour.dtype
            canvases = [
                out[part] if whole else out.new_zeros(out[part].shape[:-2] + window.size, dtype=work)
                for out in outs
            ]
            for layer, extent in zip(part_layers, part_extents, strict=True):
                _add_layer(canvases, views, layer, extent, sweep, psf, window, place)
            if not whole:
                for out, canvas in zip(outs, canvases, strict=True):
                    shown = canvas if weight is None else canvas * weight.to(canvas)
                    out[part][(..., *window.within(frame))] += shown
    return [out.reshape(*batch, slices, channels, height, width) for out in outs]


def render_stack(
    layers: Sequence[Layer],
    focus: Tensor,
    coc_px_per_dioptre: Tensor | float,
    psf: PSF | None = None,
    half: Half | None = None,
    field: Field | None = None,
) -> Tensor:
    """Render a focal stack of a layered scene.

    Args:
        layers: back to front, all of one size; the first should be opaque (what stays open is black).
        focus: (...,N) focus of each slice in dioptres.
        coc_px_per_dioptre: blur diameter [px] per dioptre of defocus; one number or (...,N).
        psf: shape of the blur; None is a plain disc.
        half: "left" or "right" renders what that half of a dual pixel sees; None the full aperture.
        field: where the optical axis is and how far the corner, in px of the layers, for cat's eyes; None:
            the middle of the layers and half their diagonal.

    Returns:
        (...,N,C,H,W) linear light, in the dtype of the layers (inside, float32 at least). Blur below 1 px is
        none at all: in focus is `all_in_focus` exactly. Beyond its border the scene is continued by
        reflection.

    Raises:
        ValueError: no layers, layers that differ in size, or a blur that is wider than the scene.
    """
    return _render(layers, focus, coc_px_per_dioptre, psf or PSF(), (half,), field)[0]


def render_dual_pixel(
    layers: Sequence[Layer],
    focus: Tensor,
    coc_px_per_dioptre: Tensor | float,
    psf: PSF | None = None,
    field: Field | None = None,
) -> tuple[Tensor, Tensor]:
    """The left and the right picture of a dual-pixel sensor, each as `render_stack` with its ``half``.

    Nearer than the focus, content of the right picture lies farther to the right, by
    `dff.simulator.psf.disparity_per_coc_px` times the signed circle of confusion; behind it, to the left.
    """
    left, right = _render(layers, focus, coc_px_per_dioptre, psf or PSF(), ("left", "right"), field)
    return left, right
