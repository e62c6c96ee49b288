"""`focus_distance.txt` with `focal_length.txt`: one number per line, in a unit that the files do not state.

The layout of the stack published with "Learning Depth from Focus in the Wild" (Won and Jeon, ECCV 2022).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

from dff.formats.units import METRES, FocusUnit, Quantity, parse_quantity, split_numbers

DISTANCES, FOCAL_LENGTH = "focus_distance.txt", "focal_length.txt"
_SHORTEST_M, _LONGEST_M = 1e-3, 0.6
_REMEDY = "write units behind the numbers (10cm) or use stack.toml"


def read_distance_txt(folder: Path, unit: FocusUnit) -> tuple[list[Quantity], float | None, str]:
    """Distances, focal length [m] where known, and how they were read.

    Units written behind the numbers win; then ``unit`` unless it is "m", the default; then the unit that a
    focal length allows (`_guess_unit`).

    Raises:
        ValueError: no numbers, numbers with and without units, or a focal length that fits no unit.
    """
    path, focal_path = folder / DISTANCES, folder / FOCAL_LENGTH
    distances, written = _numbers(path)
    focal, focal_written = _numbers(focal_path) if focal_path.is_file() else ([], False)
    focal_number = focal[0][0] if focal else None
    distance_unit, focal_unit = unit, unit
    if not written and unit == "m":
        bare_focal = None if focal_written else focal_number
        distance_unit, focal_unit = _guess_unit([v for v, _ in distances], bare_focal, path)
    if not written:
        distances = [(v, distance_unit) for v, _ in distances]
    if focal_written:
        focal_unit = focal[0][1]
    focal_length_m = None
    if focal_number is not None and focal_unit in METRES and focal_number > 0:
        focal_length_m = focal_number * METRES[focal_unit]
    how = "units as written" if written else f"read as {distance_unit}"
    return distances, focal_length_m, f"{DISTANCES} ({how})"


def _numbers(path: Path) -> tuple[list[Quantity], bool]:
    """Numbers of a text file, and whether units are written behind them."""
    words = split_numbers(path.read_text(encoding="utf-8-sig", errors="replace"))
    if not words:
        raise ValueError(f"{path}: holds no numbers")
    quantities = [parse_quantity(word, "m", str(path)) for word in words]
    bare = [
        word
        for word, (value, unit) in zip(words, quantities, strict=True)
        if math.isfinite(value) and parse_quantity(word, "cm", str(path))[1] != unit
    ]
    finite = sum(math.isfinite(value) for value, _ in quantities)
    if 0 < len(bare) < finite:
        raise ValueError(f"{path}: some numbers have a unit and {bare[0]} has none; give all one")
    return quantities, not bare


def _guess_unit(distances: Sequence[float], focal: float | None, path: Path) -> tuple[FocusUnit, FocusUnit]:
    """Unit of the distances and of the focal length, from what a lens can be.

    A focal length lies between 1 and 600 mm and below every focus distance; of the units that allow it the
    smallest is taken (0.2 with distances from 10: centimetres, so a 2 mm lens from 10 cm).
    """
    if focal is None:
        warnings.warn(f"{path}: no unit is written; read as metres: {_REMEDY}", stacklevel=2)
        return "m", "m"
    if focal >= min(distances):
        warnings.warn(f"{path}: read as metres, and {FOCAL_LENGTH} as mm: {_REMEDY}", stacklevel=2)
        return "m", "mm"
    units: tuple[FocusUnit, ...] = ("mm", "cm", "m")
    fitting = [u for u in units if _SHORTEST_M <= focal * METRES[u] <= _LONGEST_M]
    if not fitting:
        raise ValueError(
            f"{path.with_name(FOCAL_LENGTH)}: {focal:g} is no focal length in mm, cm or m; {_REMEDY}"
        )
    if len(fitting) > 1:
        others = " or ".join(fitting[1:])
        warnings.warn(
            f"{path}: no unit is written; read as {fitting[0]} (could be {others}): {_REMEDY}", stacklevel=2
        )
    return fitting[0], fitting[0]
