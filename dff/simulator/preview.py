"""One sheet to look at: of each stack some slices, the all-in-focus picture, and depth in colours."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dff.formats.pictures import to_levels
from dff.formats.vis import colourise
from dff.simulator.simulated import Simulated
from dff.stack import DISPLAY_GAMMA, DepthMap

TILE_PX = 256
SLICES = 4
_GAP_PX, _PAPER, _INK = 6, 24, (235, 235, 235)
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4
_LINE_PX = 20


def contact_sheet(stacks: Sequence[Simulated], tile_px: int = TILE_PX, slices: int = SLICES) -> np.ndarray:
    """(H,W,3) uint8: one row per stack, slices far to near, then all in focus, then depth with its legend.

    Over every slice stands where the lens was: the reported distance, and the true one where it differs.
    Depth colours span the stack's own focus range; unknown depth is hatched. Linear pictures are shown with
    a gamma.

    Args:
        stacks: at least one.
        tile_px: larger side of each picture; smaller ones are enlarged by whole factors.
        slices: how many of each stack, evenly chosen.

    Raises:
        ValueError: no stack at all.
    """
    if not stacks:
        raise ValueError("contact sheet: there is no stack to show")
    rows = [_row(stack, tile_px, slices) for stack in stacks]
    wide = max(row.shape[1] for row in rows)
    return np.vstack([_padded(row, row.shape[0], wide) for row in rows])


def _row(simulated: Simulated, tile_px: int, slices: int) -> np.ndarray:
    stack = simulated.stack
    chosen = np.unique(np.linspace(0, len(stack) - 1, slices).round().astype(int))
    pictures = [(_shown(stack.slices[k]), _distance(simulated, k)) for k in chosen.tolist()]
    blank = np.full((*simulated.dioptre.shape, 3), _PAPER, dtype=np.uint8)
    pictures += [(blank, "")] * (slices - chosen.size)  # so that the columns of all rows are alike
    pictures.append((_shown(simulated.aif), "all in focus"))
    tiles = [_tile(_resized(picture, tile_px), title) for picture, title in pictures]
    tiles.append(_tile(_coloured(simulated, tile_px), "depth"))
    tall = max(tile.shape[0] for tile in tiles)
    return np.hstack([_padded(tile, tall, tile.shape[1]) for tile in tiles])


def _shown(picture: np.ndarray) -> np.ndarray:
    """(H,W,3) uint8 for the eye: a slice of one channel is green light as the sensor counts it."""
    if picture.ndim == 3:
        return to_levels(np.broadcast_to(picture, (*picture.shape[:2], 3)), 255)
    light = picture / np.float32(np.iinfo(picture.dtype).max if picture.dtype.kind == "u" else 1)
    return np.repeat(to_levels(light ** np.float32(1 / DISPLAY_GAMMA), 255)[..., None], 3, axis=2)


def _tile(picture: np.ndarray, title: str) -> np.ndarray:
    tile = _padded(picture, picture.shape[0] + _GAP_PX, picture.shape[1] + _GAP_PX)
    head = np.full((_LINE_PX, tile.shape[1], 3), _PAPER, dtype=np.uint8)
    cv2.putText(head, title, (2, _LINE_PX - 6), _FONT, _SCALE, _INK, 1, cv2.LINE_AA)
    return np.vstack([head, tile])


def _resized(picture: np.ndarray, tile_px: int, shrink: int = cv2.INTER_AREA) -> np.ndarray:
    """Blur must look as it is: whole factors up, area means (or ``shrink``) down."""
    side = max(picture.shape[:2])
    if side > tile_px:
        size = [max(1, round(length * tile_px / side)) for length in picture.shape[1::-1]]
        return cv2.resize(picture, size, interpolation=shrink)
    factor = tile_px // side
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _coloured(simulated: Simulated, tile_px: int) -> np.ndarray:
    """Depth in colours with its legend; no means over the steps of depth."""
    dioptre = _resized(simulated.dioptre, tile_px, cv2.INTER_NEAREST)
    valid = _resized(simulated.valid.astype(np.uint8), tile_px, cv2.INTER_NEAREST) > 0
    index = np.interp(dioptre, simulated.focus, np.arange(simulated.focus.size))
    return colourise(DepthMap(index, np.ones_like(index), valid, simulated.focus, "dioptre"))


def _distance(simulated: Simulated, k: int) -> str:
    told, true = (_metres(float(focus[k])) for focus in (simulated.focus, simulated.true_focus))
    return f"{k}: {told}" if told == true else f"{k}: {told} (true {true})"


def _metres(dioptre: float) -> str:
    return f"{1 / dioptre:.3g} m" if dioptre > 0 else "inf"


def _padded(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    sheet = np.full((height, width, 3), _PAPER, dtype=np.uint8)
    sheet[: picture.shape[0], : picture.shape[1]] = picture
    return sheet
