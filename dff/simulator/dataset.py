"""Many simulated stacks in one folder, each from its own seed: any order and restart gives the same bytes."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dff import __version__
from dff.formats.safe_write import check_folder
from dff.simulator.camera_model import Frame
from dff.simulator.camera_prior import Camera
from dff.simulator.capture import scene_range, take_batch
from dff.simulator.layers import Scene
from dff.simulator.manifest import (
    NAME,
    check_same,
    read_manifest,
    stack_name,
    write_manifest,
)
from dff.simulator.simulated import Simulated
from dff.simulator.sources import SceneSource
from dff.simulator.stack_files import SCHEMA, write_simulated
from dff.simulator.sweep import Sweep
from dff.simulator.workers import one_torch_thread, work_off
from dff.stack import Progress

MAX_SIDE_PX = 8192


@dataclass(frozen=True)
class Dataset:
    """A number of simulated stacks of one kind.

    Args:
        source: where the scenes come from.
        camera: a model or a prior.
        camera_name: what to call it.
        crop: which pixels of the camera, and which slice stands still.
        n: number of stacks.
        seed: of everything random, >= 0.
        n_slices: instead of what the camera says.
        far_dioptre, near_dioptre: limits of the scenes, instead of the ends of the sweep.
        dual_pixel: also take the pictures of the left and the right half of the aperture.
        device: "cpu" or "cuda"; random numbers differ between them.
    """

    source: SceneSource
    camera: Camera
    camera_name: str
    crop: Frame
    n: int
    seed: int = 0
    n_slices: int | None = None
    far_dioptre: float | None = None
    near_dioptre: float | None = None
    dual_pixel: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"{self.n} stacks: give 1 or more")
        if self.seed < 0:
            raise ValueError(f"seed {self.seed}: give 0 or more")
        if self.n_slices is not None and self.n_slices < 2:
            raise ValueError(f"{self.n_slices} slices; a focal stack has at least 2")
        if max(self.crop.whole) > MAX_SIDE_PX:
            raise ValueError(
                f"pictures of {self.crop.whole[1]}x{self.crop.whole[0]} px: at most {MAX_SIDE_PX} on a side"
            )

    def check(self) -> None:
        """Try, before any work, what can be tried in a moment: one sweep, and the source.

        Raises:
            ValueError, FileNotFoundError: settings that do not go together, or something missing.
        """
        random = np.random.default_rng(0)
        self._limits(self.camera.sweep(1, self.crop, random, self.n_slices), random)
        self.source.check()

    def manifest(self) -> dict[str, Any]:
        """Every setting, as plain tables."""
        return {
            "schema": SCHEMA,
            "dff": __version__,
            "n": self.n,
            "seed": self.seed,
            "scene": _plain(self.source.describe()),
            "camera": {"name": self.camera_name, **_plain(asdict(self.camera))},
            "size": list(self.crop.size),
            "frame": None if self.crop.frame is None else list(self.crop.frame),
            "reference": self.crop.reference,
            "n_slices": self.n_slices,
            "far_dioptre": self.far_dioptre,
            "near_dioptre": self.near_dioptre,
            "dual_pixel": self.dual_pixel,
            "device": self.device,
        }

    def stack_seed(self, index: int) -> int:
        """Seed of stack ``index``: of 62 bits, independent of how many stacks there are."""
        return int(np.random.SeedSequence([self.seed, index]).generate_state(1, np.uint64)[0] >> np.uint64(2))

    def stack(self, index: int) -> Simulated:
        """Stack ``index``, from nothing but the settings and its number.

        With procedural scenes it is `capture.simulate` of its seed.
        """
        with one_torch_thread():
            return self._stack(torch.Generator(self.device).manual_seed(self.stack_seed(index)))

    def _stack(self, generator: torch.Generator) -> Simulated:
        def scene(sweep: Sweep, random: np.random.Generator, height: int, width: int) -> Scene:
            return self.source.layers(generator, height, width, *self._limits(sweep, random))

        batch = take_batch(
            self.camera,
            self.crop,
            1,
            generator,
            scene,
            n_slices=self.n_slices,
            dual_pixel=self.dual_pixel,
        )
        return batch.stack(0)

    def _limits(self, sweep: Sweep, random: np.random.Generator) -> tuple[float, float]:
        """Far and near end of the scene of one stack [dioptre]."""
        ends = scene_range(sweep, (0.0, 0.0), random)
        asked = self.far_dioptre, self.near_dioptre
        far, near = (float(end[0]) if own is None else own for own, end in zip(asked, ends, strict=True))
        if not 0 <= far < near:
            told = " m to ".join(f"{1 / end:.4g}" if end > 0 else "inf" for end in (far, near))
            raise ValueError(
                f"the scene would reach from {told} m; its far end must be farther than its near end "
                "(what is not given is the end of the camera's sweep)"
            )
        return far, near


def _plain(value: Any) -> Any:
    """As JSON gives it back: tuples become lists."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


