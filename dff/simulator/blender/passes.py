"""What the fast renderer needs of a Blender scene: the sharp picture, its depth, and every item by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.blender.hidden import extend
from dff.simulator.blender.scene import BlenderScene
from dff.simulator.blender.session import RenderSettings, apply_settings, render
from dff.simulator.blender.view import set_view
from dff.simulator.layers import Layer, carve

MASK_SAMPLES = 4  # enough to find where an item is
APART_PX = 4  # items this far apart do not disturb each other in one render
MIN_ALPHA = 1e-3
CROSSING_PX = 6.0  # overlaps below this are left to carving


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _sharp_view(scene: BlenderScene, margin_px: int) -> Any:
    bpy = scene.check_current()
    view = scene.view
    set_view((view.height_px, view.width_px), view.focal_px, margin_px=margin_px, at=view)
    return bpy


def all_in_focus(
    scene: BlenderScene, settings: RenderSettings | None = None, *, margin_px: int = 0
) -> tuple[Tensor, Tensor]:
    """The picture of a pinhole and its depth: (3,H,W) linear light, (H,W) dioptre, margins included.

    Depth is one sample per pixel: at the rim of an item it is of either side, never between.
    """
    _sharp_view(scene, margin_px)
    apply_settings(settings or RenderSettings())
    colour, depth_m = render()
    return _tensor(colour[..., :3].transpose(2, 0, 1)), _tensor(1 / depth_m)


class _Visibility:
    """Shows the camera some items only; the others still light and shadow them. Undone when it closes."""

    def __init__(self, bpy: Any, scene: BlenderScene) -> None:
        self.bpy, self.scene = bpy, scene

    def __enter__(self) -> _Visibility:
        self.bpy.context.scene.render.film_transparent = True
        return self

    def show(self, shown: Sequence[int]) -> None:
        for index, names in enumerate(self.scene.items):
            for name in names:
                self.bpy.data.objects[name].visible_camera = index in shown

    def __exit__(self, *_: object) -> None:
        self.show(range(len(self.scene.items)))
        self.bpy.context.scene.render.film_transparent = False


def _grown(mask: np.ndarray, by_px: int) -> np.ndarray:
    flat = _tensor(mask.astype(np.float32))[None, None]
    return np.asarray(F.max_pool2d(flat, 2 * by_px + 1, 1, by_px)[0, 0].numpy() > 0)


def _together(masks: Sequence[np.ndarray]) -> list[list[int]]:
    """Indices of masks (H,W) in groups within which none comes near another; empty masks are in none."""
    groups: list[tuple[list[int], np.ndarray]] = []
    for index, mask in enumerate(masks):
        if not mask.any():
            continue
        for members, taken in groups:
            if not (taken & _grown(mask, APART_PX)).any():
                members.append(index)
                taken |= mask
                break
        else:
            groups.append(([index], mask.copy()))
    return [members for members, _ in groups]


def _hides(one: Layer, other: Layer) -> tuple[float, float]:
    """Pixels of ``other`` that ``one`` is in front of, and the reverse."""
    # by alpha: depth has one sample, which misses what is thinner than a pixel
    both = one.alpha * other.alpha
    nearer = float(both[one.dioptre > other.dioptre].sum())
    return nearer, float(both.sum()) - nearer


def split_crossing(layers: Sequence[Layer]) -> list[Layer]:
    """Divide layers that pass through another into what is behind it and what is in front; in any order."""
    done: list[Layer] = []
    waiting = sorted(layers, key=lambda layer: float(layer.alpha.sum()))
    while waiting:
        layer = waiting.pop()  # the largest stay whole
        for other in done:
            if min(_hides(layer, other)) > CROSSING_PX:
                in_front = layer.dioptre > other.dioptre
                waiting += [replace(layer, alpha=layer.alpha * part) for part in (in_front, ~in_front)]
                break
        else:
            done.append(layer)
    return done


def _order(layers: Sequence[Layer]) -> list[int]:
    """Indices back to front: the next is whatever hides the least of those that remain."""
    count = len(layers)
    hides = np.zeros((count, count))
    for a, one in enumerate(layers):
        for b, other in enumerate(layers[:a]):
            hides[a, b], hides[b, a] = _hides(one, other)
    mean = [float((layer.dioptre * layer.alpha).sum() / layer.alpha.sum()) for layer in layers]
    left, order = set(range(count)), []
    while left:
        back = min(left, key=lambda a: (sum(hides[a, b] for b in left), mean[a]))
        left.remove(back)
        order.append(back)
    return order


def object_layers(
    scene: BlenderScene, settings: RenderSettings | None = None, *, margin_px: int = 0
) -> list[Layer]:
    """Every item of the scene rendered by itself, lit and shadowed by all others; back to front.

    The first layer is the background, opaque. Items that touch are carved so that the nearest surface
    wins; items that pass through another become two layers. Items out of sight are left out.

    Returns:
        Layers of the picture's size plus ``margin_px`` on every side.
    """
    settings = settings or RenderSettings()
    bpy = _sharp_view(scene, margin_px)
    with _Visibility(bpy, scene) as visibility:
        apply_settings(replace(settings, samples=MASK_SAMPLES, denoise=False, bounces=0))
        masks = [np.ones(1, dtype=bool)]
        for index in range(1, len(scene.items)):
            visibility.show([index])
            masks.append(render()[0][..., 3] > 0)
        apply_settings(settings)
        layers: dict[int, Layer] = {}
        known: dict[int, bool] = {}
        for group in [[0], *([i + 1 for i in members] for members in _together(masks[1:]))]:
            visibility.show(group)
            rgba, depth_m = render()
            for index in group:
                near = _grown(masks[index], APART_PX // 2) if index else np.ones_like(depth_m, dtype=bool)
                support = near & np.isfinite(depth_m)
                known[index] = bool(support.any())
                layers[index] = _layer(rgba * near[..., None], depth_m, support)
        # it fills the picture by definition; rounding must not leave it a little open
        layers[0].alpha = torch.ones_like(layers[0].alpha)
    front = split_crossing([layer for index, layer in layers.items() if index > 0 and known[index]])
    return carve([layers[0], *(front[i] for i in _order(front))])


def _layer(rgba: np.ndarray, depth_m: np.ndarray, support: np.ndarray) -> Layer:
    alpha = _tensor(rgba[..., 3]).clamp(0, 1)
    colour = _tensor(rgba[..., :3].transpose(2, 0, 1)) / alpha.clamp_min(MIN_ALPHA)
    known = _tensor(support)
    dioptre = torch.where(known, 1 / _tensor(depth_m), torch.zeros(()))
    return Layer(colour * (alpha > MIN_ALPHA), alpha * (alpha > MIN_ALPHA), extend(dioptre, known))
