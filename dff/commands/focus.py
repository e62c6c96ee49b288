"""`dff focus`: which slice, dioptre and motor code bring regions into focus."""

from __future__ import annotations

import csv
import io
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dff import __version__
from dff.autofocus.curves import focus_curves
from dff.autofocus.from_depth import RegionFocus, focused_by, region_focus
from dff.autofocus.measures import measure
from dff.autofocus.regions import Roi, middle, parse_grid, parse_roi
from dff.camera import LensCalibration
from dff.commands import telling
from dff.commands.focus_options import Focus
from dff.commands.outputs import Outputs, json_text
from dff.commands.source import half_files, open_halves, open_stack, stack_files
from dff.commands.terminal import Terminal, table
from dff.models import check_model
from dff.pipeline import Prediction, predict_for_focus
from dff.stack import FocalStack

_LITTLE = 0.2  # share of known pixels below which it is said
_UNSURE = 0.5  # confidence of the head below which it is said
_COLUMNS = (
    "region", "x", "y", "w", "h", "index", "slice", "dioptre", "focus_m", "height_um", "motor_code",
    "confidence", "known_share", "mixed", "other_index", "sharpest_index", "note",
)  # fmt: skip


def focus(options: Focus) -> None:
    """Tell where to focus for each region, and write what was asked for."""
    with Terminal(options.quiet, options.json).working() as terminal:
        asked = [parse_roi(text) for text in options.roi]
        measure(options.measure)
        check_model(options.model)
        observed = _observed(options)
        calibration = None if options.calibration is None else LensCalibration.load(options.calibration)
        inputs = stack_files(options) + ([Path(options.calibration)] if options.calibration else [])
        inputs += half_files(options.halves) if options.halves else []
        outputs = Outputs(inputs, options.overwrite)
        outputs.check_file("csv", options.csv, (".csv",))
        outputs.check_picture("picture", options.picture)
        outputs.check_report("report", options.report)

        stack = open_stack(options)
        if calibration is not None:
            stack = focused_by(stack, calibration)
        if observed is not None:
            from dff.learned_focus import check_observed

            check_observed(observed, len(stack))
        halves = None if options.halves is None else open_halves(options.halves, stack)
        regions = _regions(options, asked, stack)
        result = predict_for_focus(
            stack,
            model=options.model,
            align=options.align,
            aligner=options.aligner,
            reference=options.reference,
            aif="picture" in outputs,
            device=options.device,
            poor=options.poor,
            progress=terminal.progress,
        )
        if options.head is None:
            by_depth = (
                region_focus(result.depth, roi, rule=options.rule, calibration=calibration) for roi in regions
            )
            found = [_in_whole_stack(region, result.used) for region in by_depth]
        else:
            found = _by_head(options, result, regions, observed, halves, calibration, terminal)
        if calibration is not None:
            _warn_of_range(found, calibration)
        used = result.stack.subset(result.used)
        curves = focus_curves(
            used,
            result.alignment.subset(result.used),
            [region.roi for region in found],
            name=options.measure,
            progress=terminal.progress,
        )
        rows = [
            _row(number, *pair, result, options.head is not None)
            for number, pair in enumerate(zip(found, curves, strict=True), 1)
        ]
        outputs.text("csv", _csv(rows))
        if result.aif is not None:
            from dff.commands.focus_picture import focus_picture

            outputs.picture("picture", focus_picture(result.aif, rows, curves, result.used))
        report = {
            "version": __version__,
            "command": "focus",
            **result.report(),
            "rule": options.rule,
            "head": options.head,
            "observed": observed,
            "halves": options.halves,
            "measure": options.measure,
            "calibration": None if calibration is None else calibration.camera or options.calibration,
            "curve_index": result.used,
            "regions": [{**row, "curve": curve} for row, curve in zip(rows, curves.tolist(), strict=True)],
            "warnings": list(terminal.warnings),
            "files": outputs.written,
        }
        outputs.report("report", report)
        terminal.say(
            telling.about_stack(result.stack),
            *([telling.INDEX_NOTE] if result.stack.unit == "index" else []),
            "",
            *_table(rows, result.stack),
            "",
            *telling.about_files(outputs.written),
        )
        if options.json:
            print(json_text(report), end="")


def _regions(options: Focus, asked: list[Roi], stack: FocalStack) -> list[Roi]:
    """All that was asked for, checked before any work."""
    size = stack.height, stack.width
    regions = asked + (parse_grid(options.grid, *size) if options.grid is not None else [])
    for roi in regions:
        roi.clipped(*size)
    return regions or [middle(*size)]


