"""Depth as a coloured picture with a legend: for eyes; the measures are in the depth file."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from dff.formats.pictures import PICTURE_SUFFIXES, to_levels, write_picture
from dff.formats.safe_write import check_output
from dff.stack import DepthMap

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PAPER, _INK = (24, 24, 24), (235, 235, 235)
_UNKNOWN, _HATCH = 70, 110  # greys, which the colour map has none of
_SUFFIX = {"dioptre": " m", "um": " um", "index": ""}


def _table() -> np.ndarray:
    """(256,3) RGB uint8: 0 = far = blue, 255 = near = red. Turbo, without its near-black ends."""
    ramp = np.linspace(10, 245, 256).round().astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(ramp[:, None], cv2.COLORMAP_TURBO).reshape(256, 3)[:, ::-1])


def _ends(depth: DepthMap) -> tuple[float, float]:
    """Depth in ``depth.unit`` of the farthest and the nearest slice: the range of the colours."""
    if depth.unit == "index":
        return 0.0, float(max(depth.positions.size - 1, 1))
    return float(depth.positions[0]), float(depth.positions[-1])


def _paint(depth: DepthMap) -> np.ndarray:
    """(H,W,3) uint8: colours where depth is known, hatched grey elsewhere."""
    far, near = _ends(depth)
    known = depth.valid & np.isfinite(depth.index)
    share = (np.where(known, depth.value, np.float32(far)) - np.float32(far)) / np.float32(near - far)
    colours: np.ndarray = _table()[to_levels(share, 255)]
    height, width = known.shape
    period = max(4, min(height, width) // 40)
    row, column = np.indices((period, period))
    tile = np.where((row + column) % period < max(1, period // 4), _HATCH, _UNKNOWN).astype(np.uint8)
    hatch = tile[np.ix_(np.arange(height) % period, np.arange(width) % period)]
    unknown = ~known
    colours[unknown] = hatch[unknown][:, None]
    return colours


def _number(value: float) -> str:
    return "inf" if math.isinf(value) else f"{float(f'{value:.3g}'):.6g}"


def _ticks(depth: DepthMap, room: int) -> list[tuple[float, str]]:
    """(share of the range, label) of round metres, um or index; ends first, then the most wanted.

    ``room`` is how many labels fit: equal steps (um, index) are chosen to keep within it.
    """
    far, near = _ends(depth)

    def tick(value: float, shown: float) -> tuple[float, str]:
        text = _number(shown)
        return (value - far) / (near - far), text if text == "inf" else text + _SUFFIX[depth.unit]

    if depth.unit == "dioptre":
        ends = [tick(d, math.inf if d == 0 else 1 / d) for d in (near, far)]
        wanted = [m * 10.0**e for m in (1, 2, 5, 3, 1.5, 7, 4, 2.5, 1.2, 6, 8, 9) for e in range(-4, 5)]
        return ends + [tick(1 / m, m) for m in wanted if min(near, far) < 1 / m < max(near, far)]
    span, low = abs(near - far), min(near, far)
    decade = 10.0 ** math.floor(math.log10(span / room))
    step = next(s for s in (decade, 2 * decade, 5 * decade, 10 * decade) if span / s <= room)
    step = max(step, 1.0) if depth.unit == "index" else step
    first, last = math.ceil(low / step), math.floor((low + span) / step)
    return [tick(near, near), tick(far, far)] + [tick(k * step, k * step) for k in range(first, last + 1)]


def _ink(scale: float, pen: int) -> tuple[int, float]:
    """Height of a digit and its middle above the base line [px]: OpenCV 4 and 5 have other fonts."""
    canvas = np.zeros((round(60 * scale) + 20, round(60 * scale) + 20), dtype=np.uint8)
    base = canvas.shape[0] - 10
    cv2.putText(canvas, "0", (5, base), _FONT, scale, 255, pen)
    rows = np.flatnonzero(canvas.any(axis=1))
    return int(rows[-1] - rows[0] + 1), float(base - (rows[0] + rows[-1]) / 2)


def _legend(depth: DepthMap, height: int) -> np.ndarray:
    """(height,w,3) uint8: the colour bar, near on top, with as many tick labels as fit."""
    scale = min(max(min(depth.index.shape) / 1100, 0.35), 3.0)
    pen = max(1, round(scale * 1.6))
    tall, lift = _ink(scale, pen)
    ticks = _ticks(depth, max(2, height // (3 * tall)))
    roomy = height > 12 * tall
    words = [text for _, text in ticks] + (["unknown"] if roomy else [])
    wide = max(cv2.getTextSize(text, _FONT, scale, pen)[0][0] for text in words)
    margin, bar = tall, 2 * tall
    text_x = margin + bar + tall
    strip = np.full((height, text_x + wide + margin, 3), _PAPER, dtype=np.uint8)

    def write(text: str, middle: float) -> None:
        cv2.putText(strip, text, (text_x, round(middle + lift)), _FONT, scale, _INK, pen, cv2.LINE_AA)

    edge = tall if roomy else tall // 2 + 1
    top, bottom = edge, height - 1 - edge
    if roomy and not np.all(depth.valid & np.isfinite(depth.index)):
        strip[bottom - tall : bottom + 1, margin : margin + bar] = _UNKNOWN
        write("unknown", bottom - tall / 2)
        bottom -= 3 * tall
    if roomy and depth.unit == "index":
        write("slice", top + tall / 2)
        top += 3 * tall
    ramp = np.linspace(255, 0, bottom - top + 1).round().astype(np.uint8)
    strip[top : bottom + 1, margin : margin + bar] = _table()[ramp][:, None]
    taken: list[float] = []
    for share, text in ticks:
        y = bottom + (top - bottom) * share
        if all(abs(y - other) >= 1.8 * tall for other in taken):
            taken.append(y)
            cv2.line(strip, (margin + bar, round(y)), (margin + bar + tall // 2, round(y)), _INK, pen)
            write(text, y)
    return strip


def colourise(depth: DepthMap, picture: np.ndarray | None = None) -> np.ndarray:
    """Depth in colours, with a legend strip on its right, as an (H',W',3) uint8 RGB picture.

    Red is near, blue is far, on a fixed range: the stack's own focus range, linear in dioptres (or um, or
    focal index), so that two maps of one stack compare. Ticks are in metres where known. Unknown pixels
    are hatched grey. ``picture``, (H,W) or (H,W,3), is put on the left when given.
    H' = H, or the least height that takes two labels; the map itself is in its own pixels.
    """
    panels = [_paint(depth)]
    if picture is not None:
        shown = to_levels(np.asarray(picture), 255)
        if shown.shape[:2] != depth.index.shape:
            raise ValueError(f"vis: picture {shown.shape[:2]} and depth {depth.index.shape} differ in size")
        panels.insert(0, cv2.cvtColor(shown, cv2.COLOR_GRAY2RGB) if shown.ndim == 2 else shown)
    height = max(depth.index.shape[0], 32)
    panels = [
        cv2.copyMakeBorder(p, 0, height - p.shape[0], 0, 0, cv2.BORDER_CONSTANT, value=_PAPER) for p in panels
    ]
    return np.hstack([*panels, _legend(depth, height)])


def write_vis(
    depth: DepthMap, path: str | Path, *, picture: np.ndarray | None = None, overwrite: bool = False
) -> Path:
    """Write `colourise` as .png, .jpg or .tif; returns the path.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: unknown suffix, the file exists, or ``picture`` is of another size.
    """
    check_output(path, PICTURE_SUFFIXES, overwrite)
    return write_picture(colourise(depth, picture), path, overwrite=overwrite)
