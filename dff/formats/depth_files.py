"""Depth maps as files: .png (16 bit + JSON), .exr, .npz and .tif. Layouts: docs/writing.md."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np

from dff.formats.png import encode_png, strict_json, text_chunk
from dff.formats.safe_write import atomic_path, check_output
from dff.stack import UNIT_WORDS, DepthMap, Unit

DEPTH_SUFFIXES = (".png", ".exr", ".npz", ".tif", ".tiff")
_CODES = 65535  # codes 1 to 65535 carry depth, 0 means unknown
_TO_METRES = {
    "dioptre": "metres = 1 / value (infinity at value 0)",
    "um": "metres = 1e-6 * value (height of the stage, not distance from the camera)",
    "index": "not known: the focus distances were not given",
}


def depth_outputs(path: str | Path) -> list[Path]:
    """The files that `write_depth` makes for ``path``: the file, and for .png the JSON beside it."""
    path = Path(path)
    return [path, path.with_suffix(".json")] if path.suffix.lower() == ".png" else [path]


def check_depth_output(path: str | Path, overwrite: bool = False) -> list[Path]:
    """`check_output` for each of `depth_outputs`."""
    files = depth_outputs(path)
    check_output(path, DEPTH_SUFFIXES, overwrite)
    for beside in files[1:]:
        check_output(beside, (".json",), overwrite)
    return files


def write_depth(depth: DepthMap, path: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Write a depth map in the format its suffix names; returns the files written.

    .png keeps the depth to half of 1/65534 of the focus range and no confidence; .tif the depth in float32
    and the confidence in 16 bit; .exr and .npz everything exactly, the fill outside ``valid`` too.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: unknown suffix, the file exists, or the focus positions neither rise nor fall throughout.
    """
    files = check_depth_output(path, overwrite)
    about = _describe(depth)
    with ExitStack() as stack:
        temporary = [stack.enter_context(atomic_path(file)) for file in files]
        _WRITERS[files[0].suffix.lower()](depth, about, temporary)
    return files


