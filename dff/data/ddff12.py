"""DDFF 12-Scene: light fields of a plenoptic camera, refocused to ten slices, depth of an RGB-D sensor.

Hazirbas et al., Deep Depth From Focus, ACCV 2018. Depth is a disparity [px] between neighbouring sub-
apertures, `PX_METRES` / metres. Files hold the near slice first.

Three protocols have been published, and their figures do not compare. "official_test": 120 stacks without
truth, scored by the authors' server. "h5_val": the second part of the official file, whose crops are of the
scenes that training sees. "dfv_split": Yang et al. (CVPR 2022) packed whole frames of four scenes for
training and of two others for validation.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from dff.data.files import disparity_truth, file_in
from dff.data.hdf5 import H5File, stacks_and_depth
from dff.data.sample import DataSet, DepthSample, Samples, Truth
from dff.formats.safe_write import atomic_path, check_folder

FOCAL_PX = 521.4052
BASELINE_M = 1982.0250823695178 / 7317.020641763665 * 1e-3
PX_METRES = FOCAL_PX * BASELINE_M  # 0.141238: disparity [px] times distance [m]
SLICES = 10
NEAREST_M, FARTHEST_M = 0.5, 7.0
FOCUS_PX = np.linspace(PX_METRES / FARTHEST_M, PX_METRES / NEAREST_M, SLICES)
"""(10,) disparity in focus, far first."""
DFV_FOCUS_PX = np.linspace(0.02, 0.28, SLICES)
"""The same as Yang et al. and later work round it: what their figures of "dfv_split" are computed with."""

TEST_SCENES = ("lockeroom", "cafeteria", "library", "spencerlab", "office44", "magistrale")
TEST_STACKS = 20  # per scene
_OFFICIAL = ("ddff-dataset-trainval.h5",)
_TEST = ("ddff-dataset-test.h5",)
_DFV = ("my_ddff_trainVal.h5", "dfv_trainVal.h5")
_PARTS: dict[str, tuple[tuple[str, ...], str]] = {
    "train": (_OFFICIAL, "train"),
    "h5_val": (_OFFICIAL, "val"),
    "official_test": (_TEST, "test"),
    "dfv_train": (_DFV, "train"),
    "dfv_split": (_DFV, "val"),
}


def _truth(file: H5File, key: str, k: int) -> Truth:
    return disparity_truth(file.read(key, k), f"{file.path}: {key} {k}", holes_at_zero=True)


def _sample(file: H5File, part: str, names: tuple[str, ...], k: int) -> DepthSample:
    stack, disparity, sharp = f"stack_{part}", f"disp_{part}", f"AiF_{part}"
    return DepthSample(
        name=names[k],
        images=file.slices(stack, k, range(SLICES - 1, -1, -1)),
        focus=FOCUS_PX,
        unit="disparity_px",
        read_truth=partial(_truth, file, disparity, k) if file.has(disparity) else None,
        read_sharp=partial(file.picture, sharp, k) if file.has(sharp) else None,
        dioptre_per_unit=1 / PX_METRES,
    )


def _read(path: Path, split: str) -> Samples:
    names, part = _PARTS[split]
    file = H5File(file_in(path, names))
    count, _, height, width, _ = stacks_and_depth(
        file, f"stack_{part}", None if part == "test" else f"disp_{part}", SLICES
    )
    if part != "test" and (names == _OFFICIAL) != (height == width):
        raise ValueError(
            f"{file.path}: holds {width}x{height} px; train and h5_val are of the official file of crops, "
            "dfv_train and dfv_split of the one with whole frames"
        )
    if part == "test":
        labels = tuple(
            f"{TEST_SCENES[k // TEST_STACKS % len(TEST_SCENES)]}/{k % TEST_STACKS + 1:04d}"
            for k in range(count)
        )
    else:
        labels = tuple(f"{split}/{k:04d}" for k in range(count))
    return Samples(labels, partial(_sample, file, part, labels))


DDFF12 = DataSet(
    "ddff12",
    tuple(_PARTS),
    "DIR/ddff-dataset-trainval.h5 (train, h5_val), DIR/ddff-dataset-test.h5 (official_test), "
    "DIR/my_ddff_trainVal.h5 (dfv_train, dfv_split)",
    _read,
)


def write_submission(
    folder: str | Path,
    disparities: Iterable[np.ndarray],
    seconds: Iterable[float],
    *,
    overwrite: bool = False,
) -> Path:
    """Write what the server takes: SCENE/DISP_0001.npy ... (H,W) float32 [px], and runtime.txt.

    Args:
        folder: missing (its parent must exist) or empty.
        disparities: of all 120 stacks of "official_test", in its order.
        seconds: spent on each.

    Returns:
        The folder, to be packed.

    Raises:
        ValueError: not 120 maps, or one that is not finite.
    """
    folder = check_folder(folder, overwrite)
    lines = []
    wanted = len(TEST_SCENES) * TEST_STACKS
    for k, (disparity, spent) in enumerate(zip(disparities, seconds, strict=True)):
        if k >= wanted or disparity.ndim != 2 or not np.isfinite(disparity).all():
            raise ValueError(f"submission: map {k} of {wanted} is not (H,W) of finite disparities [px]")
        name = f"{TEST_SCENES[k // TEST_STACKS]}/DISP_{k % TEST_STACKS + 1:04d}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, disparity.astype(np.float32))
        lines.append(f"{name} {spent:.6g}\n")
    if len(lines) != wanted:
        raise ValueError(f"submission: {len(lines)} maps; the test set has {wanted}")
    with atomic_path(folder / "runtime.txt") as temporary:
        temporary.write_text("".join(lines), encoding="ascii")
    return folder
