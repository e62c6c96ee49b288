"""What `dff simulate` writes: a folder of stacks with every truth, and with motion between the slices."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dff.data.sample import DataSet, DepthSample, Samples, Truth
from dff.simulator.manifest import simulated_folders
from dff.simulator.simulated import Simulated
from dff.simulator.stack_files import read_simulated


def _truth(simulated: Simulated) -> Truth:
    return Truth(np.where(simulated.valid, simulated.dioptre, 0), simulated.valid)


def _sharp(simulated: Simulated) -> np.ndarray:
    return simulated.aif


def simulated_sample(simulated: Simulated, name: str) -> DepthSample:
    """A simulated stack, with its motion between slices, as a sample."""
    return DepthSample(
        name=name,
        images=simulated.stack.slices,
        focus=simulated.focus,
        unit="dioptre",
        read_truth=partial(_truth, simulated),
        read_sharp=partial(_sharp, simulated),
        dioptre_per_unit=1.0,
        focal_length_m=simulated.lens.focal_length_m,
        matrices=simulated.matrices,
        reference=simulated.reference,
    )


def _sample(folders: tuple[Path, ...], k: int) -> DepthSample:
    return simulated_sample(read_simulated(folders[k]), folders[k].name)


def _read(path: Path, split: str) -> Samples:
    folders = tuple(simulated_folders(path))
    return Samples([folder.name for folder in folders], partial(_sample, folders))


FOLDER = DataSet(
    "folder", ("all",), "DIR/manifest.json with DIR/000000 and so on, as dff simulate writes", _read
)
