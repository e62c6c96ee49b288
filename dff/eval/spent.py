"""What a call costs: CPU and wall seconds, and the memory it needs on top of what the process holds."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Spent:
    """User and system seconds of all threads, wall seconds, and peak megabytes; None: not measured here."""

    cpu_s: float
    wall_s: float
    memory_mb: float | None


def _kilobytes(key: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1])


def _start() -> int | None:
    """Resident memory [kB], with the peak set back to it; None where the system does not do that."""
    try:
        # what was freed but is still held would serve the call and not be seen
        ctypes.CDLL(None).malloc_trim(0)
        _RESET.write_text("5")
        return _kilobytes("VmRSS")
    except (OSError, AttributeError, TypeError, StopIteration):
        return None


def spent(call: Callable[[], _Result]) -> tuple[_Result, Spent]:
    """What ``call`` gives, and what it cost. Memory is measured on Linux alone."""
    held = _start()
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    memory = None if held is None else max(0, _kilobytes("VmHWM") - held) * 1024 / 1e6
    return result, Spent(cpu, wall, memory)
