"""Lens calibrations that others wrote: libcamera's tuning files, and Android's camera characteristics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dff.camera import LensCalibration

_ANDROID = {
    "nearest": ("LENS_INFO_MINIMUM_FOCUS_DISTANCE", "android.lens.info.minimumFocusDistance"),
    "kind": ("LENS_INFO_FOCUS_DISTANCE_CALIBRATION", "android.lens.info.focusDistanceCalibration"),
}
_KINDS = {"UNCALIBRATED": 0, "APPROXIMATE": 1, "CALIBRATED": 2}


def _json(path: str | Path) -> tuple[Path, Any]:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return path, json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from None


def libcamera_calibration(path: str | Path, camera: str = "") -> LensCalibration:
    """The map of a Raspberry Pi tuning file: dioptres to codes of the lens driver, from "rpi.af".

    Args:
        path: such as imx708.json.
        camera: a name; "": that of the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no JSON, or no autofocus map in it.
    """
    path, raw = _json(path)
    algorithms = raw.get("algorithms", []) if isinstance(raw, dict) else []
    found = [one["rpi.af"] for one in algorithms if isinstance(one, dict) and "rpi.af" in one]
    if isinstance(raw, dict) and "rpi.af" in raw:  # files of version 1
        found.append(raw["rpi.af"])
    steps = found[0].get("map") if found and isinstance(found[0], dict) else None
    if not isinstance(steps, list) or len(steps) < 4 or len(steps) % 2:
        raise ValueError(f"{path}: no map of rpi.af in it; give the tuning file of a camera with autofocus")
    try:
        return LensCalibration(
            np.array(steps[0::2], float), np.array(steps[1::2], float), camera or path.stem
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: its map of rpi.af cannot be used ({error})") from None


def android_calibration(path: str | Path, camera: str = "", positions: int = 49) -> LensCalibration:
    """Focus of an Android camera: dioptres from infinity to its nearest, which are also what it is told.

    Args:
        path: characteristics as JSON, keys as in CameraCharacteristics or as "android.lens.info...".
        camera: a name; "": that of the file.
        positions: of the calibration, evenly in dioptres.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no JSON, no nearest focus, fixed focus, or a lens whose numbers are no dioptres.
    """
    path, raw = _json(path)
    values = {name: _value(raw, keys) for name, keys in _ANDROID.items()}
    nearest = values["nearest"]
    if not isinstance(nearest, int | float):
        raise ValueError(f"{path}: no {_ANDROID['nearest'][0]} in it; save the camera's characteristics")
    if nearest <= 0:
        raise ValueError(f"{path}: a camera of fixed focus (nearest focus {nearest} dioptres)")
    kind = values["kind"]
    kind = _KINDS.get(str(kind).rsplit("_", 1)[-1].upper(), kind)
    if kind == 0:
        raise ValueError(
            f"{path}: an uncalibrated lens, whose focus numbers are no dioptres; use dff calibrate instead"
        )
    focus = np.linspace(0.0, float(nearest), max(2, positions))
    return LensCalibration(focus, focus, camera or path.stem)


def _value(raw: Any, keys: tuple[str, ...]) -> Any:
    """The first of ``keys`` in a table, or in tables within it."""
    if not isinstance(raw, dict):
        return None
    for key in keys:
        if key in raw:
            return raw[key]
    for inner in raw.values():
        if (found := _value(inner, keys)) is not None:
            return found
    return None
