"""The authored scene of the sample stack: a table in the morning sun, laid from 25 cm to 2 m away."""

from __future__ import annotations

import math

import numpy as np

from dff.simulator.blender import meshes
from dff.simulator.blender import table_things as things
from dff.simulator.blender.scene import BlenderScene, Stage
from dff.simulator.blender.session import require_bpy
from dff.simulator.blender.table_surfaces import display, painted_brick, planks
from dff.simulator.blender.view import View

CAMERA_HEIGHT_M, PITCH_DEG = 0.132, 8.0
FAR_DIOPTRE, NEAR_DIOPTRE = 0.5, 4.0
WALL_YAW_DEG = 5.0
EXPOSURE = 1.15  # brighter than the usual scene: its few brightest spots may clip
SUNWARD = (0.80, 0.40, -0.36)
RED, BLUE, GREEN = display(178, 48, 40), display(38, 92, 138), display(66, 124, 70)
GOLD, PALE = display(206, 172, 104), display(222, 208, 170)


def _put(
    stage: Stage,
    parts: list[things.Part],
    x: float,
    y: float,
    z: float = 0.0,
    yaw_deg: float = 0.0,
    *,
    turned: np.ndarray | None = None,
    bevel_m: float = 0.0,
) -> None:
    """Place a thing; ``turned`` (3,3) comes before the yaw; ``bevel_m`` rounds edges of its first part."""
    matrix = meshes.turn(math.radians(yaw_deg)) @ (np.eye(3) if turned is None else turned)
    stage.add(parts, matrix, np.array([x, y, z]))
    if bevel_m:
        shape = require_bpy().data.objects[stage.items[-1][0]]
        rounded = shape.modifiers.new("rounded", "BEVEL")
        rounded.width, rounded.segments = bevel_m, 3


def _foreground(stage: Stage) -> None:
    """25 cm to 60 cm: three toy blocks, a ruler, pencils, glasses."""
    edge, bevel = 0.045, 0.002
    _put(stage, things.letter_block("D", edge, RED), -0.076, 0.288, yaw_deg=-14, bevel_m=bevel)
    _put(stage, things.letter_block("F", edge, BLUE), -0.046, 0.415, yaw_deg=9, bevel_m=bevel)
    _put(stage, things.letter_block("F", edge, GREEN), 0.018, 0.540, yaw_deg=-20, bevel_m=bevel)
    _put(stage, things.ruler(0.5), 0.035, 0.25, yaw_deg=-17, bevel_m=0.0008)
    _put(stage, things.pencil(0.175, display(214, 150, 30)), 0.078, 0.270, yaw_deg=-55)
    _put(stage, things.pencil(0.160, display(40, 110, 120)), 0.083, 0.305, yaw_deg=-40)
    _put(stage, things.glasses(0.125), 0.175, 0.50, yaw_deg=24)


def _middle(stage: Stage) -> None:
    """60 cm to 1 m: a mug, and fruit in and beside a bowl."""
    _put(stage, things.mug(display(212, 204, 188), display(128, 84, 60)), 0.105, 0.80, yaw_deg=-25)
    _put(stage, things.wire_bowl(0.115, 0.07), -0.20, 0.80)
    _put(stage, things.orange(0.076), -0.225, 0.77, 0.006)
    _put(stage, things.orange(0.072), -0.155, 0.815, 0.008)
    _put(stage, things.apple(0.08), -0.235, 0.85, 0.012, yaw_deg=40)
    _put(stage, things.lemon(0.07), -0.19, 0.79, 0.062, yaw_deg=-30)
    _put(stage, things.lemon(0.075), -0.052, 0.70, yaw_deg=35)
    _put(stage, things.pear(0.075), -0.035, 0.88, yaw_deg=70)
    _put(stage, things.pear(0.07), 0.045, 1.0, yaw_deg=170)


