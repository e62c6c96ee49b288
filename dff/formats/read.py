"""Read a focal stack from whatever people have: `read_stack`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dff.camera import Lens
from dff.formats import frames, tiff
from dff.formats.decode import developed_alike, source_of
from dff.formats.exif import kept_exif, lens_parts, read_exif, read_icc
from dff.formats.pixels import F32, common_layout, conform
from dff.formats.positions import Focus, Slices, find_positions
from dff.formats.select import Source, folder_slices, resolve
from dff.formats.slices import CACHE_BYTES, LazySlices, SliceSource
from dff.formats.stack_toml import StackToml, read_stack_toml
from dff.formats.units import FocusUnit, check_unit
from dff.stack import FocalStack

_LENS_WORDS = {"focal_length_m": "focal_length_mm", "f_number": "f_number", "pixel_pitch_m": "pixel_pitch_um"}


def read_stack(
    source: Source,
    *,
    focus: Focus | None = None,
    focus_unit: FocusUnit = "m",
    focus_from_names: bool = False,
    series: bool = True,
    every: int | None = None,
    max_frames: int | None = frames.MAX_FRAMES,
    cache_bytes: int = CACHE_BYTES,
) -> FocalStack:
    """Read a focal stack, in file order, with all that is known of its focus and lens.

    Args:
        source: a folder, a glob, a list of picture files, a multi-page TIFF or OME-TIFF, an animation,
            or a video of a focus sweep.
        focus: focus of each slice: numbers, "30cm,50cm,inf", or the path of a text file of them. Suffixes
            m, cm, mm, um and D (dioptres) are understood. Overrides every other source.
        focus_unit: unit of numbers without a suffix: "m", "cm", "mm", "dioptre", or "um" for the stage
            heights of a microscope.
        focus_from_names: take the focus from numbers in the file names where nothing else tells it.
        series: of a folder or glob, leave out pictures that do not fit the numbered series.
        every: of a video, read each ``every``-th frame.
        max_frames: of a video, without ``every``, read at most this many frames, evenly spaced.
        cache_bytes: decoded slices are kept up to this total; beyond it they are decoded at each look.

    Returns:
        The stack; slices are uint8, uint16 or float32 in [0,1], grey (H,W) or RGB (H,W,3), upright.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: fewer than 2 slices, mixed sizes, a damaged file, wrong focus positions.
    """
    unit = check_unit(focus_unit)
    if every is not None and every < 1:
        raise ValueError(f"every={every}: give 1 for all frames, 2 for every other, ...")
    files, folder, toml = slice_files(source, series)
    sources = _open(files, every, max_frames)
    container = len(sources) != len(files)
    if len(sources) < 2:
        raise ValueError(
            f"{folder or files[0]}: only one picture ({files[0].name}); a focal stack needs at least 2 slices"
        )
    if every is not None and not (container and files[0].suffix.lower() in frames.VIDEOS):
        raise ValueError(f"{files[0]}: every={every} is for videos; choose pictures with a glob or a list")
    channels, dtype = common_layout(sources)
    low, scale = _common_scale(sources) if dtype == F32 else (0.0, 1.0)
    slices = LazySlices([_decoder(s, channels, dtype, low, scale) for s in sources], cache_bytes)

    layout = sources[0].layout
    exifs = [] if container else [read_exif(file) for file in files]
    middle = files[len(files) // 2]
    middle_exif = exifs[len(files) // 2] if exifs else _container_exif(middle)
    names = tuple(s.name for s in sources)
    looked_at = Slices(names, tuple(files), container, folder, tuple(exifs), layout.width, layout.height)
    found = find_positions(looked_at, focus, unit, focus_from_names, toml)
    stack = FocalStack(
        slices,
        focus=found.values if found.kind == "dioptre" else None,
        z_um=found.values if found.kind == "um" else None,
        lens=_lens({**lens_parts(middle_exif, layout.width, layout.height), **found.lens}, toml),
        names=names,
        origin=found.origin,
        exif=kept_exif(middle_exif, middle),
        icc=None if middle.suffix.lower() in frames.VIDEOS else read_icc(middle),
    )
    _check_repeats(slices.checksums, names)
    return stack


def slice_files(source: Source, series: bool) -> tuple[list[Path], Path | None, StackToml | None]:
    """Slice files in order, their common folder, and the `stack.toml` there."""
    if not isinstance(source, (str, os.PathLike)) and len(source) == 1:
        source = source[0]
    whole = Path(source).expanduser() if isinstance(source, (str, os.PathLike)) else None
    if whole is not None and whole.is_dir():
        toml = read_stack_toml(whole)
        files = list(toml.files) if toml and toml.files else folder_slices(whole, series=series)
        return files, whole, toml
    files = resolve(source, series=series)
    folders = {file.parent for file in files}
    folder = folders.pop() if len(folders) == 1 else None
    return files, folder, read_stack_toml(folder) if folder else None


def _open(files: Sequence[Path], every: int | None, max_frames: int | None) -> list[SliceSource]:
    """Slices of one container, or one slice per file; only headers are read."""
    if len(files) == 1:
        suffix = files[0].suffix.lower()
        if suffix in frames.VIDEOS:
            return frames.video_sources(files[0], every, max_frames)
        if suffix in tiff.SUFFIXES:
            return tiff.page_sources(files[0])
        if suffix in frames.ANIMATIONS and frames.animation_frames(files[0]) > 1:
            return frames.animation_sources(files[0])
    videos = [file for file in files if file.suffix.lower() in frames.VIDEOS]
    if videos:
        raise ValueError(f"{videos[0]}: a video among {len(files)} files; give one video, or only pictures")
    return developed_alike([source_of(file, name) for file, name in zip(files, _names(files), strict=True)])


def _names(files: Sequence[Path]) -> list[str]:
    """File names, with as many folders before them as it takes to tell them apart."""
    depth = 1
    while len({file.parts[-depth:] for file in files}) < len(set(files)):
        depth += 1
    return ["/".join(file.parts[-depth:]) for file in files]


def _decoder(
    source: SliceSource, channels: int, dtype: np.dtype, low: float, scale: float
) -> Callable[[], np.ndarray]:
    def decode() -> np.ndarray:
        image = conform(source.decode(), channels, dtype)
        if (low, scale) == (0.0, 1.0):
            return image
        image = image - np.float32(low)
        image *= np.float32(scale)
        return np.clip(image, 0, 1, out=image)

    return decode


def _common_scale(sources: Sequence[SliceSource]) -> tuple[float, float]:
    """(low, scale) so that (value - low) * scale lies in [0,1] for every slice of a float stack."""
    low, high = np.inf, -np.inf
    for source in sources:
        image = source.decode()
        low, high = min(low, float(image.min())), max(high, float(image.max()))
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    low = min(low, 0.0)
    warnings.warn(
        f"{sources[0].path}: pixel values {low:g} to {high:g} are scaled to [0,1], all slices "
        f"alike: (value - {low:g}) / {high - low:g}",
        stacklevel=2,
    )
    return low, 1.0 / (high - low) if high > low else 1.0


def _container_exif(path: Path) -> Image.Exif:
    return Image.Exif() if path.suffix.lower() in frames.VIDEOS else read_exif(path)


def _lens(parts: dict[str, float], toml: StackToml | None) -> Lens | None:
    """The lens, when all of it is known; what stack.toml begins it must be possible to finish."""
    missing = [word for key, word in _LENS_WORDS.items() if key not in parts]
    if not missing:
        return Lens(**parts)
    if toml is not None and toml.lens:
        raise ValueError(f"{toml.path}: [lens] lacks {', '.join(missing)}, and EXIF does not tell it")
    return None


def _check_repeats(checksums: Sequence[int | None], names: Sequence[str]) -> None:
    if len(set(checksums)) == 1:
        raise ValueError(
            f"all {len(names)} slices are the same picture ({names[0]} to {names[-1]}); "
            "a focal stack needs pictures focused at different distances"
        )
    pairs = [k for k in range(1, len(names)) if checksums[k] == checksums[k - 1]]
    if pairs:
        more = f" and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
        first = pairs[0]
        warnings.warn(
            f"{names[first - 1]} and {names[first]} are the same picture{more}; remove one of each pair",
            stacklevel=2,
        )
