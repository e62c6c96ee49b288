"""Plots of what autofocus answers from every start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dff.formats.plot import COLOURS, INK, OTHER_COLOURS, Line, Plot, draw

_PANEL = 220, 260  # px


def answer_plot(title: str, curves: Sequence[np.ndarray], truth: int) -> np.ndarray:
    """One patch: the answer (K,) of each of some models over the slice it was given, and the truth dashed."""
    count = len(curves[0])
    start = np.arange(count, dtype=float)
    lines = [Line(start, np.full(count, float(truth)), INK, dashed=True)]
    colours = (COLOURS[0], OTHER_COLOURS[0], COLOURS[1], OTHER_COLOURS[1])
    lines += [Line(start, np.asarray(c, float), colours[k % 4]) for k, c in enumerate(curves)]
    plot = Plot(title, "slice that is seen", (0.0, count - 1.0), (0.0, count - 1.0), lines)
    return draw(plot, *_PANEL)


def answers_picture(maps: np.ndarray, truth: np.ndarray, most: int = 8) -> np.ndarray:
    """Patches (P,K) spread evenly over the rows, four to a row: answer over start, and the truth."""
    chosen = np.unique(np.linspace(0, len(maps) - 1, min(most, len(maps))).round().astype(int))
    panels = [answer_plot(f"patch {k}", [maps[k]], int(truth[k])) for k in chosen]
    return tiled(panels, 4)


def tiled(panels: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size side by side, ``columns`` to a row; the last row is filled up with white."""
    blank = np.full_like(panels[0], 255)
    columns = min(columns, len(panels))
    filled = [*panels, *[blank] * (-len(panels) % columns)]
    return np.concatenate(
        [np.concatenate(filled[at : at + columns], axis=1) for at in range(0, len(filled), columns)]
    )
