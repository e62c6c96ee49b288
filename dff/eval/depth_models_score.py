"""How depth maps of one stack are scored, and the means over stacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from dff.eval.depth_models_rivals import Tuned
from dff.eval.depth_models_sets import Case
from dff.metrics import ause, delta, mae, rmse, sparsification
from dff.models import Model
from dff.pipeline import predict

FAR_M, NEAR_M = 3.0, 0.3
GROSS = 0.1
POOLED = 4096  # pixels of a stack that stand for it among those of all stacks
NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Found:
    """What a method says of a stack.

    Args:
        u: (H,W) focus coordinate, 0 = farthest slice, 1 = nearest.
        confidence: (H,W), larger is surer, or None.
        valid: (H,W) bool, where it claims to know, or None.
    """

    u: np.ndarray
    confidence: np.ndarray | None = None
    valid: np.ndarray | None = None


@dataclass(frozen=True)
class Score:
    """Errors over the pixels of known truth; ``mae``, ``rmse`` in sweeps (from the farthest slice to the
    nearest is 1).

    Args:
        delta1: share of pixels whose depth in metres is within a factor of 1.25, if every sweep reached from
            3 m to 0.3 m: real ones may begin at infinity, where no factor is defined.
        gross: share of pixels that are off by more than 0.1 sweeps.
        half: mean absolute error of the more confident half of the pixels.
        ause: `dff.metrics.ause` of the absolute error: the area between the curve of the error that is left
            when the least confident pixels are left out, and that of the perfect order, over the mean error.
        valid: share of pixels where the method claims to know.
        mae_valid: mean absolute error there.
        pool: (2,K) error and confidence of some pixels, evenly taken; of several stacks, of all of them.
    """

    mae: float
    rmse: float
    delta1: float
    gross: float
    half: float = NAN
    ause: float = NAN
    valid: float = NAN
    mae_valid: float = NAN
    pool: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def pooled_half(self) -> float:
        """Error of the more confident half of the pixels of all stacks together, over that of all."""
        if self.pool is None:
            return NAN
        error, confidence = self.pool
        order = np.argsort(-confidence, kind="stable")
        return float(error[order[: max(1, len(order) // 2)]].mean() / max(error.mean(), 1e-9))


def metres(u: np.ndarray) -> np.ndarray:
    """Depth of a focus coordinate in a sweep from 3 m to 0.3 m, even in dioptres."""
    return np.asarray(1 / (1 / FAR_M + u.astype(np.float64) * (1 / NEAR_M - 1 / FAR_M)))


def score(found: Found, case: Case) -> Score:
    """Errors of one method on one stack."""
    known = case.valid
    error = np.abs(found.u.astype(np.float64) - case.u)
    extra: dict[str, Any] = {}
    if found.confidence is not None:
        curve = sparsification(error, found.confidence, known)
        extra["half"] = float(curve[len(curve) // 2])
        extra["ause"] = ause(error, found.confidence, known)
        picked = np.linspace(0, known.sum() - 1, min(POOLED, int(known.sum()))).astype(int)
        extra["pool"] = np.stack((error[known][picked], found.confidence[known][picked]))
    if found.valid is not None:
        claimed = known & found.valid
        extra["valid"] = float(claimed.sum() / known.sum())
        extra["mae_valid"] = float(error[claimed].mean()) if claimed.any() else NAN
    return Score(
        mae(found.u, case.u, known),
        rmse(found.u, case.u, known),
        delta(metres(found.u), metres(case.u), known),
        float(np.mean(error[known] > GROSS)),
        **extra,
    )


def mean_score(scores: Sequence[Score]) -> Score:
    """Mean over stacks; what was not measured on a stack is left out."""
    names = [one.name for one in fields(Score) if one.name != "pool"]
    columns = np.array([[getattr(one, name) for name in names] for one in scores]).T
    pools = [one.pool for one in scores if one.pool is not None]
    means: dict[str, Any] = {
        name: float(np.nanmean(column)) if np.isfinite(column).any() else NAN
        for name, column in zip(names, columns, strict=True)
    }
    return Score(**means, pool=np.concatenate(pools, axis=1) if pools else None)


def find_depth(case: Case, tuned: Tuned, models: dict[str, Model]) -> dict[str, Found]:
    """Every rival and every model on one stack, which counts as aligned."""
    found = {method: Found(u) for method, u in tuned.depth(case.stack).items()}
    for name, model in models.items():
        depth = predict(case.stack, model=model, align="none", aif=False).depth
        far, near = depth.positions[[0, -1]]
        found[name] = Found((depth.value - far) / (near - far), depth.confidence, depth.valid)
    return found
