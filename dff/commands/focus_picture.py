"""The picture of `dff focus`: numbered regions on the all-in-focus picture, and their focus curves below."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dff.formats.pictures import to_levels
from dff.formats.plot import COLOURS, INK, OTHER_COLOURS, PAPER, Line, Plot, draw
from dff.stack import to_float

_PLOT = (150, 220)  # height, width px
_COLUMNS = 6
_WIDE = 880  # px, the least width of the sheet


def focus_picture(
    aif: np.ndarray, rows: list[dict[str, Any]], curves: np.ndarray, used: list[int]
) -> np.ndarray:
    """(h,w,3) uint8 sheet.

    Args:
        aif: all-in-focus picture (H,W) or (H,W,3), uint8, uint16 or float in [0,1].
        rows: of the regions: region, x, y, w, h, index, sharpest_index.
        curves: (R,N) sharpness of each, NaN where unknown.
        used: (N,) index of the slices that the curves speak of.
    """
    columns = min(_COLUMNS, max(len(rows), _WIDE // _PLOT[1]))
    width = columns * _PLOT[1]
    plots = [draw(_plot(row, curve, np.array(used)), *_PLOT) for row, curve in zip(rows, curves, strict=True)]
    blank = np.full((*_PLOT, 3), PAPER, np.uint8)
    plots += [blank] * (-len(plots) % columns)
    lines = [np.hstack(plots[at : at + columns]) for at in range(0, len(plots), columns)]
    return np.vstack([_marked(aif, rows, width), *lines])


def _plot(row: dict[str, Any], curve: np.ndarray, used: np.ndarray) -> Plot:
    """One focus curve from its least to its most; the slice chosen from depth is the dashed line."""
    known = curve[np.isfinite(curve)]
    span = float(known.max() - known.min()) if known.size else 0.0
    share = (curve - known.min()) / span if span else np.full_like(curve, np.nan)
    index = row["index"]
    lines = [Line(used, share, OTHER_COLOURS[0])]
    if index is not None:
        lines.append(Line(np.array([index, index]), np.array([0.0, 1.0]), COLOURS[0], dashed=True))
    title = f"{row['region']}: " + ("nothing to focus on" if index is None else f"slice {index}")
    ends = float(used[0]), float(max(used[-1], used[0] + 1))
    return Plot(title + (", two depths" if row["mixed"] else ""), "slice", ends, (-0.05, 1.05), lines)


def _marked(aif: np.ndarray, rows: list[dict[str, Any]], width: int) -> np.ndarray:
    """The picture at ``width`` px with each region's frame, its number and its slice."""
    scale = width / aif.shape[1]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (width, max(1, round(aif.shape[0] * scale)))
    small = np.asarray(cv2.resize(to_float(aif), size, interpolation=method), dtype=np.float32)
    # 12-bit data in 16-bit files would be black
    small = small / max(float(np.quantile(small, 0.999)), 1e-3)
    sheet = Image.fromarray(to_levels(np.clip(small, 0, 1), 255))
    pen = ImageDraw.Draw(sheet)
    for row in rows:
        left, top = row["x"] * scale, row["y"] * scale
        right, bottom = left + row["w"] * scale - 1, top + row["h"] * scale - 1
        colour = COLOURS[1] if row["mixed"] else PAPER
        for grow, shade in ((0, INK), (1, colour), (2, INK)):
            box = [left + grow, top + grow, max(left + grow, right - grow), max(top + grow, bottom - grow)]
            pen.rectangle(box, outline=shade)
        text = f"{row['region']}: {'-' if row['index'] is None else row['index']}"
        font = ImageFont.load_default(max(9.0, min(16.0, 0.2 * min(right - left, math.inf))))
        pen.text((left + 5, top + 4), text, fill=colour, font=font, stroke_width=2, stroke_fill=INK)
    return np.asarray(sheet)
