"""ZEDD: focal stacks of a camera with a motorised lens, and measured depth of the validation part.

Published with FOSSA (2026). Runs of the motor are listed in metadata.txt with their focus distances; the
published figures use runs 1, 3, 5, 7 and 9 at f/2.8. All runs that a scene has at f/2.8 are given here.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from dff.data.files import existing, metric_truth, picture, slices, subfolders
from dff.data.sample import DataSet, DepthSample, Samples, Truth
from dff.formats.safe_write import atomic_path, check_output
from dff.simulator.rgbd_depth import DepthScale, read_depth_numbers

_SLICE = re.compile(r"img_(run_\d+)_motor_.+_aperture_F2\.8\.jpg")
_SHARP = "img_run_5_motor_*_aperture_F16.0.jpg"
_METRES = DepthScale("m")
_SHAPE_TOLERANCE = 0.01  # of the ratio of sides
TEST_STACKS = 50
TEST_SIZE = 1216, 1824
"""(height, width) of the maps that the server takes."""


def _distances(path: Path) -> dict[str, float]:
    """Focus distance [m] of each run."""
    found = {}
    for line in existing(path).read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            found[words[0]] = float(words[2])
        except (IndexError, ValueError):
            raise ValueError(f"{path}: {line!r} is not: run, motor code, focus distance in metres") from None
    return found


def _truth(path: Path, size: tuple[int, int]) -> Truth:
    metres = read_depth_numbers(existing(path))
    height, width = size
    if metres.shape != size:
        if abs(metres.shape[1] * height / (metres.shape[0] * width) - 1) > _SHAPE_TOLERANCE:
            raise ValueError(
                f"{path}: {metres.shape[1]}x{metres.shape[0]} px do not fit slices of {width}x{height} px"
            )
        metres = cv2.resize(metres.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return metric_truth(metres, path, _METRES)


def _sample(scenes: tuple[Path, ...], distances: dict[str, float], k: int) -> DepthSample:
    folder = existing(scenes[k] / "focus_stack")
    runs = {named[1]: path for path in folder.iterdir() if (named := _SLICE.fullmatch(path.name))}
    unknown = sorted(runs.keys() - distances.keys())
    if unknown:
        raise ValueError(f"{folder}: metadata.txt gives no focus distance of {', '.join(unknown)}")
    far_first = sorted(runs, key=lambda run: -distances[run])
    images = slices([runs[run] for run in far_first])
    depth = scenes[k] / "gt" / "depth.npy"
    sharp = next(folder.glob(_SHARP), None)
    return DepthSample(
        name=scenes[k].name,
        images=images,
        focus=np.array([1 / distances[run] for run in far_first]),
        unit="dioptre",
        # the depth of the test part is kept by the authors
        read_truth=partial(_truth, depth, images[0].shape[:2]) if depth.is_file() else None,
        read_sharp=partial(picture, sharp) if sharp is not None else None,
        dioptre_per_unit=1.0,
    )


def _read(path: Path, split: str) -> Samples:
    distances = _distances(path / "metadata.txt")
    scenes = tuple(subfolders(path / split))
    if split == "val":
        for scene in scenes:
            existing(scene / "gt" / "depth.npy")
    return Samples([scene.name for scene in scenes], partial(_sample, scenes, distances))


ZEDD = DataSet(
    "zedd",
    ("val", "test"),
    "DIR/metadata.txt with DIR/{val,test}/SCENE/focus_stack/img_run_K_motor_CODE_aperture_F2.8.jpg "
    "and gt/depth.npy",
    _read,
)


def write_submission(path: str | Path, depths: Iterable[np.ndarray], *, overwrite: bool = False) -> Path:
    """Write what the server takes: a ZIP file of zedd_output_0001.npy and so on, (1216,1824) float32 metres.

    Args:
        path: a .zip file.
        depths: of all 50 stacks of "test", in its order [m].

    Raises:
        ValueError: not 50 maps, or one of another size or with depth that is not finite and above 0.
        FileNotFoundError: the folder does not exist.
    """
    path = check_output(path, (".zip",), overwrite)
    count = 0
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as packed:
        for depth in depths:
            count += 1
            if depth.shape != TEST_SIZE or not (np.isfinite(depth) & (depth > 0)).all():
                raise ValueError(
                    f"{path}: map {count} is not {TEST_SIZE[1]}x{TEST_SIZE[0]} px of finite metres above 0"
                )
            content = io.BytesIO()
            np.save(content, depth.astype(np.float32))
            packed.writestr(f"zedd_output_{count:04d}.npy", content.getvalue())
        if count != TEST_STACKS:
            raise ValueError(f"{path}: {count} maps; the test set has {TEST_STACKS}")
    return path
