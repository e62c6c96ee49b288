"""Layered scenes, their hidden parts included, and what is true of them: visibility, depth, sharp picture.

A scene is a list of layers, back to front; `dff.simulator.render` takes pictures of it. Leading batch
dimensions are allowed everywhere ("..." in the shapes below).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MIN_SLOPE = 1e-6  # dioptre per px below which two surfaces count as parallel


@dataclass
class Layer:
    """One surface of a scene, complete also where nearer layers hide it.

    Args:
        colour: (...,C,H,W) linear light, not premultiplied; C is 3, or 1 for grey or one channel of a sensor.
        alpha: (...,H,W) coverage in [0,1], with a soft edge.
        dioptre: (...,H,W) smooth surface, defined everywhere (its values near the edge of ``alpha`` blur
            the rim too).
    """

    colour: Tensor
    alpha: Tensor
    dioptre: Tensor

    def __post_init__(self) -> None:
        size = tuple(self.alpha.shape[-2:])
        if (
            min(self.colour.ndim - 1, len(size)) < 2
            or tuple(self.colour.shape[-2:]) != size
            or self.colour.shape[-3] not in (1, 3)
            or tuple(self.dioptre.shape[-2:]) != size
        ):
            raise ValueError(
                f"Layer: colour {tuple(self.colour.shape)}, alpha {tuple(self.alpha.shape)} and dioptre "
                f"{tuple(self.dioptre.shape)} must be (...,3,H,W) or (...,1,H,W), (...,H,W) and (...,H,W)"
            )


class Window(NamedTuple):
    """Rows top .. bottom-1 and columns left .. right-1 of a frame."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def empty(self) -> bool:
        return min(self.size) <= 0

    def grown(self, by: int) -> Window:
        """With ``by`` more pixels on every side."""
        return Window(self.top - by, self.bottom + by, self.left - by, self.right + by)

    def common(self, other: Window) -> Window:
        """The part that lies in both."""
        return Window(
            max(self.top, other.top),
            min(self.bottom, other.bottom),
            max(self.left, other.left),
            min(self.right, other.right),
        )

    def within(self, other: Window) -> tuple[slice, slice]:
        """Rows and columns of this window in a picture of ``other``, which contains it."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )


@dataclass(frozen=True)
class Extent:
    """Where a layer is, as plain numbers.

    Args:
        box: of everything that is not fully transparent, in any scene of the batch; empty if nothing is.
        opaque: alpha is 1 everywhere.
        low, high: (B,) dioptre range of what is not fully transparent, scene by scene; of the whole batch
            for a scene without any.
        there: (B,) bool, which scenes have any.
    """

    box: Window
    opaque: bool
    low: np.ndarray
    high: np.ndarray
    there: np.ndarray


def extents(layers: Sequence[Layer]) -> list[Extent]:
    """Where layers are, whatever their batch dimensions; fetched from their device all at once."""
    rows = []
    for layer in layers:
        alpha = layer.alpha.reshape(-1, *layer.alpha.shape[-2:])
        dioptre = layer.dioptre.detach().expand_as(layer.alpha).reshape(alpha.shape)
        cover = alpha > 0
        down, across = cover.any(-1).any(0), cover.any(-2).any(0)
        edges = [line.int().argmax() for line in (down, down.flip(0), across, across.flip(0))]
        low = torch.where(cover, dioptre, math.inf).amin((-2, -1))
        high = torch.where(cover, dioptre, -math.inf).amax((-2, -1))
        numbers = torch.stack([*edges, cover.any(), (alpha == 1).all()])
        rows.append(torch.cat([numbers.double(), low.double(), high.double()]))
    flat = torch.cat(rows).cpu().numpy()
    found = []
    for layer, row in zip(layers, np.split(flat, np.cumsum([len(row) for row in rows])[:-1]), strict=True):
        height, width = layer.alpha.shape[-2:]
        top, below, left, beside, covered, opaque = (int(number) for number in row[:6])
        box = Window(top, height - below, left, width - beside) if covered else Window(0, 0, 0, 0)
        least, most = np.split(row[6:], 2)
        nothing = np.isinf(least)
        found.append(
            Extent(
                box,
                bool(opaque),
                low=np.where(nothing, least.min(), least),
                high=np.where(nothing, most.max(), most),
                there=~nothing,
            )
        )
    return found


Scene = tuple[list[Layer], Tensor | None]
"""Layers back to front, and where their depth is known (...,H,W), bool; None: everywhere."""


def visibility(layers: Sequence[Layer]) -> Tensor:
    """(L,...,H,W) share of each pixel that shows each layer when everything is sharp."""
    through = torch.ones_like(layers[-1].alpha)
    shares = []
    for layer in reversed(layers):
        shares.append(layer.alpha * through)
        through = through * (1 - layer.alpha)
    return torch.stack(shares[::-1])


def all_in_focus(layers: Sequence[Layer]) -> Tensor:
    """(...,C,H,W) linear light: the scene without any blur, in the layers' dtype."""
    dtype = layers[0].colour.dtype
    # half precision would lose a bit with every layer
    out = torch.zeros_like(layers[0].colour, dtype=torch.promote_types(dtype, torch.float32))
    for layer in layers:
        alpha = layer.alpha[..., None, :, :].to(out.dtype)
        out = out * (1 - alpha) + layer.colour * alpha
    return out.to(dtype)


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
    if not layers or layers[0].alpha.ndim == 2 or layers[0].alpha.device.type != "cpu":
        return carve_together(layers)
    # on a CPU scene by scene: each has smaller boxes than all together
    scenes = [
        carve([Layer(layer.colour[b], layer.alpha[b], layer.dioptre[b]) for layer in layers])
        for b in range(layers[0].alpha.shape[0])
    ]
    return [
        Layer(layer.colour, torch.stack([scene[slot].alpha for scene in scenes]), layer.dioptre)
        for slot, layer in enumerate(layers)
    ]


def carve_together(layers: Sequence[Layer]) -> list[Layer]:
    """`carve` of all scenes of a batch at once, with one transfer from the device."""
    whole = Window(0, layers[0].alpha.shape[-2], 0, layers[0].alpha.shape[-1]) if layers else None
    boxes = [(..., *extent.box.within(whole)) for extent in extents(layers)] if whole else []

    def lead(front: int, back: int) -> Tensor:
        return layers[front].dioptre[boxes[front]] - layers[back].dioptre[boxes[front]]

    pairs = [
        (front, back)
        for front, box in enumerate(boxes)
        for back in range(front)
        if min(layers[front].alpha[box].shape[-2:]) >= 2
    ]
    least = torch.stack([lead(*pair).amin() for pair in pairs]).tolist() if pairs else []
    alphas = [layer.alpha for layer in layers]
    for (front, back), worst in zip(pairs, least, strict=True):
        if worst >= 0:
            continue
        if alphas[front] is layers[front].alpha:
            alphas[front] = layers[front].alpha.clone()
        gap = lead(front, back)
        down, across = torch.gradient(gap, dim=(-2, -1))
        # one pixel of soft edge where the surfaces meet
        keep = (0.5 + gap / torch.hypot(down, across).clamp_min(MIN_SLOPE)).clamp_(0, 1)
        alphas[front][boxes[front]] *= 1 - alphas[back][boxes[front]] * (1 - keep)
    return [Layer(layer.colour, alpha, layer.dioptre) for layer, alpha in zip(layers, alphas, strict=True)]
