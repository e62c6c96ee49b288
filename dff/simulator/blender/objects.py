"""Things to put into a scene: each function proposes one item at a random place, and adds it if it fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dff.simulator.blender import meshes
from dff.simulator.blender.materials import paint, random_colour, random_material
from dff.simulator.blender.meshes import Mesh
from dff.simulator.blender.scene import Stage
from dff.simulator.blender.session import require_bpy

TRIES = 40
STANDING = 0.85  # share of items on the floor; the others hang in the air
CROWDED_AFTER = 25  # tries after which items may touch each other
REFERENCE_WIDTH_PX = 256  # sizes in pixels are meant for a picture of this width
_SIGNS = (
    "FOCUS DEPTH LENS APERTURE MACRO f/1.8 50mm OPTICS STACK SHARP BLUR LIGHT IRIS DIOPTRE 3:2 EXIT OPEN "
    "NORTH 24 COFFEE TEA BREAD MILK RICE HONEY ATLAS WINTER POEMS"
)
WORDS = tuple(_SIGNS.split())


@dataclass
class Palette:
    """What the items of a scene are made of.

    Args:
        stage: where they go.
        plain_share: share of painted surfaces.
        textures: picture files for photographs as surfaces.
        gltf: glTF files for `model`.
        size: multiplies the usual size of items.
    """

    stage: Stage
    plain_share: float = 0.15
    textures: Sequence[Path] = ()
    gltf: Sequence[Path] = ()
    size: float = 1.0

    def size_px(self, low: float, high: float) -> float:
        scale = self.size * self.stage.view.width_px / REFERENCE_WIDTH_PX
        return scale * math.exp(self.stage.rng.uniform(math.log(low), math.log(high)))

    def material(self, depth_m: float) -> Any:
        """A surface whose detail suits a depth."""
        pixel_m = depth_m / self.stage.view.focal_px
        return random_material(self.stage.rng, pixel_m, self.textures, self.plain_share)


def _somewhere(stage: Stage, standing: bool, reach: float = 0.46) -> tuple[np.ndarray, float] | None:
    """A world point in the picture and its depth, uniform in dioptres; ``standing``: on the floor."""
    rng, view = stage.rng, stage.view
    depth = 1 / rng.uniform(stage.far_dioptre, stage.near_dioptre)
    x = rng.uniform(-reach, reach) * view.width_px
    y = view.floor_y_px(depth) if standing else rng.uniform(-reach, reach) * view.height_px
    if standing and abs(y) > 0.55 * view.height_px:
        return None
    return view.place(x, y, depth), depth


def _propose(
    stage: Stage, make: Callable[[bool], tuple[Sequence[np.ndarray], np.ndarray, np.ndarray] | None]
) -> Any:
    """Call ``make(standing)`` until its points (in the item's frame), turned and moved, fit the scene."""
    for attempt in range(TRIES):
        proposal = make(stage.rng.random() < (STANDING if attempt < CROWDED_AFTER else 0.5))
        if proposal is None:
            continue
        points, matrix, offset = proposal
        world = np.concatenate(points) @ matrix.T + offset
        if stage.fits(world) and (attempt >= CROWDED_AFTER or stage.is_free(world)):
            return matrix, offset
    return None


def _grounded(mesh: Mesh) -> Mesh:
    """The mesh moved so that it stands on z = 0."""
    return mesh[0] - [0, 0, mesh[0][:, 2].min()], mesh[1]


def place(palette: Palette, parts: Sequence[Mesh], size_px: float, turned: Callable[[], np.ndarray]) -> Any:
    """Find a place for meshes about one unit large; (scaled meshes, matrix, offset, depth), or None."""
    stage = palette.stage
    found: dict[str, Any] = {}

    def make(standing: bool) -> tuple[Sequence[np.ndarray], np.ndarray, np.ndarray] | None:
        spot = _somewhere(stage, standing)
        if spot is None:
            return None
        offset, depth = spot
        matrix = turned()
        scale = size_px * depth / stage.view.focal_px
        scaled = [(points * scale, faces) for points, faces in parts]
        if standing:
            lowest = min((points @ matrix.T)[:, 2].min() for points, _ in scaled)
            offset = offset - [0, 0, lowest]
        found.update(parts=scaled, depth=depth)
        return [points for points, _ in scaled], matrix, offset

    result = _propose(stage, make)
    return None if result is None else (found["parts"], *result, found["depth"])


def _upright(rng: np.random.Generator, most: float = math.pi) -> Callable[[], np.ndarray]:
    return lambda: meshes.turn(rng.uniform(-most, most))


def solid(palette: Palette) -> None:
    """A ball, block, cone, cylinder, ring, pebble or vessel."""
    rng = palette.stage.rng
    makers: list[Callable[[], tuple[Mesh, bool]]] = [
        lambda: (meshes.sphere(), True),
        lambda: (meshes.sphere(rng.uniform(0.25, 0.6)), True),
        lambda: (meshes.box(rng.uniform(0.4, 0.9, 3)), False),
        lambda: (meshes.cone(rng.uniform(0, 1)), True),
        lambda: (meshes.torus(rng.uniform(0.08, 0.16)), True),
        lambda: (meshes.blob(rng), True),
        lambda: (meshes.vase(rng), True),
        lambda: (meshes.vase(rng), True),
    ]
    mesh, smooth = makers[rng.integers(len(makers))]()
    tumbled = rng.random() < 0.3
    spot = place(
        palette, [mesh], palette.size_px(30, 90), (lambda: meshes.rotation(rng)) if tumbled else _upright(rng)
    )
    if spot:
        parts, matrix, offset, depth = spot
        palette.stage.add([(parts[0], palette.material(depth), smooth)], matrix, offset)


def lettering(lines: Sequence[str], extrude: float = 0.0) -> Mesh:
    """Text as a mesh in the plane y = 0, readable from -y, centred, fitted into 1 x 1."""
    bpy = require_bpy()
    curve = bpy.data.curves.new("text", "FONT")
    curve.body = "\n".join(lines)
    curve.align_x = "CENTER"
    curve.resolution_u = 3
    curve.extrude = extrude
    shape = bpy.data.objects.new("text", curve)
    bpy.context.scene.collection.objects.link(shape)
    bpy.context.view_layer.update()
    mesh = bpy.data.meshes.new_from_object(shape)
    points = np.empty(3 * len(mesh.vertices), dtype=np.float32)
    mesh.vertices.foreach_get("co", points)
    faces = [tuple(face.vertices) for face in mesh.polygons]
    for block, owner in ((shape, bpy.data.objects), (curve, bpy.data.curves), (mesh, bpy.data.meshes)):
        owner.remove(block)
    x, y, z = points.reshape(-1, 3).astype(float).T
    flat = np.stack([x, -z, y], axis=-1)
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
    return (flat - middle) / max(np.ptp(x), np.ptp(y)), faces


def _words(rng: np.random.Generator, lines: int) -> list[str]:
    return [" ".join(rng.choice(WORDS, int(rng.integers(1, 3)))) for _ in range(lines)]


def letters(palette: Palette) -> None:
    """A word in thick letters."""
    rng = palette.stage.rng
    mesh = lettering([str(rng.choice([word for word in WORDS if len(word) > 3]))], extrude=0.15)
    spot = place(palette, [mesh], palette.size_px(70, 130), _upright(rng, 0.9))
    if spot:
        parts, matrix, offset, depth = spot
        palette.stage.add([(parts[0], palette.material(depth), False)], matrix, offset)


def card(palette: Palette, steep: float = 1.1) -> None:
    """A book, board or sheet, turned and leaning by up to ``steep`` radian, often printed on."""
    rng = palette.stage.rng
    width, thick = rng.uniform(0.6, 1.2), rng.uniform(0.01, 0.12)
    board = meshes.box((width, thick, 1.0))
    parts = [board]
    printed = rng.random() < 0.6
    if printed:
        points, faces = lettering(_words(rng, int(rng.integers(2, 7))))
        fit = 0.85 / max(np.ptp(points[:, 0]) / width, np.ptp(points[:, 2]))
        parts.append((points * fit - [0, thick / 2 + 0.002, 0], faces))

    def turned() -> np.ndarray:
        lean = rng.uniform(-0.7, 0.7) * steep
        return meshes.turn(rng.uniform(-steep, steep)) @ meshes.turn(lean, axis=0)

    spot = place(palette, parts, palette.size_px(60, 130), turned)
    if spot is None:
        return
    parts, matrix, offset, depth = spot
    surface = paint(rng) if printed and rng.random() < 0.5 else palette.material(depth)
    made = [(parts[0], surface, False)]
    if printed:
        ink = random_colour(rng) if rng.random() < 0.4 else (0.03, 0.03, 0.035)
        made.append((parts[1], paint(rng, ink), False))
    palette.stage.add(made, matrix, offset)


def fence(palette: Palette) -> None:
    """A lattice of thin bars to look through."""
    rng = palette.stage.rng
    size_px = palette.size_px(110, 240)
    bar = palette.size_px(1.5, 5) / palette.size / size_px
    spot = place(palette, [meshes.lattice(rng, bar)], size_px, _upright(rng, 0.9))
    if spot:
        parts, matrix, offset, _ = spot
        palette.stage.add([(parts[0], paint(rng), False)], matrix, offset)


def plant(palette: Palette) -> None:
    """A plant, each leaf an item of its own: leaves hide each other, and what is near may pass among them."""
    rng = palette.stage.rng
    stems, leaves = meshes.plant(rng)
    spot = place(palette, [stems, *leaves], palette.size_px(90, 180), _upright(rng))
    if spot is None:
        return
    parts, matrix, offset, _ = spot
    surfaces = [paint(rng, random_colour(rng, 0)), *[paint(rng, random_colour(rng, 1))] * len(leaves)]
    for part, surface in zip(parts, surfaces, strict=True):
        palette.stage.add([(part, surface, True)], matrix, offset)


def wire(palette: Palette) -> None:
    """A cable, twig or hair across the whole picture."""
    stage = palette.stage
    rng, view = stage.rng, stage.view
    half = stage.frame_half
    for _ in range(TRIES):
        middle = rng.uniform(stage.far_dioptre, stage.near_dioptre)
        spread = 0.15 * (stage.near_dioptre - stage.far_dioptre)
        dioptre = np.clip(
            middle + rng.uniform(-spread, spread, 4), stage.far_dioptre * 1.02, stage.near_dioptre
        )
        angle = rng.uniform(0, math.pi)
        along = np.linspace(-1.5, 1.5, 4) * half.max()
        aside = rng.uniform(-0.3, 0.3, 4) * half.max() + rng.uniform(-0.8, 0.8) * half.min()
        x, y = (
            along * math.cos(angle) - aside * math.sin(angle),
            along * math.sin(angle) + aside * math.cos(angle),
        )
        knots = np.stack([view.place(*at) for at in zip(x, y, 1 / dioptre, strict=True)])
        path = meshes.smooth_path(knots)
        radius = palette.size_px(0.6, 2.5) / palette.size / middle / view.focal_px
        mesh = meshes.tube(path, radius)
        depth = view.project(mesh[0])[:, 2]
        if depth.min() > 1 / stage.near_dioptre and depth.max() < 1 / stage.far_dioptre:
            stage.add([(mesh, palette.material(1 / middle), True)], np.eye(3), np.zeros(3))
            stage.balls.pop()  # others may pass under a wire
            return


def model(palette: Palette) -> None:
    """A glTF model, turned at random and scaled to fit."""
    from dff.simulator.blender.gltf import add_gltf

    rng = palette.stage.rng
    if not palette.gltf:
        solid(palette)
        return
    add_gltf(palette, palette.gltf[int(rng.integers(len(palette.gltf)))], palette.size_px(80, 170))
