"""Options of the benchmarks of closed-loop autofocus and of calibration. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dff.eval.options import Options

if TYPE_CHECKING:
    from dff.eval.report import Report


@dataclass(frozen=True, kw_only=True)
class ClosedLoop(Options):
    """Autofocus policies on hard scenes: in focus, captures, hunting."""

    def run(self) -> Report:
        from dff.eval import closedloop

        return self.run_module(closedloop)


@dataclass(frozen=True, kw_only=True)
class ClosedLoopPaper(Options):
    """Tables 2, 4 and 5 of Intelligent Autofocus on simulated pictures.

    Args:
        photos: Folder or packed file of photographs for targets; every fifth is held out from training, and
            used here. Without it, targets are dead leaves.
        weights: Of the step search: a name or file of the spectrum network, or two of estimator and
            discriminator with a comma between.
        rival: Weights of another one, which does the same beside it.
    """

    photos: Path | None = None
    weights: str = "step-spectrum"
    rival: str | None = None

    def run(self) -> Report:
        from dff.eval import closedloop_paper as benchmark
        from dff.simulator.photos import load_photos
        from dff.train.source import split

        photos = split(load_photos(self.photos, size=1024))[1] if self.photos else None
        typed = ["--photos DIR"] if self.photos else []
        typed += [f"--weights {self.weights}"] if self.weights != "step-spectrum" else []
        typed += [f"--rival {self.rival}"] if self.rival else []
        return self.run_module(benchmark, photos, self.weights, self.rival, typed=typed)


@dataclass(frozen=True, kw_only=True)
class ClosedLoopCost(Options):
    """CPU of the global step estimator beside the patch network at the same windows."""

    def run(self) -> Report:
        from dff.eval import closedloop_cost

        return self.run_module(closedloop_cost)


@dataclass(frozen=True, kw_only=True)
class Calibration(Options):
    """Calibration against known truth, and brute force beside the fast search."""

    def run(self) -> Report:
        from dff.eval import calibration

        return self.run_module(calibration)
