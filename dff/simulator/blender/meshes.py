"""Shapes as (vertices (V,3), faces): plain numpy, about one unit across unless said otherwise, z up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Mesh = tuple[np.ndarray, list[tuple[int, ...]]]
Generator = np.random.Generator


def _grid(points: np.ndarray, wrap_u: bool = False, wrap_v: bool = False) -> Mesh:
    """Quads over a grid of points (U,V,3), closed along an axis where it wraps."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    if wrap_u:
        index = np.concatenate([index, index[:1]], axis=0)
    if wrap_v:
        index = np.concatenate([index, index[:, :1]], axis=1)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=-1)
    faces: list[tuple[int, ...]] = [tuple(quad) for quad in quads.reshape(-1, 4).tolist()]
    return points.reshape(-1, 3), faces


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several."""
    vertices, faces, start = [], [], 0
    for points, polygons in meshes:
        vertices.append(points)
        faces += [tuple(start + corner for corner in polygon) for polygon in polygons]
        start += len(points)
    return np.concatenate(vertices), faces


def moved(mesh: Mesh, matrix: np.ndarray, offset: np.ndarray | Sequence[float] = (0, 0, 0)) -> Mesh:
    """The mesh under points @ matrix.T + offset."""
    return mesh[0] @ np.asarray(matrix).T + np.asarray(offset), mesh[1]


def rotation(rng: Generator) -> np.ndarray:
    """(3,3) uniformly random rotation."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def turn(angle: float, axis: int = 2) -> np.ndarray:
    """(3,3) rotation by ``angle`` [radian] about a coordinate axis."""
    c, s = math.cos(angle), math.sin(angle)
    a, b = [i for i in range(3) if i != axis]
    matrix = np.eye(3)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix


