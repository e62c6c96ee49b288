"""One simulated stack as a folder: slices, `stack.toml`, and the truth in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dff.camera import Lens
from dff.formats import stack_toml
from dff.formats.decode import source_of
from dff.formats.pictures import write_picture
from dff.formats.png import strict_json
from dff.simulator.demo import ALL_IN_FOCUS, DEPTH, TRUTH
from dff.simulator.simulated import Simulated
from dff.stack import FocalStack

SCHEMA = 1
"""Version of the layout that `write_simulated` writes and `read_simulated` reads."""
HALVES = "left", "right"
_PARAMETERS = "parameters.json"
_ARRAYS = (
    "dioptre", "valid", "edges", "matrices", "coefficients", "true_focus", "coc_px_per_dioptre",
)  # fmt: skip


def stack_toml_text(focus: np.ndarray, lens: Lens) -> str:
    """Contents of a `stack.toml`: focus (N,) [dioptre, 0 is infinity] in metres, and the lens."""
    distances = ", ".join(f"{1 / dioptre:.10g}" if dioptre > 0 else "inf" for dioptre in focus.tolist())
    return (
        "# Focus distance of each slice in metres as the camera reports it, in the order of the file names.\n"
        f"focus_m = [{distances}]\n\n"
        "[lens]\n"
        f"focal_length_mm = {lens.focal_length_m * 1e3:.10g}\n"
        f"f_number = {lens.f_number:.10g}\n"
        f"pixel_pitch_um = {lens.pixel_pitch_m * 1e6:.10g}\n"
        f"breathing = {lens.breathing:.10g}\n"
    )


def write_simulated(simulated: Simulated, folder: Path, about: dict[str, Any]) -> None:
    """Write a stack and everything that is known about it.

    Slices are PNG whatever the sensor's coding: a JPEG that it simulates is decoded already, and is not coded
    a second time. 8 bit stay 8 bit, 16 bit and float become 16 bit.

    Args:
        simulated: what to write.
        folder: an empty folder.
        about: plain values to keep beside the parameters, such as index and seed.
    """
    _write_slices(simulated.stack.slices, folder)
    for name, pictures in zip(HALVES, simulated.halves or (), strict=False):
        (folder / name).mkdir()
        _write_slices(pictures, folder / name)
    text = stack_toml_text(simulated.focus, simulated.lens)
    (folder / stack_toml.NAME).write_text(text, encoding="utf-8")
    truth = folder / TRUTH
    truth.mkdir()
    arrays = {name: getattr(simulated, name) for name in _ARRAYS}
    np.savez_compressed(
        truth / DEPTH, **arrays, focus=simulated.focus, reference=np.array(simulated.reference)
    )
    sharp = simulated.aif[..., 0] if simulated.aif.shape[-1] == 1 else simulated.aif
    write_picture(sharp, truth / ALL_IN_FOCUS)
    parameters = {
        "schema": SCHEMA, **about, "lens": asdict(simulated.lens), "parameters": simulated.parameters
    }  # fmt: skip
    (truth / _PARAMETERS).write_text(strict_json(parameters, indent=1) + "\n", encoding="ascii")


def _names(count: int) -> list[str]:
    digits = max(2, len(str(count - 1)))
    return [f"slice_{k:0{digits}d}.png" for k in range(count)]


def _write_slices(pictures: Sequence[np.ndarray], folder: Path) -> None:
    for picture, name in zip(pictures, _names(len(pictures)), strict=True):
        write_picture(picture, folder / name)


def read_simulated(folder: str | Path) -> Simulated:
    """Read a stack of `dff simulate` with its truth, all of it into memory.

    All comes back as it was simulated, but for what pictures round: the all-in-focus picture, to 16 bit.

    Args:
        folder: one of `simulated_folders`.

    Raises:
        FileNotFoundError: there is no such folder, or it holds no truth.
        ValueError: it was written by another version, or a file is damaged.
    """
    folder = Path(folder)
    truth = folder / TRUTH
    about = _read_parameters(truth / _PARAMETERS)
    with np.load(_existing(truth / DEPTH)) as file:
        arrays = {name: file[name] for name in file.files}
    missing = sorted({*_ARRAYS, "focus", "reference"} - set(arrays))
    if missing:
        raise ValueError(f"{truth / DEPTH}: lacks {', '.join(missing)}; simulate the stack again")
    focus, reference = arrays.pop("focus"), int(arrays.pop("reference"))
    halves = None
    if (folder / HALVES[0]).is_dir():
        left, right = (_read_slices(folder / name, focus.size) for name in HALVES)
        halves = left, right
    sharp = source_of(_existing(truth / ALL_IN_FOCUS), ALL_IN_FOCUS).decode()
    return Simulated(
        stack=FocalStack(
            _read_slices(folder, focus.size), focus, Lens(**about["lens"]), origin=stack_toml.NAME
        ),
        aif=np.atleast_3d(sharp).astype(np.float32) / np.float32(65535),
        reference=reference,
        halves=halves,
        parameters=about["parameters"],
        **arrays,
    )


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a folder that dff simulate wrote")
    return path


def _read_parameters(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(_existing(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON ({error}); simulate the stack again") from None
    if not isinstance(table, dict) or table.get("schema") != SCHEMA:
        found = table.get("schema") if isinstance(table, dict) else None
        raise ValueError(f"{path}: schema {found}, this dff reads {SCHEMA}; simulate the stack again")
    return table


def _read_slices(folder: Path, count: int) -> list[np.ndarray]:
    return [source_of(_existing(folder / name), name).decode() for name in _names(count)]
