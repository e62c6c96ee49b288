"""NYU Depth v2 as focal stacks, by three published recipes that do not compare.

Silberman et al., ECCV 2012. "hybrid_*" (Ganj et al., HybridDepth, WACV 2025): ten slices blurred on the fly,
whose focus spans the true depth. "dered_*" (Si et al., DEReD, CVPR 2023): five slices of 320x240 px on disk,
focused at 1, 1.5, 2.5, 4 and 6 m. "d3net" (Carvalho et al., 2018; Fujimura et al., IJCV 2024): the 1449
labelled pictures blurred by a MATLAB script for 2, 4 and 8 m, on disk.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from dff.data.files import existing, file_in, metric_truth, picture, slices
from dff.data.hdf5 import H5File
from dff.data.rendered import RecipeCamera, rendered_slices, spanning_focus
from dff.data.sample import DataSet, DepthSample, Samples, Truth
from dff.simulator.rgbd_depth import DepthScale, read_depth_numbers

_METRES = DepthScale("m")

# --- HybridDepth -----------------------------------------------------------------------------------------

HYBRID_SLICES = 10
HYBRID_CAMERA = RecipeCamera(50e-3, 8.0, 1.2e-5)
HYBRID_RANGE_M = 1e-3, 10.0
_MIDDLE = slice(48, 432), slice(64, 576)  # the white borders of the pictures lie outside


def _hybrid_depth(depth: Path) -> np.ndarray:
    numbers = read_depth_numbers(existing(depth))
    if numbers.shape != (480, 640):
        raise ValueError(f"{depth}: is {numbers.shape[1]}x{numbers.shape[0]} px; this data set's are 640x480")
    return numbers[_MIDDLE].astype(np.float64) / 1000


def _hybrid_load(rgb: Path, depth: Path) -> tuple[np.ndarray, np.ndarray]:
    return picture(rgb)[_MIDDLE], _hybrid_depth(depth)


def _hybrid_valid(depth_m: np.ndarray) -> np.ndarray:
    return (depth_m > HYBRID_RANGE_M[0]) & (depth_m < HYBRID_RANGE_M[1])


def _hybrid_truth(depth: Path) -> Truth:
    depth_m = _hybrid_depth(depth)
    return metric_truth(np.where(_hybrid_valid(depth_m), depth_m, 0), depth, _METRES)


def _hybrid_sample(pairs: tuple[tuple[Path, Path], ...], k: int) -> DepthSample:
    rgb, depth = pairs[k]
    depth_m = _hybrid_depth(depth)
    focus_m = spanning_focus(depth_m, _hybrid_valid(depth_m), HYBRID_SLICES, depth)
    return DepthSample(
        name=f"{rgb.parent.name}/{rgb.stem}",
        images=rendered_slices(partial(_hybrid_load, rgb, depth), HYBRID_CAMERA, focus_m),
        focus=1 / focus_m,
        unit="dioptre",
        read_truth=partial(_hybrid_truth, depth),
        dioptre_per_unit=1.0,
        focal_length_m=HYBRID_CAMERA.focal_length_m,
    )


def _hybrid(path: Path, part: str) -> Samples:
    root = existing(path / ("sync" if part == "train" else "test"))
    listing = path / f"nyu_{part}.txt"
    if listing.is_file():
        lines = [line.split() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
        pairs = [(root / line[0].lstrip("/"), root / line[1].lstrip("/")) for line in lines]
    else:
        pictures = sorted(root.glob("*/rgb_*.jpg"))
        pairs = [(rgb, rgb.with_name(rgb.stem.replace("rgb", "sync_depth") + ".png")) for rgb in pictures]
        pairs = [pair for pair in pairs if pair[1].is_file()]
    return Samples(
        [f"{rgb.parent.name}/{rgb.stem}" for rgb, _ in pairs], partial(_hybrid_sample, tuple(pairs))
    )


# --- DEReD -----------------------------------------------------------------------------------------------

DERED_FOCUS_M = (1.0, 1.5, 2.5, 4.0, 6.0)
DERED_RANGE_M = 0.1, 10.0
_DERED_SCALE = 1e4  # of the numbers in a PNG


def _dered_truth(depth: Path, size: tuple[int, int]) -> Truth:
    numbers = read_depth_numbers(existing(depth)).astype(np.float32)
    known = cv2.resize((numbers > 0).astype(np.float32), size[::-1]) == 1
    metres = cv2.resize(np.clip(numbers / _DERED_SCALE, *DERED_RANGE_M), size[::-1])
    return metric_truth(np.where(known, metres, 0), depth, _METRES)


def _dered_sample(folder: Path, part: str, depths: tuple[Path, ...], k: int) -> DepthSample:
    name = depths[k].stem
    stack = existing(folder / f"{part}_fs5")
    images = slices([stack / f"{name}_{i:04d}.png" for i in reversed(range(len(DERED_FOCUS_M)))])
    sharp = folder / f"{part}_rgb" / depths[k].name
    height, width = images[0].shape[:2]
    return DepthSample(
        name=name,
        images=images,
        focus=1 / np.array(DERED_FOCUS_M[::-1]),
        unit="dioptre",
        read_truth=partial(_dered_truth, depths[k], (height, width)),
        read_sharp=partial(_dered_sharp, sharp, (height, width)) if sharp.is_file() else None,
        dioptre_per_unit=1.0,
        focal_length_m=50e-3,
    )


def _dered_sharp(path: Path, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(picture(path), size[::-1])


def _dered(path: Path, part: str) -> Samples:
    existing(path / f"{part}_fs5")
    depths = tuple(sorted(existing(path / f"{part}_depth").glob("*.png")))
    return Samples([depth.stem for depth in depths], partial(_dered_sample, path, part, depths))


# --- D3-Net ----------------------------------------------------------------------------------------------

D3NET_FOCUS_M = (2.0, 4.0, 8.0)
_LABELLED = "nyu_depth_v2_labeled.mat"


def _d3net_truth(file: H5File, k: int) -> Truth:
    # MATLAB writes its arrays column by column: HDF5 sees them turned over
    return metric_truth(file.read("depths", k).T, file.path, _METRES)


def _d3net_sharp(file: H5File, k: int) -> np.ndarray:
    return np.ascontiguousarray(file.read("images", k).T)


def _d3net_sample(file: H5File, folder: Path, k: int) -> DepthSample:
    return DepthSample(
        name=f"{k + 1}",
        images=slices([folder / f"blurred_rgb_{at:g}" / f"{k + 1}.png" for at in D3NET_FOCUS_M[::-1]]),
        focus=1 / np.array(D3NET_FOCUS_M[::-1]),
        unit="dioptre",
        read_truth=partial(_d3net_truth, file, k),
        read_sharp=partial(_d3net_sharp, file, k),
        dioptre_per_unit=1.0,
        focal_length_m=15e-3,
    )


def _d3net(path: Path) -> Samples:
    file = H5File(file_in(path, [_LABELLED]))
    count, width, height = file.shape("depths", (None, None, None))
    file.shape("images", (count, 3, width, height))
    folder = file.path.parent / "focal_stack"
    for at in D3NET_FOCUS_M:
        existing(folder / f"blurred_rgb_{at:g}")
    return Samples([f"{k + 1}" for k in range(count)], partial(_d3net_sample, file, folder))


def _read(path: Path, split: str) -> Samples:
    recipe, _, part = split.partition("_")
    if recipe == "hybrid":
        return _hybrid(path, part)
    return _dered(path, part) if recipe == "dered" else _d3net(path)


NYUV2 = DataSet(
    "nyuv2",
    ("hybrid_train", "hybrid_test", "dered_train", "dered_test", "d3net"),
    "DIR/{sync,test}/SCENE/rgb_00000.jpg with sync_depth_00000.png (hybrid_train, hybrid_test), "
    "DIR/{train,test}_{rgb,depth,fs5} (dered_train, dered_test), "
    f"DIR/{_LABELLED} with DIR/focal_stack/blurred_rgb_{{2,4,8}} (d3net)",
    _read,
)
