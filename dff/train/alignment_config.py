"""What a training recipe of the alignment network (task = "alignment") may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dff.model.alignment import AlignmentConfig
from dff.simulator.capture import SimulationConfig
from dff.train.config import RunConfig


@dataclass(frozen=True)
class MotionSourceConfig:
    """Where stacks with known motion come from: made on the fly, each batch used a few times.

    Args:
        simulation: the simulated camera, its motion, and scenes.
        batch: stacks per step (and per process).
        slices: slices per simulated stack, the most that a step can see.
        reuse: steps that a simulated batch serves on average, each time augmented anew.
        pool: batches kept at hand, from which a step draws.
        fov_known_share: share of stacks whose metadata tells the field of view.
        fov_error: largest error of what it tells, as a share of the growth that it tells of.
    """

    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    batch: int = 4
    slices: int = 10
    reuse: int = 4
    pool: int = 32
    fov_known_share: float = 0.4
    fov_error: float = 0.5

    def __post_init__(self) -> None:
        if min(self.batch, self.reuse, self.pool) < 1 or self.slices < 2:
            raise ValueError("MotionSourceConfig: batch, reuse and pool must be 1 or more, slices 2 or more")
        if not 0 <= self.fov_known_share <= 1 or self.fov_error < 0:
            raise ValueError(
                "MotionSourceConfig: fov_known_share must lie in [0,1], fov_error must not be negative"
            )


@dataclass(frozen=True)
class AlignmentLossConfig:
    """What is minimised (`dff.train.alignment_losses`).

    Args:
        kind: "corner": the error of the motion at the corners, where it is known; "photometric": the
            difference of the pictures, where it is not.
        corner_px: corner error beyond which it counts ever less.
        discount: weight of each correction over that of the one after it.
    """

    kind: Literal["corner", "photometric"] = "corner"
    corner_px: float = 0.5
    discount: float = 0.7

    def __post_init__(self) -> None:
        if self.corner_px <= 0 or not 0 < self.discount <= 1:
            raise ValueError("AlignmentLossConfig: corner_px must be above 0, discount in (0,1]")


@dataclass(frozen=True)
class AlignmentTrainConfig(RunConfig):
    """One training run of the alignment network.

    Args:
        task: tells the recipe from one of the depth network.
    """

    task: Literal["alignment"] = "alignment"
    network: AlignmentConfig = field(default_factory=AlignmentConfig)
    source: MotionSourceConfig = field(default_factory=MotionSourceConfig)
    loss: AlignmentLossConfig = field(default_factory=AlignmentLossConfig)
    precision: Literal["auto", "float32", "bfloat16", "native"] = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_source(self.source.slices, self.source.simulation.size)
