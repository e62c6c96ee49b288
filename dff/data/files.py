"""What the readers of data sets share: looking for files, slices from files, checked depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dff.data.sample import Truth
from dff.formats.decode import source_of
from dff.formats.pixels import common_layout, conform, reading
from dff.formats.slices import LazySlices
from dff.simulator.rgbd_depth import DepthScale, read_depth_numbers


def existing(path: Path) -> Path:
    """The path, if there is such a file or folder.

    Raises:
        FileNotFoundError: there is none.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    return path


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted by name; hidden ones are left out."""
    there = existing(folder).iterdir()
    return sorted(path for path in there if path.is_dir() and not path.name.startswith("."))


def file_in(path: Path, names: Sequence[str]) -> Path:
    """The file itself, or the first of ``names`` in a folder.

    Raises:
        FileNotFoundError: none of them is there.
    """
    if path.is_file():
        return path
    found = next((path / name for name in names if (path / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"{path}: holds no {' or '.join(names)}")
    return found


def _decoded(path: Path, channels: int, dtype: np.dtype) -> np.ndarray:
    return conform(source_of(path, path.name).decode(), channels, dtype)


def picture(path: Path) -> np.ndarray:
    """(H,W,3) uint8 or uint16 of a picture file."""
    return _decoded(path, 3, np.dtype(np.uint8))


def slices(paths: Sequence[Path]) -> LazySlices:
    """Slices (H,W,3) from one file each, decoded when asked for; headers are read now.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is no picture, or sizes differ.
    """
    sources = [source_of(existing(path), path.name) for path in paths]
    _, dtype = common_layout(sources)
    return LazySlices([partial(_decoded, path, 3, dtype) for path in paths])


def cropped(decode: Callable[[], np.ndarray], window: tuple[slice, slice]) -> np.ndarray:
    """A window of what ``decode`` gives."""
    return decode()[window]


def exr_channel(path: Path, names: Sequence[str]) -> np.ndarray:
    """(H,W) of the first channel among ``names`` that an EXR file has, in the file's own type.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or none of the channels.
    """
    import OpenEXR

    existing(path)
    with reading(path):
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: one.pixels for part in file.parts for name, one in part.channels.items()}
        found = next((name for name in names if name in channels), None)
        if found is None:
            raise ValueError(f"no channel {' or '.join(names)} among {', '.join(sorted(channels))}")
        return np.asarray(channels[found])


def metric_truth(numbers: np.ndarray, path: Path, scale: DepthScale) -> Truth:
    """Depth in dioptres from the numbers of a depth file; 0, NaN and infinity are holes.

    Raises:
        ValueError: negative depth, or none at all.
    """
    return Truth(*scale.dioptres(numbers, path))


def metric_file(path: Path, scale: DepthScale) -> Truth:
    """`metric_truth` of a PNG, EXR, PFM, TIFF or NumPy file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, negative depth, or none at all.
    """
    return metric_truth(read_depth_numbers(existing(path)), path, scale)


def disparity_truth(numbers: np.ndarray, what: object, *, holes_at_zero: bool) -> Truth:
    """Depth as a disparity [px], more is nearer; NaN and infinity are holes, and perhaps 0 and less.

    Raises:
        ValueError: no pixel has a disparity; ``what`` is named.
    """
    depth = numbers.astype(np.float32)
    valid = np.isfinite(depth) & ((depth > 0) | (not holes_at_zero))
    if not valid.any():
        raise ValueError(f"{what}: holds no depth: every pixel is 0, NaN or infinite; leave it out")
    return Truth(np.where(valid, depth, 0), valid)
