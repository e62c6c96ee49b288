"""Small line plots, drawn with Pillow: for pages, sheets and reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FINER = 2  # drawn this much larger, then reduced
PAPER, INK, RULE = (255, 255, 255), (30, 30, 30), (222, 222, 222)
COLOURS = ((200, 60, 40), (230, 140, 30), (150, 30, 110), (120, 90, 50), (240, 130, 140))  # warm
OTHER_COLOURS = ((30, 90, 190), (30, 150, 150), (80, 80, 90), (90, 150, 40))  # cold

Colour = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Line:
    """One curve: x and y (n,), NaN where it has a gap; ``band`` (2,n) a shade between two others."""

    x: np.ndarray
    y: np.ndarray
    colour: Colour
    dashed: bool = False
    band: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Plot:
    """Axes and curves.

    Args:
        title, x_label: words.
        x_range, y_range: ends of the axes; what lies beyond is cut off.
        lines: curves, the last on top.
        log_x, log_y: whether an axis is logarithmic.
    """

    title: str
    x_label: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    lines: Sequence[Line] = field(default_factory=tuple)
    log_x: bool = False
    log_y: bool = False


def _ticks(ends: tuple[float, float], log: bool) -> list[float]:
    if log:
        first, last = math.ceil(math.log10(ends[0]) - 1e-9), math.floor(math.log10(ends[1]) + 1e-9)
        if last - first >= 2:
            return [10.0**k for k in range(first, last + 1)]
        decades = range(first - 1, last + 1)
        return [m * 10.0**k for k in decades for m in (1, 2, 5) if ends[0] <= m * 10.0**k <= ends[1]]
    rough = (ends[1] - ends[0]) / 5
    decade = 10 ** math.floor(math.log10(rough))
    step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= rough)
    return [k * step for k in range(math.ceil(ends[0] / step - 1e-9), math.floor(ends[1] / step + 1e-9) + 1)]


class _Axes:
    """Places of values on a drawing of (height, width) px."""

    def __init__(self, plot: Plot, height: int, width: int) -> None:
        self.plot = plot
        self.left, self.right = 44 * FINER, (width - 10) * FINER
        self.top, self.bottom = 24 * FINER, (height - 36) * FINER

    def _share(self, value: np.ndarray, ends: tuple[float, float], log: bool) -> np.ndarray:
        if log:
            value, ends = np.log(np.maximum(value, ends[0] / 1e3)), (math.log(ends[0]), math.log(ends[1]))
        return (value - ends[0]) / (ends[1] - ends[0])

    def x(self, value: np.ndarray) -> np.ndarray:
        share = self._share(np.asarray(value, float), self.plot.x_range, self.plot.log_x)
        return self.left + share * (self.right - self.left)

    def y(self, value: np.ndarray) -> np.ndarray:
        share = self._share(np.asarray(value, float), self.plot.y_range, self.plot.log_y)
        return self.bottom + share * (self.top - self.bottom)


def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * FINER)


def _runs(known: np.ndarray) -> list[np.ndarray]:
    """Indices of each unbroken stretch."""
    at = np.flatnonzero(known)
    return [run for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if run.size]


def _draw_line(pen: ImageDraw.ImageDraw, points: list[tuple[float, float]], line: Line) -> None:
    if not line.dashed:
        pen.line(points, fill=line.colour, width=2 * FINER, joint="curve")
        return
    on, off, gone = 6.0 * FINER, 4.0 * FINER, 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        at = 0.0
        while at < length:
            phase = (gone + at) % (on + off)
            step = min(length - at, on - phase if phase < on else on + off - phase)
            if phase < on:
                a, b = at / length, (at + step) / length
                ends = [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in (a, b)]
                pen.line(ends, fill=line.colour, width=2 * FINER)
            at += max(step, 1e-3)
        gone += length


def draw(plot: Plot, height: int, width: int) -> np.ndarray:
    """The plot as a picture (height,width,3) uint8."""
    axes = _Axes(plot, height, width)
    sheet = Image.new("RGB", (width * FINER, height * FINER), PAPER)
    pen = ImageDraw.Draw(sheet)
    small = font(10)
    for value in _ticks(plot.x_range, plot.log_x):
        x = float(axes.x(np.array(value)))
        pen.line([(x, axes.top), (x, axes.bottom)], fill=RULE, width=FINER)
        pen.text((x, axes.bottom + 3 * FINER), f"{value:g}", fill=INK, font=small, anchor="mt")
    for value in _ticks(plot.y_range, plot.log_y):
        y = float(axes.y(np.array(value)))
        pen.line([(axes.left, y), (axes.right, y)], fill=RULE, width=FINER)
        pen.text((axes.left - 4 * FINER, y), f"{value:g}", fill=INK, font=small, anchor="rm")
    box = (axes.left, axes.top, axes.right, axes.bottom)
    field_ = sheet.crop(box)
    for line in plot.lines:
        along = axes.x(line.x) - axes.left
        if line.band is not None:
            shade = Image.new("RGBA", field_.size, (0, 0, 0, 0))
            low, high = (axes.y(edge) - axes.top for edge in line.band)
            for run in _runs(np.isfinite(low + high)):
                outline = [
                    *zip(along[run], low[run], strict=True),
                    *zip(along[run][::-1], high[run][::-1], strict=True),
                ]
                if run.size > 1:
                    ImageDraw.Draw(shade).polygon(outline, fill=(*line.colour, 36))
            field_.paste(shade, (0, 0), shade)
    for line in plot.lines:
        points = np.column_stack([axes.x(line.x) - axes.left, axes.y(line.y) - axes.top])
        for run in _runs(np.isfinite(points[:, 1])):
            _draw_line(ImageDraw.Draw(field_), [(x, y) for x, y in points[run]], line)
    sheet.paste(field_, box)
    pen.rectangle(box, outline=INK, width=FINER)
    middle = (axes.left + axes.right) / 2
    pen.text((middle, 5 * FINER), plot.title, fill=INK, font=font(12), anchor="mt")
    pen.text((middle, axes.bottom + 18 * FINER), plot.x_label, fill=INK, font=small, anchor="mt")
    return np.asarray(sheet.resize((width, height), Image.Resampling.LANCZOS))


def legend(names: Sequence[tuple[str, Colour, bool]], width: int, height: int = 24) -> np.ndarray:
    """A line of names with their strokes (colour, dashed), (height,width,3) uint8."""
    sheet = Image.new("RGB", (width * FINER, height * FINER), PAPER)
    pen = ImageDraw.Draw(sheet)
    x, middle = 12.0 * FINER, height / 2 * FINER
    for name, colour, dashed in names:
        stroke = Line(np.empty(0), np.empty(0), colour, dashed)
        _draw_line(pen, [(x, middle), (x + 30 * FINER, middle)], stroke)
        x += 36 * FINER
        pen.text((x, middle), name, fill=INK, font=font(12), anchor="lm")
        x += pen.textlength(name, font=font(12)) + 20 * FINER
    return np.asarray(sheet.resize((width, height), Image.Resampling.LANCZOS))
