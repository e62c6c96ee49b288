"""Scores of the package's own benchmark: one method on one stack, means, and their standard errors."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dff import metrics
from dff.data.sample import DepthSample
from dff.eval.baselines.methods import Method
from dff.eval.depth_models_score import metres
from dff.eval.depth_models_sets import Case

MEASURES = ("mae", "rmse", "delta1", "ause", "edge_error", "bumpiness")
COVERAGES = np.arange(100, 0, -5) / 100
"""Shares of the surest pixels at which the risk is told."""


@dataclass(frozen=True, eq=False)
class Scored:
    """One method on one stack.

    Args:
        values: by `MEASURES`; NaN where one has no meaning.
        cpu_s: user and system seconds.
        risk: (len(COVERAGES),) mean absolute error [sweep] of the surest pixels, or None.
    """

    values: dict[str, float]
    cpu_s: float
    risk: np.ndarray | None


def as_sample(case: Case) -> DepthSample:
    """The stack as methods take it."""
    images = [case.stack[k] for k in range(len(case.stack))]
    return DepthSample(case.name, images, case.stack.positions, "dioptre", dioptre_per_unit=1.0)


def score(method: Method, sample: DepthSample, case: Case, edge_step: float) -> Scored:
    """Find depth and measure it: mae, rmse, edge error and bumpiness in sweeps, as reported by the metadata.

    delta1: see `dff.eval.depth_models_score.Score`.

    Raises:
        ValueError: the method gives no depth of the stack's size.
    """
    started = time.process_time()
    found = method.estimate(sample)
    cpu_s = time.process_time() - started
    far, near = sample.focus[[0, -1]]
    u, known = (np.asarray(found.value, np.float64) - far) / (near - far), case.valid
    if u.shape != known.shape:
        raise ValueError(f"{method.name}: depth of {sample.name} is {u.shape}, the truth {known.shape}")
    error = np.abs(u - case.u)
    values = {
        "mae": metrics.mae(u, case.u, known),
        "rmse": metrics.rmse(u, case.u, known),
        # networks of others may leave the sweep, where there may be no metres
        "delta1": metrics.delta(metres(u.clip(0, 1)), metres(case.u), known),
        "ause": np.nan,
        "edge_error": metrics.edge_error(u, case.u, known, step=edge_step),
        "bumpiness": metrics.bumpiness(u, case.u, known),
    }
    risk = None
    if found.confidence is not None:
        values["ause"] = metrics.ause(error, found.confidence, known)
        curve = metrics.sparsification(error, found.confidence, known)
        risk = curve[np.rint(100 * (1 - COVERAGES)).astype(int)]
    return Scored(values, cpu_s, risk)


Stacks = Mapping[object, Scored]
"""Seed or name -> what one method scored there."""
Scores = dict[str, dict[object, Scored]]
"""Method -> its `Stacks`, of one level."""


@dataclass(frozen=True, eq=False)
class Mean:
    """Means over stacks; ``mae_error`` is the standard error of the mean absolute error.

    Stacks of one seed at several levels are not independent: they are averaged first, and the spread is that
    over seeds.
    """

    values: dict[str, float]
    mae_error: float
    cpu_s: float
    risk: np.ndarray | None


def standard_error(values: Sequence[float]) -> float:
    """Of the mean of independent values; NaN of fewer than two."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _nanmean(values: Iterable[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def by_seed(levels: Sequence[Stacks]) -> list[float]:
    """Mean absolute error of each seed over the levels."""
    return [float(np.mean([level[seed].values["mae"] for level in levels])) for seed in levels[0]]


def mean_of(levels: Sequence[Stacks]) -> Mean:
    """Of one method over the same stacks at one or more levels."""
    every = [scored for level in levels for scored in level.values()]
    risks = [scored.risk for scored in every if scored.risk is not None]
    return Mean(
        {name: _nanmean(scored.values[name] for scored in every) for name in MEASURES},
        standard_error(by_seed(levels)),
        float(np.mean([scored.cpu_s for scored in every])),
        np.mean(risks, axis=0) if len(risks) == len(every) else None,
    )
