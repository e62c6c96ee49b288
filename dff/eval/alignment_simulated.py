"""Alignment of simulated stacks, whose motion is known exactly."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields

import numpy as np

from dff.classical.motion import corners_moved
from dff.eval.baselines.aligners import OURS, POLISHED, aligners
from dff.eval.inputs import Say, Seeds, Stopwatch, one_thread
from dff.eval.report import Cell, Report, Table, Target
from dff.learned_alignment import LearnedAligner
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig, simulate
from dff.simulator.photos import PhotoPack

NAME = "alignment-simulated"


@dataclass(frozen=True)
class Errors:
    """Corner errors [px] over the slices of many stacks."""

    rms: float
    median: float
    p90: float


@dataclass(frozen=True)
class Protocol:
    """Which stacks are simulated, and what is compared.

    Args:
        scenes: recipes of `simulator/scenes`.
        seeds: of the stacks, the same for every scene.
        ecc_scales: the rival runs on pictures of each of these scales.
        photos: at most this many photographs are used as textures.
        targets: by scene, what ours should reach.
        network_targets: by scene and name of an error, what the polished network should reach.
    """

    scenes: tuple[str, ...]
    seeds: Seeds
    ecc_scales: tuple[float, ...]
    photos: int = 40
    targets: dict[str, Errors] = field(default_factory=dict)
    network_targets: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {one.name for one in fields(Errors)}
        for scene, wanted in self.network_targets.items():
            if unknown := sorted(set(wanted) - known):
                raise ValueError(f"network_targets.{scene}: no error {unknown[0]!r}")


def corner_errors_px(
    matrices: np.ndarray, truth: np.ndarray, reference: int, size: tuple[int, int]
) -> np.ndarray:
    """(N-1,) root mean square distance [px] between the four corners as found and as they are.

    Args:
        matrices, truth: (N,2,3), both seen from slice ``reference``, which is left out.
        size: (height, width).
    """
    others = [k for k in range(len(truth)) if k != reference]
    return np.array([corners_moved(matrices[k], truth[k], size) for k in others])


def summary(errors: np.ndarray) -> Errors:
    """Root mean square, median and 90th percentile."""
    return Errors(
        rms=float(np.sqrt(np.mean(errors**2))),
        median=float(np.median(errors)),
        p90=float(np.quantile(errors, 0.9)),
    )


def run(
    protocol: Protocol,
    photos: PhotoPack | None = None,
    aligner: LearnedAligner | None = None,
    *,
    limit: int | None = None,
    options: str = "",
    say: Say = print,
) -> Report:
    """Simulate at most ``limit`` stacks per scene and align them with every method.

    Args:
        photos: pictures to cut textures from.
        aligner: alignment network to score, too.
    """
    rows: list[list[Cell]] = []
    targets = []
    seeds = protocol.seeds.take(limit)
    for scene in protocol.scenes:
        config = load_recipe("simulator/scenes", scene, SimulationConfig)
        methods = aligners(protocol.ecc_scales, aligner)
        errors: dict[str, list[np.ndarray]] = {method: [] for method in methods}
        clocks = {method: Stopwatch() for method in methods}
        for seed in seeds:
            say(f"{NAME}: {scene}, seed {seed}")
            known = simulate(config, seed, photos=photos)
            for method, align in methods.items():
                with one_thread(), clocks[method]:
                    matrices = align(known.stack, known.reference)
                errors[method].append(
                    corner_errors_px(matrices, known.matrices, known.reference, config.size)
                )
        for method in methods:
            found = summary(np.concatenate(errors[method]))
            cpu_ms = 1e3 * clocks[method].cpu_s / len(seeds)
            rows.append([scene, method, found.rms, found.median, found.p90, cpu_ms])
            wanted: dict[str, float] = {}
            if method == OURS and scene in protocol.targets:
                wanted = asdict(protocol.targets[scene])
            elif method == POLISHED:
                wanted = protocol.network_targets.get(scene, {})
            who = "" if method == OURS else f" of {method}"
            targets += [
                Target(f"{scene}: corner error {key}{who} [px]", asdict(found)[key], "at most", limit)
                for key, limit in wanted.items()
            ]
    columns = {
        "scene": "",
        "method": "",
        "rms [px]": ".2f",
        "median [px]": ".2f",
        "p90 [px]": ".2f",
        "CPU [ms/stack]": ".0f",
    }
    note = (
        f"{len(seeds)} stacks per scene, seeds {seeds[0]} to {seeds[-1]}, "
        f"{len(photos) if photos else 'no'} photographs among the textures. Error of a slice: root mean "
        "square over its four corners; the reference slice is left out. OpenCV on one thread."
    )
    table = Table("Corner error", columns, rows, note)
    return Report(NAME, options, asdict(protocol), [table], targets)