def _observed(options: Focus) -> list[int] | None:
    """The slices of --observed; options that do not go together are refused before any work."""
    if options.head is not None:
        from dff.learned_focus import check_head

        check_head(options.head)
    elif options.halves is not None:
        raise ValueError("--halves: depth does not read them; give --head, such as --head af-tiny, too")
    if options.observed is None:
        return None
    if options.head is None:
        raise ValueError("--observed: depth needs all slices; give --head, such as --head af-tiny, too")
    if not re.fullmatch(r"\d+(,\d+)*", options.observed):
        raise ValueError(f"--observed {options.observed}: give slices such as 12 or 12,13,14")
    return [int(part) for part in options.observed.split(",")]


def _by_head(
    options: Focus,
    result: Prediction,
    regions: list[Roi],
    observed: list[int] | None,
    halves: tuple[FocalStack, FocalStack] | None,
    calibration: LensCalibration | None,
    terminal: Terminal,
) -> list[RegionFocus]:
    from dff.learned_focus import load_learned_focus

    assert options.head is not None
    head = load_learned_focus(options.head, options.device)
    chosen = observed or result.used
    looked = head.look(result.stack, result.alignment, chosen, halves=halves, progress=terminal.progress)
    return [head.focus(looked, roi, rule=options.rule, calibration=calibration) for roi in regions]


def _in_whole_stack(region: RegionFocus, used: list[int]) -> RegionFocus:
    """Indices counted in the whole far-first stack, dropped slices too."""

    def place(index: int | None) -> int | None:
        return None if index is None else used[index]

    return replace(region, index=place(region.index), other_index=place(region.other_index))


def _warn_of_range(found: list[RegionFocus], calibration: LensCalibration) -> None:
    far, near = calibration.focus[[0, -1]]
    slack = 1e-3 * (near - far)
    beyond = [str(r.roi) for r in found if r.value is not None and not far - slack <= r.value <= near + slack]
    if beyond:
        warnings.warn(
            f"beyond the calibration, {far:.3g} to {near:.3g} dioptres, so the motor code stops at its end: "
            f"region {'; '.join(beyond)}",
            stacklevel=2,
        )


def _row(
    number: int, region: RegionFocus, curve: np.ndarray, result: Prediction, by_head: bool
) -> dict[str, Any]:
    """One JSON-able row."""

    index = region.index
    sharpest = result.used[int(np.nanargmax(curve))] if np.isfinite(curve).any() else None
    notes = [
        note
        for note, holds in (
            ("partly outside the picture", region.clipped),
            ("nothing to focus on", index is None),
            (f"known at {region.known_share:.0%} of it", not by_head and 0 < region.known_share < _LITTLE),
            ("unsure", by_head and region.confidence < _UNSURE),
            (f"two depths, the other at {region.other_index}", region.mixed),
        )
        if holds
    ]
    dioptre = region.dioptre
    return {
        "region": number,
        **vars(region.roi),
        "index": index,
        "slice": None if index is None else result.stack.names[index],
        "dioptre": dioptre,
        "focus_m": None if dioptre is None or dioptre <= 0 else 1 / dioptre,
        "height_um": region.height_um,
        "motor_code": region.motor_code,
        "confidence": round(region.confidence, 4),
        "known_share": round(region.known_share, 4),
        "mixed": region.mixed,
        "other_index": region.other_index,
        "sharpest_index": sharpest,
        "note": "; ".join(notes),
    }


def _csv(rows: list[dict[str, Any]]) -> str:
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return sheet.getvalue()


def _table(rows: list[dict[str, Any]], stack: FocalStack) -> list[str]:
    """The rows for people: depth only where it is more than an index, codes only where there are some."""
    where = {"dioptre": "distance", "um": "height", "index": ""}[stack.unit]
    codes = any(row["motor_code"] is not None for row in rows)
    head = [
        "region",
        "x,y,w,h",
        "index",
        where,
        "code" if codes else "",
        "confidence",
        "sharpest",
        "slice",
        "note",
    ]
    lines = []
    for row in rows:
        value = row["dioptre"] if stack.unit == "dioptre" else row["height_um"]
        lines.append(
            [
                str(row["region"]),
                ",".join(str(row[key]) for key in "xywh"),
                _or_dash(row["index"]),
                "-" if value is None else telling.position(value, stack.unit),
                "-" if row["motor_code"] is None else f"{row['motor_code']:.0f}",
                f"{row['confidence']:.2f}",
                _or_dash(row["sharpest_index"]),
                row["slice"] or "-",
                row["note"],
            ]
        )
    keep = [column for column, name in enumerate(head) if name]
    picked = [[line[column] for column in keep] for line in lines]
    return [line.rstrip() for line in table([head[column] for column in keep], picked)]


def _or_dash(index: int | None) -> str:
    return "-" if index is None else str(index)
