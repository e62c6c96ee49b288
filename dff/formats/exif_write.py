"""EXIF for pictures that were turned upright, aligned and merged: kept, but for what is no longer true."""

from __future__ import annotations

import os
import struct
import warnings
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

# how pixels were stored in the file that was read: sizes, compression, strips, tiles, thumbnails, profile
_STORAGE_TAGS = (
    *range(254, 260), 262, 266, 273, *range(277, 280), 284, 317, 320, *range(322, 326), 330, 338, 339, 347,
    513, 514, *range(529, 533), 700, 34675,
)  # fmt: skip
_WORD_TAGS = (270, 271, 272, 305, 306, 315, 33432)  # description, make, model, software, time, artist, (c)
_UNREADABLE = (OSError, SyntaxError, struct.error, ValueError, TypeError, KeyError, AttributeError)
# TIFF writers refuse the tags that point at sub-directories, so a neighbour's number keeps their place
_PLACEHOLDER = {ExifTags.IFD.Exif: 34664, ExifTags.IFD.GPSInfo: 34852}


def upright_exif(exif: bytes, width: int, height: int) -> Image.Exif | None:
    """EXIF for a picture of ``width`` x ``height`` px whose orientation has been applied.

    Orientation becomes 1, pixel sizes are updated, the thumbnail and storage tags go. Unreadable EXIF gives
    a warning and None: a finished picture is worth more than its metadata.
    """
    upright = Image.Exif()
    try:
        upright.load(exif if exif.startswith(b"Exif\0\0") else b"Exif\0\0" + exif)
        for tag in _STORAGE_TAGS:
            upright.pop(tag, None)
        details = upright.get_ifd(ExifTags.IFD.Exif)
        for tag, size in ((ExifTags.Base.ExifImageWidth, width), (ExifTags.Base.ExifImageHeight, height)):
            if tag in details:
                details[tag] = size
        upright[ExifTags.Base.Orientation] = 1
        upright.tobytes()
    except _UNREADABLE as error:
        warnings.warn(f"EXIF could not be read and is left out ({error})", UserWarning, stacklevel=2)
        return None
    return upright


def jpeg_exif(exif: Image.Exif) -> bytes:
    """The EXIF block for JPEG, without the maker's note where the whole exceeds JPEG's 64 KiB."""
    block = exif.tobytes()
    if len(block) > 65533:
        exif.get_ifd(ExifTags.IFD.Exif).pop(ExifTags.Base.MakerNote, None)
        block = exif.tobytes()
    if len(block) > 65533:
        warnings.warn("EXIF is larger than JPEG allows and is left out", UserWarning, stacklevel=2)
        return b""
    return block


def tiff_tags(exif: Image.Exif) -> list[tuple[int, int, int, Any, bool]]:
    """Tags for tifffile: the words of the main directory, and placeholders for `link_tiff_exif`."""
    words = {tag: str(exif[tag]).encode("utf-8", "replace") for tag in _WORD_TAGS if tag in exif}
    tags: list[tuple[int, int, int, Any, bool]] = [(274, 3, 1, 1, True)]
    tags += [(tag, 2, len(text) + 1, text + b"\0", True) for tag, text in words.items()]
    tags += [(code, 4, 1, 0, True) for ifd, code in _PLACEHOLDER.items() if exif.get_ifd(ifd)]
    return tags


def link_tiff_exif(path: Path, exif: Image.Exif) -> None:
    """Append the EXIF and GPS directories to a little-endian TIFF and point its placeholders at them."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages.first.tags
        places = {ifd: tags[code].offset for ifd, code in _PLACEHOLDER.items() if code in tags}
    with path.open("r+b") as file:
        for ifd, place in places.items():
            directory = ImageFileDirectory_v2(ifh=b"II*\0\0\0\0\0", group=int(ifd))
            for tag, value in exif.get_ifd(ifd).items():
                if tag != ExifTags.IFD.Interop:
                    directory[tag] = value
            end = file.seek(0, os.SEEK_END)
            start = end + end % 2
            file.write(b"\0" * (start - end) + directory.tobytes(start))
            file.seek(place)
            file.write(struct.pack("<HHII", int(ifd), 4, 1, start))
