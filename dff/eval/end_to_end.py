"""Depth of unaligned stacks: the same model behind every alignment, and behind the true one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dff.classical.align import align_stack
from dff.classical.alignment import Alignment
from dff.eval.alignment_simulated import corner_errors_px
from dff.eval.baselines.aligners import NETWORK, POLISHED, UNALIGNED, Aligner, aligners
from dff.eval.inputs import Say, Seeds, Stopwatch, one_thread
from dff.eval.report import Cell, Report, Table, Target
from dff.learned_alignment import LearnedAligner
from dff.metrics import delta, mae
from dff.models import Model
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig, simulate
from dff.simulator.photos import PhotoPack
from dff.simulator.simulated import Simulated
from dff.stack import FocalStack

NAME = "end-to-end"
METADATA, TRUE = "metadata", "true alignment"


@dataclass(frozen=True)
class Protocol:
    """Which stacks are simulated, and what is wanted.

    Args:
        scenes: recipes of `simulator/scenes`, of stacks that move.
        seeds: of the stacks, the same for every scene.
        default: row of the alignment that users get by default.
        ratio: target, its mean absolute error over that on truly aligned stacks.
        photos: at most this many photographs are used as textures.
    """

    scenes: tuple[str, ...]
    seeds: Seeds
    default: str
    ratio: float
    photos: int = 40

    def __post_init__(self) -> None:
        known = (UNALIGNED, METADATA, *aligners(()), NETWORK, POLISHED)
        if self.default not in known:
            raise ValueError(f"default: no row {self.default!r}; give one of {', '.join(known)}")


@dataclass(frozen=True)
class Score:
    """What one alignment led to on one stack.

    Args:
        mae: mean absolute error of depth, in sweeps (far to near is 1).
        delta1_m: share of depth in metres within a factor of 1.25.
        corners_px: (N-1,) corner errors.
    """

    mae: float
    delta1_m: float
    corners_px: np.ndarray


def _metadata(known: Simulated) -> Aligner:
    """What the lens says: only this method is told which one it was."""

    def matrices(stack: FocalStack, reference: int) -> np.ndarray:
        told = FocalStack(stack.slices, stack.focus, known.lens)
        return align_stack(told, "metadata", reference=reference).matrices

    return matrices


def score_alignment(model: Model, stack: FocalStack, known: Simulated, matrices: np.ndarray) -> Score:
    """Depth of ``stack`` as aligned by ``matrices`` (N,2,3), where every slice truly shows the scene."""
    size, reference = (stack.height, stack.width), known.reference
    count = len(stack)
    flags, unknown = ("ok",) * count, np.full(count, np.nan)
    depth = model.depth(stack, Alignment(matrices, reference, size, "none", flags, unknown)).value
    true = Alignment(known.matrices, reference, size, "none", flags, unknown)
    shown = known.valid & np.logical_and.reduce([true.valid_mask(k) for k in range(count)])
    # the truth at infinity, and depth that is found there, are a hundred metres away
    found_m, true_m = (1 / np.maximum(dioptre, 0.01) for dioptre in (depth, known.dioptre))
    return Score(
        mae(depth, known.dioptre, shown) / float(np.ptp(stack.positions)),
        delta(found_m, true_m, shown),
        corner_errors_px(matrices, known.matrices, reference, size),
    )


def run(
    protocol: Protocol,
    model: Model,
    aligner: LearnedAligner | None = None,
    photos: PhotoPack | None = None,
    *,
    limit: int | None = None,
    options: str = "",
    say: Say = print,
) -> Report:
    """Simulate at most ``limit`` stacks per scene; align and find depth with every method.

    Args:
        model: what finds depth.
        aligner: alignment network, or None: its rows are left out.
        photos: pictures to cut textures from.

    Raises:
        ValueError: the default row needs a network, and there is none.
    """
    if aligner is None and protocol.default in (NETWORK, POLISHED):
        raise ValueError(f"{protocol.default}: this row needs an alignment network; give --aligner")
    rows: list[list[Cell]] = []
    targets: list[Target] = []
    seeds = protocol.seeds.take(limit)
    for scene in protocol.scenes:
        config = load_recipe("simulator/scenes", scene, SimulationConfig)
        scores: dict[str, list[Score]] = {}
        clocks: dict[str, Stopwatch] = {}
        for seed in seeds:
            say(f"{NAME}: {scene}, seed {seed}")
            known = simulate(config, seed, photos=photos)
            stack = FocalStack(known.stack.slices, known.stack.focus)
            first = {UNALIGNED: aligners(())[UNALIGNED], METADATA: _metadata(known)}
            for method, align in (first | aligners((), aligner)).items():
                with one_thread(), clocks.setdefault(method, Stopwatch()):
                    matrices = align(stack, known.reference)
                scores.setdefault(method, []).append(score_alignment(model, stack, known, matrices))
            true = score_alignment(model, stack, known, known.matrices)
            scores.setdefault(TRUE, []).append(true)
        best = _mean_mae(scores[TRUE])
        for method, found in scores.items():
            corners = np.concatenate([score.corners_px for score in found])
            cpu_ms = 1e3 * clocks[method].cpu_s / len(seeds) if method in clocks else None
            rows.append(
                [
                    scene,
                    method,
                    _mean_mae(found),
                    _mean_mae(found) / best,
                    float(np.mean([score.delta1_m for score in found])),
                    float(np.sqrt(np.mean(corners**2))),
                    float(np.median(corners)),
                    cpu_ms,
                ]
            )
        ratio = _mean_mae(scores[protocol.default]) / best
        what = f"{scene}: MAE, {protocol.default} over {TRUE}"
        targets.append(Target(what, ratio, "at most", protocol.ratio))
    columns = {
        "scene": "",
        "alignment": "",
        "MAE": ".4f",
        "over true": ".3f",
        "delta1 (m)": ".3f",
        "corner rms [px]": ".2f",
        "corner median [px]": ".2f",
        "CPU [ms/stack]": ".0f",
    }
    left_out = "" if aligner else f" {NETWORK} and {POLISHED} are left out: no --aligner."
    note = (
        f"{len(seeds)} unaligned stacks per scene, seeds {seeds[0]} to {seeds[-1]}, "
        f"{len(photos) if photos else 'no'} photographs among the textures. Depth by "
        f"{Path(model.name).name}, in the frame of the reference slice, on pixels that every slice shows. "
        "MAE in sweeps: (d - far) / (near - far), d in dioptres. "
        f"Only {METADATA} knows the lens, and knows it exactly. CPU of aligning, OpenCV on one "
        f"thread.{left_out}"
    )
    return Report(NAME, options, asdict(protocol), [Table("End to end", columns, rows, note)], targets)


def _mean_mae(scores: Sequence[Score]) -> float:
    return float(np.mean([score.mae for score in scores]))
