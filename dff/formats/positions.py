"""Where each slice is focused: the sources in their order of precedence.

The argument, stack.toml and focus_distance.txt are promises of a person: what is wrong there is an error.
JSON, EXIF and OME are what a camera left behind: what is wrong there is ignored, with a warning.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from dff.formats import implicit, tiff
from dff.formats.distance_txt import DISTANCES, read_distance_txt
from dff.formats.select import folder_slices
from dff.formats.stack_toml import StackToml
from dff.formats.units import FocusUnit, Kind, Quantity, convert, parse_quantity, split_numbers

Focus = str | os.PathLike[str] | Sequence[float | str] | np.ndarray

UNKNOWN = "unknown: depth comes out in focal index"


@dataclass(frozen=True)
class Positions:
    """One focus position per slice (or none), where they came from, and what was learnt of the lens."""

    kind: Kind | None = None
    values: np.ndarray | None = None
    origin: str = UNKNOWN
    lens: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Slices:
    """What the sources of positions look at.

    Args:
        names: one per slice.
        files: the picture of each slice, or the one container (``container`` is True).
        folder: the folder that holds all files, or None when there are several.
        exifs: EXIF of each picture; empty for a container.
        width, height: of the pictures, px.
    """

    names: tuple[str, ...]
    files: tuple[Path, ...]
    container: bool
    folder: Path | None
    exifs: tuple[Image.Exif, ...]
    width: int
    height: int


def find_positions(
    slices: Slices, focus: Focus | None, unit: FocusUnit, from_names: bool, toml: StackToml | None
) -> Positions:
    """The first source that knows the positions, in the order of docs/reading.md.

    Raises:
        ValueError: an explicit source (argument, stack.toml, focus_distance.txt, file names) is wrong.
        FileNotFoundError: ``focus`` names a file that does not exist.
    """
    found = _first(slices, focus, unit, toml)
    lens = {**found.lens, **(toml.lens if toml else {})}
    if found.kind is None and from_names:
        if slices.container:
            raise ValueError(f"{slices.files[0]}: focus_from_names needs one file per slice")
        kind, values, origin = implicit.from_names([file.stem for file in slices.files], unit)
        return Positions(kind, values, origin, lens)
    if from_names:
        warnings.warn(f"file names are not used for focus: it comes from {found.origin}", stacklevel=2)
    return Positions(found.kind, found.values, found.origin, lens)


def _first(slices: Slices, focus: Focus | None, unit: FocusUnit, toml: StackToml | None) -> Positions:
    count = len(slices.names)
    if focus is not None:
        quantities, what = read_focus(focus, unit)
        origin = "given" if what == "focus" else f"given in {what}"
        return Positions(*convert(quantities, count, what), origin=origin)
    if toml is not None and toml.key:
        found = _from_toml(toml, slices)
        if found.kind is not None:
            return found
    if slices.folder is not None and (slices.folder / DISTANCES).is_file():
        found = _from_txt(slices, slices.folder, unit)
        if found.kind is not None:
            return found
    if slices.container:
        return _from_tiff(slices)
    hit = implicit.from_json(slices.files, slices.names)
    hit = hit or implicit.from_exif(slices.exifs, slices.names, slices.width, slices.height)
    return Positions(*hit) if hit else Positions()


def read_focus(focus: Focus, unit: FocusUnit) -> tuple[list[Quantity], str]:
    """The ``focus`` argument: numbers, "30cm,50cm,inf", or a text file -> quantities, and its name."""
    what = "focus"
    if isinstance(focus, (str, os.PathLike)):
        path = Path(focus).expanduser()
        text = str(focus)
        try:
            is_file = path.is_file()
        except OSError:  # a long list of numbers is no legal file name
            is_file = False
        if is_file:
            what = str(path)
            try:
                text = path.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError:
                raise ValueError(f"{path}: not a text file of focus positions") from None
        elif isinstance(focus, os.PathLike) or path.suffix.lower() in (".txt", ".csv", ".dat"):
            raise FileNotFoundError(f"{path}: no such file of focus positions")
        words: Sequence[float | str] = split_numbers(text)
        if not words:
            raise ValueError(f"{what}: holds no numbers; give one focus position per slice")
    else:
        words = list(np.asarray(focus, dtype=object).reshape(-1))
    return [
        parse_quantity(w, unit, what) if isinstance(w, str) else (_as_float(w, what), unit) for w in words
    ], what


def _as_float(value: object, what: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{what}: {value!r} is not a number") from None


def _members(slices: Slices, listed: Sequence[Path]) -> list[str] | None:
    """Slices that a table in the folder speaks of, or None when it speaks of other files altogether."""
    assert slices.folder is not None
    members = list(listed) or folder_slices(slices.folder, quiet=True)
    if slices.container:
        return list(slices.names) if members == [slices.files[0]] else None
    return [str(p) for p in members]


def _picked(quantities: list[Quantity], members: list[str], slices: Slices, what: str) -> list[Quantity]:
    """Positions of the slices at hand, from a table for the whole folder."""
    wanted = list(slices.names) if slices.container else [str(file) for file in slices.files]
    if len(quantities) == len(wanted) and set(wanted) - set(members):
        return quantities
    if len(quantities) != len(members):
        raise ValueError(
            f"{what}: {len(quantities)} values for {len(members)} slices; give exactly one per slice"
        )
    table = dict(zip(members, quantities, strict=True))
    missing = [name for name in wanted if name not in table]
    if missing:
        raise ValueError(
            f"{what}: gives no position for {Path(missing[0]).name}; name the slices with files = [...]"
        )
    return [table[name] for name in wanted]


def _from_toml(toml: StackToml, slices: Slices) -> Positions:
    members = _members(slices, toml.files)
    if members is None:
        return Positions()
    unit: FocusUnit = "m" if toml.key == "focus_m" else "dioptre" if toml.key == "focus_dioptre" else "um"
    values = toml.values
    if toml.key == "z_step_um":
        values = tuple(values[0] * k for k in range(len(members)))
    what = f"{toml.path}: {toml.key}"
    quantities = _picked([(v, unit) for v in values], members, slices, what)
    return Positions(*convert(quantities, len(slices.names), what), origin=f"{toml.path.name}: {toml.key}")


def _from_txt(slices: Slices, folder: Path, unit: FocusUnit) -> Positions:
    members = _members(slices, ())
    if members is None:
        return Positions()
    distances, focal_length_m, origin = read_distance_txt(folder, unit)
    what = str(folder / DISTANCES)
    picked = _picked(distances, members, slices, what)
    lens = {"focal_length_m": focal_length_m} if focal_length_m else {}
    return Positions(*convert(picked, len(slices.names), what), origin=origin, lens=lens)


def _from_tiff(slices: Slices) -> Positions:
    if slices.files[0].suffix.lower() not in tiff.SUFFIXES:
        return Positions()
    heights, origin = tiff.stage_heights(slices.files[0], len(slices.names))
    if heights is None:
        if origin:
            warnings.warn(f"{slices.files[0]}: {origin}; ignored", stacklevel=2)
        return Positions()
    return Positions("um", np.asarray(heights, dtype=np.float64), origin)
