"""All data sets by name."""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path

from dff.data.sample import DataSet, Samples

_PLACES = {
    "ddff12": "DDFF12",
    "defocusnet": "DEFOCUSNET",
    "smartphone": "SMARTPHONE",
    "lightfield4d": "LIGHTFIELD4D",
    "flyingthings3d": "FLYINGTHINGS3D",
    "middlebury": "MIDDLEBURY",
    "mobile_depth": "MOBILE_DEPTH",
    "nyuv2": "NYUV2",
    "zedd": "ZEDD",
    "arkitscenes": "ARKITSCENES",
    "mdff": "MDFF",
    "folder": "FOLDER",
    "rgbd": "RGBD",
}
"""The module of this package that describes each, and the name it has there."""

NAMES = tuple(_PLACES)


def find_dataset(name: str) -> DataSet:
    """The description of a data set.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    if name not in _PLACES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"no data set {name!r}; {hint}known: {', '.join(NAMES)}")
    found: DataSet = getattr(import_module(f"dff.data.{name}"), _PLACES[name])
    return found


def open_dataset(name: str, folder: str | Path, split: str) -> Samples:
    """The samples of one split, opened one by one when asked for.

    Args:
        name: one of `NAMES`.
        folder: where the data set lies (docs/datasets.md shows the trees).
        split: one of the data set's ``splits``.

    Raises:
        ValueError: an unknown name or split, or files that are damaged or of another kind.
        FileNotFoundError: something is missing; the message states the expected tree.
    """
    return find_dataset(name).open(folder, split)
