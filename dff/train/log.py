"""The log of a run: train.csv (means since the line before) and validation.csv."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dff.formats.safe_write import atomic_path
from dff.train.checkpoint import TrainState

_ALWAYS = ("step", "samples", "seconds", "skipped", "lr", "norm")


def _keep_until(path: Path, step: int) -> None:
    """Drop lines after ``step``: a run that was killed goes on from its checkpoint, not from its log."""
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows([header, *(line for line in lines if line and int(line[0]) <= step)])


class Log:
    """Lines are appended, so that a run that is stopped and resumed has one log.

    Args:
        folder: of the run.
        parts: of the loss, by name.
        scores: of a validation, by name.
        step: where the run goes on; 0 begins new files.
    """

    def __init__(self, folder: Path, parts: Sequence[str], scores: Sequence[str], step: int) -> None:
        self.train, self.scores = folder / "train.csv", folder / "validation.csv"
        self.parts, self.columns = parts, ("step", "samples", "seconds", *scores)
        self._sums: dict[str, float] = defaultdict(float)
        self._count = 0
        for path, columns in ((self.train, (*_ALWAYS, *parts)), (self.scores, self.columns)):
            if step and path.exists():
                _keep_until(path, step)
            else:
                with path.open("w", newline="") as file:
                    csv.writer(file).writerow(columns)

    def step(self, rate: float, norm: float, parts: dict[str, float]) -> None:
        """Take in one step: its learning rate, norm of the gradient, and parts of the loss."""
        for name, value in {"lr": rate, "norm": norm, **parts}.items():
            self._sums[name] += value
        self._count += 1

    def flush(self, state: TrainState) -> str:
        """Write the means since the last line; returns them in words."""
        if not self._count:
            return ""
        means = {name: value / self._count for name, value in self._sums.items()}
        row = [state.step, state.samples, round(state.seconds, 1), state.skipped]
        with self.train.open("a", newline="") as file:
            csv.writer(file).writerow([*row, *(f"{means[name]:.6g}" for name in ("lr", "norm", *self.parts))])
        self._sums.clear()
        self._count = 0
        told = ", ".join(f"{name} {means[name]:.4g}" for name in self.parts)
        return f"step {state.step}, {state.samples} stacks, {state.seconds:.0f} s: {told}"

    def validation(self, state: TrainState, scores: dict[str, float]) -> None:
        """Write one line of scores."""
        row = [state.step, state.samples, round(state.seconds, 1)]
        with self.scores.open("a", newline="") as file:
            csv.writer(file).writerow([*row, *(f"{scores[name]:.6g}" for name in self.columns[3:])])
