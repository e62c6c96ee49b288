"""How fast stacks are read from HDF5, for training and evaluation, beside how fast a network takes them."""

from __future__ import annotations

import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from dff.data.catalogue import open_dataset
from dff.data.sample import Samples
from dff.eval.baselines.methods import load_method
from dff.eval.dataset_protocol import DatasetProtocol
from dff.eval.dataset_score import view
from dff.eval.inputs import Say, one_thread
from dff.eval.report import Cell, Report, Table, Target
from dff.eval.spent import spent
from dff.simulator.workers import one_torch_thread
from dff.train.dataset_config import DatasetSourceConfig
from dff.train.dataset_source import read_window

NAME = "loader-speed"
STORAGE: dict[str, dict[str, Any]] = {
    "plain": {},
    "gzip, a slice per chunk": {"compression": "gzip", "compression_opts": 4},
}
"""How the array of stacks lies in the file."""
_SPLIT = "train"


@dataclass(frozen=True)
class Protocol:
    """What is read and by whom it is taken.

    Args:
        stacks: in the file.
        slices: of each; DDFF 12-Scene has 10.
        size: (height, width), a square as in the official file.
        model: name or path.
        consumed: stacks that the model is timed on, at most those of the file.
        ratio: target, stacks read over stacks consumed per CPU second, of a plain file.
    """

    stacks: int
    slices: int
    size: tuple[int, int]
    model: str
    consumed: int
    ratio: float

    def __post_init__(self) -> None:
        if min(self.stacks, self.consumed) < 1:
            raise ValueError("stacks and consumed: give 1 or more")


def _write(path: Path, protocol: Protocol, count: int, how: dict[str, Any]) -> None:
    """A file of DDFF's official layout: smooth pictures with some noise, which compress as photographs do."""
    random = np.random.default_rng(0)
    height, width = protocol.size
    shape = count, protocol.slices, height, width, 3
    chunks = (1, 1, *shape[2:]) if how else None
    ramp = np.linspace(30, 200, width)[:, None] + np.linspace(0, 40, 3)
    with h5py.File(path, "w") as file:
        stacks = file.create_dataset(f"stack_{_SPLIT}", shape, np.uint8, chunks=chunks, **how)
        for k in range(count):
            stacks[k] = np.clip(ramp + random.normal(0, 3, shape[1:]), 0, 255).astype(np.uint8)
        file[f"disp_{_SPLIT}"] = random.uniform(0.0202, 0.2825, (count, height, width))


def _forget(path: Path) -> None:
    """Drop the file from the system's cache, where the system can: it is then read from the disk."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _for_training(samples: Samples, protocol: Protocol) -> Iterator[None]:
    """What a training step gets: a window of the whole size, as tensors."""
    config = DatasetSourceConfig(
        dataset="ddff12", split=_SPLIT, held_out="h5_val", slices=protocol.slices, size=protocol.size
    )
    for k in range(len(samples)):
        read_window(samples[k], config, np.random.default_rng(k))
        yield


def _for_evaluation(samples: Samples, protocol: Protocol) -> Iterator[None]:
    """What a method gets: the slices and the truth."""
    wanted = DatasetProtocol(dataset="ddff12", split=_SPLIT, unit="disparity_px", metrics=("mae",))
    for k in range(len(samples)):
        view(samples[k], wanted)
        yield


_READERS: dict[str, Callable[[Samples, Protocol], Iterator[None]]] = {
    "training": _for_training,
    "evaluation": _for_evaluation,
}


@contextmanager
def _quiet_threads() -> Iterator[None]:
    with one_thread(), one_torch_thread():
        yield


def _consumed(samples: Samples, protocol: Protocol) -> tuple[float, float]:
    """CPU and wall seconds per stack of the model, depth alone; the first, which warms up, does not count."""
    method = load_method(protocol.model, "cpu")
    wanted = DatasetProtocol(dataset="ddff12", split=_SPLIT, unit="disparity_px", metrics=("mae",))
    chosen = [view(samples[k], wanted).sample for k in range(min(protocol.consumed, len(samples)))]
    method.estimate(chosen[0])
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for sample in chosen:
        method.estimate(sample)
    return (time.process_time() - cpu_s) / len(chosen), (time.perf_counter() - wall_s) / len(chosen)


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """Write a file, read all of it, run the model; all on one thread.

    Raises:
        ValueError: no such model, or a size that the data set does not have.
    """
    count = min(protocol.stacks, limit or protocol.stacks)
    rows: list[list[Cell]] = []
    targets = []
    with tempfile.TemporaryDirectory() as folder, _quiet_threads():
        consumed: tuple[float, float] | None = None
        for k, (storage, how) in enumerate(STORAGE.items()):
            path = Path(folder) / f"stacks_{k}.h5"
            say(f"{NAME}: {storage}, writing {count} stacks")
            _write(path, protocol, count, how)
            megabytes = path.stat().st_size / 1e6
            if consumed is None:
                say(f"{NAME}: {protocol.model}")
                consumed = _consumed(open_dataset("ddff12", path, _SPLIT), protocol)
            for reader, read in _READERS.items():
                say(f"{NAME}: {storage}, read for {reader}")
                _forget(path)
                samples = open_dataset("ddff12", path, _SPLIT)
                _, cost = spent(partial(deque, read(samples, protocol), maxlen=0))
                ratio = consumed[0] * count / cost.cpu_s
                wall_ratio = consumed[1] * count / cost.wall_s
                speeds = count / cost.cpu_s, count / cost.wall_s
                rows.append([storage, reader, megabytes, *speeds, cost.memory_mb, ratio, wall_ratio])
                if not how:
                    what = f"stacks read for {reader} over stacks that {protocol.model} takes, per"
                    targets += [
                        Target(f"{what} CPU second", ratio, "at least", protocol.ratio),
                        Target(f"{what} second", wall_ratio, "at least", protocol.ratio),
                    ]
    assert consumed is not None
    columns = {
        "file": "",
        "read for": "",
        "size [MB]": ".0f",
        "stacks / CPU s": ".1f",
        "stacks / s": ".1f",
        "memory [MB]": ".0f",
        "times consumed, CPU": ".1f",
        "times consumed, wall": ".1f",
    }
    height, width = protocol.size
    note = (
        f"{count} stacks of {protocol.slices}x{height}x{width} px and their disparities, in the layout of "
        "DDFF's official file, one thread, the file dropped from the system's cache before each reading. "
        f"{protocol.model} takes {1 / consumed[0]:.2f} stacks per CPU second, {1 / consumed[1]:.2f} per "
        f"second (PyTorch {torch.__version__.split('+')[0]}). Memory: the most that reading took on top of "
        "what was held."
    )
    return Report(NAME, options, asdict(protocol), [Table("HDF5", columns, rows, note)], targets)