def read_depth(path: str | Path) -> DepthMap:
    """Read a depth map written by `write_depth`.

    Pixels outside ``valid`` have index 0 where the format does not keep the fill (.png, .tif). A .png has
    no confidence: it reads as 1 in ``valid`` and 0 outside, and ``info["confidence"]`` says so.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unknown suffix, or not a depth file of dff.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(DEPTH_SUFFIXES)
        raise ValueError(f"{path}: unknown suffix {path.suffix!r}; depth files are {known}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return reader(path)
    except (
        OSError,
        EOFError,
        RuntimeError,
        LookupError,
        ValueError,
        struct.error,
        zipfile.BadZipFile,
    ) as error:
        raise ValueError(f"{path}: not a depth file written by dff, or damaged ({error})") from None


def _ladder(depth: DepthMap) -> np.ndarray:
    """(N,) float64 value of each focal index: what `DepthMap.value` is read off."""
    return np.arange(depth.positions.size, dtype=np.float64) if depth.unit == "index" else depth.positions


def _describe(depth: DepthMap) -> dict[str, Any]:
    ladder = _ladder(depth)
    step = np.diff(ladder)
    if not (step.size and np.all(np.isfinite(ladder)) and (np.all(step > 0) or np.all(step < 0))):
        raise ValueError(
            f"depth map: focus positions {ladder.tolist()} must be two or more finite numbers that rise "
            "or fall throughout; order the stack with far_first() first"
        )
    return {
        "format": "dff depth 1",
        "unit": depth.unit,
        "unit_words": UNIT_WORDS[depth.unit],
        "to_metres": _TO_METRES[depth.unit],
        "width": int(depth.index.shape[1]),
        "height": int(depth.index.shape[0]),
        "focus": depth.positions.tolist(),
    }


def _known(depth: DepthMap) -> np.ndarray:
    return np.asarray(depth.valid & np.isfinite(depth.index))


def _blank_unknown(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.where(known, values, np.float32(np.nan)).astype(np.float32, copy=False)


def _from_value(
    value: np.ndarray, known: np.ndarray, confidence: np.ndarray | None, about: dict[str, Any]
) -> DepthMap:
    """A DepthMap from depth in its unit: the index is read back off the ladder of focus positions."""
    positions = np.asarray(about["focus"], dtype=np.float64)
    index = np.where(known, value, 0.0)
    if about["unit"] != "index":
        order = np.argsort(positions)
        index = np.where(known, np.interp(index, positions[order], order.astype(np.float64)), 0.0)
    info = {"confidence": "in the file" if confidence is not None else "not in the file: 1 where valid"}
    stored = known if confidence is None else confidence
    return DepthMap(index, stored, known, positions, about["unit"], info)


def _write_png(depth: DepthMap, about: dict[str, Any], files: list[Path]) -> None:
    ladder = _ladder(depth)
    low, high = float(ladder.min()), float(ladder.max())
    scale = (high - low) / (_CODES - 1)
    known = _known(depth)
    code = np.where(known, depth.value, low).astype(np.float64)
    code = np.clip(np.rint((code - low) / scale), 0, _CODES - 1) + 1
    about |= {
        "scale": scale,
        "offset": low,
        "unknown_code": 0,
        "to_value": "value = offset + scale * (code - 1) where code > 0",
    }
    keys = ("unit", "scale", "offset", "to_value", "to_metres")
    text = {key: about[key] if isinstance(about[key], str) else strict_json(about[key]) for key in keys}
    text["Description"] = f"Depth in {about['unit_words']}, not a picture; code 0 = unknown"
    text["dff"] = strict_json(about)
    chunks = b"".join(text_chunk(key, words) for key, words in text.items())
    files[0].write_bytes(encode_png(np.where(known, code, 0).astype(np.uint16), chunks))
    files[1].write_text(strict_json(about, indent=2) + "\n", encoding="ascii")


def _read_png(path: Path) -> DepthMap:
    import cv2
    from PIL import Image

    with Image.open(path) as image:
        text = getattr(image, "text", {}).get("dff")
    beside = path.with_suffix(".json")
    # a tool that copies the pixels drops the text: then the JSON beside it speaks
    if text is None and not beside.is_file():
        raise ValueError(f"no scale in its text, and no {beside.name} beside it")
    about = json.loads(text if text is not None else beside.read_text())
    code = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if code is None or code.dtype != np.uint16 or code.ndim != 2:
        raise ValueError("not a 16-bit grey PNG")
    value = about["offset"] + about["scale"] * (code.astype(np.float64) - 1)
    return _from_value(value, code > 0, None, about)


def _write_npz(depth: DepthMap, about: dict[str, Any], files: list[Path]) -> None:
    known = _known(depth)
    arrays: dict[str, Any] = {"index": depth.index, "confidence": depth.confidence, "valid": known}
    for name in ("dioptre", "metres", "height_um"):
        values = getattr(depth, name)
        if values is not None:
            arrays[name] = _blank_unknown(values, known)
    # float noise does not deflate: uncompressed is 20 times faster for a fifth more bytes
    np.savez(files[0], focus=depth.positions, unit=np.array(depth.unit), about=strict_json(about), **arrays)


def _read_npz(path: Path) -> DepthMap:
    with np.load(path, allow_pickle=False) as data:
        unit = cast(Unit, str(data["unit"]))
        info = {"confidence": "in the file"}
        return DepthMap(data["index"], data["confidence"], data["valid"], data["focus"], unit, info)


def _write_exr(depth: DepthMap, about: dict[str, Any], files: list[Path]) -> None:
    import OpenEXR

    known = _known(depth)
    distance = depth.metres if depth.unit == "dioptre" else depth.value
    channels = {
        "Z": _blank_unknown(distance, known),  # type: ignore[arg-type]
        "index": depth.index,
        "confidence": depth.confidence,
        "valid": known.astype(np.float32),
    }
    for name in ("dioptre", "height_um"):
        values = getattr(depth, name)
        if values is not None:
            channels[name] = _blank_unknown(values, known)
    z_unit = "metres" if depth.unit == "dioptre" else depth.unit
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "comments": f"Z in {z_unit}; NaN = unknown",
        "unit": depth.unit,
        "dff": strict_json(about),
    }
    OpenEXR.File(header, {k: np.ascontiguousarray(v) for k, v in channels.items()}).write(str(files[0]))


def _read_exr(path: Path) -> DepthMap:
    import OpenEXR

    with OpenEXR.File(str(path), separate_channels=True) as file:
        about = json.loads(file.header()["dff"])
        part = {name: file.channels()[name].pixels for name in ("index", "confidence", "valid")}
    valid, info = part["valid"] > 0, {"confidence": "in the file"}
    return DepthMap(part["index"], part["confidence"], valid, about["focus"], about["unit"], info)


def _write_tif(depth: DepthMap, about: dict[str, Any], files: list[Path]) -> None:
    import tifffile

    value = _blank_unknown(depth.value, _known(depth))
    settings: dict[str, Any] = {"photometric": "minisblack", "compression": "zlib", "metadata": None}
    with tifffile.TiffWriter(files[0]) as tiff:
        tiff.write(value, description=strict_json(about | {"unknown": "NaN"}), **settings)
        # 16 bit and not float, so that programs take the pages for two pictures and not for a volume
        code = np.rint(np.clip(depth.confidence, 0, 1) * 65535).astype(np.uint16)
        tiff.write(code, description="confidence = code / 65535", **settings)


def _read_tif(path: Path) -> DepthMap:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            about = json.loads(tiff.pages.first.description)
            value = tiff.pages.first.asarray()
            confidence = tiff.pages[1].asarray().astype(np.float32) / np.float32(65535)
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from None
    return _from_value(value.astype(np.float64), np.isfinite(value), confidence, about)


_WRITERS: dict[str, Callable[[DepthMap, dict[str, Any], list[Path]], None]] = {
    ".png": _write_png,
    ".exr": _write_exr,
    ".npz": _write_npz,
    ".tif": _write_tif,
    ".tiff": _write_tif,
}
_READERS: dict[str, Callable[[Path], DepthMap]] = {
    ".png": _read_png,
    ".exr": _read_exr,
    ".npz": _read_npz,
    ".tif": _read_tif,
    ".tiff": _read_tif,
}