# --- one run ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What one run has to do.

    Args:
        dataset: all stacks.
        folder: where they go.
        mine: indices of this run's shard.
        todo: those of them that are not there yet.
    """

    dataset: Dataset
    folder: Path
    mine: tuple[int, ...]
    todo: tuple[int, ...]

    @property
    def done(self) -> int:
        """How many of this shard's stacks are there."""
        return sum((self.folder / stack_name(index)).is_dir() for index in self.mine)


def plan(
    dataset: Dataset, folder: str | Path, *, resume: bool = False, shard: tuple[int, int] = (1, 1)
) -> Run:
    """Check all that can be checked, and write nothing.

    Args:
        dataset: what to simulate.
        folder: missing (its parent must exist) or empty. With ``resume`` it may hold a part of the same data
            set; the folder of several shards may hold the stacks of the others.
        resume: go on with what is there.
        shard: (i, n): of n runs this is the i-th, which makes stacks i-1, i-1+n, ...

    Raises:
        FileNotFoundError, ValueError: something is missing or wrong, or the folder holds something else.
    """
    number, shards = shard
    if not 1 <= number <= shards:
        raise ValueError(f"shard {number}/{shards}: the first number goes from 1 to the second")
    folder = Path(folder)
    mine = tuple(range(number - 1, dataset.n, shards))
    check_folder(folder, overwrite=True)
    dataset.check()
    if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        if not resume and shards == 1:
            raise ValueError(f"{folder}: exists and is not empty: pass --resume, or choose another folder")
        if not (folder / NAME).is_file():
            raise ValueError(f"{folder}: is not empty and holds no {NAME}; choose another folder")
        check_same(read_manifest(folder), dataset.manifest(), folder / NAME)
    there = {index for index in mine if (folder / stack_name(index)).is_dir()}
    if there and not resume:
        raise ValueError(f"{folder}: holds stacks of shard {number}/{shards} already: pass --resume")
    return Run(dataset, folder, mine, tuple(index for index in mine if index not in there))


def write_dataset(run: Run, *, workers: int = 1, progress: Progress | None = None) -> None:
    """Simulate what is to do; a stack is there whole or not at all, whatever ends the run.

    Args:
        run: of `plan`.
        workers: processes, each with one thread.
        progress: told ("simulate", done, total) of this shard.

    Raises:
        ValueError, OSError: what went wrong; whole stacks stay, and a folder that holds none goes.
    """
    if workers < 1:
        raise ValueError(f"{workers} workers: give 1 or more")
    run.folder.mkdir(exist_ok=True)
    _sweep_up(run)
    if not (run.folder / NAME).is_file():
        write_manifest(run.dataset.manifest(), run.folder)
    total = len(run.mine)
    done = total - len(run.todo)
    tell = progress or (lambda *_: None)
    tell("simulate", done, total)
    try:
        with closing(work_off(partial(_write_stack, run.dataset, run.folder), run.todo, workers)) as finished:
            for _ in finished:
                done += 1
                tell("simulate", done, total)
    except BaseException:
        _sweep_up(run)
        if [path.name for path in run.folder.iterdir()] == [NAME]:
            shutil.rmtree(run.folder)
        raise


def _write_stack(dataset: Dataset, folder: Path, index: int) -> None:
    simulated = dataset.stack(index)
    # the name differs each time: another run on the same folder must not write into it
    temporary = folder / f".{stack_name(index)}-{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        write_simulated(simulated, temporary, {"index": index, "seed": dataset.stack_seed(index)})
        os.rename(temporary, folder / stack_name(index))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sweep_up(run: Run) -> None:
    """Remove what a run that was killed left behind; other shards may be at work on theirs."""
    for path in run.folder.iterdir():
        begun = re.fullmatch(r"\.(\d{6,})-[0-9a-f]{8}", path.name)
        if begun and int(begun.group(1)) in run.todo:
            shutil.rmtree(path, ignore_errors=True)
