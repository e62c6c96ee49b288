"""Lines of random letters as signed distances: print on surfaces, and letters cut out as objects."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from dff.simulator.draws import Draws

LETTERS = "abcdefghijklmnopqrstuvwxyzaeioutnsrABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789&?!%+="
CELL = 24, 15  # height and width of a letter's cell in the atlas, pixels
BLANK_SHARE = 0.17


@lru_cache(maxsize=4)
def _atlas(device: torch.device) -> Tensor:
    """(letters+1, *CELL) signed distance to the outline, positive inside, in atlas pixels; last: a blank."""
    fine = 4
    tall, wide = CELL[0] * fine, CELL[1] * fine
    font = ImageFont.load_default(0.8 * tall)
    cells = []
    for letter in LETTERS + " ":
        cell = Image.new("L", (wide, tall))
        pen = ImageDraw.Draw(cell)
        pen.text(((wide - pen.textlength(letter, font)) / 2, 0.02 * tall), letter, fill=255, font=font)
        ink = (np.asarray(cell) > 127).astype(np.uint8)
        # one empty frame pixel: a blank has a distance, too
        inside, outside = (
            cv2.distanceTransform(np.pad(side, 1, constant_values=border), cv2.DIST_L2, 5)[1:-1, 1:-1]
            for side, border in ((ink, 0), (1 - ink, 1))
        )
        outside = np.minimum(outside, tall / 4)  # of a blank, the distance is endless
        distance = torch.from_numpy((inside - outside).astype(np.float32) / fine)
        cells.append(F.avg_pool2d(distance[None], fine)[0])
    return torch.stack(cells).to(device)


def print_distance(draws: Draws, u: Tensor, v: Tensor, letter_px: Tensor, lines: int, columns: int) -> Tensor:
    """Signed distance [px], positive in the ink, of a page of random words centred on (0, 0).

    Args:
        draws: one page of words per item.
        u, v: (n,h,w) coordinates along and across the lines, in pixels.
        letter_px: (n,1,1) height of a line in pixels.
        lines, columns: size of the page; beyond it, it is repeated.

    Returns:
        (n,h,w).
    """
    count = u.shape[0]
    words = draws.integer((count, lines, columns), 0, len(LETTERS) - 1)
    blank = draws.chance((count, lines, columns), BLANK_SHARE)
    # ragged ends of lines
    blank |= torch.arange(columns, device=u.device) >= columns * draws.uniform((count, lines, 1), 0.5, 1.6)
    sheet = _atlas(u.device)[torch.where(blank, len(LETTERS), words)]  # (n,lines,columns,h,w)
    sheet = sheet.transpose(2, 3).reshape(count, 1, lines * CELL[0], columns * CELL[1])
    tall, wide = letter_px * lines, letter_px * columns * (CELL[1] / CELL[0])
    at = torch.stack([torch.remainder(u / wide + 0.5, 1), torch.remainder(v / tall + 0.5, 1)], dim=-1) * 2 - 1
    distance = F.grid_sample(sheet, at, padding_mode="border", align_corners=False)[:, 0]
    return distance * (letter_px / CELL[0])
