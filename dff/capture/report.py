"""What a capture did, as plain rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from dff.capture.deviation import in_focus
from dff.capture.scene import Scene, Shot
from dff.capture.simulated import SimulatedScene
from dff.capture.still import Capture


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a table with a head."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def still_rows(scene: Scene, capture: Capture) -> list[dict[str, Any]]:
    """One row per capture, in order.

    "in_focus" is the share of the pixels within the depth of field of this shot, "in_focus_by_now" of this or
    an earlier one: by the truth where the scene has one, else as the camera estimated at the end; None where
    it did not.
    """
    rows = []
    done: np.ndarray | None = None
    for number, shot in enumerate(capture.shots):
        mask = _mask(scene, capture, shot)
        if mask is not None:
            done = mask if done is None else done | mask
        rows.append(
            {
                "capture": number,
                "step": shot.step,
                "position": shot.position,
                "slice": shot.index,
                "in_focus": None if mask is None else float(mask.mean()),
                "in_focus_by_now": None if done is None else float(done.mean()),
            }
        )
    return rows


def _mask(scene: Scene, capture: Capture, shot: Shot) -> np.ndarray | None:
    if isinstance(scene, SimulatedScene):
        return scene.covered([shot.position])
    if capture.targets is None:
        return None
    return in_focus(capture.targets - shot.position, scene.half_depth(shot.position))


def shots_rows(scene: SimulatedScene, shots: Sequence[Shot]) -> list[dict[str, Any]]:
    """One row per time step of a moving scene; shares by the truth of that step."""
    return [
        {
            "capture": number,
            "step": shot.step,
            "position": shot.position,
            "slice": None,
            "in_focus": float(scene.covered([shot.position], shot.step).mean()),
            "in_focus_by_now": None,
        }
        for number, shot in enumerate(shots)
    ]
