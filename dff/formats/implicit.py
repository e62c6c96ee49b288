"""Focus positions that cameras leave behind: JSON beside the pictures, EXIF, and numbers in file names.

Nobody promised that these are right, so what does not make sense is ignored with a warning that says why.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dff.formats.exif import MAKE, distance_unit, lens_parts, subject_distance
from dff.formats.units import FocusUnit, Kind, Quantity, convert

Found = tuple[Kind, np.ndarray, str]

_DIOPTRE_KEYS = ("LensPosition", "LENS_FOCUS_DISTANCE", "android.lens.focusDistance")
_CALIBRATION_KEYS = ("LENS_INFO_FOCUS_DISTANCE_CALIBRATION", "android.lens.info.focusDistanceCalibration")


def _complaint(values: Sequence[float | None], names: Sequence[str]) -> str:
    """Why these values cannot be one focus position per slice; empty when they can."""
    known = [v for v in values if v is not None]
    if len(known) < len(values):
        missing = names[list(values).index(None)]
        return f"only {len(known)} of {len(values)} slices have it ({missing} has none)"
    if any(math.isnan(v) or v < 0 for v in known):
        return "some values are negative or NaN"
    if len(set(known)) == 1:
        return f"it is {known[0]:g} for all slices"
    for i, v in enumerate(known):
        if v in known[:i]:
            return f"{names[known.index(v)]} and {names[i]} have the same value {v:g}"
    return ""


def _ignored(what: str, why: str) -> None:
    warnings.warn(f"{what} is ignored: {why}; depth does not use it", stacklevel=2)


def _search(table: Any, keys: Sequence[str]) -> tuple[str, Any] | None:
    """First of ``keys`` in nested JSON objects, the outermost object first."""
    if not isinstance(table, dict):
        return None
    for key in keys:
        if key in table:
            return key, table[key]
    found = (_search(value, keys) for value in table.values())
    return next((hit for hit in found if hit is not None), None)


def _beside(picture: Path) -> Path | None:
    names = (f"{picture.stem}.json", f"{picture.name}.json", f"{picture.stem}_metadata.json")
    return next((picture.with_name(n) for n in names if picture.with_name(n).is_file()), None)


def from_json(files: Sequence[Path], names: Sequence[str]) -> Found | None:
    """Dioptres from libcamera (LensPosition) or Android (LENS_FOCUS_DISTANCE) JSON beside each picture."""
    values: list[float | None] = []
    key = ""
    for file in files:
        beside = _beside(file)
        value = None
        if beside is not None:
            try:
                table = json.loads(beside.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                warnings.warn(f"{beside}: not readable as JSON ({error}); ignored", stacklevel=2)
                table = None
            hit = _search(table, _DIOPTRE_KEYS)
            if hit is not None and isinstance(hit[1], (int, float)) and not isinstance(hit[1], bool):
                key, value = hit[0], float(hit[1])
            calibration = _search(table, _CALIBRATION_KEYS)
            if calibration is not None and calibration[1] in (0, "UNCALIBRATED"):
                _ignored(f"{key} in the JSON", "the camera says that it is UNCALIBRATED, so not in dioptres")
                return None
        values.append(value)
    if not key:
        return None
    why = _complaint(values, names)
    if why or any(math.isinf(v) for v in values if v is not None):
        _ignored(f"{key} in the JSON beside the pictures", why or "some values are infinite dioptres")
        return None
    kind, dioptres = convert([(v, "dioptre") for v in values if v is not None], len(files), key)
    return kind, dioptres, f"{key} (dioptres) in the JSON beside each picture"


def from_exif(exifs: Sequence[Image.Exif], names: Sequence[str], width: int, height: int) -> Found | None:
    """EXIF SubjectDistance, as metres or dioptres by the evidence (see `distance_unit`)."""
    values = [subject_distance(exif) for exif in exifs]
    known = [v for v in values if v is not None]
    if not known or (len(set(known)) == 1 and len(known) == len(values)):
        return None  # a constant is what phones write when they do not know: nothing to report
    why = _complaint(values, names)
    if why:
        _ignored("EXIF SubjectDistance", why)
        return None
    maker = str(exifs[0].get(MAKE, "")).strip("\0 ")
    unit, evidence = distance_unit(known, maker, lens_parts(exifs[0], width, height).get("focal_length_m"))
    if unit == "m" and 0 in known:
        _ignored("EXIF SubjectDistance", "0 m stands for unknown")
        return None
    if unit == "dioptre":
        warnings.warn(
            f"EXIF SubjectDistance is read as dioptres, not metres: {evidence}; override with focus=",
            stacklevel=2,
        )
    quantities: list[Quantity] = [(v, unit) for v in known]
    kind, dioptres = convert(quantities, len(values), "EXIF SubjectDistance")
    return kind, dioptres, f"EXIF SubjectDistance, as {'metres' if unit == 'm' else 'dioptres'} ({evidence})"


_IN_NAME = re.compile(
    r"(?P<sign>[+-]?)(?P<number>\d+(?:\.\d+)?)(?:[ _]?(?P<unit>mm|cm|um|µm|μm|m|dpt|d))?(?![a-z\d])",
    re.IGNORECASE,
)


def from_names(stems: Sequence[str], unit: FocusUnit) -> Found:
    """Numbers in file names: those with a unit (img_0.35m, z-12um), else the only number that changes.

    Raises:
        ValueError: names without such a number, or with several candidates, or unusable values.
    """
    what = "focus from file names"
    hits = [list(_IN_NAME.finditer(stem)) for stem in stems]
    with_unit = [[m for m in row if m.group("unit")] for row in hits]
    if all(len(row) == 1 for row in with_unit):
        chosen = [row[0] for row in with_unit]
    elif any(with_unit):
        bad = next(s for s, row in zip(stems, with_unit, strict=True) if len(row) != 1)
        raise ValueError(f"{what}: {bad} does not have exactly one number with a unit, like img_0.35m")
    else:
        columns = {len(row) for row in hits}
        changing = []
        if len(columns) == 1:
            changing = [column for column in zip(*hits, strict=True) if len({m.group() for m in column}) > 1]
        if len(changing) != 1:
            raise ValueError(
                f"{what}: no single number changes in {stems[0]}, {stems[1]}, ...; add a unit: img_0.35m"
            )
        chosen = list(changing[0])
    units = [_name_unit(m, unit) for m in chosen]
    minus = _minus_is_sign(stems, chosen)
    quantities: list[Quantity] = [
        (float(m.group("number")) * (-1 if u == "um" and minus and m.group("sign") == "-" else 1), u)
        for m, u in zip(chosen, units, strict=True)
    ]
    kind, values = convert(quantities, len(stems), what)
    return kind, values, "numbers in the file names"


def _name_unit(match: re.Match[str], unit: FocusUnit) -> FocusUnit:
    word = (match.group("unit") or "").lower()
    if word in ("d", "dpt"):
        return "dioptre"
    if word in ("um", "µm", "μm"):
        return "um"
    return word or unit  # type: ignore[return-value]


def _minus_is_sign(stems: Sequence[str], matches: Sequence[re.Match[str]]) -> bool:
    """A minus after a word (img-12um) is a hyphen, unless only some names have it or the word is z."""
    before = [stem[: m.start()] for stem, m in zip(stems, matches, strict=True)]
    minus = [m.group("sign") == "-" for m in matches]
    hyphen = all(b[-1:].isalnum() and not re.search(r"(?:^|[^a-z])z$", b, re.IGNORECASE) for b in before)
    return not (all(minus) and hyphen)
