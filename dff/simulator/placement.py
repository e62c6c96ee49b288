"""Which objects stand where: scattered in depth, close together, on the ground, or lying on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dff.simulator.draws import Draws
from dff.simulator.shapes import SHAPES
from dff.simulator.surfaces import CYLINDER, PLANE, SPHERE, Relief, Surfaces, polar, surface

LYING_SHARE = 0.2  # of those on the ground
HUGGING_SHARE = 0.4  # of those close to something: to the background, not to each other


@dataclass(frozen=True)
class Crowd:
    """How objects are drawn: the fields of `SceneConfig` with these names."""

    objects: tuple[int, int]
    object_size: tuple[float, float]
    object_slant: tuple[float, float]
    bumps: float
    curved_share: float
    standing_share: float
    cluster_share: float


@dataclass
class Objects:
    """(B,O) objects, sorted far to near; those not used come last.

    Args:
        surfaces: their places and dioptres.
        shape: number of the outline in `SHAPES`.
        size: largest extent in pixels.
        angle: how far they are turned.
        used: False: there is no such object in this scene.
    """

    surfaces: Surfaces
    shape: Tensor
    size: Tensor
    angle: Tensor
    used: Tensor


def _sorted(middle: Tensor, used: Tensor, *others: Tensor) -> list[Tensor]:
    order = torch.where(used, middle, torch.inf).argsort(1)
    return [one.gather(1, order) for one in (middle, used, *others)]


def random_objects(
    draws: Draws,
    crowd: Crowd,
    relief: Relief,
    shape: Tensor,
    grounds: tuple[Surfaces, Surfaces],
    grounded: tuple[Tensor, Tensor],
    limits: tuple[Tensor, Tensor],
    frame: tuple[int, int],
) -> Objects:
    """Draw objects in front of backgrounds.

    Args:
        crowd, relief: see `SceneConfig`.
        shape: (B,O) numbers of `SHAPES`.
        grounds: background and floor of each scene, (B,).
        grounded: (B,) bool: whether the background is a ground to stand on, whether there is a floor.
        limits: far and near, (B,) dioptres.
        frame: (height, width) of the picture in pixels.
    """
    batch, most = shape.shape
    height, width = frame
    short = min(frame)
    many = (batch, most)
    far, near = (one[:, None].expand(many) for one in limits)
    span = near - far
    used = torch.arange(most, device=shape.device) < draws.integer((batch, 1), *crowd.objects)

    def background(y: Tensor, x: Tensor) -> Tensor:
        back, floor = (one.at(y, x) for one in grounds)
        surface_there = torch.where(grounded[1][:, None], torch.maximum(back, floor), back)
        return surface_there.clamp(far, near)

    size = short * draws.log_uniform(many, *crowd.object_size)
    y, x = draws.uniform(many, -0.5, 0.5) * height, draws.uniform(many, -0.5, 0.5) * width

    close = draws.chance(many, crowd.cluster_share)
    hugging = close & draws.chance(many, HUGGING_SHARE)
    together = close & ~hugging
    home_y, home_x = (draws.uniform((batch, 1), -0.35, 0.35) * side for side in frame)
    y = torch.where(together, home_y + 0.2 * short * draws.normal(many), y).clamp(-height / 2, height / 2)
    x = torch.where(together, home_x + 0.2 * short * draws.normal(many), x).clamp(-width / 2, width / 2)

    stands = (grounded[0] | grounded[1])[:, None] & draws.chance(many, crowd.standing_share) & ~close
    foot = draws.uniform(many, -0.3, 0.6) * height
    lies = stands & draws.chance(many, LYING_SHARE)
    behind = background(torch.where(stands, foot, y), x)
    level = behind + (near - behind) * draws.uniform(many)
    level = torch.where(
        together, draws.uniform((batch, 1)) * span + far + 0.03 * span * draws.normal(many), level
    )
    level = torch.where(hugging, behind + span * draws.uniform(many, 0.01, 0.1), level)
    level = torch.where(stands, behind + span * torch.where(lies, 0.01, 0.0), level)
    level = torch.minimum(torch.maximum(level, behind), near)
    # the same things look smaller far away
    size = torch.where(stands, size * (0.4 + 0.6 * (level - far) / span.clamp_min(1e-9)), size)
    size = size.clamp_min(crowd.object_size[0] * short)
    upright = torch.tensor([one.height for one in SHAPES.values()], device=shape.device)[shape]
    y = torch.where(stands & ~lies, foot - upright * size, torch.where(lies, foot, y))
    angle = torch.where(stands & ~lies, draws.normal(many, 0.08), draws.angle(many))

    towards = torch.where(stands, 0.0, draws.angle(many))  # what stands is turned about its upright axis
    slope = polar(span * draws.uniform(many, *crowd.object_slant) / 2, towards)
    floor_slope = torch.where(
        grounded[1][:, None, None], grounds[1].slope[:, None], grounds[0].slope[:, None]
    )
    along_floor = floor_slope * (size / 2 / grounds[0].radius[:, None])[..., None]
    slope = torch.where(lies[..., None], along_floor, slope)
    curved = draws.chance(many, crowd.curved_share) & ~lies
    form = torch.where(curved, draws.integer(many, SPHERE, CYLINDER), PLANE)
    hollow = torch.where(draws.chance(many, 0.2), -1.0, 1.0)
    curve = hollow * span * draws.uniform(many, 0.02, 0.2)

    level, used, y, x, size, angle, shape, form, curve, sx, sy = _sorted(
        level, used, y, x, size, angle, shape, form, curve, slope[..., 0], slope[..., 1]
    )
    surfaces = surface(
        draws,
        (y, x, size / 2),
        level,
        torch.stack([sx, sy], -1),
        curve,
        (crowd.bumps * span).expand(many),
        form,
        (far, near),
        relief,
    )
    return Objects(surfaces, shape, size, angle, used)
