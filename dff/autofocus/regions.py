"""Regions of interest: (x, y, w, h) in px of the reference slice, origin at the top left."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Roi:
    """A rectangle; it may reach beyond the picture until it is clipped.

    Raises:
        ValueError: width or height below 1.
    """

    x: int
    y: int
    w: int
    h: int

    def __post_init__(self) -> None:
        if self.w < 1 or self.h < 1:
            raise ValueError(f"region {self}: empty; give a width and a height of 1 px or more")

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.w},{self.h}"

    def clipped(self, height: int, width: int) -> Roi:
        """The part inside a picture.

        Raises:
            ValueError: nothing of it is inside.
        """
        left, top = max(self.x, 0), max(self.y, 0)
        right, bottom = min(self.x + self.w, width), min(self.y + self.h, height)
        if left >= right or top >= bottom:
            raise ValueError(f"region {self}: outside the picture, which is {width}x{height} px")
        return Roi(left, top, right - left, bottom - top)

    def crop(self, image: np.ndarray) -> np.ndarray:
        """The region of (H,W,...), a view; the region must lie inside."""
        return image[self.y : self.y + self.h, self.x : self.x + self.w]


def parse_roi(text: str) -> Roi:
    """``x,y,w,h`` in px.

    Raises:
        ValueError: other text, or an empty region.
    """
    if not re.fullmatch(r"\s*-?\d+(\s*,\s*-?\d+){3}\s*", text):
        raise ValueError(f"region {text!r}: give x,y,w,h in whole pixels, such as 100,80,64,64")
    return Roi(*map(int, text.split(",")))


def parse_grid(text: str, height: int, width: int) -> list[Roi]:
    """``RxC``: R rows of C regions that cover a picture, row by row.

    Raises:
        ValueError: other text, or more rows or columns than pixels.
    """
    found = re.fullmatch(r"(\d+)[xX](\d+)", text.strip())
    rows, columns = (int(number) for number in found.groups()) if found else (0, 0)
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise ValueError(f"grid {text!r}: give rows x columns, such as 6x8, no more than {height}x{width}")
    y = np.linspace(0, height, rows + 1).round().astype(int).tolist()
    x = np.linspace(0, width, columns + 1).round().astype(int).tolist()
    return [Roi(x[c], y[r], x[c + 1] - x[c], y[r + 1] - y[r]) for r in range(rows) for c in range(columns)]


def middle(height: int, width: int) -> Roi:
    """Half the width and a third of the height, in the middle: where cameras meter unless told otherwise."""
    w, h = max(1, width // 2), max(1, height // 3)
    return Roi((width - w) // 2, (height - h) // 2, w, h)
