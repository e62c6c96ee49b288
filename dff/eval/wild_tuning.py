"""The settings of the rivals that do best on stacks like those of the benchmark, but of other seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dff.eval.baselines.rivals import FINDERS, RIVALS, Settings, Values, combinations
from dff.eval.depth_models_sets import Case
from dff.eval.wild_score import as_sample
from dff.metrics import mae


@dataclass(frozen=True)
class Tuned:
    """The settings of a rival, and its mean absolute error [sweep] on the tuning stacks."""

    settings: Settings
    error: float


def _error(rival: str, settings: Settings, cases: Sequence[Case]) -> float:
    """Mean over the cases of the mean absolute error [sweep]."""
    errors = []
    for case in cases:
        sample = as_sample(case)
        index, _ = FINDERS[rival](sample.stack(), **settings)
        far, near = sample.focus[[0, -1]]
        errors.append(mae((sample.from_index(index) - far) / (near - far), case.u, case.valid))
    return float(np.mean(errors))


def tune(rivals: Sequence[str], values: Mapping[str, Values], cases: Sequence[Case]) -> dict[str, Tuned]:
    """The best settings of each rival; the usual ones of a rival without ``values``.

    Args:
        rivals: names of `RIVALS`.
        values: to try, all combinations of them; the first of equally good ones is taken.
        cases: at least one.
    """
    found = {}
    for rival in rivals:
        tried = list(combinations(rival, values[rival])) if rival in values else [RIVALS[rival]]
        errors = [_error(rival, settings, cases) for settings in tried]
        best = int(np.argmin(errors))
        found[rival] = Tuned(tried[best], errors[best])
    return found
