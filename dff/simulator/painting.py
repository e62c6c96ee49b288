"""Things on their tiles: outline, texture, shading, points of light; many tiles of one size at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dff.simulator.draws import Draws
from dff.simulator.paints import Paint
from dff.simulator.photos import PhotoPack
from dff.simulator.shading import Finish, light_points, shaded
from dff.simulator.shapes import outlines, rows_where
from dff.simulator.surfaces import Surfaces, foreshortened
from dff.simulator.textures import texture, to_linear

EVERYWHERE = ""
"""The shape of a background."""

LIGHT_POINTS = 14


@dataclass(frozen=True)
class Thing:
    """What the host knows of one thing.

    Args:
        item: its row in the tensors that describe it.
        shape: a name of `SHAPES`, or EVERYWHERE.
        texture: a name of `TEXTURES`.
        shaded, rough, glossy: whether it is shaded, then with bumps, with a highlight.
        lights, ground: whether it has points of light, is seen foreshortened.
        top, left: the first pixel of its tile.
        tile: (height, width) in pixels.
    """

    item: int
    shape: str
    texture: str
    shaded: bool
    rough: bool
    glossy: bool
    lights: bool
    ground: bool
    top: int
    left: int
    tile: tuple[int, int]


@dataclass
class Looks:
    """How n things look.

    Args:
        surfaces: their places and dioptres.
        size: (n,) pixels.
        angle: (n,) how far the outline is turned.
        turn: (n,) how far the texture is turned.
        squeeze: (n,) foreshortening of a ground.
        paint, finish: colours, relief and polish.
    """

    surfaces: Surfaces
    size: Tensor
    angle: Tensor
    turn: Tensor
    squeeze: Tensor
    paint: Paint
    finish: Finish


def _turned(x: Tensor, y: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return x * cos + y * sin, y * cos - x * sin


def _textures(
    draws: Draws,
    kinds: Sequence[str],
    x: Tensor,
    y: Tensor,
    looks: Looks,
    at: Tensor,
    photos: PhotoPack | None,
) -> Tensor:
    """(n,3,h,w) linear light under flat lighting, each kind drawn once for all its things."""
    count, height, width = x.shape
    colour = torch.empty(count, 3, height, width, device=x.device)
    for kind in sorted(set(kinds)):
        of = rows_where([one == kind for one in kinds], x.device)
        items = at[of]
        paint = looks.paint[items]
        if kind == "photo" and photos is not None:
            pictures = to_linear(photos.crops(draws, len(items), height, width))
            mean = pictures.mean((2, 3), keepdim=True)
            faded = torch.lerp(mean, pictures, paint.fade[:, None, None, None])
            colour[of] = faded * paint.light.exp()[..., None, None]
        else:
            u, v = _turned(x[of], y[of], looks.turn[items])
            colour[of] = texture(draws, kind, u, v, looks.size[items], paint)
    return colour


def painted(
    draws: Draws,
    things: Sequence[Thing],
    looks: Looks,
    dioptre: Tensor,
    grid: tuple[Tensor, Tensor],
    photos: PhotoPack | None = None,
) -> tuple[Tensor, Tensor]:
    """Paint things that have tiles of one size.

    Args:
        draws: of everything not yet in ``looks``.
        things: n of them.
        looks: of all things there are; ``Thing.item`` is a row.
        dioptre: (all,H,W) their surfaces over the whole picture.
        grid: (y, x) of the whole picture, (H,) and (W,) pixels from its middle.
        photos: for the texture "photo".

    Returns:
        colour (n,3,h,w) in linear light and alpha (n,h,w).
    """
    height, width = things[0].tile
    device = draws.device
    tiles = torch.tensor([(one.item, one.top, one.left) for one in things], device=device)
    at = tiles[:, 0]
    rows = grid[0][tiles[:, 1:2] + torch.arange(height, device=device)]
    columns = grid[1][tiles[:, 2:3] + torch.arange(width, device=device)]
    rows, columns = rows - looks.surfaces.y[at, None], columns - looks.surfaces.x[at, None]
    y, x = rows[:, :, None].expand(-1, -1, width), columns[:, None].expand(-1, height, -1)

    def of(wanted: list[bool]) -> Tensor | slice | None:
        return rows_where(wanted, device) if any(wanted) else None

    inside = torch.full((len(things), height, width), 1e4, device=device)
    objects = of([one.shape != EVERYWHERE for one in things])
    if objects is not None:
        u, v = _turned(x[objects], y[objects], looks.angle[at[objects]])
        shapes = [one.shape for one in things if one.shape != EVERYWHERE]
        inside[objects] = outlines(draws, shapes, u, v, looks.size[at[objects]])

    colour = _textures(draws, [one.texture for one in things], x, y, looks, at, photos)
    grounds = of([one.ground for one in things])
    if grounds is not None:
        items = at[grounds]
        slope = looks.surfaces.slope[items] / looks.surfaces.radius[items, None]
        colour[grounds] = foreshortened(colour[grounds], dioptre[items], slope, looks.squeeze[items])
    lit = of([one.shaded for one in things])
    if lit is not None:
        rough, glossy = (
            of([getattr(one, name) for one in things if one.shaded]) for name in ("rough", "glossy")
        )
        finish = looks.finish[at[lit]]
        surfaces = looks.surfaces[at[lit]]
        places = rows[lit] + surfaces.y[:, None], columns[lit] + surfaces.x[:, None]
        hills = surfaces.hills(*places) if surfaces.relief.shape[-1] else None
        colour[lit] = shaded(draws, colour[lit], inside[lit], x[lit], y[lit], finish, hills, rough, glossy)
    lamps = of([one.lights for one in things])
    if lamps is not None:
        spread = looks.surfaces.radius[at[lamps]]
        colour[lamps] += light_points(draws, columns[lamps], rows[lamps], LIGHT_POINTS, spread)
    # an edge is soft over a pixel and a little
    return colour, (0.5 + inside / 1.2).clamp(0, 1)
