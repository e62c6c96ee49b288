"""Pixel arrays as files hold them -> the two shapes and three types a slice may have."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dff.formats.slices import Layout, SliceSource

U8, U16, F32 = np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32)

# What decoders raise on damaged files: Pillow OSError and SyntaxError, tifffile ValueError and struct.error,
# imagecodecs and rawpy RuntimeError (rawpy.LibRawError is an Exception of its own, added where it is used).
DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, RuntimeError, EOFError, IndexError, KeyError, TypeError,
    AttributeError, ArithmeticError, AssertionError, MemoryError, struct.error, zlib.error,
)  # fmt: skip


class PictureError(ValueError):
    """A picture that cannot be used, said in one line that names the file."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises about ``path`` into one line."""
    try:
        yield
    except (PictureError, FileNotFoundError):
        raise
    except DECODE_ERRORS as error:
        reason = str(error).strip().splitlines()
        raise PictureError(
            f"{path}: cannot be read as a picture ({reason[0] if reason else type(error).__name__}); "
            "the file is truncated or damaged: copy it again or leave it out"
        ) from error


def stored_dtype(dtype: np.dtype) -> np.dtype:
    """Type a slice of this file type is kept in: 8 and 16 bit as they are, all else float32."""
    if dtype.kind == "b":
        return U8
    dtype = dtype.newbyteorder("=")  # big-endian files too
    return dtype if dtype in (U8, U16) else F32


def to_stored(image: np.ndarray, path: Path) -> np.ndarray:
    """Pixels in `stored_dtype`: 1 bit becomes 0 and 255; signed, 32 bit and double become float32."""
    if image.dtype == bool:
        return image.astype(np.uint8) * np.uint8(255)
    target = stored_dtype(image.dtype)
    image = image.astype(target, copy=False)
    if target == F32 and not np.isfinite(image).all():
        raise PictureError(f"{path}: the picture holds NaN or infinity; replace such pixels first")
    return image


def grey_or_rgb(image: np.ndarray, alpha: bool) -> np.ndarray:
    """(H,W) or (H,W,S) -> (H,W) or (H,W,3). Alpha is dropped; odd channel counts become their mean."""
    if image.ndim == 2:
        return image
    count = image.shape[2] - (1 if alpha else 0)
    if count == 1:
        return image[..., 0]
    if count in (3, 4):  # a fourth channel that no tag explains is alpha or infrared: not colour
        return image[..., :3]
    return mean_channels(image[..., :count])


def mean_channels(image: np.ndarray) -> np.ndarray:
    """(H,W,C) -> (H,W), the rounded mean in the same type."""
    mean = image.mean(axis=2, dtype=np.float32)
    return (np.rint(mean) if image.dtype.kind in "bui" else mean).astype(image.dtype)


def oriented(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror as the EXIF orientation (1 to 8) asks; other values leave the picture alone."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


def oriented_layout(layout: Layout, orientation: int) -> Layout:
    """The layout after `oriented`."""
    if orientation in (5, 6, 7, 8):
        return Layout(layout.width, layout.height, layout.channels, layout.dtype)
    return layout


def conform(image: np.ndarray, channels: int, dtype: np.dtype) -> np.ndarray:
    """Grey -> RGB by repetition and 8 -> 16 bit by 257, where the rest of the stack needs it."""
    if image.dtype == U8 and dtype == U16:
        image = image.astype(np.uint16) * np.uint16(257)
    if channels == 3 and image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return image


def common_layout(sources: Sequence[SliceSource]) -> tuple[int, np.dtype]:
    """Channels and type for the whole stack; mixed sizes and mixed float and integer are errors."""
    first = sources[0]
    for source in sources:
        here, there = source.layout, first.layout
        if (here.height, here.width) != (there.height, there.width):
            raise ValueError(
                f"{source.path}: {source.name} is {here.width}x{here.height} px, but {first.name} is "
                f"{there.width}x{there.height}; all slices must be of one size: crop or leave it out"
            )
    types = {source.layout.dtype for source in sources}
    if F32 in types and len(types) > 1:
        odd = next(s for s in sources if s.layout.dtype != first.layout.dtype)
        raise ValueError(
            f"{odd.path}: {odd.name} has {odd.layout.dtype} pixels, but {first.name} has "
            f"{first.layout.dtype}; convert the slices to one type"
        )
    dtype = U16 if U16 in types else next(iter(types))
    channels = max(source.layout.channels for source in sources)
    if len(types) > 1:
        warnings.warn("the slices mix 8 and 16 bit; all are read as 16 bit", stacklevel=2)
    if any(source.layout.channels != channels for source in sources):
        warnings.warn("the slices mix grey and colour; the grey ones are read as RGB", stacklevel=2)
    return channels, dtype