def box(size: Sequence[float] | np.ndarray) -> Mesh:
    """A box centred on the origin with the given edges."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    faces: list[tuple[int, ...]] = [
        (0, 1, 3, 2),
        (4, 6, 7, 5),
        (0, 4, 5, 1),
        (2, 3, 7, 6),
        (0, 2, 6, 4),
        (1, 5, 7, 3),
    ]
    return corners * np.asarray(size, dtype=float), faces


def sphere(exponent: float = 1.0, segments: int = 48) -> Mesh:
    """A superquadric: ball at exponent 1, rounded block towards 0.2. Diameter 1."""
    v = np.linspace(-math.pi / 2, math.pi / 2, segments // 2 + 1)[:, None]
    u = np.linspace(0, 2 * math.pi, segments, endpoint=False)[None, :]

    def power(wave: np.ndarray) -> np.ndarray:
        return np.asarray(np.sign(wave) * np.abs(wave) ** exponent)

    x, y = power(np.cos(v)) * power(np.cos(u)), power(np.cos(v)) * power(np.sin(u))
    z = power(np.sin(v)) + 0 * u
    return _grid(np.stack([x, y, z], axis=-1) / 2, wrap_v=True)


def blob(rng: Generator, roughness: float = 0.25) -> Mesh:
    """A smooth pebble: a ball pushed in and out by slow waves."""
    points, faces = sphere(segments=96)
    push = np.zeros(len(points))
    for order in range(1, 5):
        direction = rng.normal(size=3)
        direction *= order * 2 / np.linalg.norm(direction)
        push += np.sin(points @ direction * math.pi + rng.uniform(0, 6)) / order
    return points * (1 + roughness * push / 2)[:, None] * rng.uniform(0.6, 1, size=3), faces


def torus(thickness: float, segments: int = 64) -> Mesh:
    """A ring in the plane z = 0 of outer diameter 1; ``thickness`` is the tube's radius."""
    u = np.linspace(0, 2 * math.pi, segments, endpoint=False)[:, None]
    v = np.linspace(0, 2 * math.pi, segments // 3, endpoint=False)[None, :]
    radius = 0.5 - thickness + thickness * np.cos(v)
    points = np.stack([radius * np.cos(u), radius * np.sin(u), thickness * np.sin(v) + 0 * u], axis=-1)
    return _grid(points, wrap_u=True, wrap_v=True)


def lathe(profile: np.ndarray, segments: int = 64) -> Mesh:
    """The surface of revolution about z of a profile (P,2) of radius and height."""
    u = np.linspace(0, 2 * math.pi, segments, endpoint=False)[None, :]
    radius, height = profile[:, :1], profile[:, 1:]
    return _grid(np.stack([radius * np.cos(u), radius * np.sin(u), height + 0 * u], axis=-1), wrap_v=True)


def vase(rng: Generator) -> Mesh:
    """A turned vessel: vase, bottle, cup or bowl, of height 1 and with a rim."""
    knots = rng.uniform(0.12, 0.42, size=5)
    knots[0] = rng.uniform(0.15, 0.3)
    height = np.linspace(0, 1, 40)
    coefficients = np.polyfit(np.linspace(0, 1, 5), knots, 4)
    radius = np.clip(np.polyval(coefficients, height), 0.06, 0.48)
    outside = np.column_stack([radius, height])
    wall = 0.02 + 0.02 * rng.uniform()
    inside = np.column_stack([np.maximum(radius - wall, 0.01), np.maximum(height, wall)])[::-1]
    base = np.array([[0.0, 0.0]])
    return lathe(np.concatenate([base, outside, inside, [[0.0, wall]]]))


def cone(top: float, segments: int = 64) -> Mesh:
    """A frustum of height and base diameter 1 with a rounded rim; ``top`` 0 is a cone, 1 a cylinder."""
    r, t = 0.5, 0.5 * top
    profile = [[0, 0], [r - 0.02, 0], [r, 0.02], [max(t, 0.005), 0.98], [max(t - 0.02, 0), 1], [0, 1]]
    return lathe(np.array(profile, dtype=float), segments)


def sheet(width: float, height: float, bend: float = 0.0, segments: int = 24) -> Mesh:
    """A rectangle in the plane y = 0 that bulges by ``bend`` towards -y along its width."""
    u = np.linspace(-0.5, 0.5, segments + 1 if bend else 2)[:, None]
    v = np.linspace(-0.5, 0.5, 2)[None, :]
    points = np.stack([u * width + 0 * v, -bend * np.cos(math.pi * u) + 0 * v, v * height + 0 * u], axis=-1)
    return _grid(points)


def tube(path: np.ndarray, radius: np.ndarray | float, sides: int = 10) -> Mesh:
    """A round wire of radius (P,) along a path (P,3)."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    # the axis that the wire follows least serves as "up" everywhere, so the tube does not twist
    up = np.eye(3)[np.abs(tangent).mean(axis=0).argmin()]
    side = np.cross(tangent, up)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(tangent, side)
    angle = np.linspace(0, 2 * math.pi, sides, endpoint=False)
    ring = np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * other[:, None]
    radius = np.broadcast_to(np.asarray(radius, dtype=float), (len(path),))
    return _grid(path[:, None] + radius[:, None, None] * ring, wrap_v=True)


def smooth_path(knots: np.ndarray, points: int = 60) -> np.ndarray:
    """(points,3) smooth curve near the knots (K,3): a polynomial of degree at most 3 in each coordinate."""
    degree = min(3, len(knots) - 1)
    at, to = np.linspace(0, 1, len(knots)), np.linspace(0, 1, points)
    return np.stack([np.polyval(np.polyfit(at, axis, degree), to) for axis in knots.T], axis=-1)


def lattice(rng: Generator, bar: float) -> Mesh:
    """A fence or grille of edge 1 in the plane y = 0, of round or square bars ``bar`` thick."""
    count = int(rng.integers(4, 9))
    at = np.linspace(-0.5 + bar / 2, 0.5 - bar / 2, count)
    rails = at if rng.random() < 0.5 else at[[1, -2]]
    if rng.random() < 0.5:
        upright = [moved(box((bar, bar, 1)), np.eye(3), (x, 0, 0)) for x in at]
        across = [moved(box((1, bar, bar)), np.eye(3), (0, bar / 2, z)) for z in rails]
    else:
        line = np.linspace(-0.5, 0.5, 2)[:, None]
        upright = [tube(np.concatenate([0 * line + x, 0 * line, line], axis=1), bar / 2) for x in at]
        across = [
            tube(np.concatenate([line, 0 * line + bar / 2, 0 * line + z], axis=1), bar / 2) for z in rails
        ]
    return merge([*upright, *across])


def leaf(rng: Generator, length: float = 1.0) -> Mesh:
    """A pointed, bent blade along +x from the origin, its face towards +z."""
    t = np.linspace(0, 1, 12)[:, None]
    s = np.linspace(-1, 1, 5)[None, :]
    width = rng.uniform(0.12, 0.3) * np.sin(math.pi * t**0.8)
    sag = rng.uniform(0.05, 0.35)
    fold = rng.uniform(0, 0.3)
    points = np.stack([t + 0 * s, width * s, -sag * t**2 + fold * width * np.abs(s)], axis=-1)
    return _grid(points * length)


def plant(rng: Generator) -> tuple[Mesh, list[Mesh]]:
    """A plant of height about 1 that stands on z = 0: its stems, and its leaves one by one."""
    stems: list[Mesh] = []
    leaves: list[Mesh] = []
    for _ in range(int(rng.integers(1, 4))):
        lean = rng.normal(size=2) * 0.22
        height = rng.uniform(0.6, 1.0)
        t = np.linspace(0, 1, 14)[:, None]
        path = np.concatenate([lean * t**1.6, height * t], axis=1)
        stems.append(tube(path, 0.018 * (1.2 - t[:, 0]), sides=8))
        for place in np.linspace(0.25, 1, int(rng.integers(3, 7))):
            at = path[round(place * 13)]
            matrix = turn(rng.uniform(0, 2 * math.pi)) @ turn(rng.uniform(-0.2, 0.9), axis=1)
            leaves.append(moved(leaf(rng, rng.uniform(0.22, 0.42)), matrix, at))
    return merge(stems), leaves
