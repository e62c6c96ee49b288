"""Focal stacks made from 15 scenes of Middlebury 2014, of many sizes: to test what was trained elsewhere.

Scharstein et al., GCPR 2014; stacks by Wang et al. (AiFDepthNet, ICCV 2021), laid out as those of
FlyingThings3D, with disparities in focus from 10 (far) to 60 px.
"""

from __future__ import annotations

from pathlib import Path

from dff.data.flyingthings3d import SCENE_TREE, disparity_samples
from dff.data.sample import DataSet, Samples

NEAREST_PX = 60.0


def _read(path: Path, split: str) -> Samples:
    inner = path / "Middlebury_FS"
    return disparity_samples(inner if inner.is_dir() else path, NEAREST_PX)


MIDDLEBURY = DataSet("middlebury", ("test",), f"DIR/{SCENE_TREE.replace('LAST', '60.0')}", _read)
