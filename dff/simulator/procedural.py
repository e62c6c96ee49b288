"""Random layered scenes, a batch at a time: a background and objects of many shapes, paints and surfaces."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.draws import Draws
from dff.simulator.layers import Layer, all_in_focus, carve
from dff.simulator.painting import Thing, painted
from dff.simulator.photos import PhotoPack
from dff.simulator.scene_config import SceneConfig
from dff.simulator.scene_draw import OBJECTS_FROM, Scenes, draw_scenes, things_of
from dff.simulator.shading import cast_shadow
from dff.simulator.textures import pixel_grid

SHADOW_STEP = 4  # shadows are soft: they are cast at a quarter of the resolution
METER_PX = 4  # a meter sees patches: single bright pixels do not count
BRIGHT_SHARE = 0.05  # of the picture, which may be brighter than `SceneConfig.exposure`
SHADOW_REACH = 0.3  # of the shorter side: how far the shadow of the nearest thing falls on the farthest
CACHED_PX = 1 << 16  # a CPU works through so many pixels at once without leaving its cache


def _limits(
    batch: int, far: Tensor | float, near: Tensor | float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(B,) each, on the device, checked."""
    low, high = (
        torch.as_tensor(one, dtype=torch.float32, device=device).expand(batch).contiguous()
        for one in (far, near)
    )
    if bool((low > high).any()):
        raise ValueError("random_scenes: far must be at most near; both are dioptres (1/m)")
    return low, high


def _shades(scenes: Scenes, slots: list[int], alpha: Tensor, span: Tensor) -> Tensor:
    """Soft shadows on the things in the slots, cast by the objects before them.

    Args:
        slots: L of the scenes' slots, in order; the first is the background.
        alpha: (L,B,H,W) outlines of the things in them.
        span: (B,) dioptre range of the scenes.

    Returns:
        (L,B,H,W): 0 in the light, 1 in full shadow.
    """
    height, width = alpha.shape[-2:]
    surfaces = scenes.looks.surfaces.unflat(tuple(scenes.used.shape))
    grounds = sum(slot < OBJECTS_FROM for slot in slots)
    level, y, x = (one[:, slots[grounds:]] for one in (surfaces.level, surfaces.y, surfaces.x))
    behind = surfaces[:, :OBJECTS_FROM].at(*(one[:, None].expand(-1, OBJECTS_FROM, -1) for one in (y, x)))
    ground = torch.where(scenes.used[:, :OBJECTS_FROM, None], behind, -torch.inf).amax(1)
    away = -scenes.lamp[:, None, :2] / scenes.lamp[:, None, 2:].clamp_min(0.4)
    reach_px = SHADOW_REACH * min(height, width) / SHADOW_STEP
    covers = F.avg_pool2d(alpha[grounds:], SHADOW_STEP, ceil_mode=True).transpose(0, 1)  # (B,O,h,w)

    def cast(cover: Tensor, gap: Tensor) -> Tensor:
        far_px = reach_px * (gap / span[:, None].clamp_min(1e-9)).clamp(0, 1)
        return cast_shadow(cover, away * far_px[..., None], 0.5 + 0.35 * far_px)

    on_ground = 1 - (1 - cast(covers, level - ground)).prod(1)
    falling = torch.zeros_like(on_ground)
    on_objects = [falling]
    for k in range(covers.shape[1] - 1, 0, -1):  # the light goes on from the nearest to the farthest
        falling = 1 - (1 - falling) * (1 - covers[:, k])
        falling = cast(falling[:, None], (level[:, k] - level[:, k - 1])[:, None])[:, 0]
        on_objects.append(falling)
    shades = torch.stack([on_ground] * grounds + on_objects[::-1])
    return F.interpolate(shades, scale_factor=SHADOW_STEP, mode="bilinear")[..., :height, :width]


