"""The global step estimator beside the patch network: the same answers at every window, for less."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import torch

from dff.eval.inputs import Say, one_thread
from dff.eval.report import Cell, Report, Table, Target
from dff.model.step import (
    PATCH,
    DiscriminatorConfig,
    FocusDiscriminator,
    StepConfig,
    StepEstimator,
    parameters,
)
from dff.model.step_global import GlobalStepEstimator

NAME = "closed-loop-cost"


@dataclass(frozen=True)
class Protocol:
    """What is timed.

    Args:
        height, width: of the picture [px].
        strides: of the windows [px].
        patches: windows of which the patch network is timed, one by one and all at once.
        seed: of weights and picture; neither matters to the time.
        min_speed_up, max_difference: what is wanted; the difference as a share of all positions.
    """

    height: int = 1536
    width: int = 2048
    strides: tuple[int, ...] = (8, 32, 128)
    patches: int = 40
    seed: int = 0
    min_speed_up: float = 20.0
    max_difference: float = 1e-5


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """Time the first ``limit`` strides."""
    torch.manual_seed(protocol.seed)
    network = StepEstimator(StepConfig()).eval()
    picture = torch.rand(1, 1, protocol.height, protocol.width)
    rows: list[list[Cell]] = []
    with torch.inference_mode(), one_thread():
        for stride in protocol.strides[:limit]:
            say(f"{NAME}: stride {stride}")
            whole = GlobalStepEstimator(network, stride)
            whole(picture)
            start = time.process_time()
            found = whole(picture)[0]
            spent = (time.process_time() - start) / found.numel()
            picked = torch.linspace(0, found.numel() - 1, min(protocol.patches, found.numel())).long()
            windows = [divmod(int(k), found.shape[1]) for k in picked]
            cut = torch.cat([_window(picture, i * stride, j * stride) for i, j in windows])
            network(cut[:1])
            start = time.process_time()
            told = torch.cat([network(one[None]) for one in cut])
            single = (time.process_time() - start) / len(cut)
            start = time.process_time()
            network(cut)
            batched = (time.process_time() - start) / len(cut)
            difference = float((told - found.flatten()[picked]).abs().max()) / network.config.positions
            cheaper = single / spent
            rows.append(
                [stride, found.numel(), 1e6 * spent, 1e6 * single, 1e6 * batched, cheaper, difference]
            )
    columns = {
        "stride [px]": ".0f", "windows": ".0f", "global [us a window]": ".0f",
        "patch, one by one [us]": ".0f", "patch, batched [us]": ".0f",
        "times cheaper": ".1f", "largest difference": ".1e",
    }  # fmt: skip
    note = (
        f"CPU time on one thread, {protocol.width}x{protocol.height} px; difference as a share of all "
        f"positions. The estimator has {parameters(network):,} weights, the discriminator "
        f"{parameters(FocusDiscriminator(DiscriminatorConfig())):,}. A patch is {PATCH} px."
    )
    targets = [
        Target(
            "times cheaper, least", min(float(str(row[5])) for row in rows), "at least", protocol.min_speed_up
        ),
        Target(
            "difference, largest", max(float(str(row[6])) for row in rows), "at most", protocol.max_difference
        ),
    ]
    return Report(NAME, options, asdict(protocol), [Table("Distance to focus", columns, rows, note)], targets)


def _window(picture: torch.Tensor, top: int, left: int) -> torch.Tensor:
    return picture[..., top : top + PATCH, left : left + PATCH].contiguous()
