"""ARKitScenes as focal stacks: a tablet's pictures with laser-scanned depth, blurred by HybridDepth's recipe.

Baruch et al., NeurIPS 2021; Ganj et al., HybridDepth, WACV 2025: pictures of 256x192 px, five slices whose
focus spans the true depth, a lens of 2.9 mm at f/0.5.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from dff.data.files import existing, metric_truth, picture, subfolders
from dff.data.rendered import RecipeCamera, rendered_slices, spanning_focus
from dff.data.sample import DataSet, DepthSample, Samples, Truth
from dff.simulator.rgbd_depth import DepthScale, read_depth_numbers

SLICES = 5
SIZE = 192, 256
CAMERA = RecipeCamera(2.9e-3, 0.5, 3.1e-3 / 560)
_METRES = DepthScale("m")
_PARTS = {"train": "Training", "val": "Validation"}


def _depth(path: Path) -> np.ndarray:
    """(H,W) metres of the small picture, 0 where unknown; nearest pixels: no depth is a mean over a jump."""
    millimetres = read_depth_numbers(existing(path)).astype(np.float64)
    return cv2.resize(millimetres, SIZE[::-1], interpolation=cv2.INTER_NEAREST) / 1000


def _load(path: Path, depth: Path) -> tuple[np.ndarray, np.ndarray]:
    return cv2.resize(picture(path), SIZE[::-1], interpolation=cv2.INTER_AREA), _depth(depth)


def _truth(path: Path) -> Truth:
    return metric_truth(_depth(path), path, _METRES)


def _sample(pairs: tuple[tuple[Path, Path], ...], k: int) -> DepthSample:
    wide, depth = pairs[k]
    depth_m = _depth(depth)
    focus_m = spanning_focus(depth_m, depth_m > 0, SLICES, depth)
    return DepthSample(
        name=wide.stem,
        images=rendered_slices(partial(_load, wide, depth), CAMERA, focus_m),
        focus=1 / focus_m,
        unit="dioptre",
        read_truth=partial(_truth, depth),
        dioptre_per_unit=1.0,
        focal_length_m=CAMERA.focal_length_m,
    )


def _read(path: Path, split: str) -> Samples:
    inner = path / "upsampling"
    root = existing((inner if inner.is_dir() else path) / _PARTS[split])
    wides = [wide for video in subfolders(root) for wide in sorted(existing(video / "wide").glob("*.png"))]
    pairs = [(wide, existing(wide.parents[1] / "highres_depth" / wide.name)) for wide in wides]
    return Samples([wide.stem for wide, _ in pairs], partial(_sample, tuple(pairs)))


ARKITSCENES = DataSet(
    "arkitscenes",
    tuple(_PARTS),
    "DIR/{Training,Validation}/VIDEO/wide/VIDEO_TIME.png with highres_depth/VIDEO_TIME.png",
    _read,
)
