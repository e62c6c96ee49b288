"""Memory that large arrays leave is used again, instead of going back to the system with each of them.

The C library hands every large block back when it is freed, and the system zeroes its pages before they are
given out again: at 640x360 px that was two fifths of the processor time of the depth network.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt, from malloc.h
_USUAL = {_TRIM_THRESHOLD: 64 << 20, _MMAP_MAX: 65536}  # twice the largest block that glibc by itself keeps
_KEEPING = {_TRIM_THRESHOLD: (1 << 31) - 1, _MMAP_MAX: 0}

_lock = threading.Lock()
_depth = 0


@lru_cache(maxsize=1)
def _glibc() -> ctypes.CDLL | None:
    """The GNU C library, the only one that is known to have these settings."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None


def _set(settings: dict[int, int]) -> None:
    library = _glibc()
    if library is not None:
        for name, value in settings.items():
            library.mallopt(name, value)


def give_back() -> None:
    """What is free goes back to the system now: between steps that need blocks of other sizes."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@contextmanager
def reused_memory() -> Iterator[None]:
    """Within it this process keeps what it frees; at the end of the outermost one what is free is given back.

    Does nothing where the C library is not glibc. The peak is that of the blocks in use and of the gaps
    between them.
    """
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            _set(_KEEPING)
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _set(_USUAL)
                give_back()
