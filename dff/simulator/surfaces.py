"""Where things are: dioptre surfaces of backgrounds and objects, slanted, curved, bumpy, many at a time.

The dioptres of a plane in space are linear in the pixel coordinates, whatever its slant. All surfaces here
are sums of products of a function of y with one of x, so that whole maps cost one matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.draws import Draws

PLANE, SPHERE, CYLINDER = 0, 1, 2
SOFT_END = 0.3  # of its radius: how far a surface goes on, ever flatter, beyond its radius

NEAR_ZOOM = 0.5  # pixels of a texture per pixel of the picture, where a plane is nearest
FARTHEST_SHARE = 0.4  # of the nearest dioptre: beyond it textures shrink less

RIPPLES = 5  # waves that a relief is made of
RIPPLE_PX = (12.0, 100.0)  # their lengths


@dataclass
class Surfaces:
    """Surfaces of any leading shape (...), in pixels from the middle of the picture and in dioptres.

    Args:
        y, x: (...) middle of the object.
        radius: (...) the pixels by which coordinates are divided.
        level: (...) dioptre in the middle.
        slope: (...,2) change over one radius along x and y.
        bend: (...,3) times x^2, x y, y^2.
        bump: (...) height of its waves.
        wave: (...,4) frequency and phase of the waves along x and y.
        form: (...) PLANE, SPHERE or CYLINDER.
        axis: (...) direction of the cylinder's axis.
        relief: (...,R) heights of the ripples; R may be 0.
        ripple: (...,R,3) their frequencies along x and y, and their phases.
    """

    y: Tensor
    x: Tensor
    radius: Tensor
    level: Tensor
    slope: Tensor
    bend: Tensor
    bump: Tensor
    wave: Tensor
    form: Tensor
    axis: Tensor
    relief: Tensor
    ripple: Tensor

    def __getitem__(self, at: Any) -> Surfaces:
        return Surfaces(*(getattr(self, one.name)[at] for one in fields(self)))

    def flat(self) -> Surfaces:
        """With (...) flattened to one dimension."""
        dims = self.level.dim()
        return Surfaces(*(getattr(self, one.name).flatten(0, dims - 1) for one in fields(self)))

    def unflat(self, shape: tuple[int, ...]) -> Surfaces:
        """With the first dimension split into ``shape``."""
        return Surfaces(*(getattr(self, one.name).unflatten(0, shape) for one in fields(self)))

    def _unit(self, pixels: Tensor, middle: Tensor) -> Tensor:
        """Coordinates in radii: linear up to 1, then levelling out, so that nothing runs away outside."""
        t = (pixels - middle[..., None]) / self.radius[..., None]
        beyond = SOFT_END * (1 - torch.exp(-(t.abs() - 1).clamp_min(0) / SOFT_END))
        return torch.sign(t) * (t.abs().clamp_max(1) + beyond)

    def factors(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(...,P,4) and (...,Q,4) for rows y (...,P) and columns x (...,Q): products summed are dioptres."""
        v, u = self._unit(y, self.y), self._unit(x, self.x)
        slope, bend, wave = self.slope[..., None, :], self.bend[..., None, :], self.wave[..., None, :]
        down = [
            self.level[..., None] + slope[..., 1] * v + bend[..., 2] * v**2,
            slope[..., 0] + bend[..., 1] * v,
            bend[..., 0].expand_as(v),
            self.bump[..., None] * torch.sin(wave[..., 2] * v + wave[..., 3]),
        ]
        across = [torch.ones_like(u), u, u**2, torch.sin(wave[..., 0] * u + wave[..., 1])]
        parts = zip((torch.stack(down, -1), torch.stack(across, -1)), self._ripples(v, u), strict=True)
        one, other = (torch.cat(part, -1) for part in parts)
        return one, other

    def _ripples(self, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """As `factors`, of the relief alone: the sine of a sum is a sum of two products."""
        relief, ripple = self.relief[..., None, :], self.ripple[..., None, :, :]
        along, there = ripple[..., 1] * v[..., None] + ripple[..., 2], ripple[..., 0] * u[..., None]
        down = torch.cat([relief * along.sin(), relief * along.cos()], -1)
        return down, torch.cat([there.cos(), there.sin()], -1)

    def hills(self, y: Tensor, x: Tensor) -> Tensor:
        """(n,h,w) dioptres of the relief alone, for rows y (n,h) and columns x (n,w)."""
        down, across = self._ripples(self._unit(y, self.y), self._unit(x, self.x))
        return down @ across.transpose(-1, -2)

    def at(self, y: Tensor, x: Tensor) -> Tensor:
        """(...,P) dioptre of each surface at its own P points (y, x), both (...,P)."""
        down, across = self.factors(y, x)
        return (down * across).sum(-1)

    def maps(self, y: Tensor, x: Tensor, far: Tensor, near: Tensor) -> Tensor:
        """(...,H,W) for rows y (H,) and columns x (W,), kept within far and near (...)."""
        down, across = self.factors(y, x)
        maps = down @ across.transpose(-1, -2)
        return torch.minimum(torch.maximum(maps, far[..., None, None]), near[..., None, None])


def joined(*parts: Surfaces) -> Surfaces:
    """(B,k) surfaces one after the other along the second dimension."""
    return Surfaces(*(torch.cat([getattr(part, one.name) for part in parts], 1) for one in fields(Surfaces)))


def _waves(draws: Draws, shape: tuple[int, ...]) -> Tensor:
    frequency, phase = draws.uniform((*shape, 2), 1, 3), draws.angle((*shape, 2))
    return torch.stack([frequency, phase], -1).flatten(-2)


def surface(
    draws: Draws,
    place: tuple[Tensor, Tensor, Tensor],
    level: Tensor,
    slope: Tensor,
    curve: Tensor,
    bump: Tensor,
    form: Tensor,
    limits: tuple[Tensor, Tensor],
    relief: Relief,
) -> Surfaces:
    """Surfaces with as much slope, curvature and waves as fits between the limits, in this order.

    Args:
        place: y, x and radius of each.
        slope: (...,2) wanted change over one radius.
        curve: (...) wanted height of spheres and cylinders; below 0 they are hollow.
        bump: (...) wanted height of the waves.
        limits: far and near, dioptres.
        relief: of some of them, as far as there is room.
    """
    room = torch.minimum(level - limits[0], limits[1] - level).clamp_min(0)
    steep = torch.linalg.vector_norm(slope, dim=-1)
    kept = torch.minimum(steep, room)
    slope = slope * (kept / steep.clamp_min(1e-9))[..., None]
    room = room - kept
    curve = torch.where(form == PLANE, 0.0, torch.minimum(curve.abs(), 2 * room) * torch.sign(curve))
    room = room - curve.abs() / 2
    axis = draws.angle(level.shape)
    across = torch.stack([axis.sin() ** 2, -2 * axis.sin() * axis.cos(), axis.cos() ** 2], -1)
    round_ = torch.tensor([1.0, 0.0, 1.0], device=level.device)
    bend = -curve[..., None] * torch.where((form == SPHERE)[..., None], round_, across)
    bump = torch.minimum(bump, room)
    height, ripple = _relief(draws, relief, place[2], limits, room - bump)
    return Surfaces(
        y=place[0],
        x=place[1],
        radius=place[2],
        level=level + curve / 2,
        slope=slope,
        bend=bend,
        bump=bump,
        wave=_waves(draws, tuple(level.shape)),
        form=form,
        axis=axis,
        relief=height,
        ripple=ripple,
    )


@dataclass(frozen=True)
class Relief:
    """How often surfaces have a relief, and how high: fields of `SceneConfig`."""

    relief_share: float
    relief: tuple[float, float]


def _relief(
    draws: Draws, config: Relief, radius: Tensor, limits: tuple[Tensor, Tensor], room: Tensor
) -> tuple[Tensor, Tensor]:
    """Heights and frequencies of the ripples of surfaces (...); none are drawn where none are wanted."""
    if not config.relief_share:
        return radius.new_zeros(*radius.shape, 0), radius.new_zeros(*radius.shape, 0, 3)
    many = (*radius.shape, RIPPLES)
    length = draws.log_uniform(many, *RIPPLE_PX)
    # from alike heights, all short and steep, to alike slopes, smooth
    share = length ** draws.uniform((*radius.shape, 1))
    share = share / share.sum(-1, keepdim=True)
    wanted = draws.log_uniform(radius.shape, *config.relief) / 2 * (limits[1] - limits[0])
    height = torch.minimum(wanted, room) * draws.chance(radius.shape, config.relief_share)
    frequency = polar(2 * math.pi * radius[..., None] / length, draws.angle(many))
    return height[..., None] * share, torch.cat([frequency, draws.angle((*many, 1))], -1)


def polar(length: Tensor, angle: Tensor) -> Tensor:
    """(...,2) x and y of a vector."""
    return torch.stack([length * angle.cos(), length * angle.sin()], -1)


BACKGROUNDS = ("wall", "slanted", "curved", "ground", "corner")


def random_backgrounds(
    draws: Draws,
    kind: Tensor,
    slant: tuple[float, float],
    bumps: float,
    relief: Relief,
    limits: tuple[Tensor, Tensor],
    size: tuple[int, int],
) -> tuple[Surfaces, Surfaces]:
    """What fills the picture behind everything: (B,) surfaces, and (B,) floors before them.

    A floor counts only where the kind is "corner": there it meets the wall in a line across the picture.

    Args:
        kind: (B,) numbers of `BACKGROUNDS`.
        slant, bumps, relief: see `SceneConfig`.
        limits: far and near (B,), dioptres.
        size: (height, width) of the picture.
    """
    far, near = limits
    span, (batch,) = near - far, kind.shape
    height, width = size
    unit = torch.full((batch,), math.hypot(height, width) / 2, device=kind.device)
    zero = torch.zeros(batch, device=kind.device)
    wall, curved, ground, corner = (
        kind == BACKGROUNDS.index(one) for one in ("wall", "curved", "ground", "corner")
    )
    middle_slant = (slant[0] + slant[1]) / 2
    share = torch.where(
        ground, draws.uniform((batch,), middle_slant, slant[1]), draws.uniform((batch,), *slant)
    )
    rise = span * torch.where(wall, 0.0, torch.where(corner, 0.15 * share, share))
    towards = torch.where(
        ground, math.pi / 2 + draws.normal((batch,), 0.12), draws.angle((batch,))
    )  # the near end of the ground is below
    lowest = rise / 2
    level = far + lowest + draws.uniform((batch,)) * (0.4 * span - lowest).clamp_min(0)
    form = torch.where(curved, draws.integer((batch,), SPHERE, CYLINDER), PLANE)
    curve = span * draws.uniform((batch,), -0.4, 0.4)
    bump = bumps * span
    slope = polar(rise / 2, towards)
    back = surface(draws, (zero, zero, unit), level, slope, curve, bump.expand(batch), form, limits, relief)
    # the floor rises from the wall's level at the line where they meet to a level below the picture
    line = draws.uniform((batch,), -0.2, 0.3) * height
    wall_there = back.at(line[:, None], zero[:, None])[:, 0]
    below = wall_there + (near - wall_there) * draws.uniform((batch,), 0.4, 1.1)
    fall = (below - wall_there) / (height / 2 - line) * unit
    floor = surface(
        draws,
        (zero, zero, unit),
        wall_there - fall * line / unit,
        torch.zeros(batch, 2, device=kind.device),
        zero,
        zero,
        torch.full_like(kind, PLANE),
        limits,
        relief,
    )
    floor.slope = torch.stack([fall * draws.normal((batch,), 0.1), fall], -1)
    return back, floor


def foreshortened(picture: Tensor, dioptre: Tensor, slope: Tensor, squeeze: Tensor) -> Tensor:
    """Pictures of surfaces as they look when laid on slanted planes: ever smaller and flatter far away.

    Args:
        picture: (n,C,h,w) seen from the front.
        dioptre: (n,h,w) of the planes.
        slope: (n,2) change of the dioptre per pixel along x and y, not both 0.
        squeeze: (n,) how much flatter than wide things look at the near end, 1 or more.

    Returns:
        (n,C,h,w), low-pass filtered where it is minified; mirrored beyond its borders.
    """
    height, width = dioptre.shape[1:]
    nearest = dioptre.amax((1, 2), keepdim=True).clamp_min(1e-6)
    share, last = dioptre / nearest, torch.tensor(FARTHEST_SHARE, device=slope.device)
    # pixels read per pixel made; far away a straight line, since textures must not shrink without end
    zoom = NEAR_ZOOM * torch.where(share > last, 1 / torch.maximum(share, last), (2 - share / last) / last)
    steep = torch.linalg.vector_norm(slope, dim=1).clamp_min(1e-9)[:, None, None]
    along_x, along_y = slope[:, 0, None, None] / steep, slope[:, 1, None, None] / steep
    x = torch.arange(width, device=slope.device) - (width - 1) / 2
    y = torch.arange(height, device=slope.device)[:, None] - (height - 1) / 2
    across = (along_x * y - along_y * x) * zoom
    depth = -squeeze[:, None, None] * nearest / steep * zoom
    flatter = squeeze[:, None, None] * zoom / NEAR_ZOOM
    at_x, at_y = along_x * depth - along_y * across, along_y * depth + along_x * across
    at = torch.stack([at_x * (2 / width), at_y * (2 / height)], -1)
    level = (zoom * flatter.sqrt()).log2().clamp(0, 2)  # of a pyramid: between both directions
    out = torch.zeros_like(picture)
    for k in range(3):
        coarse = F.avg_pool2d(picture, 2**k) if k else picture
        weight = (1 - (level - k).abs()).clamp_min(0)[:, None]
        out += weight * F.grid_sample(coarse, at, padding_mode="reflection", align_corners=False)
    return out
