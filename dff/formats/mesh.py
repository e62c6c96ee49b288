"""Depth and picture as a coloured surface: .ply and .glb. Axes, scales and limits: docs/writing.md."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from dff.camera import Lens
from dff.formats.pictures import to_levels
from dff.formats.safe_write import atomic_path, check_output
from dff.stack import DepthMap

if TYPE_CHECKING:
    import trimesh

MESH_SUFFIXES = (".ply", ".glb")
RELIEF = 0.25  # depth of a relief, farthest to nearest slice, as a part of its width
_MAX_STEP = 0.05  # of the focus range, between neighbouring vertices: more is an edge, not a slope
_MAX_RATIO = 1.2  # of the distances of neighbouring vertices, where distances are known


@dataclass(frozen=True)
class _Grid:
    """Every ``stride``-th pixel: ``row``, ``column`` (1-d), and (h,w) arrays of what lies there."""

    stride: int
    row: np.ndarray
    column: np.ndarray
    known: np.ndarray
    value: np.ndarray  # in the unit of the depth map, 0 where not known
    share: np.ndarray  # of the focus range: 0 = farthest slice, 1 = nearest


def _sample(depth: DepthMap, max_vertices: int) -> _Grid:
    """The finest regular grid of pixels with at most ``max_vertices`` known ones."""
    known = depth.valid & np.isfinite(depth.index)
    stride = max(1, math.ceil(math.sqrt(np.count_nonzero(known) / max_vertices)))
    while np.count_nonzero(known[stride // 2 :: stride, stride // 2 :: stride]) > max_vertices:
        stride += 1
    every = slice(stride // 2, None, stride)
    known = known[every, every]
    index = np.where(known, depth.index[every, every], np.float32(0))
    part = DepthMap(index, index, known, depth.positions, depth.unit)
    far, near = (
        (0, depth.positions.size - 1) if depth.unit == "index" else (depth.positions[0], depth.positions[-1])
    )
    value = part.value.astype(np.float64)
    row, column = (np.arange(size)[every] for size in depth.index.shape)
    return _Grid(stride, row, column, known, value, np.clip((value - far) / (near - far), 0, 1))


def _perspective(grid: _Grid, positions: np.ndarray, shape: tuple[int, ...], lens: Lens) -> np.ndarray:
    """(h,w,3) metres: pixels of dioptre depth back-projected through a pinhole in the image centre."""
    far, second = np.sort(positions)[:2]
    # a quarter of a slice from infinity is not told apart from infinity: there stands the backdrop
    distance_m = 1 / np.maximum(grid.value, max(far, (second - far) / 4))
    f_px = lens.focal_length_m / lens.pixel_pitch_m
    x = (grid.column - (shape[1] - 1) / 2) / f_px * distance_m
    y = ((shape[0] - 1) / 2 - grid.row)[:, None] / f_px * distance_m
    return np.stack([x, y, -distance_m], axis=-1)


def _relief(grid: _Grid, shape: tuple[int, ...]) -> np.ndarray:
    """(h,w,3) in picture widths: an orthographic relief, its nearest slice at z = 0."""
    x = (grid.column - (shape[1] - 1) / 2) / shape[1]
    y = ((shape[0] - 1) / 2 - grid.row)[:, None] / shape[1]
    return np.stack(np.broadcast_arrays(x, y, RELIEF * (grid.share - 1)), axis=-1)


def _corners(array: np.ndarray) -> tuple[np.ndarray, ...]:
    """The four corners of every cell of an (h,w) grid: top left, top right, bottom left, bottom right."""
    return array[:-1, :-1], array[:-1, 1:], array[1:, :-1], array[1:, 1:]


def _triangles(grid: _Grid, distance_m: np.ndarray | None) -> np.ndarray:
    """(F,3) numbers of grid points, counter-clockwise seen from the camera, none across a depth edge."""
    # a small picture crosses the whole range in few steps
    max_step = max(_MAX_STEP, 2 / min(grid.known.shape))
    number = np.arange(grid.known.size, dtype=np.int64).reshape(grid.known.shape)
    chosen = []
    for order in ((0, 2, 1), (1, 2, 3)):
        known = np.logical_and.reduce([_corners(grid.known)[k] for k in order])
        share = [_corners(grid.share)[k] for k in order]
        known &= np.maximum.reduce(share) - np.minimum.reduce(share) <= max_step
        if distance_m is not None:
            away = [_corners(distance_m)[k] for k in order]
            known &= np.maximum.reduce(away) <= _MAX_RATIO * np.minimum.reduce(away)
        chosen.append(np.stack([_corners(number)[k][known] for k in order], axis=-1))
    return np.concatenate(chosen)


def _colours(picture: np.ndarray | None, grid: _Grid) -> np.ndarray:
    """(h,w,3) sRGB uint8: the mean of the pixels around each grid point; light grey without a picture."""
    if picture is None:
        return np.full((*grid.known.shape, 3), 200, dtype=np.uint8)
    mean = picture if grid.stride == 1 else cv2.blur(picture, (grid.stride, grid.stride))
    levels = to_levels(mean[np.ix_(grid.row, grid.column)], 255)
    return np.repeat(levels[..., None], 3, axis=2) if levels.ndim == 2 else levels


def build_mesh(
    depth: DepthMap,
    picture: np.ndarray | None,
    *,
    lens: Lens | None = None,
    max_vertices: int = 1_000_000,
) -> trimesh.Trimesh:
    """Depth and picture as a trimesh surface with sRGB vertex colours.

    Axes are those of glTF: x right, y up, the camera at the origin looks along -z. With a lens and depth in
    dioptres, in metres as the pinhole camera sees it; what is farther than a quarter of the first focus
    step from infinity resolves stands at that distance. Else a relief of width 1 and depth `RELIEF`.

    Args:
        depth: the depth map; unknown pixels are left out.
        picture: (H,W) or (H,W,3) uint8, uint16 or float in [0,1]; None for plain grey.
        lens: lens with the pixel pitch of this depth map, for true metres.
        max_vertices: larger maps are thinned to every n-th pixel.

    Raises:
        ValueError: sizes differ, ``max_vertices`` is below 4, or no neighbouring pixels are known.
    """
    import trimesh

    shape = depth.index.shape
    if picture is not None and picture.shape[:2] != shape:
        raise ValueError(f"mesh: picture {picture.shape[:2]} and depth {shape} differ in size")
    if max_vertices < 4:
        raise ValueError(f"mesh: max_vertices is {max_vertices}; a surface needs at least 4")
    grid = _sample(depth, max_vertices)
    if lens is not None and depth.unit == "dioptre":
        points = _perspective(grid, depth.positions, shape, lens)
        faces = _triangles(grid, -points[..., 2])
    else:
        points = _relief(grid, shape)
        faces = _triangles(grid, None)
    if not len(faces):
        raise ValueError("mesh: the depth map has no neighbouring known pixels, so there is no surface")
    used = np.zeros(grid.known.size, dtype=bool)
    used[faces] = True
    renumbered = np.cumsum(used) - 1
    rgb = _colours(picture, grid).reshape(-1, 3)[used]
    return trimesh.Trimesh(
        vertices=points.reshape(-1, 3)[used],
        faces=renumbered[faces],
        vertex_colors=np.column_stack([rgb, np.full(len(rgb), 255, dtype=np.uint8)]),
        process=False,
    )


def _glb_bytes(mesh: trimesh.Trimesh) -> bytes:
    """glTF binary; its vertex colours are linear light by the standard (glTF 2.0, 3.7.2.1), 16 bit here."""
    import trimesh

    step = np.arange(256) / 255
    linear = np.where(step <= 0.04045, step / 12.92, ((step + 0.055) / 1.055) ** 2.4)
    colours = np.rint(linear * 65535).astype(np.uint16)[mesh.visual.vertex_colors]  # type: ignore[union-attr]
    plain = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    plain.vertex_attributes["_linear_rgba"] = colours

    def finish(tree: dict[str, Any]) -> None:
        primitive = tree["meshes"][0]["primitives"][0]
        place = primitive["attributes"].pop("_linear_rgba")
        tree["accessors"][place]["normalized"] = True
        primitive["attributes"]["COLOR_0"] = place
        primitive["material"] = 0
        # the light is in the photograph already: viewers must not light it again
        surface = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
        tree["materials"] = [
            {
                "pbrMetallicRoughness": surface,
                "doubleSided": True,
                "extensions": {"KHR_materials_unlit": {}},
            }
        ]
        tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), "KHR_materials_unlit"]

    data: bytes = trimesh.exchange.gltf.export_glb(
        trimesh.Scene(plain), include_normals=False, tree_postprocessor=finish
    )
    return data


def _ply_bytes(mesh: trimesh.Trimesh) -> bytes:
    import trimesh

    data: bytes = trimesh.exchange.ply.export_ply(mesh, vertex_normal=False)
    return data


def write_mesh(
    depth: DepthMap,
    picture: np.ndarray | None,
    path: str | Path,
    *,
    lens: Lens | None = None,
    max_vertices: int = 1_000_000,
    overwrite: bool = False,
) -> Path:
    """Write `build_mesh` as .ply (binary, sRGB colours) or .glb (unlit, colours as glTF wants them).

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: unknown suffix, the file exists, or as `build_mesh`.
    """
    path = check_output(path, MESH_SUFFIXES, overwrite)
    mesh = build_mesh(depth, picture, lens=lens, max_vertices=max_vertices)
    data = _glb_bytes(mesh) if path.suffix.lower() == ".glb" else _ply_bytes(mesh)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return path
