"""glTF models from files, as items of a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dff.simulator.blender import meshes
from dff.simulator.blender.objects import Palette, place
from dff.simulator.blender.session import quiet, require_bpy

SUFFIXES = (".gltf", ".glb")


def gltf_files(folder: str | Path) -> list[Path]:
    """All glTF models below a folder, sorted.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no model in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of meshes")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{folder}: holds no glTF model ({', '.join(SUFFIXES)})")
    return files


def add_gltf(palette: Palette, path: Path, size_px: float) -> None:
    """Add a model ``size_px`` large as one item, upright, where it fits; nothing if it does not.

    Raises:
        ValueError: the file cannot be read as glTF, or holds no mesh.
    """
    bpy = require_bpy()
    from mathutils import Matrix

    before = set(bpy.data.objects)
    try:
        with quiet():
            bpy.ops.import_scene.gltf(filepath=str(path))
    except RuntimeError as error:
        raise ValueError(f"{path}: not a glTF model ({str(error).strip().splitlines()[-1]})") from None
    bpy.context.view_layer.update()
    added = [shape for shape in bpy.data.objects if shape not in before]
    shapes = [shape for shape in added if shape.type == "MESH"]
    if not shapes:
        raise ValueError(f"{path}: holds no mesh; remove it from the folder")
    points = []
    for shape in shapes:
        local = np.empty(3 * len(shape.data.vertices), dtype=np.float32)
        shape.data.vertices.foreach_get("co", local)
        matrix = np.array(shape.matrix_world)
        points.append(local.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
    every = np.concatenate(points)
    low, high = every.min(axis=0), every.max(axis=0)
    unit = 1 / float((high - low).max())
    rng = palette.stage.rng
    cloud: meshes.Mesh = ((every - (low + high) / 2) * unit, [])
    spot = place(palette, [cloud], size_px, lambda: meshes.turn(rng.uniform(0, 2 * np.pi)))
    if spot is None:
        for shape in added:
            bpy.data.objects.remove(shape)
        return
    scaled, turned, offset, _ = spot
    scale = unit * float(np.ptp(scaled[0][0][:, 2]) / np.ptp(cloud[0][:, 2]))
    move = np.eye(4)
    move[:3, :3] = scale * turned
    move[:3, 3] = offset - move[:3, :3] @ ((low + high) / 2)
    for shape in shapes:
        world = Matrix((move @ np.array(shape.matrix_world)).tolist())
        shape.parent = None
        shape.matrix_world = world
    palette.stage.add_named([shape.name for shape in shapes], scaled[0][0] @ turned.T + offset)
