"""A contact sheet of a capture: what was taken, the fused picture, where things are, what was in focus."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dff.formats.pictures import to_levels

TILE_PX = 256
_LINE_PX, _GAP_PX, _PAPER, _INK = 20, 6, 24, (235, 235, 235)
_COLUMNS = 4


def sheet(tiles: Sequence[tuple[str, np.ndarray]], columns: int = _COLUMNS) -> np.ndarray:
    """(h,w,3) uint8 of titled pictures, row by row.

    Args:
        tiles: titles, and pictures (H,W) or (H,W,3), bool, uint8, uint16 or float in [0,1]; at least one.
        columns: in a row, at most.
    """
    made = [_tile(title, picture) for title, picture in tiles]
    tall, wide = (max(tile.shape[axis] for tile in made) for axis in (0, 1))
    made = [_padded(tile, tall, wide) for tile in made]
    columns = min(columns, len(made))
    made += [np.full((tall, wide, 3), _PAPER, np.uint8)] * (-len(made) % columns)
    return np.vstack([np.hstack(made[at : at + columns]) for at in range(0, len(made), columns)])


def map_tile(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """A map (h,w) in colours from ``low``, dark, to ``high``, bright; (h,w,3) uint8."""
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    coloured = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB))


def _tile(title: str, picture: np.ndarray) -> np.ndarray:
    levels = to_levels(np.asarray(picture), 255)
    if levels.ndim == 2:
        levels = np.repeat(levels[..., None], 3, axis=2)
    side = max(levels.shape[:2])
    if side > TILE_PX:
        size = [max(1, round(length * TILE_PX / side)) for length in levels.shape[1::-1]]
        levels = cv2.resize(levels, size, interpolation=cv2.INTER_AREA)
    head = np.full((_LINE_PX, levels.shape[1], 3), _PAPER, np.uint8)
    cv2.putText(head, title, (2, _LINE_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
    tile = np.vstack([head, levels])
    return _padded(tile, tile.shape[0] + _GAP_PX, tile.shape[1] + _GAP_PX)


def _padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    paper = np.full((height, width, 3), _PAPER, np.uint8)
    paper[: picture.shape[0], : picture.shape[1]] = picture
    return paper
