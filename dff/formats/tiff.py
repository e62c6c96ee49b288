"""TIFF, OME-TIFF and ImageJ stacks through tifffile: pages, axes, bit depths and stage heights."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from PIL import Image

from dff.formats.pixels import (
    PictureError,
    grey_or_rgb,
    mean_channels,
    oriented,
    oriented_layout,
    reading,
    stored_dtype,
    to_stored,
)
from dff.formats.slices import Layout, SliceSource

SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8"})
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PLAIN = ("MINISBLACK", "MINISWHITE", "RGB")
# Lengths as OME and ImageJ write them, in micrometres.
_UM = {
    "pm": 1e-6, "å": 1e-4, "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0,
    "micrometer": 1.0, "micrometre": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "in": 25400.0, "inch": 25400.0,
}  # fmt: skip


@contextmanager
def opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """An open TIFF. tifffile reports damage both by log and by exception; the log is kept quiet."""
    logger = logging.getLogger("tifffile")
    was = logger.disabled
    logger.disabled = True
    try:
        with reading(path), tifffile.TiffFile(path) as tif:
            yield tif
    finally:
        logger.disabled = was


def is_tiff(head: bytes) -> bool:
    """True for the first bytes of a TIFF or BigTIFF."""
    return head[:4] in MAGIC


def _orientation(page: Any) -> int:
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None else 1


def _has_alpha(page: Any) -> bool:
    return len(page.extrasamples) > 0


def _layout(page: Any) -> Layout:
    page = page.keyframe  # pages of a series share the tags of its first one
    samples = page.samplesperpixel - (1 if _has_alpha(page) else 0)
    if page.photometric.name in _PLAIN:
        channels, dtype = (3 if samples in (3, 4) else 1), stored_dtype(page.dtype)
    else:
        channels, dtype = 3, np.dtype(np.uint8)
    layout = Layout(page.imagelength, page.imagewidth, channels, dtype)
    return oriented_layout(layout, _orientation(page))


def _check_complete(page: Any, path: Path) -> None:
    ends = [a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if ends and max(ends) > page.parent.filehandle.size:
        raise PictureError(
            f"{path}: the file is truncated ({page.parent.filehandle.size} bytes); copy it again"
        )


def _check_chain(tif: tifffile.TiffFile, path: Path) -> None:
    """A file cut short can end in a link to a page that is gone; tifffile only logs it."""
    handle, width = tif.filehandle, tif.tiff.offsetsize
    handle.seek(tif.pages.next_page_offset or 0)
    link = handle.read(width)
    target = int.from_bytes(link, "little" if tif.byteorder == "<" else "big")
    if len(link) < width or target >= handle.size:
        raise PictureError(f"{path}: the file is truncated after page {len(tif.pages)}; copy it again")


def _pixels(tif: tifffile.TiffFile, index: int, path: Path) -> np.ndarray:
    page: Any = tif.pages[index]
    _check_complete(page, path)
    if page.photometric.name not in _PLAIN:  # palette, CMYK, YCbCr, Lab: Pillow knows them
        with Image.open(path) as image:
            image.seek(index)
            return oriented(np.asarray(image.convert("RGB")), _orientation(page))
    image = page.asarray()
    if page.axes[:1] == "S":
        image = np.moveaxis(image, 0, -1)
    if page.photometric.name == "MINISWHITE":
        image = ~image if image.dtype.kind in "bu" else image.max() - image
    return oriented(to_stored(grey_or_rgb(image, _has_alpha(page)), path), _orientation(page))


def decode_page(path: Path, index: int) -> np.ndarray:
    """Page ``index`` of a TIFF as (H,W) or (H,W,3)."""
    with opened(path) as tif:
        return _pixels(tif, index, path)


def _decode_channels(path: Path, indices: tuple[int, ...]) -> np.ndarray:
    with opened(path) as tif:
        image = np.stack([_pixels(tif, index, path) for index in indices], axis=-1)
    return image if len(indices) == 3 else mean_channels(image)


def single_source(path: Path, name: str) -> SliceSource:
    """A TIFF that is one slice of a stack of files."""
    with opened(path) as tif:
        first: Any = tif.pages[0]
        alike = sum(1 for page in tif.pages if page.shape == first.shape)
        if alike > 1:
            raise PictureError(
                f"{path}: holds {alike} pages; a stack is one multi-page file, or several files of one page"
            )
        return SliceSource(name, _layout(first), path, partial(decode_page, path, 0))


def page_sources(path: Path) -> list[SliceSource]:
    """The slices of a multi-page TIFF or OME-TIFF, along Z (else T, else the unnamed page axis).

    Channels: 1 is grey, 3 are RGB, other counts are averaged. One time point only.

    Raises:
        PictureError: damaged file, pages of mixed sizes, several time points, or axes without a meaning.
    """
    with opened(path) as tif:
        _check_chain(tif, path)
        series = max(tif.series, key=lambda s: (len(s.pages), s.size))
        if len(tif.series) > 1 and len(series.pages) == 1 and len(tif.pages) > 1:
            sizes = sorted({f"{s.shape}" for s in tif.series})
            raise PictureError(
                f"{path}: the pages are of mixed sizes {', '.join(sizes)}; give slices of one size"
            )
        grid, axes = _page_grid(series, path)
        if grid is None:
            return _array_sources(path, series)
        columns = grid.shape[1]
        if axes == "C" and columns != 1:
            grid, columns = _channels_as_slices(path, grid)
        if columns not in (1, 3):
            warnings.warn(f"{path}: {columns} channels; their mean is used as grey", stacklevel=2)
        pages: list[Any] = [tif.pages[int(row[0])] for row in grid]
        layouts = [_layout(page) for page in pages]
    if columns > 1 and layouts[0].channels == 3:
        raise PictureError(f"{path}: {columns} channels of colour pages; save one channel, or plain RGB")
    sources = []
    for k, (row, layout) in enumerate(zip(grid, layouts, strict=True)):
        if columns == 1:
            decode = partial(decode_page, path, int(row[0]))
        else:
            decode = partial(_decode_channels, path, tuple(int(i) for i in row))
            layout = Layout(layout.height, layout.width, 3 if columns == 3 else 1, layout.dtype)
        sources.append(SliceSource(_page_name(k, len(grid)), layout, path, decode))
    return sources


def _page_name(k: int, count: int) -> str:
    return f"page_{k + 1:0{max(3, len(str(count)))}d}"


def _channels_as_slices(path: Path, grid: np.ndarray) -> tuple[np.ndarray, int]:
    if grid.shape[1] <= 3:
        return grid, grid.shape[1]
    warnings.warn(f"{path}: {grid.shape[1]} channels and no Z axis; they are read as slices", stacklevel=2)
    return grid.reshape(-1, 1), 1


def _page_grid(series: Any, path: Path) -> tuple[np.ndarray | None, str]:
    """(slices, channels) page indices, or None when pages cannot be addressed one by one; leading axes."""
    in_page = len(series.keyframe.axes) if series.keyframe is not None else 2
    axes, shape = series.axes[:-in_page], series.shape[: len(series.shape) - in_page]
    longer = [(a, n) for a, n in zip(axes, shape, strict=True) if n > 1]
    names = "".join(a for a, _ in longer)
    slice_axes = [a for a in names if a != "C"]
    if len(slice_axes) > 1:
        what = "several time points" if sorted(slice_axes) == ["T", "Z"] else f"the axes {series.axes}"
        raise PictureError(f"{path}: holds {what} {series.shape}; save one focal stack (axes ZYX) first")
    if series.is_multifile or len(series.pages) != math.prod(shape) or any(p is None for p in series.pages):
        return None, names
    if slice_axes == ["T"]:
        warnings.warn(
            f"{path}: no Z axis; the {dict(longer)['T']} time points are read as slices", stacklevel=2
        )
    grid = np.array([page.index for page in series.pages]).reshape([n for _, n in longer] or [1])
    if "C" not in names:
        return grid.reshape(-1, 1), names
    return np.moveaxis(grid, names.index("C"), -1).reshape(-1, dict(longer)["C"]), names


def _array_sources(path: Path, series: Any) -> list[SliceSource]:
    """Slices of a series without pages of its own (ImageJ over 4 GB, OME over several files): (Z,Y,X[,S])."""
    whole: np.ndarray
    if series.dataoffset is not None and not series.is_multifile:
        whole = tifffile.memmap(path, mode="r")
    else:
        whole = series.asarray()
    whole = whole.reshape([n for n in series.shape if n > 1])
    letters = [a for a, n in zip(series.axes, series.shape, strict=True) if n > 1]
    if "C" in letters:
        whole = np.moveaxis(whole, letters.index("C"), -1)
    if whole.ndim not in (3, 4):
        raise PictureError(
            f"{path}: axes {series.axes} {series.shape} are no focal stack; save it as ZYX or ZYXS"
        )

    def decode(k: int) -> np.ndarray:
        return to_stored(grey_or_rgb(np.asarray(whole[k]), alpha=False), path)

    channels = 3 if whole.ndim == 4 and whole.shape[3] in (3, 4) else 1
    layout = Layout(whole.shape[1], whole.shape[2], channels, stored_dtype(whole.dtype))
    return [
        SliceSource(_page_name(k, len(whole)), layout, path, partial(decode, k)) for k in range(len(whole))
    ]


def page_count(path: Path) -> int:
    """Pages of a TIFF."""
    with opened(path) as tif:
        return len(tif.pages)


def stage_heights(path: Path, count: int) -> tuple[list[float] | None, str]:
    """Stage heights [um] of the ``count`` slices and where they came from, or (None, why there are none)."""
    with opened(path) as tif:
        if tif.is_ome and tif.ome_metadata:
            return _ome_heights(tif.ome_metadata, count)
        if tif.is_imagej and tif.imagej_metadata:
            step = tif.imagej_metadata.get("spacing")
            unit = str(tif.imagej_metadata.get("unit", "")).replace("\\u00B5", "µ").strip().lower()
            if isinstance(step, (int, float)) and step and unit in _UM:
                um = abs(float(step)) * _UM[unit]
                return [um * k for k in range(count)], f"ImageJ spacing {um:g} um"
    return None, ""


def _ome_heights(xml: str, count: int) -> tuple[list[float] | None, str]:
    root = ElementTree.fromstring(xml)
    pixels = root.find(".//{*}Image/{*}Pixels")
    if pixels is None:
        return None, ""
    heights: dict[int, float] = {}
    for plane in pixels.findall("{*}Plane"):
        unit = plane.get("PositionZUnit", "reference frame").lower()
        if plane.get("PositionZ") and unit in _UM:
            heights.setdefault(int(plane.get("TheZ", "0")), float(plane.get("PositionZ", "nan")) * _UM[unit])
    if sorted(heights) == list(range(count)) and len(set(heights.values())) == count:
        return [heights[k] for k in range(count)], "OME PositionZ of each plane"
    step = pixels.get("PhysicalSizeZ")
    if step is None:
        return None, ""
    unit = pixels.get("PhysicalSizeZUnit", "µm").lower()
    if unit not in _UM or not float(step) > 0:
        return None, f"OME PhysicalSizeZ is {step} {unit}, which is no length"
    um = float(step) * _UM[unit]
    return [um * k for k in range(count)], f"OME PhysicalSizeZ {um:g} um"
