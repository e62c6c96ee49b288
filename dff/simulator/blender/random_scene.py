"""Seeded random scenes by kind: what stands in front of the path tracer's camera."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dff.simulator.blender import objects
from dff.simulator.blender.gltf import gltf_files
from dff.simulator.blender.materials import image_files, paint
from dff.simulator.blender.objects import Palette
from dff.simulator.blender.scene import BlenderScene, Stage
from dff.simulator.blender.view import View

PANORAMA_SUFFIXES = (".hdr", ".exr")


@dataclass(frozen=True)
class Kind:
    """What a kind of scene holds.

    Args:
        items: how many (low, high) of each thing in `dff.simulator.blender.objects`.
        limits_m: nearest and farthest content where the caller does not say.
        plain_share: share of painted items.
        plain_room: wall and floor are painted, too.
        wall_deg: the wall is turned by up to this.
        size: multiplies the size of items.
    """

    items: dict[str, tuple[int, int]]
    limits_m: tuple[float, float] = (0.25, 3.0)
    plain_share: float = 0.15
    plain_room: bool = False
    wall_deg: float = 25.0
    size: float = 1.0


KINDS: dict[str, Kind] = {
    "prims": Kind({"solid": (11, 15), "letters": (0, 1)}),
    "slant": Kind({"card": (7, 10), "letters": (0, 1)}, wall_deg=50.0, size=1.15),
    "thin": Kind({"solid": (4, 6), "fence": (1, 2), "plant": (2, 3), "wire": (6, 9)}),
    "close": Kind(
        {"solid": (5, 7), "card": (1, 2), "plant": (1, 2), "wire": (0, 2)}, limits_m=(0.15, 1.0), size=1.35
    ),
    "plain": Kind({"solid": (9, 12), "letters": (1, 2)}, plain_share=1.0, plain_room=True, wall_deg=35.0),
    "meshes": Kind({"model": (5, 8), "solid": (1, 3)}),
    "mixed": Kind({"model": (2, 3), "solid": (3, 5), "card": (1, 3), "plant": (0, 2), "fence": (0, 1),
                   "wire": (1, 4), "letters": (0, 1)}),
}  # fmt: skip
"""Kinds of scene by name."""


@dataclass(frozen=True)
class BlenderConfig:
    """A random scene and its camera.

    Args:
        kind: a name in `KINDS`.
        size: (height, width) of the picture in pixels.
        focal_px: focal length in pixels; None for 1.43 times the width (a field of view of 39 degrees).
        far_dioptre, near_dioptre: limits of the content; None for those of the kind.
        margin_px: frame round the picture, for renders with a margin, in which the limits hold too.
        textures, hdri, meshes: folders of pictures, of panoramas (.hdr, .exr), of glTF models; searched with
            their sub-folders. Without: procedural surfaces, lamps under a plain sky, turned shapes.
    """

    kind: str = "mixed"
    size: tuple[int, int] = (256, 256)
    focal_px: float | None = None
    far_dioptre: float | None = None
    near_dioptre: float | None = None
    margin_px: int = 32
    textures: Path | None = None
    hdri: Path | None = None
    meshes: Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Blender scene {self.kind!r} is unknown; choose from {', '.join(KINDS)}")
        if min(self.size) < 16 or self.margin_px < 0:
            raise ValueError(f"BlenderConfig: size {self.size} must be at least 16x16 px, margin_px >= 0")
        if self.focal_px is not None and self.focal_px <= 0:
            raise ValueError(f"BlenderConfig: focal_px {self.focal_px} must be positive")
        far, near = self.limits
        if not 0 < far < near:
            raise ValueError(f"BlenderConfig: needs 0 < far_dioptre < near_dioptre, got {far} and {near}")

    @property
    def limits(self) -> tuple[float, float]:
        """Far and near limit in dioptres."""
        near_m, far_m = KINDS[self.kind].limits_m
        return self.far_dioptre or 1 / far_m, self.near_dioptre or 1 / near_m


def panorama_files(folder: str | Path) -> list[Path]:
    """All panoramas below a folder, sorted.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no panorama in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of panoramas")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PANORAMA_SUFFIXES)
    if not files:
        raise ValueError(f"{folder}: holds no panorama ({', '.join(PANORAMA_SUFFIXES)})")
    return files


def _view(config: BlenderConfig, rng: np.random.Generator) -> View:
    """A camera low enough above the floor that the floor, too, stays beyond the near limit."""
    height, width = config.size
    focal = config.focal_px or 366 / 256 * width
    pitch = math.radians(rng.uniform(8, 24))
    steepest = (height / 2 + config.margin_px) / focal
    above = 1.02 / config.limits[1] * (math.sin(pitch) + steepest * math.cos(pitch))
    return View(height, width, focal, above, math.degrees(pitch))


def _light(stage: Stage, hdri: list[Path]) -> None:
    """A soft key light from above, left or right, and the sky; or a panorama with, at times, a soft key."""
    rng = stage.rng
    warm = rng.uniform(-1, 1)
    tint = (1 + 0.08 * warm, 1.0, 1 - 0.12 * warm)
    if hdri:
        stage.add_sky((1, 1, 1), 1.0, hdri[rng.integers(len(hdri))])
    else:
        stage.add_sky((1 - 0.1 * warm, 1.0, 1 + 0.15 * warm), 1.0)
    if not hdri or rng.random() < 0.4:
        side, height, ahead = (
            rng.uniform(0.3, 1.2) * rng.choice([-1, 1]),
            rng.uniform(0.8, 1.6),
            rng.uniform(0, 1),
        )
        toward = np.array([-side, ahead, -height])
        toward /= np.linalg.norm(toward)
        strength = math.pi * rng.uniform(0.8, 3)
        kind = "sun" if rng.random() < 0.35 else "area"
        stage.add_light(
            kind, toward, strength, rng.uniform(0.06, 0.3) if kind == "sun" else rng.uniform(0.4, 1.0), tint
        )


def random_scene(config: BlenderConfig, seed: int = 0) -> BlenderScene:
    """Build a random scene in Blender; whatever Blender held before is dropped.

    The same configuration, seed and asset folders give the same scene.

    Raises:
        ValueError: bpy is missing, or a folder holds nothing of use.
        FileNotFoundError: a folder is missing.
    """
    textures = image_files(config.textures) if config.textures else []
    hdri = panorama_files(config.hdri) if config.hdri else []
    gltf = gltf_files(config.meshes) if config.meshes else []
    kind = KINDS[config.kind]
    rng = np.random.default_rng([seed, *config.kind.encode()])
    far, near = config.limits
    stage = Stage(_view(config, rng), far, near, rng, config.margin_px)
    palette = Palette(stage, kind.plain_share, textures, gltf, kind.size)
    yaw = rng.uniform(-kind.wall_deg, kind.wall_deg)
    if kind.plain_room:
        stage.add_background(paint(rng), paint(rng), yaw)
    else:
        stage.add_background(palette.material(2 / (far + near)), palette.material(1 / far), yaw)
    for name, (low, high) in kind.items.items():
        add: Callable[[Palette], None] = getattr(objects, name)
        for _ in range(int(rng.integers(low, high + 1))):
            add(palette)
    _light(stage, hdri)
    return stage.finish(config.kind)
