"""Focal stacks made from FlyingThings3D: 1000 of 15 slices of 960x540 px for training, 100 for validation.

Mayer et al., CVPR 2016; stacks by Wang et al. (AiFDepthNet, ICCV 2021). Every slice is called after the
disparity [px] it is focused at, from 10 (far) to 100; the truth is a disparity too.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dff.data.files import disparity_truth, existing, picture, slices, subfolders
from dff.data.sample import DataSet, DepthSample, Samples, Truth
from dff.simulator.rgbd_depth import read_depth_numbers

SLICES = 15
NEAREST_PX = 100.0
FARTHEST_PX = 10.0
_SHARP, _TRUTH = "AiF.png", "disp.exr"
SCENE_TREE = f"focal_stack/SCENE/10.0.png to LAST.png (15, named by disparity), {_SHARP}, {_TRUTH}"


def _truth(path: Path) -> Truth:
    return disparity_truth(read_depth_numbers(existing(path)), path, holes_at_zero=True)


def _ladder(scene: Path, focus: np.ndarray) -> list[Path]:
    """The slices focused at ``focus``, found by the numbers in their names.

    Raises:
        FileNotFoundError: a slice is missing.
        ValueError: a picture is called after something else.
    """
    found: dict[float, Path] = {}
    for path in scene.glob("*.png"):
        if path.name == _SHARP:
            continue
        try:
            number = float(path.stem)
        except ValueError:
            raise ValueError(f"{path}: slices of this data set are named by their disparity") from None
        nearest = float(focus[np.abs(focus - number).argmin()])
        if abs(nearest - number) > 1e-6:
            raise ValueError(
                f"{path}: {number:g} px is none of the {len(focus)} focus positions from {focus[0]:g} to "
                f"{focus[-1]:g} px; is it another data set?"
            )
        found[nearest] = path
    missing = [float(at) for at in focus if at not in found]
    if missing:
        raise FileNotFoundError(f"{scene / f'{missing[0]!r}.png'}: no such slice")
    return [found[float(at)] for at in focus]


def disparity_sample(scenes: tuple[Path, ...], focus: np.ndarray, k: int) -> DepthSample:
    """Scene ``k`` of folders of this layout; ``focus`` (N,) rising disparities [px]."""
    scene = scenes[k]
    sharp = scene / _SHARP
    return DepthSample(
        name=scene.name,
        images=slices(_ladder(scene, focus)),
        focus=focus,
        unit="disparity_px",
        read_truth=partial(_truth, scene / _TRUTH),
        read_sharp=partial(picture, sharp) if sharp.is_file() else None,
    )


def disparity_samples(folder: Path, nearest_px: float) -> Samples:
    """All scenes below ``folder``/focal_stack."""
    scenes = tuple(subfolders(folder / "focal_stack"))
    for scene in scenes:
        existing(scene / _TRUTH)
    focus = np.linspace(FARTHEST_PX, nearest_px, SLICES)
    return Samples([scene.name for scene in scenes], partial(disparity_sample, scenes, focus))


def _read(path: Path, split: str) -> Samples:
    inner = path / "FlyingThings3D_FS"
    return disparity_samples((inner if inner.is_dir() else path) / split, NEAREST_PX)


FLYINGTHINGS3D = DataSet(
    "flyingthings3d", ("train", "val"), f"DIR/{{train,val}}/{SCENE_TREE.replace('LAST', '100.0')}", _read
)
