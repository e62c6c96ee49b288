"""A sheet of trajectories: lens position over time, one panel per policy, one line per run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dff.closedloop.drive import Scene
from dff.closedloop.loop import Trajectory
from dff.closedloop.report import places
from dff.formats.plot import COLOURS, INK, OTHER_COLOURS, PAPER, Line, Plot, draw

_PANEL = (220, 320)  # height, width px
_COLUMNS = 3
_MOST = 12  # runs in one panel


def trajectory_sheet(runs: Sequence[Trajectory], scene: Scene) -> np.ndarray:
    """(h,w,3) uint8: true index over seconds; the dashed line is the truth. Of many runs some are shown."""
    names = list(dict.fromkeys(run.policy for run in runs))
    truth = scene.track.index(scene.truth)
    panels = [_panel([run for run in runs if run.policy == name], scene, truth) for name in names]
    columns = min(_COLUMNS, len(panels))
    panels += [np.full((*_PANEL, 3), PAPER, np.uint8)] * (-len(panels) % columns)
    return np.vstack([np.hstack(panels[at : at + columns]) for at in range(0, len(panels), columns)])


def _panel(runs: Sequence[Trajectory], scene: Scene, truth: float) -> np.ndarray:
    picked = [runs[k] for k in sorted({*np.linspace(0, len(runs) - 1, _MOST).round().astype(int).tolist()})]
    end = max(max(run.sights[-1].time_s for run in picked), 1e-3)
    colours = COLOURS + OTHER_COLOURS
    lines = []
    for k, run in enumerate(picked):
        way = places(run, scene.track)
        lines.append(Line(np.array(way["time_s"]), np.array(way["index"]), colours[k % len(colours)]))
    lines.append(Line(np.array([0.0, end]), np.array([truth, truth]), INK, dashed=True))
    margin = 0.04 * scene.track.last
    ends = (-margin, scene.track.last + margin)
    return draw(Plot(runs[0].policy, "seconds", (0.0, end), ends, lines), *_PANEL)
