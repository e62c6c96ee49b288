"""The 4D Light Field benchmark, refocused to ten slices of 512x512 px: 20 scenes to train, 4 to validate.

Honauer et al., ACCV 2016; refocused and packed by Wang et al. (AiFDepthNet, ICCV 2021). Depth is a disparity
[px] between neighbouring views, negative behind the plane of zero disparity; focus runs from -2.5 to 2.5, far
slice first.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dff.data.files import disparity_truth, file_in
from dff.data.hdf5 import H5File, stacks_and_depth
from dff.data.sample import DataSet, DepthSample, Samples, Truth

_FILE = "HCI_FS_trainval.h5"
_FOCUS = "focus_position_disp"


def _truth(file: H5File, key: str, k: int) -> Truth:
    return disparity_truth(file.read(key, k), f"{file.path}: {key} {k}", holes_at_zero=False)


def _sample(file: H5File, part: str, names: tuple[str, ...], focus: np.ndarray, k: int) -> DepthSample:
    order = np.argsort(focus)
    sharp = f"AiF_{part}"
    return DepthSample(
        name=names[k],
        images=file.slices(f"stack_{part}", k, [int(i) for i in order]),
        focus=focus[order],
        unit="disparity_px",
        read_truth=partial(_truth, file, f"disp_{part}", k),
        read_sharp=partial(file.picture, sharp, k) if file.has(sharp) else None,
    )


def _read(path: Path, split: str) -> Samples:
    file = H5File(file_in(path, [_FILE]))
    count, n, *_ = stacks_and_depth(file, f"stack_{split}", f"disp_{split}", None)
    file.shape(_FOCUS, (1, n))
    focus = file.read(_FOCUS, 0).astype(np.float64)
    key = f"name_{split}"
    names = tuple(file.text(key, k, 0) if file.has(key) else f"{split}/{k}" for k in range(count))
    return Samples(names, partial(_sample, file, split, names, focus))


LIGHTFIELD4D = DataSet("lightfield4d", ("train", "val"), f"DIR/{_FILE}", _read)
