"""Focus positions as people write them (0.3, 30cm, 2.5D, inf, -12um) -> dioptres or stage heights."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from dff.stack import check_positions

FocusUnit = Literal["m", "cm", "mm", "dioptre", "um"]
Kind = Literal["dioptre", "um"]

METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
_WORDS: dict[str, FocusUnit] = {
    "m": "m", "cm": "cm", "mm": "mm", "um": "um", "µm": "um", "μm": "um", "d": "dioptre",
    "dpt": "dioptre", "dioptre": "dioptre", "dioptres": "dioptre", "diopter": "dioptre",
    "diopters": "dioptre", "1/m": "dioptre",
}  # fmt: skip
_TOKEN = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf(?:inity)?|∞|nan)\s*([a-zµμ/1]*)", re.IGNORECASE
)

Quantity = tuple[float, FocusUnit]


def check_unit(unit: str) -> FocusUnit:
    """The unit under its own name.

    Raises:
        ValueError: not one of m, cm, mm, dioptre, um (or a spelling of them).
    """
    known = _WORDS.get(unit.strip().lower())
    if known is None:
        raise ValueError(f"focus unit {unit!r} is not known; use m, cm, mm, dioptre or um")
    return known


def parse_quantity(text: str, unit: FocusUnit, what: str) -> Quantity:
    """One number with an optional unit suffix.

    Raises:
        ValueError: no number, or an unknown suffix.
    """
    match = _TOKEN.fullmatch(text.strip())
    word = match.group(2).lower() if match else ""
    if match is None or (word and word not in _WORDS):
        raise ValueError(
            f"{what}: {text.strip()!r} is no focus position; write 0.35, 35cm, 350mm, 2.9D, inf or -12um"
        )
    number = match.group(1).lower()
    return (math.inf if number == "∞" else float(number)), _WORDS[word] if word else unit


def split_numbers(text: str) -> list[str]:
    """Words of a list in a string or a text file: commas, semicolons or white space; # starts a comment."""
    lines = (line.split("#", 1)[0] for line in text.splitlines())
    joined = re.sub(
        r"(?<=[\d.])[ \t]+(?=(?:m|cm|mm|um|µm|μm|d|dpt)\b)", "", " ".join(lines), flags=re.IGNORECASE
    )
    return [word for word in re.split(r"[,;\s]+", joined) if word]


def convert(quantities: Sequence[Quantity], count: int, what: str) -> tuple[Kind, np.ndarray]:
    """Check one position per slice and convert to dioptres, or to micrometres of stage height. (N,) float64.

    Raises:
        ValueError: wrong count, NaN, negative, zero metres, duplicates, or distances mixed with heights.
    """
    if len(quantities) != count:
        raise ValueError(f"{what}: {len(quantities)} values for {count} slices; give exactly one per slice")
    heights = [unit == "um" for _, unit in quantities]
    if any(heights) and not all(heights):
        raise ValueError(f"{what}: mixes stage heights (um) with focus distances; give one kind")
    if all(heights):
        return "um", check_positions([v for v, _ in quantities], count, f"{what} [um]", signed=True)
    return "dioptre", check_positions(
        [_dioptre(v, u, what) for v, u in quantities], count, f"{what} [dioptre]"
    )


def _dioptre(value: float, unit: FocusUnit, what: str) -> float:
    if math.isnan(value):
        raise ValueError(f"{what}: NaN among the focus positions; give finite numbers or inf")
    if value < 0:
        raise ValueError(f"{what}: negative value {value:g} {unit}; distances and dioptres are >= 0")
    if unit == "dioptre":
        return value
    if value == 0:
        raise ValueError(
            f"{what}: focus at 0 {unit} is inside the lens; infinity is written inf (or 0 dioptres)"
        )
    return 1.0 / (value * METRES[unit])
