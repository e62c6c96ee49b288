"""The camera of a Blender scene: pixels, depth and the world, and how Blender is told."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dff.simulator.blender.session import require_bpy

SENSOR_MM = 36.0  # any width serves: only ratios to it matter


@dataclass(frozen=True)
class View:
    """A pinhole above a floor, looking along +y of the world (z up), pitched down. x is right, y down [px].

    Args:
        height_px, width_px: the picture.
        focal_px: focal length in pixels, of the all-in-focus picture.
        height_m: the pinhole above the floor z = 0.
        pitch_deg: how far it looks down.
    """

    height_px: int
    width_px: int
    focal_px: float
    height_m: float
    pitch_deg: float

    @property
    def axes(self) -> np.ndarray:
        """(3,3): rows are right, down and forward in the world."""
        s, c = math.sin(math.radians(self.pitch_deg)), math.cos(math.radians(self.pitch_deg))
        return np.array([[1, 0, 0], [0, -s, -c], [0, c, -s]])

    @property
    def centre(self) -> np.ndarray:
        """(3,) the pinhole in the world."""
        return np.array([0, 0, self.height_m])

    def place(self, x_px: float, y_px: float, depth_m: float) -> np.ndarray:
        """(3,) world point seen at a pixel, counted from the picture's centre, at a planar depth."""
        ray = np.array([x_px / self.focal_px, y_px / self.focal_px, 1.0])
        return np.asarray(self.centre + depth_m * (ray @ self.axes))

    def project(self, points: np.ndarray) -> np.ndarray:
        """(...,3): x, y [px] from the picture's centre and planar depth [m] of world points (...,3)."""
        x, y, depth = np.moveaxis((points - self.centre) @ self.axes.T, -1, 0)
        return np.stack([self.focal_px * x / depth, self.focal_px * y / depth, depth], axis=-1)

    def floor_y_px(self, depth_m: float) -> float:
        """Row, from the picture's centre, where the floor has a planar depth."""
        s, c = math.sin(math.radians(self.pitch_deg)), math.cos(math.radians(self.pitch_deg))
        return self.focal_px * (self.height_m / depth_m - s) / c


def set_view(
    size_px: tuple[int, int],
    focal_px: float,
    *,
    margin_px: int = 0,
    shift_px: tuple[float, float] = (0.0, 0.0),
    offset_m: tuple[float, float] = (0.0, 0.0),
    at: View,
) -> None:
    """Point Blender's camera.

    Args:
        size_px: (height, width) of the picture, to which ``margin_px`` is added on each side.
        focal_px: focal length in pixels.
        shift_px: where the content moves (x right, y down), as by a shift of lens against sensor.
        offset_m: where the pinhole moves (x right, y down) within its pupil, looking the same way.
        at: stands and looks like this view.
    """
    bpy = require_bpy()
    from mathutils import Matrix

    scene = bpy.context.scene
    width, height = size_px[1] + 2 * margin_px, size_px[0] + 2 * margin_px
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 100
    camera = scene.camera
    lens = camera.data
    lens.sensor_fit = "HORIZONTAL"
    lens.sensor_width = SENSOR_MM
    lens.lens = focal_px * SENSOR_MM / width
    # Blender moves the frame, so the content goes the other way; its y points up
    lens.shift_x, lens.shift_y = -shift_px[0] / width, shift_px[1] / width
    lens.dof.use_dof = False
    right, down, forward = at.axes
    place = at.centre + offset_m[0] * right + offset_m[1] * down
    columns = np.column_stack([right, -down, -forward, place])
    camera.matrix_world = Matrix([*columns.tolist(), [0, 0, 0, 1]])


def open_pupil(diameter_m: float, focus_m: float, blades: int = 0, rotation_deg: float = 0.0) -> None:
    """Give Blender's camera, as `set_view` left it, a pupil and a plane of focus."""
    lens = require_bpy().context.scene.camera.data
    lens.dof.use_dof = True
    lens.dof.focus_distance = focus_m
    lens.dof.aperture_fstop = lens.lens * 1e-3 / diameter_m  # Cycles' pupil is lens / f-stop wide
    lens.dof.aperture_blades = blades
    lens.dof.aperture_rotation = math.radians(rotation_deg)
