"""Depth of simulated stacks, whose truth is known in dioptres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dff.eval.baselines import sml
from dff.eval.depth_protocol import NAME, OURS, SML, SML_PARABOLA, Protocol, Sml, our_depths
from dff.eval.inputs import Say
from dff.eval.report import Cell, Table, Target
from dff.metrics import delta, mae, rmse
from dff.simulator.capture import SimulationConfig, simulate


def dioptres(index: np.ndarray, focus: np.ndarray) -> np.ndarray:
    """Focal index (H,W) read off the ladder of focus distances [dioptre]."""
    return np.interp(index, np.arange(focus.size), focus)


def tuned_sigma(config: SimulationConfig, protocol: Sml, say: Say) -> float:
    """The window with the least mean absolute error of the whole-index rival on the tuning stacks."""
    error = np.zeros(len(protocol.sigmas_px))
    for seed in protocol.tuning.take(None):
        say(f"{NAME}: tuning the rival, seed {seed}")
        known = simulate(config, seed)
        volume = sml.laplacian_volume(known.stack)
        for i, sigma in enumerate(protocol.sigmas_px):
            index = sml.largest_index(sml.summed(volume, sigma))
            error[i] += mae(dioptres(index, known.stack.positions), known.dioptre)
    return protocol.sigmas_px[int(np.argmin(error))]


@dataclass(frozen=True)
class Score:
    """Errors of one method on one simulated stack; ``mae`` and ``rmse`` in sweeps (far to near is 1)."""

    mae: float
    rmse: float
    delta1_m: float
    mae_valid: float
    coverage: float


def score_dioptre(found: np.ndarray, truth: np.ndarray, valid: np.ndarray, sweep: float) -> Score:
    """Errors of (H,W) dioptres; ``valid``: where it claims to know; ``sweep``: near minus far [dioptre]."""
    return Score(
        mae(found, truth) / sweep,
        rmse(found, truth) / sweep,
        delta(1 / found, 1 / truth),
        mae(found, truth, valid) / sweep if valid.any() else float("nan"),
        float(valid.mean()),
    )


def score_simulated(config: SimulationConfig, seed: int, sigma: float) -> dict[str, Score]:
    """Every method on one simulated stack."""
    known = simulate(config, seed)
    focus = known.stack.positions
    sweep = float(np.ptp(focus))
    volume = sml.summed(sml.laplacian_volume(known.stack), sigma)
    ours = our_depths(known.stack)
    found = {
        SML: dioptres(sml.largest_index(volume), focus),
        SML_PARABOLA: dioptres(sml.parabola_index(volume), focus),
    }
    everywhere = np.ones(known.dioptre.shape, bool)
    scores = {m: score_dioptre(depth, known.dioptre, everywhere, sweep) for m, depth in found.items()}
    return scores | {
        row: score_dioptre(one.value, known.dioptre, one.valid, sweep) for row, one in ours.items()
    }


def mean_score(scores: Sequence[Score]) -> Score:
    """Mean over stacks; what was not measured on a stack is left out."""
    columns = np.array([list(asdict(score).values()) for score in scores])
    measured = np.isfinite(columns)
    total = np.where(measured, columns, 0).sum(axis=0)
    mean = np.divide(
        total, measured.sum(axis=0), out=np.full(total.shape, np.nan), where=measured.any(axis=0)
    )
    return Score(*map(float, mean))


def simulated_part(
    protocol: Protocol, config: SimulationConfig, sigma: float, limit: int | None, say: Say
) -> tuple[Table, list[Target]]:
    """Table and targets of the simulated stacks."""
    seeds = protocol.seeds.take(limit)
    per_stack = []
    for seed in seeds:
        say(f"{NAME}: {protocol.scene}, seed {seed}")
        per_stack.append(score_simulated(config, seed, sigma))
    means = {method: mean_score([scores[method] for scores in per_stack]) for method in per_stack[0]}
    rows: list[list[Cell]] = [
        [
            m,
            s.mae,
            s.rmse,
            s.delta1_m,
            s.mae_valid,
            s.coverage,
            s.mae / means[SML].mae,
            s.mae / means[SML_PARABOLA].mae,
        ]
        for m, s in means.items()
    ]
    columns = {
        "method": "",
        "MAE": ".4f",
        "RMSE": ".4f",
        "delta1 (m)": ".3f",
        "MAE valid": ".4f",
        "valid share": ".3f",
        "MAE / SML": ".2f",
        "MAE / parabola": ".2f",
    }
    windows = ", ".join(f"{s:g}" for s in protocol.sml.sigmas_px)
    note = (
        f"{len(seeds)} aligned stacks of {protocol.scene}, seeds {seeds[0]} to {seeds[-1]}; means over "
        "stacks, all pixels. MAE and RMSE in sweeps: (d - far) / (near - far), d in dioptres. delta1: depth "
        "in metres within a factor of 1.25. Valid: where it claims to know. SML: Gaussian window of sigma "
        f"{sigma:g} px, the best of {windows} on {protocol.sml.tuning.count} other stacks (seeds from "
        f"{protocol.sml.tuning.first})."
    )
    targets = []
    for row in OURS:
        ratio = means[row].mae / means[SML].mae
        targets.append(Target(f"{protocol.scene}: MAE, {row} over SML", ratio, "at most", protocol.mae_ratio))
    return Table("Simulated stacks", columns, rows, note), targets
