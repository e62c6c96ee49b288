"""Slices that are decoded when they are looked at, so that long stacks of large pictures fit in memory."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class Layout:
    """Size and pixel type of a slice, known from the file header before anything is decoded.

    ``dtype`` is uint8, uint16 or float32; ``channels`` is 1 (grey) or 3 (RGB).
    """

    height: int
    width: int
    channels: int
    dtype: np.dtype


@dataclass(frozen=True)
class SliceSource:
    """One slice on disk: its name, its layout, its file, and how to decode it to (H,W) or (H,W,3)."""

    name: str
    layout: Layout
    path: Path
    decode: Callable[[], np.ndarray]


class LazySlices(Sequence[np.ndarray]):
    """A sequence of read-only slices, decoded on demand by ``decoders``.

    Decoded slices are kept in their own bit depth, first come first kept, while their total stays within
    ``budget_bytes``; the others are decoded again at each look, so memory is bounded for any length.
    """

    def __init__(self, decoders: Sequence[Callable[[], np.ndarray]], budget_bytes: int = CACHE_BYTES) -> None:
        self._decoders = list(decoders)
        self._budget_bytes = budget_bytes
        self._kept: dict[int, np.ndarray] = {}
        self._checksums: list[int | None] = [None] * len(self._decoders)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._decoders)

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(len(self)))]
        index = int(k) + len(self) if k < 0 else int(k)
        if not 0 <= index < len(self):
            raise IndexError(f"slice {k} of a stack of {len(self)}")
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        image = np.ascontiguousarray(self._decoders[index]())
        image.setflags(write=False)
        with self._lock:
            if self._checksums[index] is None:
                self._checksums[index] = zlib.crc32(image.data)
            if index not in self._kept and self.kept_bytes + image.nbytes <= self._budget_bytes:
                self._kept[index] = image
        return image

    @property
    def kept_bytes(self) -> int:
        """Bytes of decoded slices held now."""
        return sum(image.nbytes for image in self._kept.values())

    @property
    def checksums(self) -> list[int | None]:
        """CRC-32 of the pixels of each slice, None where it was never decoded: equal pictures, equal sums."""
        return list(self._checksums)
