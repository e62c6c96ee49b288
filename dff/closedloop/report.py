"""How the runs of policies did, run by run and in sum: speed, way, steadiness, accuracy."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from dff.autofocus.metrics import cycles, hunting
from dff.closedloop.controller import State
from dff.closedloop.drive import Scene
from dff.closedloop.loop import Trajectory
from dff.closedloop.policy import Track

COLUMNS = (
    "policy", "start", "repeat", "state", "final", "captures", "moves", "travel", "travel_unit", "time_s",
    "overshoot", "settle_s", "error", "error_unit", "error_dof", "reversals", "hunted", "reason",
)  # fmt: skip
_REST = 0.5  # indices round the place of rest that count as settled


def row(run: Trajectory, scene: Scene) -> dict[str, Any]:
    """One run in plain numbers.

    final: index where the lens truly rests. captures: frames after the one at the start. moves, travel,
    reversals: of what the lens was told; travel in indices, and in the track's unit. overshoot: indices
    beyond the truth, seen from the start. settle_s: from when on the lens was within half an index of its
    rest, as far as frames tell. error: true rest less truth, in indices; error_unit in the track's unit;
    error_dof in half depths of field (within 1: in focus), None where unknown.
    """
    track = scene.track
    told = np.array([sight.told for sight in run.sights])
    positions = np.array([sight.position for sight in run.sights])
    index = np.array([_index(track, position) for position in positions])
    truth = _index(track, scene.truth)
    steps = np.diff(told)
    ways = np.sign(steps[steps != 0])
    side = np.sign(truth - index[0])
    beyond = (index - truth) * side if side else np.abs(index - truth)
    away = np.flatnonzero(np.abs(index - index[-1]) > _REST)
    settled = run.sights[min(int(away[-1]) + 1, len(index) - 1) if away.size else 0]
    off = float(positions[-1] - scene.truth)
    places = np.interp(told, np.arange(len(track)), track.positions)
    return {
        "policy": run.policy,
        "start": run.start,
        "repeat": run.repeat,
        "state": run.state.value,
        "final": float(index[-1]),
        "captures": run.captures,
        "moves": int(ways.size),
        "travel": float(np.abs(steps).sum()),
        "travel_unit": float(np.abs(np.diff(places)).sum()),
        "time_s": run.sights[-1].time_s,
        "overshoot": float(max(0.0, beyond.max())),
        "settle_s": settled.time_s,
        "error": float(index[-1] - truth),
        "error_unit": off,
        "error_dof": None if not scene.depth_of_field else off / scene.depth_of_field,
        "reversals": int((np.diff(ways) != 0).sum()),
        "hunted": run.hunted,
        "reason": run.reason,
    }


def _index(track: Track, position: float) -> float:
    """Index of a position; past an end it goes on as between the last two."""
    ends = track.positions[[0, 1]] if position < track.positions[0] else track.positions[[-2, -1]]
    at = 0 if position < track.positions[0] else track.last - 1
    if track.positions[0] <= position <= track.positions[-1]:
        return track.index(position)
    return float(at + (position - ends[0]) / (ends[1] - ends[0]))


def summary(rows: Sequence[dict[str, Any]], track: Track) -> dict[str, Any]:
    """The runs of one policy in sum: means, and shares of the runs.

    in_focus: within the depth of field, or within one index where that is unknown; failed and hunted: as
    the state machine says. cycles: of the map from every whole start to its final index, where rows hold
    all of them: each a list of indices; one of length 1 is a place of rest; cycling: share of the starts
    that end in a longer one, None where not all starts were run.
    """

    def mean(name: str) -> float:
        return float(np.mean([abs(row[name]) for row in rows]))

    known = all(row["error_dof"] is not None for row in rows)
    near = [abs(row["error_dof"] if known else row["error"]) <= 1 for row in rows]
    rings, cycling = _rings(rows, track)
    return {
        "policy": rows[0]["policy"],
        "runs": len(rows),
        "in_focus": float(np.mean(near)),
        "failed": float(np.mean([row["state"] == State.FAILED.value for row in rows])),
        "hunted": float(np.mean([row["hunted"] for row in rows])),
        **{
            name: mean(name)
            for name in (
                "captures",
                "moves",
                "travel",
                "time_s",
                "overshoot",
                "settle_s",
                "reversals",
                "error",
            )
        },
        "error_max": float(max(abs(row["error"]) for row in rows)),
        "error_unit": mean("error_unit"),
        "error_dof": mean("error_dof") if known else None,
        "cycles": rings,
        "cycling": cycling,
    }


def _rings(rows: Sequence[dict[str, Any]], track: Track) -> tuple[list[list[int]] | None, float | None]:
    """Cycles and share of cycling starts of the first repeat's map of starts to ends."""
    ends = {row["start"]: row["final"] for row in rows if row["repeat"] == 0}
    if sorted(ends) != list(range(len(track))):
        return None, None
    places = np.array([round(track.clamped(ends[start])) for start in range(len(track))])
    return [list(ring) for ring in cycles(places)], float(hunting(places[None]).cyclic.mean())


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as CSV with a head."""
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return sheet.getvalue()


def places(run: Trajectory, track: Track) -> dict[str, list[float | None]]:
    """The trajectory as plain lists: time, told and true index, sharpness (None at the end)."""
    return {
        "time_s": [sight.time_s for sight in run.sights],
        "told": [sight.told for sight in run.sights],
        "index": [_index(track, sight.position) for sight in run.sights],
        "sharpness": [None if np.isnan(sight.sharpness) else sight.sharpness for sight in run.sights],
    }
