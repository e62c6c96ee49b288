"""The colour filter array: Bayer mosaic, the green sites alone, and linear demosaicing."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

BAYER = ("RGGB", "GRBG", "GBRG", "BGGR")  # a phase is a place in here: 2 * row + column of the red site
Demosaic = Literal["bilinear", "malvar2004"]
RED, GREEN, BLUE = range(3)


def _colour(phase: int, row: int, column: int) -> int:
    """What the site at (row, column) of the 2x2 cell sees."""
    red_row, red_column = divmod(phase, 2)
    if (row == red_row) != (column == red_column):
        return GREEN
    return RED if row == red_row else BLUE


@cache
def _filters(device: torch.device) -> Tensor:
    """(4 phases, 3 colours, 2, 2): 1 where a site of the cell sees the colour."""
    filters = torch.zeros(4, 3, 2, 2)
    for phase, row, column in product(range(4), range(2), range(2)):
        filters[phase, _colour(phase, row, column), row, column] = 1
    return filters.to(device)


def _check_even(height: int, width: int) -> None:
    if height % 2 or width % 2:
        raise ValueError(f"Bayer mosaic: pictures of {width}x{height} px; width and height must be even")


def mosaic(colour: Tensor, phase: Tensor) -> Tensor:
    """What a Bayer sensor sees of a colour picture.

    Args:
        colour: (B,N,3,H,W), H and W even.
        phase: (B,) int64, place in `BAYER` of each stack's layout at the top left pixel.

    Returns:
        (B,N,1,H,W): at each pixel the one colour that its filter lets through.

    Raises:
        ValueError: H or W is odd.
    """
    height, width = colour.shape[-2:]
    _check_even(height, width)
    filters = _filters(colour.device)[phase].repeat(1, 1, height // 2, width // 2)
    return (colour * filters[:, None]).sum(dim=2, keepdim=True)


def green_sites(green: Tensor, phase: Tensor) -> Tensor:
    """The two green sites of every 2x2 cell: (B,N,1,H,W) with phase (B,) -> (B,N,2,H/2,W/2).

    Raises:
        ValueError: H or W is odd.
    """
    _check_even(*green.shape[-2:])
    on_diagonal = ((phase == 1) | (phase == 2))[:, None, None, None, None]
    upper = torch.where(on_diagonal, green[..., ::2, ::2], green[..., ::2, 1::2])
    lower = torch.where(on_diagonal, green[..., 1::2, 1::2], green[..., 1::2, ::2])
    return torch.cat([upper, lower], dim=2)


# --- demosaicing -----------------------------------------------------------------------------------------

# 5x5 filters for a missing colour: from the four sites beside, from the two on the row, from the four on the
# diagonals.
_BILINEAR_QUARTERS = (
    ((0, 0, 0, 0, 0), (0, 0, 1, 0, 0), (0, 1, 0, 1, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 2, 0, 2, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 1, 0, 1, 0), (0, 0, 0, 0, 0), (0, 1, 0, 1, 0), (0, 0, 0, 0, 0)),
)
_MALVAR_EIGHTHS = (
    ((0, 0, -1, 0, 0), (0, 0, 2, 0, 0), (-1, 2, 4, 2, -1), (0, 0, 2, 0, 0), (0, 0, -1, 0, 0)),
    ((0, 0, 0.5, 0, 0), (0, -1, 0, -1, 0), (-1, 4, 5, 4, -1), (0, -1, 0, -1, 0), (0, 0, 0.5, 0, 0)),
    ((0, 0, -1.5, 0, 0), (0, 2, 0, 2, 0), (-1.5, 0, 6, 0, -1.5), (0, 2, 0, 2, 0), (0, 0, -1.5, 0, 0)),
)
ITSELF, BESIDE, ROW, DIAGONALS, COLUMN = range(5)


def _filters_5x5(method: Demosaic) -> Tensor:
    """(5,5,5): `ITSELF`, `BESIDE`, `ROW`, `DIAGONALS`, `COLUMN`."""
    if method == "bilinear":
        beside, row, diagonals = torch.tensor(_BILINEAR_QUARTERS) / 4
    else:
        beside, row, diagonals = torch.tensor(_MALVAR_EIGHTHS) / 8
    itself = torch.zeros(5, 5)
    itself[2, 2] = 1
    return torch.stack([itself, beside, row, diagonals, row.T])


def _which_filter(phase: int, row: int, column: int, colour: int) -> int:
    """The filter that finds ``colour`` at the site (row, column) of the cell."""
    seen = _colour(phase, row, column)
    if colour == seen:
        return ITSELF
    if colour == GREEN:
        return BESIDE
    if seen != GREEN:
        return DIAGONALS
    return ROW if colour == _colour(phase, row, 1 - column) else COLUMN


@cache
def _weights(method: Demosaic, device: torch.device) -> Tensor:
    """(4 phases, 12, 4, 3, 3): from the 4 sites of a cell and its neighbours to its 3 colours x 4 sites."""
    filters = _filters_5x5(method)
    weights = torch.zeros(4, 3, 2, 2, 2, 2, 3, 3)
    for phase, colour, y, x in product(range(4), (RED, GREEN, BLUE), range(2), range(2)):
        taps = filters[_which_filter(phase, y, x, colour)]
        for dy, dx in product(range(-2, 3), repeat=2):
            (cell_y, from_y), (cell_x, from_x) = divmod(y + dy, 2), divmod(x + dx, 2)
            weights[phase, colour, y, x, from_y, from_x, cell_y + 1, cell_x + 1] = taps[dy + 2, dx + 2]
    return weights.reshape(4, 12, 4, 3, 3).to(device)


def demosaic(raw: Tensor, phase: Tensor, method: Demosaic = "malvar2004") -> Tensor:
    """A colour picture from a Bayer mosaic.

    Args:
        raw: (B,N,1,H,W) float32, H and W even and at least 4; white balanced.
        phase: (B,) int64, place in `BAYER` of each stack's layout at the top left pixel.
        method: "bilinear", or "malvar2004" (Malvar, He, Cutler 2004, "High-quality linear interpolation for
            demosaicing of Bayer-patterned color images", figure 2), which adds the detail of the seen colour.

    Returns:
        (B,N,3,H,W). What a site saw is kept; values may overshoot the range of ``raw``.

    Raises:
        ValueError: H or W is odd.
    """
    batch, n_slices, _, height, width = raw.shape
    _check_even(height, width)
    # Reflection without the border pixel repeated continues the mosaic in step.
    padded = F.pad(raw.reshape(-1, 1, height, width), (2, 2, 2, 2), mode="reflect")
    cells = F.pixel_unshuffle(padded, 2).unflatten(0, (batch, n_slices))
    weights = _weights(method, raw.device)[phase]  # each stack has a phase of its own
    colours = [F.conv2d(stack, weight) for stack, weight in zip(cells, weights, strict=True)]
    return F.pixel_shuffle(torch.stack(colours), 2)
