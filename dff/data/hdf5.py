"""Stacks in HDF5 files, read slice by slice; a file is opened once in every process that reads it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from dff.formats.slices import LazySlices

_CACHE_BYTES = 64 << 20  # of decompressed chunks: a stack of 10x512x512 float32 is 30 MiB


class H5File:
    """An HDF5 file that may travel to other processes.

    Raises:
        ValueError: not HDF5, or cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: tuple[int, h5py.File] | None = None
        self._file()

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        self.path, self._open = path, None

    def _file(self) -> h5py.File:
        # a handle that a forked process inherits shares its place in the file with its parent
        if self._open is None or self._open[0] != os.getpid():
            try:
                self._open = os.getpid(), h5py.File(self.path, "r", rdcc_nbytes=_CACHE_BYTES)
            except OSError as error:
                reason = str(error).splitlines()[0]
                raise ValueError(
                    f"{self.path}: cannot be opened as HDF5 ({reason}); "
                    "the file is truncated or of another kind: fetch it again"
                ) from None
        return self._open[1]

    def shape(self, key: str, pattern: Sequence[int | None]) -> tuple[int, ...]:
        """Shape of array ``key``; ``pattern`` has one entry per axis, None for any length.

        Raises:
            ValueError: no such array, another shape, or no numbers.
        """
        file = self._file()
        found = file.get(key)
        if not isinstance(found, h5py.Dataset):
            raise ValueError(
                f"{self.path}: holds no array {key!r}, only {', '.join(sorted(file)) or 'nothing'}; "
                "is it another file of the data set?"
            )
        fits = len(found.shape) == len(pattern)
        fits = fits and all(n in (None, m) for n, m in zip(pattern, found.shape, strict=True))
        if not fits or found.dtype.kind not in "uif":
            wanted = "x".join("any" if n is None else str(n) for n in pattern)
            told = "x".join(map(str, found.shape))
            raise ValueError(f"{self.path}: {key} is {found.dtype} {told}; expected numbers of {wanted}")
        return tuple(found.shape)

    def read(self, key: str, *index: int) -> np.ndarray:
        """A part of array ``key``.

        Raises:
            ValueError: the part is damaged.
        """
        try:
            return np.asarray(self._file()[key][index])
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"{self.path}: {key} {index} cannot be read ({reason}); fetch it again"
            ) from None

    def has(self, key: str) -> bool:
        """Whether there is something called ``key``."""
        return key in self._file()

    def text(self, key: str, *index: int) -> str:
        """One entry of an array of words."""
        word = self._file()[key][index]
        return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)

    def picture(self, key: str, *index: int) -> np.ndarray:
        """(H,W,3) uint8 as it is, or float of 0 to 255 as float32 in [0,1]."""
        found = self.read(key, *index)
        if found.dtype == np.uint8:
            return found
        levels = found.astype(np.float32)
        if not (levels.min() >= 0 and levels.max() <= 255):
            raise ValueError(f"{self.path}: {key} {index} leaves 0 to 255 or holds NaN; fetch it again")
        return levels / np.float32(255)

    def slices(self, key: str, stack: int, order: Sequence[int]) -> LazySlices:
        """Slices of stack ``stack`` of array (stacks,N,H,W,3), in the ``order`` given."""
        return LazySlices([partial(self.picture, key, stack, k) for k in order])


def stacks_and_depth(file: H5File, stack_key: str, depth_key: str | None, n: int | None) -> tuple[int, ...]:
    """Shape (stacks,N,H,W,3) of the stacks, checked against that of the depth (stacks,H,W), if there is any.

    Raises:
        ValueError: as `H5File.shape`; ``n`` is the number of slices, or None for any.
    """
    shape = file.shape(stack_key, (None, n, None, None, 3))
    if depth_key is not None:
        file.shape(depth_key, (shape[0], *shape[2:4]))
    return shape
