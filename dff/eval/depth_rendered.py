"""Depth of rendered stacks, whose truth is in a unit of its own and covers a part of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dff.eval.baselines import sml
from dff.eval.depth_protocol import NAME, OURS, SML, SML_BEST, SML_PARABOLA, Protocol, our_depths
from dff.eval.inputs import Say, real_stack
from dff.eval.report import Cell, Table, Target
from dff.metrics import affine_fit, mae, rmse


def find_offset(depth: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """(y, x) where the smaller (h,w) truth lies in the (H,W) depth: the largest |correlation| of the two.

    The two may run in opposite directions.

    Raises:
        ValueError: the truth is larger than the picture.
    """
    if truth.shape[0] > depth.shape[0] or truth.shape[1] > depth.shape[1]:
        raise ValueError(f"depth truth {truth.shape} is larger than the pictures {depth.shape}")
    fit = cv2.matchTemplate(depth.astype(np.float32), truth.astype(np.float32), cv2.TM_CCOEFF_NORMED)
    y, x = np.unravel_index(int(np.argmax(np.abs(fit))), fit.shape)
    return int(y), int(x)


@dataclass(frozen=True)
class Fitted:
    """Errors after the affine fit to the truth, in its unit."""

    mae: float
    rmse: float
    mae_valid: float


def score_fitted(index: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> Fitted:
    """Errors of a focal index (h,w) once brought to the unit of the truth.

    The fit, on all pixels, minimises the sum of absolute errors: the kindest to each method.
    """
    slope, shift = affine_fit(index, truth, robust=True)
    found = slope * index.astype(np.float64) + shift
    inside = mae(found, truth, valid) if valid.any() else float("nan")
    return Fitted(mae(found, truth), rmse(found, truth), inside)


def _truth(path: Path) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; the depth benchmark needs it")
    return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)


def score_rendered(
    folder: Path, name: str, sigma: float, sigmas: Sequence[float]
) -> tuple[dict[str, Fitted], str]:
    """Every method on one rendered scene, and a note on the offset, window and share of valid pixels."""
    stack, truth = real_stack(folder, name), _truth(folder / name / "depth_truth.npy")
    raw = sml.laplacian_volume(stack)
    volume = sml.summed(raw, sigma)
    y, x = find_offset(sml.largest_index(volume), truth)
    part = slice(y, y + truth.shape[0]), slice(x, x + truth.shape[1])
    ours = our_depths(stack)
    everywhere = np.ones(truth.shape, bool)

    def score(index: np.ndarray, valid: np.ndarray = everywhere) -> Fitted:
        return score_fitted(index[part], truth, valid)

    hindsight = {s: score(sml.largest_index(sml.summed(raw, s))) for s in sigmas}
    best = min(hindsight, key=lambda s: hindsight[s].mae)
    scores = {
        SML: score(sml.largest_index(volume)),
        SML_PARABOLA: score(sml.parabola_index(volume)),
        SML_BEST: hindsight[best],
    } | {row: score(one.index, one.valid[part]) for row, one in ours.items()}
    return (
        scores,
        f"{name}: truth at (x {x}, y {y}), best sigma {best:g} px.",
    )


def rendered_part(
    protocol: Protocol, folder: Path, sigma: float, limit: int | None, say: Say
) -> tuple[Table, list[Target]]:
    """Table and targets of the rendered scenes."""
    rows: list[list[Cell]] = []
    targets, notes = [], []
    for name in protocol.rendered[:limit]:
        say(f"{NAME}: {name}")
        scores, found = score_rendered(folder, name, sigma, protocol.sml.sigmas_px)
        notes.append(found)
        whole, finer = scores[SML].mae, scores[SML_PARABOLA].mae
        rows += [
            [name, m, s.mae, s.rmse, s.mae_valid, s.mae / whole, s.mae / finer] for m, s in scores.items()
        ]
        for against in (SML, SML_BEST):
            for row in OURS:
                ratio = scores[row].mae / scores[against].mae
                what = f"{name}: MAE, {row} over {against}"
                targets.append(Target(what, ratio, "at most", protocol.mae_ratio))
    columns = {
        "scene": "",
        "method": "",
        "MAE": ".3f",
        "RMSE": ".3f",
        "MAE valid": ".3f",
        "MAE / SML": ".2f",
        "MAE / parabola": ".2f",
    }
    note = (
        "In the unit of the truth, after the affine fit of each method, on all pixels of the truth. The "
        f"truth's place in the picture is found once, with the map of SML (sigma {sigma:g} px). "
        + " ".join(notes)
    )
    return Table("Rendered stacks", columns, rows, note), targets
