"""Methods of fusion side by side: real stacks without truth, simulated ones against the sharp picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from kornia.metrics import ssim

from dff.classical.alignment import Alignment
from dff.eval.all_in_focus import Protocol as Measures
from dff.eval.all_in_focus import Targets as Bars
from dff.eval.all_in_focus import best_slice, luma, score_picture
from dff.eval.baselines.laplacian import fuse_argmax
from dff.eval.inputs import Say, Seeds, Stopwatch, one_thread, real_stack
from dff.eval.report import Cell, Report, Table, Target
from dff.fusion import METHODS, FusionMethod, check_method, fuse, fuse_guided, fuse_pyramid
from dff.metrics import gradients_kept, psnr
from dff.models import Model, load_model
from dff.pipeline import Fused, align
from dff.pipeline import fuse as fuse_stack
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig, simulate
from dff.simulator.simulated import Simulated
from dff.stack import FocalStack, to_float

NAME = "fusion"
SSIM_WINDOW_PX = 11
ARGMAX, BEST = "Laplacian argmax", "single best slice"


@dataclass(frozen=True)
class Protocol:
    """Which stacks, and what the default method should reach.

    Args:
        model: of the depth that the method "depth" goes by.
        default: method that users get by default; the targets are about it.
        stacks: folders below the data folder.
        scenes: recipes of simulator/scenes.
        seeds: of the simulated stacks, the same for every scene.
        measures: how pictures of real stacks are scored.
    """

    model: str
    default: FusionMethod
    stacks: tuple[str, ...]
    scenes: tuple[str, ...]
    seeds: Seeds
    targets: Bars
    strongest: float = 0.05
    window_px: int = 5
    laplacian_window_px: int = 5

    def __post_init__(self) -> None:
        check_method(self.default)

    def measures(self) -> Measures:
        """How `dff.eval.all_in_focus` scores a picture."""
        return Measures(
            self.stacks, (self.model,), self.targets, self.strongest, self.window_px, self.laplacian_window_px
        )


def _fused(
    stack: FocalStack, alignment: Alignment, model: Model, window_px: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Pictures of every method and CPU seconds, those of finding depth included."""

    def by_depth() -> np.ndarray:
        return fuse(stack, alignment, model.depth(stack, alignment))

    def by_argmax() -> np.ndarray:
        return fuse_argmax((alignment.warp(stack.slices[k], k) for k in range(len(stack))), window_px)

    ways: dict[str, Callable[[], np.ndarray]] = {
        "depth": by_depth,
        "guided": lambda: fuse_guided(stack, alignment),
        "pyramid": lambda: fuse_pyramid(stack, alignment),
        ARGMAX: by_argmax,
    }
    pictures, seconds = {}, {}
    for name, way in ways.items():
        with one_thread(), Stopwatch() as clock:
            pictures[name] = way()
        seconds[name] = clock.cpu_s
    return pictures, seconds


def _usable(made: Fused) -> tuple[FocalStack, Alignment]:
    if len(made.used) == len(made.stack):
        return made.stack, made.alignment
    return made.stack.subset(made.used), made.alignment.subset(made.used)


def real_rows(folder: Path, name: str, protocol: Protocol, model: Model) -> list[list[Cell]]:
    """stack, picture, gradients kept, share out of range, CPU seconds of each method."""
    stack, alignment = _usable(fuse_stack(real_stack(folder, name), method="pyramid"))
    pictures, seconds = _fused(stack, alignment, model, protocol.laplacian_window_px)
    mask = np.logical_and.reduce([alignment.valid_mask(k) for k in range(len(stack))])
    lumas = [luma(alignment.warp(stack.slices[k], k)) for k in range(len(stack))]
    rows: list[list[Cell]] = []
    pictures = {BEST: lumas[best_slice(lumas, mask, protocol.strongest)]} | pictures
    for method, picture in pictures.items():
        score = score_picture(picture, lumas, mask, protocol.measures())
        rows.append([name, method, score.gradients_kept, 100 * score.outside_range, seconds.get(method)])
    return rows


