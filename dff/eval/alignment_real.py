"""Alignment of real stacks, scored by SIFT matches against the middle slice."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from dff.eval.baselines.aligners import OURS, POLISHED, Aligner, aligners, ecc_name
from dff.eval.inputs import Say, Stopwatch, one_thread, real_stack
from dff.eval.report import Cell, Report, Table, Target
from dff.eval.sift import SiftProtocol, chained_zoom, residuals_px, sift_matches
from dff.learned_alignment import LearnedAligner
from dff.stack import FocalStack

NAME = "alignment-real"


@dataclass(frozen=True)
class Targets:
    """What ours should reach on every stack.

    Args:
        residual_ratio: median and worst residual over those of ECC.
        cpu_ratio: CPU seconds over those of ECC.
        zoom_error: distance to the known zoom.
        network_ratio: median and worst residual of the polished network over those of ours.
        network_better_share: share of the stacks in whose worst slice it is better than ours.
    """

    residual_ratio: float
    cpu_ratio: float
    zoom_error: float
    network_ratio: float = 1.0
    network_better_share: float = 0.5


@dataclass(frozen=True)
class Protocol:
    """Which stacks, and how they are scored.

    Args:
        zoom_last_over_first: known image scale of the last slice over the first, by stack.
        ecc_scale: scale of the pictures that the rival works on.
        runs: of each method, of which the quickest counts: other work on the machine only adds.
    """

    zoom_last_over_first: dict[str, float]
    ecc_scale: float
    targets: Targets
    runs: int = 3
    sift: SiftProtocol = field(default_factory=SiftProtocol)

    def __post_init__(self) -> None:
        if not self.zoom_last_over_first:
            raise ValueError("zoom_last_over_first: no stack; name at least one with its zoom")
        if self.runs < 1:
            raise ValueError(f"runs {self.runs}; give at least 1")


@dataclass(frozen=True)
class Score:
    """What one method reached on one stack."""

    median_px: float
    worst_px: float
    unscored: int
    zoom: float
    cpu_s: float


def zoom_last_over_first(matrices: np.ndarray) -> float:
    """Image scale of the last slice over the first, of (N,2,3) matrices."""
    scale = np.sqrt(np.abs(np.linalg.det(matrices[[0, -1], :, :2])))
    return float(scale[1] / scale[0])


def timed(align: Aligner, stack: FocalStack, reference: int, runs: int) -> tuple[np.ndarray, float]:
    """The (N,2,3) matrices, and the CPU seconds of the quickest of several runs."""
    seconds = []
    for _ in range(runs):
        with one_thread(), Stopwatch() as clock:
            matrices = align(stack, reference)
        seconds.append(clock.cpu_s)
    return matrices, min(seconds)


def score_stack(
    folder: Path, name: str, protocol: Protocol, learned: LearnedAligner | None = None
) -> dict[str, Score]:
    """Every method on one stack."""
    stack = real_stack(folder, name)
    reference = len(stack) // 2
    matches = sift_matches(stack, reference, protocol.sift)
    scores = {}
    for method, align in aligners((protocol.ecc_scale,), learned).items():
        matrices, cpu_s = timed(align, stack, reference, protocol.runs)
        residual = residuals_px(matches, matrices, protocol.sift.min_matches)
        scored = residual[np.isfinite(residual)]
        if not scored.size:
            raise ValueError(
                f"{folder / name}: no slice has {protocol.sift.min_matches} SIFT matches; nothing to score"
            )
        scores[method] = Score(
            median_px=float(np.median(scored)),
            worst_px=float(scored.max()),
            unscored=len(stack) - 1 - scored.size,
            zoom=zoom_last_over_first(matrices),
            cpu_s=cpu_s,
        )
    return scores


def run(
    protocol: Protocol,
    folder: Path,
    aligner: LearnedAligner | None = None,
    *,
    limit: int | None = None,
    options: str = "",
    say: Say = print,
) -> Report:
    """Score the first ``limit`` stacks of the protocol, found in ``folder``; an aligner, if given, too."""
    ecc = ecc_name(protocol.ecc_scale)
    rows: list[list[Cell]] = []
    ratios: list[list[Cell]] = []
    targets = []
    better = []  # stacks in whose worst slice the network is the better one
    for name, known in list(protocol.zoom_last_over_first.items())[:limit]:
        say(f"{NAME}: {name}")
        scores = score_stack(folder, name, protocol, aligner)
        for method, s in scores.items():
            rows.append([name, method, s.median_px, s.worst_px, s.unscored, s.zoom, s.cpu_s])
        ours, rival, wanted = scores[OURS], scores[ecc], protocol.targets
        ratio = {
            "median": (ours.median_px / rival.median_px, wanted.residual_ratio),
            "worst": (ours.worst_px / rival.worst_px, wanted.residual_ratio),
            "CPU": (ours.cpu_s / rival.cpu_s, wanted.cpu_ratio),
        }
        error = abs(ours.zoom - known)
        chained = chained_zoom(real_stack(folder, name), protocol.sift)
        ratios.append([name, *(value for value, _ in ratio.values()), ours.zoom, known, error, chained])
        targets += [
            Target(f"{name}: {what}, ours over ECC", value, "at most", most)
            for what, (value, most) in ratio.items()
        ]
        targets.append(Target(f"{name}: zoom error", error, "at most", wanted.zoom_error))
        if aligner is not None:
            network = scores[POLISHED]
            better.append(network.worst_px < ours.worst_px)
            targets += [
                Target(f"{name}: {what}, {POLISHED} over ours", value, "at most", wanted.network_ratio)
                for what, value in (
                    ("median", network.median_px / ours.median_px),
                    ("worst", network.worst_px / ours.worst_px),
                )
            ]
    if better:
        share = sum(better) / len(better)
        what = f"share of stacks where {POLISHED} is better in the worst slice"
        targets.append(Target(what, share, "at least", protocol.targets.network_better_share))
    columns = {
        "stack": "",
        "method": "",
        "median [px]": ".3f",
        "worst [px]": ".3f",
        "unscored": "d",
        "zoom last/first": ".4f",
        "CPU [s]": ".2f",
    }
    note = (
        "Residual of a slice: median distance between its SIFT matches and where the method puts them, in "
        "pixels of the full picture, against the middle slice. Median and worst are over slices; unscored "
        "slices have too few matches. CPU without reading, quickest of "
        f"{protocol.runs} runs, OpenCV on one thread."
    )
    ratio_columns = {
        "stack": "",
        "median": ".3f",
        "worst": ".3f",
        "CPU": ".2f",
        "zoom, ours": ".4f",
        "zoom, target": ".4f",
        "difference": ".4f",
        "zoom, SIFT chain": ".4f",
    }
    zoom_note = (
        "Zoom: image scale of the last slice over the first. The SIFT chain multiplies the similarities that "
        "SIFT finds between neighbours: independent of both methods, but no truth either."
    )
    tables = [
        Table("SIFT residual", columns, rows, note),
        Table(f"Ours over {ecc}", ratio_columns, ratios, zoom_note),
    ]
    return Report(NAME, options, asdict(protocol), tables, targets)
