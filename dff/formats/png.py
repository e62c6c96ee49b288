"""PNG through OpenCV (16 bit, fast), with the metadata chunks it does not write put in."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import cv2
import numpy as np

# signature (8 bytes) and IHDR (length, name, 13 bytes, checksum): metadata may follow from here
_AFTER_HEADER = 8 + 4 + 4 + 13 + 4


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def text_chunk(key: str, text: str) -> bytes:
    """One tEXt chunk; ``key`` of 1 to 79 characters, both Latin-1 (PNG specification, 11.3.3.2)."""
    return _chunk(b"tEXt", key.encode("latin-1") + b"\0" + text.encode("latin-1"))


def icc_chunk(profile: bytes) -> bytes:
    """One iCCP chunk (PNG specification, 11.3.2.3)."""
    return _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))


def exif_chunk(tiff: bytes) -> bytes:
    """One eXIf chunk of an EXIF block that starts with its TIFF header (PNG specification, 11.3.4.5)."""
    return _chunk(b"eXIf", tiff)


def encode_png(image: np.ndarray, chunks: bytes = b"") -> bytes:
    """(H,W) or (H,W,3) RGB, uint8 or uint16 -> the bytes of a PNG file with ``chunks`` in its head."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", image)
    if not done:
        raise OSError(f"OpenCV could not encode a PNG of shape {image.shape}")
    whole = data.tobytes()
    return whole[:_AFTER_HEADER] + chunks + whole[_AFTER_HEADER:]


def strict_json(data: Any, indent: int | None = None) -> str:
    """JSON in ASCII that refuses NaN and Infinity, which no other language reads."""
    return json.dumps(data, indent=indent, allow_nan=False)
