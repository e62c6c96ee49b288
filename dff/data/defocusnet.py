"""The set of DefocusNet, also called FoD500: 500 rendered stacks of five slices of 256x256 px.

Maximov et al., Focus on Defocus, CVPR 2020; "fs_6" in their repository. Depth is metres in a half-float EXR,
the near slice comes first. Stacks 0 to 399 are for training, 400 to 499 for tests.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from dff.data.files import existing, exr_channel, metric_truth, slices
from dff.data.sample import DataSet, DepthSample, Samples, Truth
from dff.simulator.rgbd_depth import DepthScale

FOCUS_M = (0.1, 0.15, 0.3, 0.7, 1.5)
FOCAL_LENGTH_M = 2.9e-3
FIRST_TEST = 400
_METRES = DepthScale("m")
_DEPTH = re.compile(r"(\d+)Dpt\.exr")


def _truth(path: Path) -> Truth:
    return metric_truth(exr_channel(path, ("R",)), path, _METRES)


def _sample(depths: tuple[Path, ...], k: int) -> DepthSample:
    depth = depths[k]
    name = depth.name.removesuffix("Dpt.exr")
    far_first = range(len(FOCUS_M) - 1, -1, -1)
    return DepthSample(
        name=name,
        images=slices([depth.with_name(f"{name}_{i:02d}All.tif") for i in far_first]),
        focus=np.array([1 / FOCUS_M[i] for i in far_first]),
        unit="dioptre",
        read_truth=partial(_truth, depth),
        dioptre_per_unit=1.0,
        focal_length_m=FOCAL_LENGTH_M,
    )


def _read(path: Path, split: str) -> Samples:
    folder = path / "fs_6" if (path / "fs_6").is_dir() else path
    # later work moved the stacks into a folder for each split
    parted = (folder / split).is_dir()
    found = []
    for depth in (folder / split if parted else folder).iterdir():
        named = _DEPTH.fullmatch(depth.name)
        if named and (parted or (int(named[1]) >= FIRST_TEST) == (split == "test")):
            found.append(depth)
    depths = tuple(sorted(found))
    for depth in depths:
        for i in range(len(FOCUS_M)):
            existing(depth.with_name(f"{depth.name.removesuffix('Dpt.exr')}_{i:02d}All.tif"))
    return Samples([depth.name.removesuffix("Dpt.exr") for depth in depths], partial(_sample, depths))


DEFOCUSNET = DataSet(
    "defocusnet",
    ("train", "test"),
    "DIR/fs_6/000000_00All.tif to 000000_04All.tif with 000000Dpt.exr ... (or in train/ and test/)",
    _read,
)
