"""Things for the laid table: each function gives parts (mesh, material, smooth) on z = 0, in metres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dff.simulator.blender import meshes
from dff.simulator.blender.materials import Colour
from dff.simulator.blender.meshes import Mesh
from dff.simulator.blender.objects import lettering
from dff.simulator.blender.table_surfaces import (
    Stops,
    cloth,
    cut_pages,
    dimmed,
    display,
    leaf,
    metal,
    painted,
    siemens_star,
    skin,
    stoneware,
)

Part = tuple[Mesh, Any, bool]
INK = display(34, 32, 34)
RAW_WOOD = display(214, 180, 132)
SIDES = (-1, 1)


def _at(mesh: Mesh, x: float, y: float, z: float) -> Mesh:
    return meshes.moved(mesh, np.eye(3), (x, y, z))


def _words(line: str, width: float, height: float) -> Mesh:
    """A line as large as fits, centred on the origin of the plane y = 0, readable from -y."""
    points, faces = lettering([line])
    fit = min(width / np.ptp(points[:, 0]), height / np.ptp(points[:, 2]))
    return points * fit, faces


def _rounded(profile: Sequence[Sequence[float]] | np.ndarray, points: int = 60, reach: int = 3) -> np.ndarray:
    """(points,2) the profile (P,2) of equally spaced knots with its corners taken off."""
    knots = np.array(profile, dtype=float)
    at, to = np.linspace(0, 1, len(knots)), np.linspace(0, 1, points)
    window = np.ones(2 * reach + 1) / (2 * reach + 1)
    dense = [np.pad(np.interp(to, at, axis), reach, mode="edge") for axis in knots.T]
    return np.stack([np.convolve(axis, window, mode="valid") for axis in dense], axis=-1)


# --- made things -----------------------------------------------------------------------------------------


def letter_block(letter: str, edge: float, colour: Colour) -> list[Part]:
    """A wooden toy block with a painted letter in a frame on four of its faces."""
    half, bar, reach = edge / 2, 0.05 * edge, 0.395 * edge
    lying, standing = meshes.box((0.84 * edge, 0.0006, bar)), meshes.box((bar, 0.0006, 0.74 * edge))
    frame = [_at(lying, 0, 0, s * reach) for s in SIDES] + [_at(standing, s * reach, 0, 0) for s in SIDES]
    face = meshes.merge([*frame, _at(_words(letter, 0.56 * edge, 0.56 * edge), 0, -0.0004, 0)])
    faces = [
        meshes.moved(face, meshes.turn(angle), (half * math.sin(angle), -half * math.cos(angle), half))
        for angle in (-math.pi / 2, 0, math.pi / 2)
    ]
    faces.append(meshes.moved(face, meshes.turn(-math.pi / 2, axis=0), (0, 0, edge)))
    return [
        (_at(meshes.box((edge,) * 3), 0, 0, half), painted(RAW_WOOD, 0.55, 0.25, 0.003), False),
        (meshes.merge(faces), painted(colour, 0.45, 0.12, 0.003), False),
    ]


def book(width: float, depth: float, thick: float, colour: Colour, title: str, ink: Colour) -> list[Part]:
    """A lying book, its spine, ``width`` long, towards -y."""
    board, front = 0.0025, -depth / 2 - 0.0004
    boards = [_at(meshes.box((width, depth, board)), 0, 0, z) for z in (board / 2, thick - board / 2)]
    spine = _at(meshes.box((width, board, thick)), 0, (board - depth) / 2, thick / 2)
    pages = _at(meshes.box((width - 0.008, depth - 0.006, thick - 2 * board)), 0, 0, thick / 2)
    band = meshes.box((0.003, 0.0006, thick))
    bands = [_at(band, s * width * at, front, thick / 2) for s in SIDES for at in (0.44, 0.465)]
    print_ = _at(_words(title, 0.76 * width, 0.5 * thick), 0, front, thick / 2)
    return [
        (meshes.merge([*boards, spine]), cloth(colour), False),
        (pages, cut_pages(), False),
        (meshes.merge([*bands, print_]), painted(ink, 0.4, 0.05), False),
    ]


def pencil(length: float, colour: Colour) -> list[Part]:
    """A six-sided pencil along +y, its tip at the origin."""
    r = 0.0037

    def turned(sides: int, *profile: tuple[float, float]) -> Mesh:
        points, faces = meshes.lathe(np.array(profile), sides)
        return np.column_stack([points[:, 0], points[:, 2], points[:, 1] + 0.87 * r]), faces

    back = length - 0.012
    return [
        (turned(12, (0, 0), (0.0009, 0.006), (0, 0.0062)), painted(dimmed(colour, 0.6)), True),
        (turned(24, (0.0008, 0.005), (0.93 * r, 0.021), (0, 0.0212)), painted(RAW_WOOD, 0.7), True),
        (turned(6, (0.9 * r, 0.0195), (r, 0.021), (r, back), (0, back)), painted(colour, 0.35, 0.06), False),
        (
            turned(24, (0.96 * r, back), (0.96 * r, length), (0, length)),
            painted(display(236, 232, 222)),
            True,
        ),
    ]


def ruler(length: float) -> list[Part]:
    """A wooden ruler along +y from the origin, with a line per 5 mm and a number per 5 cm."""
    width, thick, step = 0.034, 0.003, 0.005
    marks = []
    for i in range(1, round(length / step)):
        long = 0.012 if i % 10 == 0 else 0.009 if i % 2 == 0 else 0.006
        mark = meshes.box((long, 0.0009, 0.0006))
        marks += [_at(mark, s * (width - long) / 2, i * step, thick) for s in SIDES]
        if i % 10 == 0:
            lying = meshes.turn(-math.pi / 2, axis=0)
            marks.append(
                meshes.moved(_words(str(i // 2), 0.013, 0.011), lying, (0, i * step, thick + 0.0005))
            )
    body = _at(meshes.box((width, length, thick)), 0, length / 2, thick / 2)
    boxwood = painted(display(226, 190, 118), 0.45, 0.2, 0.01)
    return [(body, boxwood, False), (meshes.merge(marks), painted(INK, 0.6), False)]


def mug(above: Colour, below: Colour) -> list[Part]:
    """A stoneware mug with a handle towards +x."""
    profile = [
        (0, 2), (30, 2), (33, 0), (36, 2), (38.5, 10), (39.5, 40), (40, 88), (39.7, 91.5), (38.5, 93),
        (37.2, 91.5), (36.5, 88), (36, 30), (34, 8), (0, 6),
    ]  # fmt: skip
    t = np.linspace(-math.pi / 2, math.pi / 2, 40)
    path = np.column_stack([0.038 + 0.026 * np.cos(t), 0 * t, 0.048 + 0.027 * np.sin(t)])
    handle = meshes.tube(path, 0.0052 + 0.0012 * np.sin(t) ** 4, 16)
    glaze = stoneware(above, below, 0.022, display(70, 52, 40))
    return [(meshes.lathe(1e-3 * np.array(profile), 96), glaze, True), (handle, glaze, True)]


def vase(height: float, above: Colour, below: Colour) -> list[Part]:
    """A bottle-necked stoneware vase."""
    radius = 0.26 * np.array([0.62, 0.86, 1.0, 0.96, 0.72, 0.42, 0.27, 0.25, 0.30, 0.36])
    outside = height * _rounded(np.column_stack([radius, np.linspace(0, 1, 10)]), reach=4)
    inside = outside[:35:-1] - [0.004, -0.001]
    glaze = stoneware(above, below, 0.62 * height, display(60, 48, 40))
    return [(meshes.lathe(np.concatenate([[[0, 0]], outside, inside]), 96), glaze, True)]


def pot(radius: float, height: float) -> list[Part]:
    """A terracotta pot filled with earth."""
    profile = [
        (0, 0), (0.70, 0), (0.72, 0.01), (0.92, 0.76), (1.0, 0.77), (1.02, 0.79), (1.03, 0.98), (1.01, 1),
        (0.93, 1), (0.91, 0.9),
    ]  # fmt: skip
    stops = (0.3, display(158, 88, 58)), (0.55, display(186, 112, 78)), (0.75, display(206, 146, 116))
    outside = meshes.lathe(np.array(profile) * [radius, height], 96)
    earth = meshes.lathe(np.array([(0, 0.9), (0.92, 0.9)]) * [radius, height])
    return [
        (outside, skin(stops, 0.03, 0.003, 0.0001), True),
        (earth, painted(display(62, 46, 36), 0.95, 0.6), True),
    ]


def wire_bowl(radius: float, height: float) -> list[Part]:
    """A bowl of bent wire."""
    t, turns = np.linspace(0, 1, 24), np.linspace(0, 2 * math.pi, 97)
    out, up = radius * (0.42 + 0.58 * t**0.6), height * t**1.5 + 0.003
    wires = [
        meshes.tube(np.column_stack([out * math.cos(angle), out * math.sin(angle), up]), 0.0013, 8)
        for angle in np.linspace(0, 2 * math.pi, 28, endpoint=False)
    ]
    for at, thick in ((0, 0.002), (8, 0.0013), (16, 0.0013), (23, 0.0024)):
        ring = np.column_stack([out[at] * np.cos(turns), out[at] * np.sin(turns), 0 * turns + up[at]])
        wires.append(meshes.tube(ring, thick, 10))
    return [(meshes.merge(wires), metal(display(150, 138, 120), 0.4), True)]


def glasses(width: float) -> list[Part]:
    """Reading glasses of brass wire that stand on their rims, the temples towards +y."""
    r, t, u = 0.225, np.linspace(0, 2 * math.pi, 81), np.linspace(-1, 1, 24)

    def wave(value: np.ndarray) -> np.ndarray:
        return np.asarray(np.sign(value) * np.abs(value) ** 0.8)

    rim = np.column_stack([r * wave(np.cos(t)), 0 * t, 0.84 * r * (1 + wave(np.sin(t)))])
    bridge = np.column_stack([0.055 * u, 0.02 * (u**2 - 1), 0.84 * r + 0.35 * r * (1.2 - u**2)])
    bow = np.array([(0.495, 0, 0.30), (0.505, 0.4, 0.235), (0.50, 0.8, 0.14), (0.48, 1.0, 0.0)])
    rims = [rim + np.array([s * 0.27, 0, 0]) for s in SIDES]
    bows = [meshes.smooth_path(bow * [s, 1, 1]) for s in SIDES]
    wires = [meshes.tube(width * path + [0, 0, 0.0016], 0.0015, 10) for path in [*rims, *bows, bridge]]
    return [(meshes.merge(wires), metal(display(196, 160, 96), 0.38), True)]


def framed_star(width: float, height: float) -> list[Part]:
    """A print of a Siemens star in a wooden frame that faces -y."""
    bar = 0.022
    sides = [_at(meshes.box((width, 0.02, bar)), 0, 0, z) for z in (bar / 2, height - bar / 2)]
    sides += [_at(meshes.box((bar, 0.02, height)), s * (width - bar) / 2, 0, height / 2) for s in SIDES]
    sheet = _at(meshes.sheet(width - bar, height - bar), 0, 0, height / 2)
    return [
        (meshes.merge(sides), painted(display(70, 48, 34), 0.5, 0.3, 0.01), False),
        (sheet, siemens_star(0.53 * height, 0.36 * width), False),
    ]


# --- grown things ----------------------------------------------------------------------------------------


def twigs(rng: np.random.Generator, count: int, foot: float, height: float, spread: float) -> list[Part]:
    """Dry twigs with side shoots and buds, out of a neck at the height ``foot``."""
    wood, buds = [], []
    for _ in range(count):
        x, y = rng.uniform(-spread, spread, 2)
        top = height * rng.uniform(0.7, 1)
        knots = [
            (0, 0, 0.55 * foot),
            (0.02 * x, 0.02 * y, foot),
            (0.55 * x, 0.55 * y, foot + top / 2),
            (x, y, foot + top),
        ]
        path = meshes.smooth_path(np.array(knots), 40)
        wood.append(meshes.tube(path, np.linspace(0.0024, 0.0008, 40), 8))
        for start in path[16::3]:
            tip = start + rng.normal((0, 0, 0.02), (0.022, 0.022, 0.012))
            wood.append(meshes.tube(np.linspace(start, tip, 4), 0.0008, 6))
            size = rng.uniform(0.008, 0.013)
            buds.append(meshes.moved(meshes.sphere(segments=16), size * np.diag([1, 1, 1.5]), tip))
    return [
        (meshes.merge(wood), painted(display(92, 66, 48), 0.8), True),
        (meshes.merge(buds), painted(display(226, 216, 200), 0.9, 0.25), True),
    ]


def grass(rng: np.random.Generator, count: int, length: float, foot: float) -> list[Part]:
    """Long narrow arching leaves out of the ground at the height ``foot``."""
    blades = []
    for i in range(count):
        narrow = np.diag([1, rng.uniform(0.18, 0.28), 2.2])
        rise = meshes.turn(rng.uniform(0.75, 1.45), axis=1)
        turned = meshes.turn(2.4 * i + rng.uniform(-0.3, 0.3)) @ rise @ narrow
        blade = meshes.leaf(rng, length * rng.uniform(0.65, 1))
        blades.append(meshes.moved(blade, turned, (*rng.normal(0, 0.006, 2), foot)))
    return [(meshes.merge(blades), leaf(display(62, 96, 44), display(150, 172, 98)), True)]


def orange(size: float) -> list[Part]:
    stops = (0.3, display(214, 104, 22)), (0.7, display(240, 148, 40))
    ball = meshes.moved(meshes.sphere(segments=64), size * np.diag([1, 1, 0.94]), (0, 0, 0.47 * size))
    return [(ball, skin(stops, 0.03, 0.0024, 0.0006), True)]


def lemon(size: float) -> list[Part]:
    """A lemon along x."""
    t = np.linspace(0, math.pi, 60)
    radius = 0.36 * np.sin(t) ** 0.85 + 0.012 * np.sin(t) ** 0.2
    along = -0.5 * np.cos(t) * (1 + 0.06 * np.cos(t) ** 8)
    points, faces = meshes.lathe(size * np.column_stack([radius, along]), 64)
    lying = points @ meshes.turn(math.pi / 2, axis=1).T + [0, 0, 0.365 * size]
    stops = (0.3, display(226, 176, 30)), (0.7, display(246, 212, 70))
    return [((lying, faces), skin(stops, 0.03, 0.0023, 0.0004), True)]


def _stemmed(size: float, profile: Sequence[tuple[float, float]], surface: Any) -> list[Part]:
    body = size * _rounded(profile)
    body[[0, -1], 0] = 0
    top = body[-1, 1]
    path = meshes.smooth_path(
        np.array([(0, 0, top - 0.003), (0.001, 0, top + 0.009), (0.005, 0.001, top + 0.018)])
    )
    stem = meshes.tube(path, np.linspace(0.0013, 0.0019, len(path)), 8)
    return [(meshes.lathe(body), surface, True), (stem, painted(display(84, 60, 40), 0.8), True)]


def apple(size: float) -> list[Part]:
    """A red and yellow apple."""
    profile = [
        (0, 0.06), (0.16, 0), (0.33, 0.05), (0.45, 0.22), (0.50, 0.45), (0.48, 0.66), (0.38, 0.84),
        (0.22, 0.91), (0.1, 0.86), (0, 0.76),
    ]  # fmt: skip
    stops: Stops = ((0.34, display(214, 178, 84)), (0.47, display(196, 84, 48)), (0.62, display(150, 26, 28)))
    return _stemmed(size, profile, skin(stops, 0.012, 0.006, 0.00003, 0.25))


def pear(size: float) -> list[Part]:
    """A green pear with brown dots."""
    profile = [
        (0, 0.05), (0.18, 0), (0.36, 0.08), (0.45, 0.27), (0.42, 0.47), (0.31, 0.66), (0.23, 0.84),
        (0.19, 1.0), (0.12, 1.09), (0, 1.1),
    ]  # fmt: skip
    stops: Stops = (
        (0.3, display(128, 134, 44)),
        (0.55, display(176, 172, 70)),
        (0.75, display(204, 178, 92)),
    )
    return _stemmed(size, profile, skin(stops, 0.035, 0.0035, 0.00006))
