"""Outlines of objects, many at a time: signed distances in pixels, positive inside."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dff.simulator.draws import Draws
from dff.simulator.lettering import print_distance
from dff.simulator.textures import noise_fields

Outline = Callable[[Draws, Tensor, Tensor, Tensor], Tensor]
THINNEST_PX = 1.2


class Shape(NamedTuple):
    """One kind of outline.

    Args:
        outline: (draws, u, v, size) -> signed distance (n,h,w); u, v (n,h,w) are pixels from the object's
            middle along and across it, size (n,1,1) its largest extent.
        reach: nothing of it is farther from the middle than ``reach * size`` (plus 2 px).
        height: how far it reaches down from its middle when it stands upright, in sizes.
    """

    outline: Outline
    reach: float
    height: float


def _each(draws: Draws, like: Tensor, low: float, high: float, *more: int) -> Tensor:
    """One number per item (and per further dimension), shaped to meet (n,h,w)."""
    return draws.uniform((like.shape[0], *more, 1, 1), low, high)


def _width(draws: Draws, size: Tensor, low: float, high: float, *more: int) -> Tensor:
    """Widths from ``low`` px to a share ``high`` of the size, log-uniform."""
    top = (high * size).clamp_min(1.5 * low)
    top = top.reshape(-1, *(1,) * len(more), 1, 1)
    return draws.log_uniform((size.shape[0], *more, 1, 1), low, top)


def _ellipse_distance(u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """First-order distance to the ellipse of half axes a, b."""
    p, q = u / a, v / b
    reach = torch.hypot(p, q).clamp_min(1e-3)
    return (1 - reach) * reach / torch.hypot(p / a, q / b).clamp_min(1e-4)


def _box_distance(u: Tensor, v: Tensor, a: Tensor, b: Tensor, corner: Tensor) -> Tensor:
    out_u, out_v = u.abs() - (a - corner), v.abs() - (b - corner)
    outside = torch.hypot(out_u.clamp_min(0), out_v.clamp_min(0))
    return corner - outside - torch.maximum(out_u, out_v).clamp_max(0)


def _ellipse(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    return _ellipse_distance(u, v, size / 2, size / 2 * _each(draws, u, 0.4, 1.0))


def _box(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    a, b = 0.42 * size, 0.42 * size * _each(draws, u, 0.3, 1.0)
    return _box_distance(u, v, a, b, _each(draws, u, 0, 0.3) * b)


def _polygon(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """Convex, with up to six sides."""
    sides = 6
    turn = (torch.arange(sides, device=u.device) + draws.uniform((u.shape[0], sides), -0.3, 0.3)) / sides
    distance = draws.uniform((u.shape[0], sides), 0.16, 0.42)
    inside = 0.5 * size - torch.hypot(u, v)
    for k in range(sides):
        angle = 2 * math.pi * turn[:, k, None, None]
        side = distance[:, k, None, None] * size - u * torch.cos(angle) - v * torch.sin(angle)
        inside = torch.minimum(inside, side)
    return inside


def _star(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """A closed curve whose radius is a short Fourier series: leaves, stars, pebbles."""
    angle, distance = torch.atan2(v, u), torch.hypot(u, v)
    radius, slope = torch.ones_like(angle), torch.zeros_like(angle)
    highest = draws.integer((u.shape[0], 1, 1), 3, 7)
    for cycles in range(2, 7):
        height = _each(draws, u, 0, 0.5 / cycles) * (cycles < highest)
        wave = cycles * angle + _each(draws, u, 0, 2 * math.pi)
        radius = radius + height * torch.cos(wave)
        slope = slope - height * cycles * torch.sin(wave)
    return (0.36 * size * radius - distance) / torch.sqrt(1 + (slope / radius.clamp_min(0.2)) ** 2)


def _blob(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """Thresholded 1/f noise inside an ellipse: ragged, with holes and islands."""
    slope = draws.uniform((u.shape[0],), 1.4, 2.2)
    noise = noise_fields(draws, u.shape[1], u.shape[2], slope, size.flatten())[:, 0]
    field = (noise + 1.5).clamp_max(3.0) - 3 * torch.hypot(u, v) / (size / 2)
    return field / torch.hypot(*torch.gradient(field, dim=(1, 2))).clamp_min(0.02)


def _frame(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """A round or square ring: handles, frames, cups seen from above."""
    a, b = 0.42 * size, 0.42 * size * _each(draws, u, 0.5, 1.0)
    square = _box_distance(u, v, a, b, _each(draws, u, 0, 0.5) * b)
    outer = torch.where(draws.chance(size.shape, 0.5), _ellipse_distance(u, v, a, b), square)
    half = _width(draws, size, 2.0, 0.16) / 2
    return half - (outer - half).abs()


def _bars(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    count = draws.integer((u.shape[0], 1, 1), 2, 6)
    pitch = size / count
    width = draws.log_uniform(size.shape, THINNEST_PX, (0.35 * pitch).clamp_min(2.0))
    which = torch.floor((u + size / 2) / pitch).clamp(torch.zeros_like(count), count - 1)
    jitter, length = draws.uniform((2, u.shape[0], 6))
    at = which.long().flatten(1)
    jitter, length = (one.gather(1, at).reshape(u.shape) for one in (jitter, length))
    middle = (which + 0.5) * pitch - size / 2 + 0.2 * (jitter - 0.5) * pitch
    ends = size * (0.6 + 0.4 * length) / 2
    return torch.minimum(width / 2 - (u - middle).abs(), ends - v.abs())


def _curve(u: Tensor, v: Tensor, swing: Tensor, cycles: Tensor, phase: Tensor) -> Tensor:
    """Distance to a sine of ``swing`` px and ``cycles`` per px."""
    angle = 2 * math.pi * cycles * u + phase
    slope = 2 * math.pi * cycles * swing * torch.cos(angle)
    return (v - swing * torch.sin(angle)).abs() / torch.sqrt(1 + slope**2)


def _wire(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """One wire, twice as long as other objects: often across the picture."""
    swing = _each(draws, u, 0.02, 0.25) * size * draws.chance(size.shape, 0.75)
    beside = _curve(u, v, swing, _each(draws, u, 0.5, 2.0) / size, _each(draws, u, 0, 2 * math.pi))
    width = draws.log_uniform(size.shape, THINNEST_PX, 7)
    return torch.minimum(width / 2 - beside, size - u.abs())


def _wires(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """Some thin ones beside and across each other: cables, grass, power lines."""
    count, width = 5, draws.log_uniform(size.shape, THINNEST_PX, 4)
    inside = torch.full_like(u, -1e4)
    for _ in range(count):
        lean = _each(draws, u, -0.35, 0.35)
        middle = _each(draws, u, -0.4, 0.4) * size + lean * u
        swing = _each(draws, u, 0, 0.1) * size
        beside = _curve(u, v - middle, swing, _each(draws, u, 0.2, 1) / size, _each(draws, u, 0, 6))
        inside = torch.maximum(inside, width / 2 - beside / torch.sqrt(1 + lean**2))
    return torch.minimum(inside, 0.8 * size - torch.hypot(u, v))


def _rails(axis: Tensor, period: Tensor, width: Tensor) -> Tensor:
    return width / 2 - (torch.remainder(axis, period) - period / 2).abs()


def _fence(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """A square lattice."""
    period = draws.log_uniform(size.shape, 8, (size / 3).clamp_min(9.0))
    width = _each(draws, u, 0.12, 0.3) * period
    inside = torch.maximum(_rails(u, period, width), _rails(v, period, width))
    return torch.minimum(inside, size / 2 - torch.maximum(u.abs(), v.abs()))


def _lattice(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """Crossing slats at any angle, or upright ones alone, in a frame: trellis, grille, crate, basket."""
    period = draws.log_uniform(size.shape, 7, (size / 3).clamp_min(9.0))
    width = (_each(draws, u, 0.08, 0.35) * period).clamp_min(THINNEST_PX)
    lean, skew = _each(draws, u, 0, math.pi), _each(draws, u, math.pi / 4, math.pi / 2)
    lean = torch.where(draws.chance(size.shape, 0.4), 0.0, lean)
    one = _rails(u * torch.cos(lean) + v * torch.sin(lean), period, width)
    two = _rails(u * torch.cos(lean + skew) + v * torch.sin(lean + skew), period, width)
    two = torch.where(draws.chance(size.shape, 0.35), -1e4, two)
    corner = _each(draws, u, 0, 0.4) * size
    outer = _box_distance(u, v, 0.45 * size, 0.45 * size * _each(draws, u, 0.4, 1), 0.4 * corner)
    border = 1.5 * width
    inside = torch.maximum(torch.maximum(one, two), border / 2 - (outer - border / 2).abs())
    return torch.minimum(inside, outer)


def _leaf(u: Tensor, v: Tensor, length: Tensor, plump: Tensor) -> Tensor:
    """A pointed leaf of half length ``length``, centred."""
    return (plump * length * (1 - (u / length) ** 2) - v.abs()) / torch.sqrt(
        1 + (2 * plump * u / length) ** 2
    )


def _leaves(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """A loose heap of leaves."""
    inside = torch.full_like(u, -1e4)
    plump = _each(draws, u, 0.2, 0.55)
    for _ in range(8):
        at_u, at_v = (_each(draws, u, -0.26, 0.26) * size for _ in range(2))
        turn = _each(draws, u, 0, 2 * math.pi)
        cos, sin = torch.cos(turn), torch.sin(turn)
        p, q = (u - at_u) * cos + (v - at_v) * sin, (v - at_v) * cos - (u - at_u) * sin
        inside = torch.maximum(inside, _leaf(p, q, _each(draws, u, 0.07, 0.2) * size, plump))
    return inside


def _branch(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """A bent, tapering stem with leaves on both sides."""
    lean, bend = _each(draws, u, -0.3, 0.3) * size, _each(draws, u, -0.25, 0.25) * size
    along = v / size + 0.5  # 0 at the top, 1 at the foot
    middle = lean * (along - 0.5) + bend * (along - 0.5) ** 2
    slope = (lean + 2 * bend * (along - 0.5)) / size
    thick = _width(draws, size, 1.5, 0.04) * (0.35 + 0.65 * along.clamp(0, 1))
    stem = thick / 2 - (u - middle).abs() / torch.sqrt(1 + slope**2)
    inside = torch.minimum(stem, size * (0.5 - (along - 0.5).abs()))
    length, plump = _each(draws, u, 0.08, 0.16) * size, _each(draws, u, 0.15, 0.4)
    rise = _each(draws, u, 0.3, 1.0)
    cos, sin = torch.cos(rise), torch.sin(rise)
    for k in range(7):
        at = 0.06 + 0.12 * k + _each(draws, u, -0.03, 0.03)
        here = lean * (at - 0.5) + bend * (at - 0.5) ** 2
        right, up = (u - here) * (-1) ** k, (at - along) * size
        p, q = right * cos + up * sin, up * cos - right * sin
        inside = torch.maximum(inside, _leaf(p - length, q, length, plump))
    return inside


def _text(draws: Draws, u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """Cut-out letters: signs."""
    lines = 2
    letter = size / 5.5 * _each(draws, u, 0.7, 1.0)
    ink = print_distance(draws, u, v, letter, lines, columns=7) + 0.02 * letter
    return torch.minimum(ink, torch.minimum(size / 2 - u.abs(), letter * (lines / 2) - v.abs()))


SHAPES: dict[str, Shape] = {
    "ellipse": Shape(_ellipse, 0.5, 0.35),
    "box": Shape(_box, 0.6, 0.27),
    "polygon": Shape(_polygon, 0.5, 0.3),
    "star": Shape(_star, 0.63, 0.36),
    "blob": Shape(_blob, 0.5, 0.3),
    "frame": Shape(_frame, 0.6, 0.3),
    "bars": Shape(_bars, 0.72, 0.4),
    "wire": Shape(_wire, 1.04, 0.0),
    "wires": Shape(_wires, 0.8, 0.8),
    "fence": Shape(_fence, 0.72, 0.5),
    "lattice": Shape(_lattice, 0.64, 0.3),
    "leaves": Shape(_leaves, 0.58, 0.35),
    "branch": Shape(_branch, 0.85, 0.5),
    "text": Shape(_text, 0.6, 0.15),
}


def rows_where(wanted: Sequence[bool], device: torch.device) -> Tensor | slice:
    """What picks these rows of a tensor; a slice, which copies nothing, if it is all of them."""
    if all(wanted):
        return slice(None)
    return torch.tensor([i for i, one in enumerate(wanted) if one], device=device)


def outlines(draws: Draws, kinds: Sequence[str], u: Tensor, v: Tensor, size: Tensor) -> Tensor:
    """Signed distances of n objects of these kinds, each kind drawn once for all its objects.

    Args:
        kinds: n names of `SHAPES`.
        u, v: (n,h,w) pixels from the object's middle.
        size: (n,) largest extent in pixels.

    Returns:
        (n,h,w).
    """
    out = torch.empty_like(u)
    for kind in sorted(set(kinds)):
        at = rows_where([one == kind for one in kinds], u.device)
        out[at] = SHAPES[kind].outline(draws, u[at], v[at], size[at, None, None])
    return out