def _background(stage: Stage) -> None:
    """1 m to 1.8 m: books, plants, a picture on the wall."""
    lying = (
        (0.25, 0.17, 0.042, display(40, 62, 84), "A HISTORY OF LIGHT", 8),
        (0.23, 0.16, 0.030, display(138, 44, 38), "Field Guide to Blur", -6),
        (0.22, 0.15, 0.036, display(58, 88, 66), "OPTICS", 12),
    )
    z = 0.0
    for width, depth, thick, colour, title, yaw_deg in lying:
        _put(
            stage,
            things.book(width, depth, thick, colour, title, GOLD),
            0.40,
            1.18,
            z,
            yaw_deg,
            bevel_m=0.0012,
        )
        z += thick
    _put(stage, [*things.pot(0.05, 0.085), *things.grass(stage.rng, 40, 0.19, 0.08)], 0.41, 1.19, z)
    jar = things.vase(0.24, display(214, 206, 190), display(96, 124, 134))
    _put(stage, [*jar, *things.twigs(stage.rng, 9, 0.235, 0.34, 0.17)], -0.16, 1.32)
    standing = (
        (0.26, 0.19, 0.045, display(196, 148, 62), "LANDSCAPES", things.INK, 0),
        (0.29, 0.20, 0.038, display(52, 70, 92), "THE LENS MAKER", PALE, 0),
        (0.24, 0.17, 0.050, display(150, 60, 48), "SHADOWS", things.INK, 0),
        (0.27, 0.18, 0.035, display(88, 104, 76), "Near and Far", PALE, 0),
        (0.25, 0.17, 0.040, display(206, 196, 172), "WINTER", things.INK, 8),
    )
    x = -0.80
    for height, depth, thick, colour, title, ink, lean_deg in standing:
        upright = meshes.turn(math.radians(lean_deg) - math.pi / 2, axis=1)
        parts = things.book(height, depth, thick, colour, title, ink)
        _put(stage, parts, x, 1.60, height / 2, 4, turned=upright, bevel_m=0.0012)
        x += thick + 0.002 + 0.1 * math.radians(lean_deg)
    _put(stage, things.framed_star(0.36, 0.44), 0.16, 1.715, 0.10, WALL_YAW_DEG)


def _window_bars(stage: Stage) -> None:
    """Bars and borders of a window, out of the picture, through which the sun shines."""
    bpy = require_bpy()
    toward = np.array(SUNWARD) / np.linalg.norm(SUNWARD)
    across = np.array([-toward[1], toward[0], 0]) / math.hypot(*toward[:2])
    frame = np.column_stack([across, toward, np.cross(toward, across)])
    boxes: list[tuple[float, float, float, float]] = [(x, 0, 0.035, 3) for x in (-0.9, -0.45, 0, 0.45, 0.9)]
    boxes += [(0, z, 3, 0.035) for z in (-0.28, 0.08)]
    boxes += [(3.3, 0, 4, 2), (-3.1, 0, 4, 2), (0, 1.36, 8, 2)]
    bars = [meshes.moved(meshes.box((wide, 0.03, tall)), np.eye(3), (x, 0, z)) for x, z, wide, tall in boxes]
    points, faces = meshes.merge(bars)
    middle = np.array([-0.05, 1.0, 0.12])
    mesh = bpy.data.meshes.new("window")
    mesh.from_pydata((points @ frame.T + middle - 1.6 * toward).tolist(), [], faces)
    shape = bpy.data.objects.new("window", mesh)
    shape.visible_camera = False
    bpy.context.scene.collection.objects.link(shape)


def _light(stage: Stage) -> None:
    """Low warm sun through a window, the soft light of that window, and a dim blue sky all around."""
    stage.add_light(
        "sun", np.array(SUNWARD) / np.linalg.norm(SUNWARD), 3.2, math.radians(1.2), (1.0, 0.82, 0.60)
    )
    _window_bars(stage)
    bpy = require_bpy()
    from mathutils import Vector

    data = bpy.data.lights.new("window", "AREA")
    data.shape, data.size, data.size_y = "RECTANGLE", 1.1, 1.3
    data.energy, data.color = 60.0, (1.0, 0.96, 0.90)
    lamp = bpy.data.objects.new("window", data)
    lamp.location = (-1.7, 0.2, 1.3)
    lamp.rotation_euler = (Vector((0, 0.9, 0.05)) - lamp.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(lamp)
    stage.add_sky((0.80, 0.88, 1.0), 0.35)


def table_scene(size: tuple[int, int], focal_px: float) -> BlenderScene:
    """Build the scene in Blender; whatever Blender held before is dropped.

    Args:
        size: (height, width) of the picture, 3:4.
        focal_px: focal length in pixels of the view that the scene is laid out for, 0.956 times the width.
    """
    view = View(*size, focal_px, CAMERA_HEIGHT_M, PITCH_DEG)
    stage = Stage(view, FAR_DIOPTRE, NEAR_DIOPTRE, np.random.default_rng(7))
    stage.add_background(planks(), painted_brick(), WALL_YAW_DEG)
    _foreground(stage)
    _middle(stage)
    _background(stage)
    _light(stage)
    scene = stage.finish("table")
    require_bpy().context.scene.cycles.film_exposure *= EXPOSURE
    return scene
