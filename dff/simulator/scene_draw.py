"""What is in random scenes, before anything is painted: kinds, places, surfaces, colours, light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dff.simulator.draws import Draws
from dff.simulator.painting import EVERYWHERE, Looks, Thing
from dff.simulator.paints import random_paints
from dff.simulator.placement import random_objects
from dff.simulator.scene_config import SceneConfig
from dff.simulator.shading import random_finish, random_lamps
from dff.simulator.shapes import SHAPES
from dff.simulator.surfaces import BACKGROUNDS, joined, random_backgrounds
from dff.simulator.textures import TEXTURES

# Sides of tiles, in sides of the picture: a CPU gains by every pixel left out, a GPU by few large calls.
TILES_CPU = (0.25, 0.375, 0.5, 0.75, 1.0)
TILES_GPU = (1.0,)
OBJECTS_FROM = 2  # the first slot of an object


@dataclass
class Scenes:
    """What was drawn of (B,L) things: slot 0 is the background, 1 the floor, then come objects, far to near.

    Args:
        used: (B,L) whether there is such a thing.
        shape: (B,L) number of `SHAPES`; the number after the last: everywhere.
        texture: (B,L) number of `TEXTURES`.
        shaded, lights, ground: (B,L) see `Thing`.
        lamp: (B,3) towards the light.
        looks: of the B*L things.
    """

    used: Tensor
    shape: Tensor
    texture: Tensor
    shaded: Tensor
    lights: Tensor
    ground: Tensor
    lamp: Tensor
    looks: Looks


def draw_scenes(
    config: SceneConfig,
    draws: Draws,
    batch: int,
    size: tuple[int, int],
    limits: tuple[Tensor, Tensor],
    with_photos: bool,
) -> Scenes:
    """Draw ``batch`` scenes for pictures of ``size`` (height, width) between far and near, (B,) each."""
    device = draws.device
    kind = draws.choice((batch,), [BACKGROUNDS.index(one) for one in config.backgrounds])
    has_ground, has_floor = kind == BACKGROUNDS.index("ground"), kind == BACKGROUNDS.index("corner")
    relief = config.ripples()
    grounds = random_backgrounds(draws, kind, config.background_slant, config.bumps, relief, limits, size)
    names = list(SHAPES)
    shape = draws.choice((batch, config.objects[1]), [names.index(one) for one in config.shapes])
    crowd = random_objects(
        draws, config.crowd(), relief, shape, grounds, (has_ground, has_floor), limits, size
    )
    surfaces = joined(*(one[:, None] for one in grounds), crowd.surfaces)
    many = batch, slots = batch, surfaces.level.shape[1]
    unit = surfaces.radius[:, :OBJECTS_FROM]

    kinds = [TEXTURES.index(one) for one in config.textures if one != "photo" or with_photos]
    texture = draws.choice(many, kinds or [TEXTURES.index("noise")])
    is_object = torch.arange(slots, device=device) >= OBJECTS_FROM
    flat = is_object & draws.chance(many, config.flat_share)
    plain = draws.chance(many, config.plain_share)
    texture = torch.where(flat | plain, TEXTURES.index("flat"), texture)
    faded = draws.chance(many, config.faded_share)
    fade = torch.where(faded, draws.log_uniform(many, *config.fade), 1.0)
    dark = draws.chance(many, config.dark_share)
    lamp = random_lamps(draws, batch)
    angle = torch.cat([torch.zeros_like(unit), crowd.angle], 1)
    looks = Looks(
        surfaces=surfaces.flat(),
        size=torch.cat([unit, crowd.size], 1).flatten(),
        angle=angle.flatten(),
        # half of all textures run along the thing
        turn=torch.where(draws.chance(many, 0.5), angle, draws.angle(many)).flatten(),
        squeeze=draws.uniform((batch * slots,), 1.0, 2.5),
        paint=random_paints(
            draws,
            batch,
            slots,
            fade=fade.flatten(),
            plain=(flat | plain).flatten(),
            dark=dark.flatten(),
            muted=(~is_object).repeat(batch),
        ),
        finish=random_finish(draws, surfaces, lamp, config.glossy_share),
    )
    everywhere = torch.full((batch, OBJECTS_FROM), len(names), device=device)
    return Scenes(
        used=torch.cat([torch.ones_like(has_floor)[:, None], has_floor[:, None], crowd.used], 1),
        shape=torch.cat([everywhere, crowd.shape], 1),
        texture=texture,
        shaded=(plain | draws.chance(many, config.shaded_share)) & ~flat,
        lights=draws.chance(many, config.lights_share),
        ground=torch.cat([has_ground[:, None], has_floor[:, None], torch.zeros_like(crowd.used)], 1),
        lamp=lamp,
        looks=looks,
    )


def things_of(scenes: Scenes, height: int, width: int) -> list[Thing]:
    """What is in the pictures, each with the smallest tile that holds it; one transfer from the device."""
    looks, names = scenes.looks, [*SHAPES, EVERYWHERE]
    reach = torch.tensor([*(one.reach for one in SHAPES.values()), 1e6], device=scenes.shape.device)
    half = reach[scenes.shape.flatten()] * looks.size + 2
    corners = [
        (corner + (side - 1) / 2).clamp(0, side).floor()
        for middle, side in ((looks.surfaces.y, height), (looks.surfaces.x, width))
        for corner in (middle - half, middle + half + 1)
    ]
    kinds = (scenes.used, scenes.shape, scenes.texture, scenes.shaded, scenes.lights, scenes.ground)
    relief = (looks.finish.rough > 0, looks.finish.gloss > 0)
    numbers = torch.stack([*(one.flatten() for one in kinds), *relief, *corners]).to(torch.int64).T.tolist()
    shares = TILES_CPU if reach.device.type == "cpu" else TILES_GPU

    def side(wanted: int, whole: int) -> int:
        return next(
            min(whole, 8 * math.ceil(whole * share / 8)) for share in shares if wanted <= whole * share
        )

    things = []
    for item, row in enumerate(numbers):
        used, shape, texture, shaded, lights, ground, rough, glossy, top, bottom, left, right = row
        if not used or bottom <= top or right <= left:
            continue
        tile = side(bottom - top, height), side(right - left, width)
        things.append(
            Thing(
                item=item,
                shape=names[shape],
                texture=TEXTURES[texture],
                shaded=bool(shaded),
                rough=bool(rough),
                glossy=bool(glossy),
                lights=bool(lights),
                ground=bool(ground),
                top=min(top, height - tile[0]),
                left=min(left, width - tile[1]),
                tile=tile,
            )
        )
    return things
