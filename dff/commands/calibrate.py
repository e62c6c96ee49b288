"""`dff calibrate`: breathing, drift and true focus of a camera, from one focal stack."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dff import __version__
from dff.autofocus.regions import parse_roi
from dff.calibration.measure import save_camera
from dff.calibration.stack import StackCalibration, calibrate_stack
from dff.commands import telling
from dff.commands.calibrate_options import Calibrate
from dff.commands.outputs import Outputs, json_text
from dff.commands.source import open_stack, stack_files
from dff.commands.terminal import Terminal, table
from dff.formats.units import parse_quantity
from dff.stack import FocalStack


def calibrate(options: Calibrate) -> None:
    """Read, fit, tell, and write what was asked for."""
    with Terminal(options.quiet, options.json).working() as terminal:
        outputs = Outputs(stack_files(options), options.overwrite)
        outputs.check_file("camera", options.camera, (".toml",))
        outputs.check_report("report", options.report)
        roi = None if options.roi is None else parse_roi(options.roi)
        target = _target(options)
        stack = open_stack(options).far_first()
        if options.camera is not None and stack.lens is None:
            raise ValueError(
                "--camera needs the lens (focal length, f-number, pixel pitch); give it in a stack.toml"
            )
        found = calibrate_stack(
            stack, breathing=options.breathing, target=target, roi=roi, progress=terminal.progress
        )
        if options.camera is not None:
            outputs.text("camera", _camera(stack, found))
        report = {
            "version": __version__,
            "command": "calibrate",
            "size": [stack.width, stack.height],
            **found.report(),
            "warnings": list(terminal.warnings),
            "files": outputs.written,
        }
        outputs.report("report", report)
        terminal.say(
            telling.about_stack(stack),
            *_told(found),
            "",
            *_table(stack, found),
            "",
            *telling.about_files(outputs.written),
        )
        if options.json:
            print(json_text(report), end="")


def _target(options: Calibrate) -> float | None:
    if options.target is None:
        return None
    value, unit = parse_quantity(options.target, options.focus_unit, "--target")
    if unit == "um" or not value > 0:
        raise ValueError(f"--target {options.target}: give a distance, such as 50cm, or dioptres, such as 2D")
    return value if unit == "dioptre" else 1 / (value * {"m": 1.0, "cm": 0.01, "mm": 0.001}[unit])


def _camera(stack: FocalStack, found: StackCalibration) -> str:
    assert stack.lens is not None
    lens = stack.lens if found.breathing is None else replace(stack.lens, breathing=found.breathing)
    span = float(np.ptp(found.focus))
    drift = found.drift_px_per_dioptre[0] * span, found.drift_px_per_dioptre[1] * span
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "camera.toml")
        save_camera(path, lens, found.focus, (stack.height, stack.width), drift_px=drift)
        return path.read_text(encoding="utf-8")


def _told(found: StackCalibration) -> list[str]:
    over = (
        "the focal length is unknown, so not over a thin lens"
        if found.breathing is None
        else f"{found.breathing:.2f} times a thin lens"
    )
    lines = [
        f"breathing {100 * found.breathing_per_dioptre:.3f} % per dioptre "
        f"(rms {100 * found.breathing_rms:.3f} %); {over}",
        "centre drifts ({:.2f}, {:.2f}) px per dioptre ".format(*found.drift_px_per_dioptre)
        + f"(rms {found.drift_rms_px:.2f} px)",
    ]
    gain = "unknown without --breathing, taken as 1" if found.gain is None else f"{found.gain:.3f}"
    offset = "unknown without --target" if found.offset is None else f"{found.offset:+.3f} dioptres"
    return [*lines, f"true focus over reported: gain {gain}; offset {offset}"]


def _table(stack: FocalStack, found: StackCalibration) -> list[str]:
    head = ("slice", "reported", "zoom", "centre x", "centre y", "off the line", "")
    units = ("", "D", "", "px", "px", "D", "")
    rows: list[tuple[Any, ...]] = [
        (
            stack.names[k],
            f"{found.focus[k]:.3f}",
            f"{found.zoom[k]:.5f}",
            *(f"{v:.2f}" for v in found.centre_px[k]),
            "-" if found.step_error is None else f"{found.step_error[k]:+.3f}",
            "" if found.used[k] else "left out",
        )
        for k in range(len(stack))
    ]
    return [line.rstrip() for line in table(head, [units, *rows])]