def _metered(layers: list[Layer], draws: Draws, exposure: tuple[float, float]) -> list[Layer]:
    """The scenes made brighter or darker, each as a whole (`SceneConfig.exposure`)."""
    patches = F.avg_pool2d(all_in_focus(layers).mean(1), METER_PX, ceil_mode=True).flatten(1)
    bright = patches.quantile(1 - BRIGHT_SHARE, dim=1).clamp_min(1e-3)
    factor = (draws.log_uniform(bright.shape, *exposure) / bright)[:, None, None, None]
    return [Layer(layer.colour * factor, layer.alpha, layer.dioptre) for layer in layers]


def _groups(things: list[Thing], device: torch.device) -> Iterator[list[Thing]]:
    """Things of one tile size, as many as are worked on at once."""
    for tile in sorted({one.tile for one in things}):
        alike = [one for one in things if one.tile == tile]
        most = max(1, CACHED_PX // (tile[0] * tile[1])) if device.type == "cpu" else len(alike)
        for first in range(0, len(alike), most):
            yield alike[first : first + most]


def random_scenes(
    config: SceneConfig,
    batch: int,
    height: int,
    width: int,
    far: Tensor | float,
    near: Tensor | float,
    generator: torch.Generator,
    photos: PhotoPack | None = None,
) -> list[Layer]:
    """Random scenes, layers back to front, every surface within its scene's [far, near].

    Args:
        config: what to draw from.
        batch: number of scenes.
        height, width: size in pixels.
        far, near: dioptres, one number or (B,); far <= near.
        generator: seeded; the layers come on its device.
        photos: to cut textures from, on the same device; None: other textures stand in.

    Returns:
        Layers of colour (B,3,H,W) in linear light (highlights above 1), alpha (B,H,W) and dioptre (B,H,W),
        carved so that they do not cross in depth. A scene with fewer layers than others has empty ones
        (alpha 0). Colour is complete within each outline and 0 far from it.

    Raises:
        ValueError: no scenes, a picture below 16 px, far beyond near, or photographs on another device.
    """
    draws = Draws(generator)
    if batch < 1 or min(height, width) < 16:
        raise ValueError(f"random_scenes: {batch} scenes of {width}x{height} px; at least 1 of 16x16 px")
    if photos is not None and photos.tiles.device != draws.device:
        raise ValueError(
            f"random_scenes: photographs on {photos.tiles.device}, generator on {draws.device}; move one"
        )
    limits = _limits(batch, far, near, draws.device)
    scenes = draw_scenes(config, draws, batch, (height, width), limits, photos is not None)
    y, x = pixel_grid(height, width, draws.device)
    grid = y[:, 0], x[0]
    most = scenes.used.shape[1]
    far_each, near_each = (one.repeat_interleave(most) for one in limits)
    dioptre = scenes.looks.surfaces.maps(*grid, far_each, near_each)
    things = things_of(scenes, height, width)
    slots = sorted({one.item % most for one in things})
    colour = torch.zeros(len(slots), batch, 3, height, width, device=draws.device)
    alpha = torch.zeros(len(slots), batch, height, width, device=draws.device)
    for alike in _groups(things, draws.device):
        skins, covers = painted(draws, alike, scenes.looks, dioptre, grid, photos)
        for one, skin, cover in zip(alike, skins, covers, strict=True):
            scene, layer = one.item // most, slots.index(one.item % most)
            rows, columns = slice(one.top, one.top + one.tile[0]), slice(one.left, one.left + one.tile[1])
            colour[layer, scene, :, rows, columns] = skin
            alpha[layer, scene, rows, columns] = cover
    if config.shadow_share and slots[-1] >= OBJECTS_FROM:
        strength = draws.uniform((batch,), 0.3, 0.85) * draws.chance((batch,), config.shadow_share)
        if bool(strength.any()):
            shades = _shades(scenes, slots, alpha, limits[1] - limits[0])
            colour *= (1 - shades * strength[:, None, None])[:, :, None]
    surfaces = dioptre.unflatten(0, (batch, most)).transpose(0, 1)
    layers = carve([Layer(*parts) for parts in zip(colour, alpha, surfaces[slots], strict=True)])
    return _metered(layers, draws, config.exposure)
