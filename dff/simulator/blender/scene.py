"""A Blender scene under construction (`Stage`) and what is known of it when it is done (`BlenderScene`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dff.simulator.blender.meshes import Mesh
from dff.simulator.blender.session import RenderSettings, apply_settings, empty_scene, render, require_bpy
from dff.simulator.blender.view import View, set_view

CLIP_M = (1e-3, 1e3)
BRIGHT_PERCENTILE, BRIGHT_LEVEL = 97.0, 0.7  # this share of the picture stays below this linear value
PROBE_PX = 64  # width of the picture that sets the exposure


@dataclass(frozen=True)
class BlenderScene:
    """What Blender holds at the moment: the last scene made in this process.

    Args:
        view: the camera of the all-in-focus picture.
        far_dioptre, near_dioptre: everything in the picture lies between them.
        items: names of Blender's objects that make up each item; the first item is the background (wall and
            floor), which fills the picture.
        name: kind of scene, for people.
    """

    view: View
    far_dioptre: float
    near_dioptre: float
    items: tuple[tuple[str, ...], ...]
    name: str = ""

    def check_current(self) -> Any:
        """`bpy`, if it still holds this scene.

        Raises:
            ValueError: another scene was made since.
        """
        bpy = require_bpy()
        names = [name for item in self.items for name in item]
        if bpy.context.scene.get("items") != "\n".join(names):
            raise ValueError("Blender holds another scene by now: one process holds one scene at a time")
        return bpy


@dataclass
class Stage:
    """Builds a scene: items in front of a background, lights, exposure.

    Args:
        view: the camera.
        far_dioptre, near_dioptre: limits of the content.
        rng: all chance comes from here.
        margin_px: frame outside the picture in which the limits hold too.
    """

    view: View
    far_dioptre: float
    near_dioptre: float
    rng: np.random.Generator
    margin_px: int = 0
    items: list[list[str]] = field(default_factory=list)
    balls: list[tuple[np.ndarray, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        bpy = empty_scene()
        camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        camera.data.clip_start, camera.data.clip_end = CLIP_M
        bpy.context.scene.collection.objects.link(camera)
        bpy.context.scene.camera = camera
        bpy.context.scene.world = bpy.data.worlds.new("world")

    @property
    def frame_half(self) -> np.ndarray:
        """(2,) half width and height [px] of the picture with its margin."""
        return np.array([self.view.width_px, self.view.height_px]) / 2 + self.margin_px

    def fits(self, points: np.ndarray) -> bool:
        """Do world points (V,3) lie within the limits of depth, and not below the floor?"""
        depth = self.view.project(points)[:, 2]
        inside = depth.min() >= 1 / self.near_dioptre and depth.max() <= 1 / self.far_dioptre
        return bool(inside and points[:, 2].min() > -1e-6)

    def is_free(self, points: np.ndarray) -> bool:
        """Is the ball round world points (V,3) clear of those of earlier items?"""
        centre, radius = _ball(points)
        return all(np.linalg.norm(centre - other) > 0.8 * (radius + reach) for other, reach in self.balls)

    def add(self, parts: Sequence[tuple[Mesh, Any, bool]], matrix: np.ndarray, offset: np.ndarray) -> None:
        """One item of several meshes, (mesh, material, smooth) each, rotated by (3,3) and moved to (3,)."""
        bpy = require_bpy()
        from mathutils import Matrix

        names = []
        for (points, faces), material, smooth in parts:
            mesh = bpy.data.meshes.new("item")
            mesh.from_pydata(points.tolist(), [], faces)
            mesh.materials.append(material)
            if smooth:
                mesh.shade_smooth()
            shape = bpy.data.objects.new("item", mesh)
            rows = np.column_stack([matrix, offset]).tolist()
            shape.matrix_world = Matrix([*rows, [0, 0, 0, 1]])
            bpy.context.scene.collection.objects.link(shape)
            names.append(shape.name)
        self.add_named(names, np.concatenate([mesh[0] for mesh, _, _ in parts]) @ matrix.T + offset)

    def add_named(self, names: list[str], points: np.ndarray) -> None:
        """One item of objects that are in Blender already, with their world points (V,3)."""
        self.items.append(names)
        self.balls.append(_ball(points))

    def add_background(self, floor: Any, wall: Any, yaw_deg: float) -> None:
        """The floor z = 0, and a wall turned by ``yaw_deg`` so far away that the picture's farthest corner
        is at the far limit."""
        axes = self.view.axes
        across = np.array([math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg)), 0.0])
        normal = np.array([-across[1], across[0], 0.0])
        half = self.frame_half / self.view.focal_px
        corners = np.array([[x, y, 1.0] for x in (-half[0], half[0]) for y in (-half[1], half[1])]) @ axes
        # a ray reaches the wall at the planar depth distance / (ray . normal)
        distance = 0.98 / self.far_dioptre * float((corners @ normal).min())
        reach = 20 / self.far_dioptre
        base = normal * distance
        wall_points = np.array(
            [base + s * reach * across + [0, 0, z] for s, z in ((-1, 0), (1, 0), (1, 1), (-1, 1))]
        )
        wall_points[2:, 2] = reach
        ahead = np.array([base + s * reach * across for s in (-1, 1)])
        floor_points = np.concatenate([ahead[::-1], ahead - 2 * reach * normal])
        quad: list[tuple[int, ...]] = [(0, 1, 2, 3)]
        self.add(
            [((wall_points, quad), wall, False), ((floor_points, quad), floor, False)], np.eye(3), np.zeros(3)
        )
        self.balls.clear()  # nothing keeps clear of a wall

    def add_light(
        self, kind: str, toward: np.ndarray, irradiance: float, softness: float, colour: Any
    ) -> None:
        """A lamp that shines along a direction of the world: "sun", or "area" above the scene's middle."""
        bpy = require_bpy()
        from mathutils import Vector

        data = bpy.data.lights.new(kind, "SUN" if kind == "sun" else "AREA")
        data.color = colour
        lamp = bpy.data.objects.new(kind, data)
        lamp.rotation_euler = Vector(toward.tolist()).to_track_quat("-Z", "Y").to_euler()
        if kind == "sun":
            data.energy, data.angle = irradiance, softness
        else:
            distance = 2.0 / self.far_dioptre
            data.energy = irradiance * math.pi * distance**2
            data.size = softness * distance
            middle = self.view.place(0, 0, 2 / (self.far_dioptre + self.near_dioptre))
            lamp.location = (middle - distance * toward).tolist()
        bpy.context.scene.collection.objects.link(lamp)

    def add_sky(self, colour: Sequence[float], strength: float, hdri: Path | None = None) -> None:
        """Light from all around: one colour, or a panorama turned at random."""
        bpy = require_bpy()
        tree = bpy.context.scene.world.node_tree
        background = next(n for n in tree.nodes if n.bl_idname == "ShaderNodeBackground")
        background.inputs["Strength"].default_value = strength
        background.inputs["Color"].default_value = (*colour, 1)
        if hdri is not None:
            image = tree.nodes.new("ShaderNodeTexEnvironment")
            image.image = bpy.data.images.load(str(hdri))
            mapping = tree.nodes.new("ShaderNodeMapping")
            mapping.inputs["Rotation"].default_value[2] = self.rng.uniform(0, 2 * math.pi)
            coordinates = tree.nodes.new("ShaderNodeTexCoord")
            tree.links.new(coordinates.outputs["Generated"], mapping.inputs["Vector"])
            tree.links.new(mapping.outputs["Vector"], image.inputs["Vector"])
            tree.links.new(image.outputs["Color"], background.inputs["Color"])

    def finish(self, name: str = "") -> BlenderScene:
        """Set the exposure by a small picture, and give what is known of the scene."""
        bpy = require_bpy()
        scale = PROBE_PX / self.view.width_px
        apply_settings(RenderSettings(samples=8, denoise=False))
        set_view((round(scale * self.view.height_px), PROBE_PX), scale * self.view.focal_px, at=self.view)
        colour, _ = render()
        bright = float(np.percentile(colour[..., :3].mean(-1), BRIGHT_PERCENTILE))
        bpy.context.scene.cycles.film_exposure = BRIGHT_LEVEL / max(bright, 1e-6)
        items = tuple(tuple(names) for names in self.items)
        bpy.context.scene["items"] = "\n".join(name for item in items for name in item)
        return BlenderScene(self.view, self.far_dioptre, self.near_dioptre, items, name)


def _ball(points: np.ndarray) -> tuple[np.ndarray, float]:
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    return centre, float(np.linalg.norm(points - centre, axis=1).max())
