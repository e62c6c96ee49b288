"""The smartphone set: 49 slices of a phone's focus sweep per scene, depth from five phones in a rig.

Herrmann et al., Learning to Autofocus, CVPR 2020; used for depth from focus by Won & Jeon (ECCV 2022), with
ten of the slices and the middle of the picture. The far slice comes first. Depth is 8 bit, linear in dioptres
from 0.01 (100 m) to 5 (0.2 m), with a confidence that weights every error. The slices breathe: 4.4 % from end
to end.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dff.data.files import cropped, existing, exr_channel, slices, subfolders
from dff.data.sample import DataSet, DepthSample, Samples, Truth
from dff.formats.slices import LazySlices
from dff.simulator.rgbd_depth import read_depth_numbers

FOCUS_MM = (
    3910.92, 2289.27, 1508.71, 1185.83, 935.91, 801.09, 700.37, 605.39, 546.23, 486.87, 447.99, 407.40,
    379.91, 350.41, 329.95, 307.54, 291.72, 274.13, 261.53, 247.35, 237.08, 225.41, 216.88, 207.10,
    198.18, 191.60, 183.96, 178.29, 171.69, 165.57, 160.99, 155.61, 150.59, 146.81, 142.35, 138.98,
    134.99, 131.23, 127.69, 124.99, 121.77, 118.73, 116.40, 113.63, 110.99, 108.47, 106.54, 104.23,
    102.01,
)  # fmt: skip
"""Focus distance of each of the 49 slices [mm]."""
FOCAL_LENGTH_M = 4.44e-3
SLICES = tuple(int(k) for k in np.rint(np.linspace(0, 48, 10)))
"""The ten slices that Won & Jeon use: 0, 5, 11, ... 48."""
MARGIN = 84, 63
"""Rows and columns they cut off at each end: 504x378 px (upright) become 336x252."""
NEAR_M, FAR_M = 0.2, 100.0
_TRAIN = tuple(f"train{i}" for i in range(1, 8))
_PARTS = {"train": _TRAIN, "test": ("test",)}
_PICTURE, _DEPTH, _CONFIDENCE = (
    "result_scaled_image_center.jpg", "result_merged_depth_center.png", "result_merged_conf_center.exr",
)  # fmt: skip


def dioptres(levels: np.ndarray) -> np.ndarray:
    """8-bit depth -> dioptres: z = 20 / (100 - 99.8 g) metres with g = level / 255."""
    share = levels.astype(np.float64) / 255
    return (FAR_M - (FAR_M - NEAR_M) * share) / (FAR_M * NEAR_M)


def _inside(shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = MARGIN
    return slice(rows, shape[0] - rows), slice(columns, shape[1] - columns)


def _truth(part: Path, scene: str) -> Truth:
    depth = existing(part / "merged_depth" / scene / _DEPTH)
    confidence = part / "merged_conf" / scene / _CONFIDENCE
    levels = read_depth_numbers(depth)
    if levels.dtype != np.uint8:
        raise ValueError(f"{depth}: holds {levels.dtype}; this data set's depth is 8 bit")
    weight = np.clip(exr_channel(confidence, ("R", "Y", "Z")), 0, 1).astype(np.float32)
    if weight.shape != levels.shape:
        raise ValueError(f"{confidence}: is {weight.shape}, the depth {levels.shape}; fetch both again")
    weight = np.nan_to_num(weight)
    if not weight.any():
        raise ValueError(f"{confidence}: trusts no pixel; leave the scene out")
    window = _inside(levels.shape)
    depth_dioptre = dioptres(levels[window]).astype(np.float32)
    return Truth(depth_dioptre, np.ones(depth_dioptre.shape, bool), weight[window])


def _sample(scenes: tuple[tuple[Path, str], ...], k: int) -> DepthSample:
    part, scene = scenes[k]
    folder = part / "scaled_images" / scene
    # both ways to call a slice have been seen
    named = "slice_{:02d}" if (folder / "slice_00").is_dir() else "{}"
    whole = slices([folder / named.format(i) / _PICTURE for i in SLICES])
    height, width = whole[0].shape[:2]
    if height <= 2 * MARGIN[0] or width <= 2 * MARGIN[1]:
        raise ValueError(f"{folder}: slices of {width}x{height} px; this data set's are 378x504 px")
    decoders = [partial(cropped, partial(whole.__getitem__, i), _inside((height, width))) for i in range(10)]
    return DepthSample(
        name=f"{part.name}/{scene}",
        images=LazySlices(decoders, budget_bytes=0),
        focus=np.array([1000 / FOCUS_MM[i] for i in SLICES]),
        unit="dioptre",
        read_truth=partial(_truth, part, scene),
        dioptre_per_unit=1.0,
        focal_length_m=FOCAL_LENGTH_M,
    )


def _read(path: Path, split: str) -> Samples:
    root = next((path / name for name in ("Real_data_DP",) if (path / name).is_dir()), path)
    # the archives of the training scenes are of 100 GB each: some of them will do
    parts = [root / name for name in _PARTS[split] if (root / name).is_dir()]
    if not parts:
        raise FileNotFoundError(f"{root}: holds no {_PARTS[split][0]}")
    scenes = tuple((part, scene.name) for part in parts for scene in subfolders(part / "scaled_images"))
    for part, scene in scenes:
        existing(part / "merged_depth" / scene / _DEPTH)
        existing(part / "merged_conf" / scene / _CONFIDENCE)
    return Samples([f"{part.name}/{scene}" for part, scene in scenes], partial(_sample, scenes))


SMARTPHONE = DataSet(
    "smartphone",
    tuple(_PARTS),
    "DIR/{train1..train7,test}/scaled_images/SCENE/{0..48}/"
    + _PICTURE
    + f", merged_depth/SCENE/{_DEPTH} and merged_conf/SCENE/{_CONFIDENCE}",
    _read,
)
