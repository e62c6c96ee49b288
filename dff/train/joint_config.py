"""What a training recipe of both networks together (task = "joint") may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dff.model.alignment import AlignmentConfig
from dff.model.network import NAMED, DepthConfig, NetworkConfig
from dff.train.alignment_config import AlignmentLossConfig, MotionSourceConfig
from dff.train.config import LossConfig, RunConfig


@dataclass(frozen=True)
class JointTrainConfig(RunConfig):
    """One training run of the alignment and the depth network, the one in front of the other.

    Args:
        task: tells the recipe from those of one network.
        alignment: the alignment network.
        size: name of a size of the depth network, or "custom" with ``network`` spelt out.
        network: the depth network when ``size`` is "custom".
        source: stacks with known motion and depth, and what their metadata tells.
        loss: of depth.
        alignment_loss: of the motion.
        alignment_weight: of that loss; that of depth has 1.
    """

    task: Literal["joint"] = "joint"
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    size: Literal["nano", "tiny", "base", "dff-wild", "custom"] = "tiny"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    source: MotionSourceConfig = field(default_factory=MotionSourceConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    alignment_loss: AlignmentLossConfig = field(default_factory=AlignmentLossConfig)
    alignment_weight: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_source(self.source.slices, self.source.simulation.size)
        if self.alignment_weight < 0:
            raise ValueError("JointTrainConfig: alignment_weight must not be negative")

    @property
    def network_config(self) -> DepthConfig:
        """Make-up of the depth network."""
        return self.network if self.size == "custom" else NAMED[self.size]
