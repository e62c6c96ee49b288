"""Disparity between the two halves of a dual-pixel patch, in fractions of a pixel: two classical ways."""

from __future__ import annotations

import numpy as np

from dff.autofocus.dual_pixel import normalised, pair

_TILE = 16  # px, side of the tiles of the SSD; the patch keeps whole ones


def _overlaps(left: np.ndarray, right: np.ndarray, reach: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The left middle, and the right half as seen from it at disparities -reach..reach."""
    width = left.shape[-1]
    if width <= 2 * reach + 2:
        raise ValueError(f"patches {width} px wide cannot be searched over +-{reach} px; give wider ones")
    middle = left[..., reach : width - reach]
    return [(middle, right[..., reach + d : width - reach + d]) for d in range(-reach, reach + 1)]


def parabola_peak(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sub-step place and curvature (>= 0) of the highest of (...,n) scores; at an end the end itself."""
    best = scores.argmax(axis=-1)
    inner = np.clip(best, 1, scores.shape[-1] - 2)
    before, here, after = (
        np.take_along_axis(scores, (inner + step)[..., None], axis=-1)[..., 0] for step in (-1, 0, 1)
    )
    curvature = np.maximum(2 * here - before - after, 0)
    shift = (after - before) / np.where(curvature > 0, 2 * curvature, 1)
    at_end = (best != inner) | (curvature == 0)
    return np.where(at_end, best, inner + np.clip(shift, -0.5, 0.5)), curvature


def zncc_disparity(left: np.ndarray, right: np.ndarray, reach: int = 12) -> np.ndarray:
    """(...,) disparity d [px]: left(x) looks like right(x + d), by zero-mean cross-correlation of the patch.

    Args:
        left, right: (...,H,W) float, 0 = black level, 1 = white.
        reach: largest disparity looked for; the rim of that width is not compared.

    Raises:
        ValueError: unlike shapes, or a patch narrower than the search.
    """
    left, right = pair(left, right)
    scores = [
        (normalised(a) * normalised(b)).mean(axis=(-2, -1), dtype=np.float64)
        for a, b in _overlaps(left, right, reach)
    ]
    return parabola_peak(np.stack(scores, axis=-1))[0] - reach


def ssd_disparity(left: np.ndarray, right: np.ndarray, reach: int = 12) -> np.ndarray:
    """The same from tiles of 16 px: a parabola through each tile's squared differences, as Wadhwa et al. 2018
    do, and the mean of the tiles weighted by its curvature, so that tiles with texture decide.
    """
    left, right = map(normalised, pair(left, right))
    pairs = _overlaps(left, right, reach)
    rows = max(1, left.shape[-2] // _TILE)
    columns = max(1, pairs[0][0].shape[-1] // _TILE)
    scores = [-_tile_means((a - b) ** 2, rows, columns) for a, b in pairs]
    place, curvature = parabola_peak(np.stack(scores, axis=-1))
    weight = curvature + 1e-9
    return np.asarray((place * weight).sum(axis=-1) / weight.sum(axis=-1) - reach)


def _tile_means(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(...,H,W) -> (...,rows*columns) means of equal tiles; what fills none at the far rim is left out."""
    height, width = values.shape[-2] // rows, values.shape[-1] // columns
    cut = values[..., : rows * height, : columns * width]
    tiles = cut.reshape(*values.shape[:-2], rows, height, columns, width)
    return np.asarray(tiles.mean(axis=(-3, -1), dtype=np.float64).reshape(*values.shape[:-2], -1))
