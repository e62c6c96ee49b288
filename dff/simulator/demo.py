"""The sample stack that comes with the package: a laid table, rendered by a path tracer, with its truth."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dff.formats.read import read_stack
from dff.formats.safe_write import atomic_path, check_folder
from dff.stack import FocalStack

SAMPLE = Path(__file__).parents[1] / "sample"
TRUTH, DEPTH, ALL_IN_FOCUS = "truth", "depth.npz", "all_in_focus.png"


@dataclass(frozen=True, eq=False)
class Sample:
    """A focal stack and what is known about it.

    Args:
        stack: the slices, far first, with focus and lens.
        dioptre: (H,W) float32 true inverse depth in the reference slice's frame.
        valid: (H,W) bool, pixels whose depth is known.
        edges: (H,W) bool, pixels on an occlusion boundary.
        aif: (H,W,3) uint8 all-in-focus picture, free of noise, same frame.
        matrices: (N,2,3) float64, reference pixel (x,y,1) -> pixel of slice n showing the same point (pixel
            centres at integers).
        reference: index of the reference slice.
    """

    stack: FocalStack
    dioptre: np.ndarray
    valid: np.ndarray
    edges: np.ndarray
    aif: np.ndarray
    matrices: np.ndarray
    reference: int


def read_sample(folder: str | Path) -> Sample:
    """Read a folder that `write_demo` filled.

    Raises:
        FileNotFoundError: it does not hold the stack or its truth.
    """
    folder = Path(folder)
    stack = read_stack(folder)
    with np.load(folder / TRUTH / DEPTH) as truth:
        arrays = {name: truth[name] for name in ("valid", "edges", "matrices")}
        dioptre, reference = truth["dioptre"].astype(np.float32), int(truth["reference"])
    with Image.open(folder / TRUTH / ALL_IN_FOCUS) as picture:
        aif = np.asarray(picture)
    return Sample(stack=stack, dioptre=dioptre, aif=aif, reference=reference, **arrays)


def demo_stack() -> Sample:
    """Ten slices of a laid table from 2 m to 0.25 m, blurred up to 13 px in diameter.

    Made by ``python -m dff.simulator.blender.sample``: every slice is path-traced through the aperture of
    simulator/cameras/compact.toml, which breathes and drifts.
    """
    return read_sample(SAMPLE)


def write_demo(folder: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Copy the sample stack: JPEG slices with focus and lens in their EXIF, the truth in a folder of its own.

    Args:
        folder: missing (its parent must exist) or empty; with ``overwrite``, files of the same names go.

    Returns:
        The files written: the slices, truth/depth.npz (dioptre, valid and edges (H,W) of slice ``reference``;
        matrices (N,2,3) from it to each slice, and their coefficients (N,4); focus, true_focus and
        coc_px_per_dioptre (N,)) and truth/all_in_focus.png.

    Raises:
        FileNotFoundError, ValueError: the folder cannot be used; nothing is written.
    """
    folder = check_folder(folder, overwrite)
    written = []
    for source in sorted(path for path in SAMPLE.rglob("*") if path.is_file()):
        target = folder / source.relative_to(SAMPLE)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
        written.append(target)
    return written
