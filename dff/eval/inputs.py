"""What the benchmarks run on: real stacks on disk, simulated stacks, photographs for textures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2

from dff.formats.read import read_stack
from dff.stack import FocalStack

DATA_VARIABLE = "DFF_DATA"

Say = Callable[[str], None]
"""Told in one line what is done next."""


@dataclass(frozen=True)
class Seeds:
    """Consecutive seeds of simulated stacks, from ``first`` on."""

    first: int
    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count {self.count}; give at least 1")

    def take(self, limit: int | None) -> range:
        """The seeds, at most ``limit`` of them."""
        return range(self.first, self.first + min(self.count, limit or self.count))


def folder_name(name: str) -> str:
    """A variant's name as that of a folder; "D*" and "D1+FCL" keep what tells them apart."""
    return "-".join("".join(c if c.isalnum() or c in "+*." else " " for c in name).split())


def data_folder(given: Path | None) -> Path:
    """The folder of real stacks: ``given``, else the environment variable DFF_DATA.

    Raises:
        ValueError: neither is given.
        FileNotFoundError: no such folder.
    """
    named = given or os.environ.get(DATA_VARIABLE)
    if not named:
        raise ValueError(
            f"no folder of real stacks; give --data DIR or set {DATA_VARIABLE} (layout: docs/benchmarks.md)"
        )
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give the folder of real stacks with --data")
    return folder


def real_stack(folder: Path, name: str) -> FocalStack:
    """The stack ``name`` below the data folder, every slice decoded, so that timings leave reading out."""
    path = folder / name
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such stack; --data must hold the folders of docs/benchmarks.md")
    stack = read_stack(path)
    for k in range(len(stack)):
        stack.slices[k]
    return stack


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV on one thread, so that CPU seconds of two methods compare."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


class Stopwatch:
    """CPU seconds of this process, summed over `with` blocks."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self._started = 0.0

    def __enter__(self) -> Stopwatch:
        self._started = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_s += time.process_time() - self._started
