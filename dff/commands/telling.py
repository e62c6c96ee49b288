"""Results in words: lines of the summary, rows of the tables."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dff.commands.terminal import table
from dff.stack import DepthMap, FocalStack, Unit

if TYPE_CHECKING:
    from dff.classical.alignment import Alignment

INDEX_NOTE = (
    "depth is in focal index (focus distances unknown; slice 0, the first, is taken as the farthest; "
    "for metres give --focus)"
)


def position(value: float, unit: Unit) -> str:
    """A focus position as people say it: metres, micrometres, or the slice number."""
    if unit == "dioptre":
        return "inf" if value <= 0 else f"{1 / value:.4g} m"
    return f"{value:.4g} um" if unit == "um" else f"slice {round(value, 1):g}"


def focus_m(focus: np.ndarray) -> list[float | None]:
    """Focus (N,) [dioptre] in metres; None at infinity."""
    return [float(1 / dioptre) if dioptre > 0 else None for dioptre in focus]


def about_stack(stack: FocalStack) -> str:
    """Size, slices and focus of a stack in one line."""
    first, last = (position(float(v), stack.unit) for v in stack.positions[[0, -1]])
    focus = "focus unknown" if stack.unit == "index" else f"focus {first} to {last} ({stack.origin})"
    return f"{len(stack)} slices of {stack.width}x{stack.height} px; {focus}"


def about_alignment(alignment: Alignment, rows: list[dict[str, Any]]) -> list[str]:
    """The alignment in one line, and one more for each slice of the report that is not well."""
    reference = rows[alignment.reference]["name"]
    if alignment.method == "none":
        return [f"not aligned; results belong to {reference}"]
    shift = np.hypot(*alignment.shift_px.T).max()
    line = (
        f"aligned to {reference} ({alignment.method}): zoom {alignment.zoom.min():.4f} to "
        f"{alignment.zoom.max():.4f}, shift up to {shift:.2f} px"
    )
    residual = alignment.residual_px[np.isfinite(alignment.residual_px)]
    if residual.size:
        line += f", residual {np.median(residual):.2f} px (worst {residual.max():.2f} px)"
    unwell = [row for row in rows if row["flag"] not in ("ok", "reference")]
    return [line, *(f"  {row['name']}: {row['flag']}" for row in unwell)]


def alignment_table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows of `Alignment.report` as a table."""

    def number(value: float | None, digits: int) -> str:
        return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"

    head = ("slice", "zoom", "shift x", "shift y", "rotation", "residual", "flag")
    units = ("", "", "px", "px", "deg", "px", "")
    cells = [
        (
            row["name"],
            number(row["zoom"], 4),
            *(number(v, 2) for v in row["shift_px"]),
            number(row["rotation_deg"], 3),
            number(row["residual_px"], 2),
            row["flag"],
        )
        for row in rows
    ]
    return table(head, [units, *cells])


def about_depth(depth: DepthMap) -> list[str]:
    """Range of the depth and how much of it is known."""
    lines = [INDEX_NOTE] if depth.unit == "index" else []
    known = depth.valid & np.isfinite(depth.index)
    if not known.any():
        return [*lines, "depth: unknown everywhere; the pictures show nothing to focus on"]
    far, near = (position(float(v), depth.unit) for v in np.percentile(depth.value[known], (5, 95)))
    word = "height" if depth.unit == "um" else "depth"
    line = f"{word}: most of it from {far} to {near}; known at {100 * known.mean():.1f} % of the pixels"
    return [*lines, line if known.all() else f"{line}, the rest shows nothing to focus on"]


def about_files(written: dict[str, list[str]]) -> list[str]:
    """The files written; folders of many as one line."""
    lines = []
    for files in sorted(written.values(), key=lambda files: len(files) > 2):
        if len(files) > 2:
            lines.append(f"  {Path(files[0]).parent}/ ({len(files)} files)")
        else:
            lines += [f"  {file}" for file in files]
    return ["wrote", *lines] if lines else []


def about_times(seconds: dict[str, float]) -> str:
    """Seconds of every stage."""
    return "seconds: " + ", ".join(f"{stage} {value:.2f}" for stage, value in seconds.items())
