"""Patches for autofocus from wherever they lie: a file of simulated ones, or the public data set."""

from __future__ import annotations

from pathlib import Path

from dff.data.af_patches import AutofocusPatches, SimulatedPatches, patches_file
from dff.data.l2a import is_l2a, open_l2a


def open_patches(place: str | Path, split: str) -> AutofocusPatches:
    """One split of the patches at ``place``.

    Args:
        place: folder with train.h5, val.h5 and test.h5; such a file itself, which then serves any split; or
            the folder of the public autofocus data set.
        split: train, val or test.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: unknown split, or files of another kind.
    """
    path = Path(place).expanduser()
    if path.is_dir() and is_l2a(path):
        return open_l2a(path, split)
    return SimulatedPatches(patches_file(path, split))
