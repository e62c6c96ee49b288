"""mDFF: focal stacks of a phone with a depth camera, as crops of 224x224 px in one file.

Hazirbas et al., Deep Depth From Focus, ACCV 2018; packed by the script of its toolbox. What the file calls
disparity is metres from 0.1 to 4, 0 where unknown. It states no focus distances, and its slices lie in the
order in which a folder was listed: they must be told in focus_distance.txt beside the file, one for each
slice in the file's order.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dff.data.files import existing, file_in, metric_truth
from dff.data.hdf5 import H5File, stacks_and_depth
from dff.data.sample import DataSet, DepthSample, Samples, Truth
from dff.formats.distance_txt import DISTANCES
from dff.formats.positions import read_focus
from dff.formats.units import convert
from dff.simulator.rgbd_depth import DepthScale

_FILE = "mDFF-dataset_cropped_clipped.h5"
_METRES = DepthScale("m")


def _truth(file: H5File, key: str, k: int) -> Truth:
    return metric_truth(file.read(key, k), file.path / f"{key} {k}", _METRES)


def _sample(file: H5File, part: str, first: int, focus: np.ndarray, k: int) -> DepthSample:
    order = np.argsort(focus)
    return DepthSample(
        name=f"{part}/{first + k}",
        images=file.slices(f"stack_{part}", first + k, [int(i) for i in order]),
        focus=focus[order],
        unit="dioptre",
        read_truth=partial(_truth, file, f"disp_{part}", first + k),
        dioptre_per_unit=1.0,
    )


def _focus(path: Path, n: int) -> np.ndarray:
    """(n,) dioptres, as listed; metres where no unit is written."""
    quantities, _ = read_focus(existing(path), "m")
    kind, values = convert(quantities, n, str(path))
    if kind != "dioptre":
        raise ValueError(f"{path}: gives stage heights; give focus distances")
    return values


def _read(path: Path, split: str) -> Samples:
    file = H5File(file_in(path, [_FILE]))
    count, n, *_ = stacks_and_depth(file, f"stack_{split}", f"disp_{split}", None)
    focus = _focus(file.path.with_name(DISTANCES), n)
    # the script that packed the file left the first place of some parts empty
    first = 0 if count == 0 or file.read(f"disp_{split}", 0).any() else 1
    names = [f"{split}/{k}" for k in range(first, count)]
    return Samples(names, partial(_sample, file, split, first, focus))


MDFF = DataSet("mdff", ("train", "val", "test"), f"DIR/{_FILE} with DIR/{DISTANCES}", _read)
