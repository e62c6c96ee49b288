"""The classical rivals of depth networks: sum-modified-Laplacian, smoothed in two ways, and their tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import cv2
import numpy as np

from dff.eval.baselines import sml
from dff.eval.baselines.guided import guided_filter
from dff.eval.baselines.total_variation import tv_l1
from dff.eval.depth_models_sets import Case
from dff.metrics import mae
from dff.stack import FocalStack

SML_PARABOLA, SML_GUIDED, SML_TV = "SML + parabola", "SML + guided filter", "SML + TV"


@dataclass(frozen=True)
class Grid:
    """What is tried of each rival; the setting with the least mean absolute error is taken.

    Args:
        steps_px: of the second difference.
        sigmas_px: of the Gaussian window.
        radii_px, eps: of the guided filter.
        fidelity: weight of the data in TV-L1.
        edge: TV-L1's smoothness falls by e where the guide (0 to 1) steps by one over this.
    """

    steps_px: tuple[int, ...]
    sigmas_px: tuple[float, ...]
    radii_px: tuple[int, ...]
    eps: tuple[float, ...]
    fidelity: tuple[float, ...]
    edge: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            if not values or min(values) <= 0:
                raise ValueError(f"rivals: {name} {values}; give at least one value, all above 0")


@dataclass(frozen=True, eq=False)
class Peaks:
    """What the sum-modified-Laplacian says before it is smoothed.

    Args:
        u: (H,W) float32 focus coordinate of the parabola's peak, 0 = farthest slice, 1 = nearest.
        trust: (H,W) float32 in [0,1], how far the peak stands out.
        guide: (H,W) float32 luma in [0,1], all in focus by the same measure.
    """

    u: np.ndarray
    trust: np.ndarray
    guide: np.ndarray


def peaks(stack: FocalStack, laplacian: np.ndarray, sigma_px: float) -> Peaks:
    """Peaks of `sml.laplacian_volume` of the stack, summed over a Gaussian window."""
    volume = sml.summed(laplacian, sigma_px)
    best = volume.argmax(axis=0)
    lumas = np.stack([cv2.cvtColor(stack[k], cv2.COLOR_RGB2GRAY) for k in range(len(stack))])
    trust = 1 - volume.mean(axis=0) / np.maximum(volume.max(axis=0), 1e-9)
    positions = stack.positions
    share = (positions - positions[0]) / (positions[-1] - positions[0])
    u = np.interp(sml.parabola_index(volume), np.arange(len(stack)), share)
    guide = np.take_along_axis(lumas, best[None], axis=0)[0]
    return Peaks(u.astype(np.float32), trust.astype(np.float32), guide)


def _guided(found: Peaks, radius_px: int, eps: float) -> np.ndarray:
    smooth = guided_filter(found.u, found.guide, int(radius_px), eps, found.trust)
    return np.clip(smooth, 0, 1)


def edge_weights(guide: np.ndarray, edge: float) -> np.ndarray:
    """(H,W) weight of the steps of a depth map: 1 where the guide is flat, less at its edges (see `Grid`)."""
    across = np.abs(np.diff(guide, axis=1, append=guide[:, -1:]))
    down = np.abs(np.diff(guide, axis=0, append=guide[-1:]))
    return np.asarray(np.exp(-edge * np.hypot(across, down)))


def _total_variation(found: Peaks, fidelity: float, edge: float) -> np.ndarray:
    return tv_l1(found.u, fidelity * found.trust, edge_weights(found.guide, edge))


@dataclass(frozen=True)
class Setting:
    """One setting of one rival: what `peaks` takes, and what its smoothing takes."""

    step_px: int
    sigma_px: float
    smoothing: Mapping[str, float] = field(default_factory=dict)

    def words(self) -> str:
        parts = {"step": self.step_px, "sigma": self.sigma_px, **self.smoothing}
        return ", ".join(f"{name} {value:g}" for name, value in parts.items())


_SMOOTHING: dict[str, Callable[..., np.ndarray]] = {
    SML_PARABOLA: lambda found: found.u,
    SML_GUIDED: _guided,
    SML_TV: _total_variation,
}


def _smoothings(grid: Grid) -> dict[str, list[dict[str, float]]]:
    """Everything that is tried of each rival's smoothing."""
    guided = [{"radius_px": r, "eps": eps} for r, eps in product(grid.radii_px, grid.eps)]
    varied = [{"fidelity": f, "edge": edge} for f, edge in product(grid.fidelity, grid.edge)]
    return {SML_PARABOLA: [{}], SML_GUIDED: guided, SML_TV: varied}


def _tried(grid: Grid, stack: FocalStack) -> Iterator[tuple[str, Setting, np.ndarray]]:
    """Every rival at every setting on one stack."""
    for step in grid.steps_px:
        laplacian = sml.laplacian_volume(stack, step)
        for sigma in grid.sigmas_px:
            found = peaks(stack, laplacian, sigma)
            for method, smoothings in _smoothings(grid).items():
                for smoothing in smoothings:
                    yield method, Setting(step, sigma, smoothing), _SMOOTHING[method](found, **smoothing)


@dataclass(frozen=True)
class Tuned:
    """The best setting of each rival, and its mean absolute error on the tuning stacks [sweeps]."""

    settings: dict[str, Setting]
    errors: dict[str, float]

    def depth(self, stack: FocalStack) -> dict[str, np.ndarray]:
        """(H,W) focus coordinate by each rival."""
        return {
            method: _SMOOTHING[method](
                peaks(stack, sml.laplacian_volume(stack, setting.step_px), setting.sigma_px),
                **setting.smoothing,
            )
            for method, setting in self.settings.items()
        }


Trials = dict[str, tuple[str, Setting, float]]
"""Rival and setting in words -> rival, setting, mean absolute error on one stack [sweeps]."""


def trials(grid: Grid, case: Case) -> Trials:
    """The whole grid on one stack."""
    return {
        f"{method}: {setting.words()}": (method, setting, mae(u, case.u, case.valid))
        for method, setting, u in _tried(grid, case.stack)
    }


def tune(stacks: Sequence[Trials]) -> Tuned:
    """The settings with the least mean error over the stacks.

    Raises:
        ValueError: no stacks.
    """
    if not stacks:
        raise ValueError("rivals: no stacks to tune them on")
    settings: dict[str, Setting] = {}
    errors: dict[str, float] = {}
    for words, (method, setting, _) in stacks[0].items():
        mean = float(np.mean([stack[words][2] for stack in stacks]))
        if mean < errors.get(method, np.inf):
            settings[method], errors[method] = setting, mean
    return Tuned(settings, errors)
