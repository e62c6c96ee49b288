"""Overlapping tiles of a picture, and maps put together from them without seams."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np


@dataclass(frozen=True)
class Span:
    """Pixels ``start`` to ``stop`` of one axis, and where neighbours take over.

    Args:
        start, stop: of the tile.
        left, right: middle of the overlap with the tile before and after; None at the picture's ends.
    """

    start: int
    stop: int
    left: float | None
    right: float | None

    def share(self, ramp: int) -> np.ndarray:
        """(stop - start,) weights, 0 to 1 over ``ramp`` px where neighbours take over; they add up to 1."""
        x = np.arange(self.start, self.stop) + 0.5
        rise = np.ones_like(x) if self.left is None else _smooth((x - self.left) / ramp + 0.5)
        fall = np.ones_like(x) if self.right is None else _smooth((self.right - x) / ramp + 0.5)
        return (rise * fall).astype(np.float32)


def _smooth(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


Box = tuple[slice, slice]
"""Rows and columns."""


def box_round(mask: np.ndarray, margin: int, multiple: int) -> Box:
    """What is True in (h,w), and at least ``margin`` px round it; it begins at multiples of ``multiple``."""

    def span(some: np.ndarray) -> slice:
        first, last = map(int, np.flatnonzero(some)[[0, -1]])
        return slice(max(first - margin, 0) // multiple * multiple, min(last + 1 + margin, len(some)))

    return span(np.any(mask, axis=1)), span(np.any(mask, axis=0))


def within(outer: Box, inner: Box) -> Box:
    """A box that is given in the pixels of another, in those of the picture."""
    rows, columns = (slice(a.start + b.start, a.start + b.stop) for a, b in zip(outer, inner, strict=True))
    return rows, columns


@dataclass(frozen=True)
class Tile:
    """A part of a picture."""

    rows: Span
    columns: Span

    @property
    def box(self) -> Box:
        return slice(self.rows.start, self.rows.stop), slice(self.columns.start, self.columns.stop)


def tile_plan(size: tuple[int, int], most_pixels: int, overlap: int, multiple: int) -> list[Tile]:
    """Tiles that cover a (height, width) picture, all of one size but for the picture's end.

    They start at multiples of ``multiple``, so that what a network pools together is the same in every tile,
    and share at least ``overlap`` px with their neighbours. Of all grids the one with the least to compute is
    taken.

    Args:
        size: of the picture.
        most_pixels: of a tile; tiles never get narrower than two overlaps, whatever this says.
        overlap: a multiple of ``multiple``.
        multiple: of which sides are counted full: a network pads the picture to it.
    """
    grids = product(_sides(size[0], overlap, multiple), _sides(size[1], overlap, multiple))
    best = min(grids, key=lambda grid: _cost(grid, most_pixels))
    (rows, height), (columns, width) = best
    return [
        Tile(row, column)
        for row in _spans(size[0], rows, height, multiple)
        for column in _spans(size[1], columns, width, multiple)
    ]


def _cost(grid: tuple[tuple[int, int], tuple[int, int]], most_pixels: int) -> tuple[int, int]:
    """Pixels over the limit, then pixels to compute."""
    (rows, height), (columns, width) = grid
    return max(0, height * width - most_pixels), rows * height * columns * width


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _sides(length: int, overlap: int, multiple: int) -> list[tuple[int, int]]:
    """(count, side): ways to cover ``length`` with tiles of at least two overlaps."""
    whole = _up(length, multiple)
    found = [(1, whole)]
    for count in range(2, whole // max(overlap, multiple) + 1):
        side = _up(-(-(whole + (count - 1) * overlap) // count), multiple)
        if side < max(2 * overlap, multiple):
            break
        if side < found[-1][1]:
            found.append((count, side))
    return found


def _spans(length: int, count: int, side: int, multiple: int) -> list[Span]:
    free = _up(length, multiple) - side
    starts = [i * free // max(count - 1, 1) // multiple * multiple for i in range(count)]
    stops = [min(start + side, length) for start in starts]
    middles = [0.5 * (stop + start) for stop, start in zip(stops, starts[1:], strict=False)]
    return [Span(*ends) for ends in zip(starts, stops, [None, *middles], [*middles, None], strict=True)]


class Mosaic:
    """Maps of a (height, width) picture, added up tile by tile.

    Args:
        size: of the picture.
        overlap: of the tiles; the outer quarter of it on either side counts nothing.
    """

    def __init__(self, size: tuple[int, int], overlap: int) -> None:
        self._size, self._ramp = size, max(overlap // 2, 1)
        self._weight = np.zeros(size, np.float32)
        self._totals: dict[str, np.ndarray] = {}

    def add(self, tile: Tile, maps: dict[str, np.ndarray]) -> None:
        """Add the (h,w) maps of a tile."""
        share = tile.rows.share(self._ramp)[:, None] * tile.columns.share(self._ramp)
        self._weight[tile.box] += share
        for name, values in maps.items():
            total = self._totals.setdefault(name, np.zeros(self._size, np.float32))
            total[tile.box] += share * values

    def maps(self) -> dict[str, np.ndarray]:
        """The finished maps."""
        return {name: total / self._weight for name, total in self._totals.items()}
