"""What `dff focus` chooses on real stacks, for eyes: regions in the slice chosen and in those next to it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dff.autofocus.curves import focus_curves
from dff.autofocus.from_depth import RegionFocus, region_focus
from dff.autofocus.regions import Roi
from dff.eval.inputs import Say, real_stack
from dff.eval.report import Cell, Report, Table
from dff.formats.pictures import to_levels, write_picture
from dff.formats.plot import INK, PAPER
from dff.learned_focus import LearnedFocus, load_learned_focus
from dff.pipeline import Prediction, predict_for_focus
from dff.stack import FocalStack, to_float

NAME = "focus-sheet"
_LEAST_SHARPNESS = (
    0.02  # deviation of luma over its mean, in the all-in-focus picture: less is no region to show
)
_LABEL_PX = 14
_DETAIL_PX = (1.5, 6.0)


@dataclass(frozen=True)
class Protocol:
    """Which stacks, and what is shown of them.

    Args:
        stacks: folders below the data folder.
        model: whose depth the index rule reads.
        grid: rows and columns of regions; of these the most detailed are shown.
        shown: regions per stack.
        crop_px: side of a crop on the sheet.
        step_um: stage height between the slices of stacks whose files do not tell it; their middle slice is
            at height 0, so that heights have both signs.
    """

    stacks: tuple[str, ...]
    model: str = "base"
    grid: tuple[int, int] = (6, 8)
    shown: int = 4
    crop_px: int = 112
    step_um: dict[str, float] = field(default_factory=dict)


def detailed_regions(picture: np.ndarray, grid: tuple[int, int], count: int) -> list[Roi]:
    """The ``count`` cells of a grid on an all-in-focus picture with most detail, in turns of its quarters."""
    height, width = picture.shape[:2]
    luma = to_float(picture).mean(axis=2)
    # of middling size: what is finer is noise in the dark, what is coarser is shading
    band = cv2.GaussianBlur(luma, (0, 0), _DETAIL_PX[0]) - cv2.GaussianBlur(luma, (0, 0), _DETAIL_PX[1])
    rows = np.linspace(0, height, grid[0] + 1).astype(int)
    columns = np.linspace(0, width, grid[1] + 1).astype(int)
    found: dict[tuple[int, int], list[tuple[float, Roi]]] = {}
    for r in range(grid[0]):
        for c in range(grid[1]):
            side = min(rows[r + 1] - rows[r], columns[c + 1] - columns[c])
            roi = Roi(int(columns[c]), int(rows[r]), int(side), int(side))
            detail = float(roi.crop(band).std())
            found.setdefault((2 * r // grid[0], 2 * c // grid[1]), []).append((detail, roi))
    ranked = [sorted(cells, key=lambda cell: -cell[0]) for cells in found.values()]
    turns = [cell for turn in zip(*ranked, strict=False) for cell in turn]
    return [roi for _, roi in turns[:count]]


def _crop(result: Prediction, k: int, roi: Roi, side: int, white: float) -> np.ndarray:
    picture = result.alignment.warp(result.stack.slices[k], k)
    part = to_float(roi.crop(picture)) / white
    method = cv2.INTER_AREA if side < roi.w else cv2.INTER_CUBIC
    return to_levels(np.clip(cv2.resize(part, (side, side), interpolation=method), 0, 1), 255)


def _titled(picture: np.ndarray, text: str) -> np.ndarray:
    strip = Image.new("RGB", (picture.shape[1], _LABEL_PX), PAPER)
    ImageDraw.Draw(strip).text((2, 1), text, fill=INK, font=ImageFont.load_default(10.0))
    return np.vstack([np.asarray(strip), picture])


@dataclass(frozen=True)
class Choice:
    """What one of the two says of one region; indices count in the whole far-first stack."""

    by: str
    roi: Roi
    said: RegionFocus
    index: int | None
    sharpest: int | None


def choices(result: Prediction, regions: list[Roi], head: LearnedFocus | None) -> list[list[Choice]]:
    """For each region what the depth rule says, and the head where there is one."""
    used = result.stack.subset(result.used)
    curves = focus_curves(used, result.alignment.subset(result.used), regions)
    looked = None if head is None else head.look(result.stack, result.alignment, result.used)
    found = []
    for roi, curve in zip(regions, curves, strict=True):
        sharpest = result.used[int(np.nanargmax(curve))] if np.isfinite(curve).any() else None
        by_depth = region_focus(result.depth, roi)
        index = None if by_depth.index is None else result.used[by_depth.index]
        row = [Choice("rule", roi, by_depth, index, sharpest)]
        if head is not None and looked is not None:
            by_head = head.focus(looked, roi)
            row.append(Choice("head", roi, by_head, by_head.index, sharpest))
        found.append(row)
    return found


def region_strip(result: Prediction, choice: Choice, side: int) -> np.ndarray:
    """(h,w,3) uint8: a region in the slice before the one chosen, in that one, and in the one after.

    Grey where the stack has no such slice, or where nothing was chosen.
    """
    blank = np.full((side, side, 3), 200, np.uint8)
    middle = -2 if choice.index is None else choice.index
    first = result.stack.slices[max(middle, 0)]
    white = max(float(np.quantile(to_float(choice.roi.crop(first)), 0.995)), 1e-3)
    parts = []
    for k in (middle - 1, middle, middle + 1):
        inside = 0 <= k < len(result.stack)
        picture = _crop(result, k, choice.roi, side, white) if inside else blank
        parts.append(
            _titled(picture, f"{choice.by} {k}" if inside and k == middle else f"{k}" if inside else "-")
        )
    return np.hstack([np.pad(part, ((1, 1), (1, 1), (0, 0)), constant_values=255) for part in parts])


def _stack(protocol: Protocol, data: Path, name: str) -> FocalStack:
    stack = real_stack(data, name)
    if name not in protocol.step_um:
        return stack
    heights = protocol.step_um[name] * (np.arange(len(stack)) - len(stack) // 2)
    return FocalStack(stack.slices, z_um=heights, names=stack.names)


def run(
    protocol: Protocol, data: Path, weights: str, pictures: Path, *, limit: int | None, options: str, say: Say
) -> Report:
    """Write one JPEG per stack to ``pictures`` and tabulate the choices."""
    pictures.mkdir(parents=True, exist_ok=True)
    head = load_learned_focus(weights) if weights else None
    rows: list[list[Cell]] = []
    for name in protocol.stacks[:limit]:
        say(f"{NAME}: {name}")
        result = predict_for_focus(_stack(protocol, data, name), model=protocol.model)
        assert result.aif is not None
        made = choices(result, detailed_regions(result.aif, protocol.grid, protocol.shown), head)
        lines = [np.hstack([region_strip(result, one, protocol.crop_px) for one in row]) for row in made]
        rows += [
            [name, str(one.roi), one.by, len(result.stack), one.index, one.said.value, result.stack.unit,
             one.said.confidence, one.said.mixed, one.sharpest]
            for row in made
            for one in row
        ]  # fmt: skip
        write_picture(np.vstack(lines), pictures / f"{name.replace('/', '_')}.jpg", overwrite=True)
    columns = {
        "stack": "", "region": "", "by": "", "slices": "d", "index": "d", "value": ".3f", "unit": "",
        "confidence": ".2f", "two depths": "", "sharpest": "d",
    }  # fmt: skip
    note = (
        "Of each quarter of the picture the most detailed cells of a grid. Sharpest: by the contrast measure."
    )
    return Report(NAME, options, asdict(protocol), [Table("Real stacks", columns, rows, note)], [])
