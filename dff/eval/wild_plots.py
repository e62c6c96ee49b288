"""Plots of the package's own benchmark: error along each axis, and risk against coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dff.eval.baselines.rivals import RIVALS
from dff.eval.wild_protocol import NAME, Axis
from dff.eval.wild_score import COVERAGES, Scores, mean_of
from dff.formats.pictures import write_picture
from dff.formats.plot import COLOURS, OTHER_COLOURS, PAPER, Colour, Line, Plot, draw, legend

HEIGHT, WIDTH, COLUMNS = 250, 330, 4
_LEGEND_PX = 28
_HEADROOM = 1.08


def _style(methods: Sequence[str]) -> dict[str, tuple[Colour, bool]]:
    """Colour and dashes: models warm and solid; rivals cold, dashed from the fifth on."""
    warm = [COLOURS[k % len(COLOURS)] for k in range(len(methods))]
    rivals = [method for method in methods if method in RIVALS]
    models = [method for method in methods if method not in RIVALS]
    cold = len(OTHER_COLOURS)
    return {
        **{method: (warm[k], False) for k, method in enumerate(models)},
        **{method: (OTHER_COLOURS[k % cold], k >= cold) for k, method in enumerate(rivals)},
    }


def _axis_plot(axis: Axis, levels: Sequence[Scores], style: Mapping[str, tuple[Colour, bool]]) -> Plot:
    """Mean absolute error at every level, with the standard error of the first method as its band."""
    at = np.array([level.at for level in axis.levels], float)
    lines, top = [], 0.0
    for k, (method, look) in enumerate(style.items()):
        means = [mean_of([scores[method]]) for scores in levels]
        mae = np.array([mean.values["mae"] for mean in means])
        spread = np.array([mean.mae_error for mean in means])
        lines.append(Line(at, mae, *look, band=np.stack([mae - spread, mae + spread]) if k == 0 else None))
        top = max(top, float(mae.max()))
    ends = float(at[0]), float(at[-1])
    return Plot(
        f"MAE [sweep]: {axis.name}", axis.label, ends, (0, _HEADROOM * top), lines[::-1], log_x=axis.log
    )


def _risk_plot(every: Sequence[Scores], style: Mapping[str, tuple[Colour, bool]]) -> Plot:
    lines, top = [], 0.0
    for method, look in style.items():
        risk = mean_of([scores[method] for scores in every]).risk
        if risk is not None:
            lines.append(Line(100 * COVERAGES, risk, *look))
            top = max(top, float(risk.max()))
    title = "MAE [sweep] of the surest pixels, all levels"
    return Plot(title, "share of pixels [%]", (0, 100), (0, _HEADROOM * (top or 1.0)), lines[::-1])


def _sheet(plots: Sequence[Plot], style: Mapping[str, tuple[Colour, bool]]) -> np.ndarray:
    panels = [draw(plot, HEIGHT, WIDTH) for plot in plots]
    panels += [np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)] * (-len(panels) % COLUMNS)
    rows = [np.concatenate(panels[k : k + COLUMNS], axis=1) for k in range(0, len(panels), COLUMNS)]
    names = [(method, *look) for method, look in style.items()]
    half = (len(names) + 1) // 2
    keys = [legend(part, COLUMNS * WIDTH, _LEGEND_PX) for part in (names[:half], names[half:]) if part]
    return np.concatenate([*rows, *keys])


def write_plots(
    folder: Path, axes: Sequence[Axis], levels: Mapping[str, Sequence[Scores]], every: Sequence[Scores]
) -> Path:
    """Write wild.png: error along each axis, and risk against coverage; that of an earlier run is replaced.

    Args:
        folder: made if it is missing.
        levels: scores by axis.
        every: scores of all levels, none twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    style = _style(list(every[0]))
    plots = [_axis_plot(axis, levels[axis.name], style) for axis in axes]
    return write_picture(
        _sheet([*plots, _risk_plot(every, style)], style), folder / f"{NAME}.png", overwrite=True
    )