def likeness(picture: np.ndarray, known: Simulated) -> tuple[float, float, float]:
    """PSNR [dB], SSIM, and share of the true picture's strongest gradients that a picture keeps."""
    found, true = to_float(picture), to_float(known.aif)
    a, b = (torch.from_numpy(np.ascontiguousarray(one.transpose(2, 0, 1)))[None] for one in (found, true))
    similar = float(ssim(a, b, SSIM_WINDOW_PX).mean())
    return psnr(found, true), similar, gradients_kept(found, [true])


def simulated_scores(
    config: SimulationConfig, seed: int, protocol: Protocol, model: Model
) -> dict[str, np.ndarray]:
    """(4,) PSNR, SSIM, gradients kept of the truth, CPU seconds, of each method on one stack."""
    known = simulate(config, seed)
    stack, alignment = align(known.stack, reference=known.reference)
    pictures, seconds = _fused(stack, alignment, model, protocol.laplacian_window_px)
    lumas = [luma(alignment.warp(stack.slices[k], k)) for k in range(len(stack))]
    best = best_slice(lumas, np.ones(lumas[0].shape, bool), protocol.strongest)
    pictures = {BEST: alignment.warp(stack.slices[best], best)} | pictures
    return {
        method: np.array([*likeness(picture, known), seconds.get(method, np.nan)])
        for method, picture in pictures.items()
    }


def run(
    protocol: Protocol, folder: Path | None, *, limit: int | None = None, options: str = "", say: Say = print
) -> Report:
    """Score every method on the first ``limit`` stacks of each kind.

    Args:
        folder: of the real stacks; None: only simulated ones.
    """
    model = load_model(protocol.model)
    targets, tables = [], []
    if folder is not None:
        real: list[list[Cell]] = []
        for name in protocol.stacks[:limit]:
            say(f"{NAME}: {name}")
            rows = real_rows(folder, name, protocol, model)
            real += rows
            kept, outside = next(
                (float(row[2] or 0), float(row[3] or 0) / 100) for row in rows if row[1] == protocol.default
            )
            wanted = protocol.targets
            targets += [
                Target(f"{name}: gradients kept", kept, "at least", wanted.gradients_kept),
                Target(f"{name}: share outside range", outside, "at most", wanted.outside_range),
            ]
        columns = {
            "stack": "", "picture": "", "gradients kept": ".3f", "outside range [%]": ".3f", "CPU [s]": ".1f",
        }  # fmt: skip
        note = (
            f"Measures of all-in-focus.toml. One alignment for all; depth by {protocol.model}, whose time "
            "counts; OpenCV on one thread."
        )
        tables.append(Table("Real stacks", columns, real, note))

    seeds = protocol.seeds.take(limit)
    simulated: list[list[Cell]] = []
    means: dict[tuple[str, str], np.ndarray] = {}
    for scene in protocol.scenes:
        config = load_recipe("simulator/scenes", scene, SimulationConfig)
        scores = []
        for seed in seeds:
            say(f"{NAME}: {scene}, seed {seed}")
            scores.append(simulated_scores(config, seed, protocol, model))
        for method in scores[0]:
            means[scene, method] = mean = np.mean([one[method] for one in scores], axis=0)
            simulated.append([scene, method, *mean.tolist()])
        best_rival = max(means[scene, other][0] for other in (ARGMAX, *METHODS) if other != protocol.default)
        what = f"{scene}: PSNR [dB] of {protocol.default}, best of the others beside it"
        targets.append(Target(what, float(means[scene, protocol.default][0]), "at least", float(best_rival)))
    columns = {
        "scene": "", "picture": "", "PSNR [dB]": ".2f", "SSIM": ".4f", "gradients kept": ".3f",
        "CPU [s]": ".2f",
    }  # fmt: skip
    note = (
        f"Means of {len(seeds)} stacks per scene, seeds {seeds[0]} to {seeds[-1]}, against the sharp picture "
        "free of noise; aligned as `dff fuse` does. Gradients kept: of the sharp picture's strongest 5 %."
    )
    tables.append(Table("Simulated stacks", columns, simulated, note))
    return Report(NAME, options, asdict(protocol), tables, targets)
