"""What a training recipe of an autofocus network (task = "autofocus") may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dff.autofocus.losses import FocalConsistencyConfig
from dff.autofocus.models import AutofocusConfig
from dff.train.config import OptimiserConfig, RunConfig, ValidationConfig


@dataclass(frozen=True)
class PatchSourceConfig:
    """Where patches come from, and how many of them are in a step.

    Args:
        folder: of the patches: train.h5 and val.h5, or the public autofocus data set; --data says it.
        scenes: patches in a step, S.
        per_scene: focal indices that each of them is seen from, F, all different.
        crop: side [px] of the window that is cut out of each patch at random; 0: all of it.
        flip: mirror the patches at random; left and right half change places with the sides.
        first: weights of the first step, by name or path, for a network of the second.
    """

    folder: str = ""
    scenes: int = 32
    per_scene: int = 4
    crop: int = 0
    flip: bool = True
    first: str = ""

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.per_scene < 1 or (self.crop and self.crop < 32):
            raise ValueError("PatchSourceConfig: scenes and per_scene must be 1 or more, crop 32 or 0")

    @property
    def batch(self) -> int:
        """Inputs in a step."""
        return self.scenes * self.per_scene


@dataclass(frozen=True)
class AutofocusValidation(ValidationConfig):
    """Patches of the validation split, from all starts.

    Args:
        patches: that many at most, spread evenly over the split.
    """

    every: int = 2000
    patches: int = 128


@dataclass(frozen=True)
class AutofocusTrainConfig(RunConfig):
    """One training run of an autofocus network: first ``steps`` at a constant rate, then the rate's fall.

    ``steps`` and the fall (``optimiser.decay`` inputs) are the whole, of which `progress` is a share.
    """

    task: Literal["autofocus"] = "autofocus"
    network: AutofocusConfig = field(default_factory=AutofocusConfig)
    source: PatchSourceConfig = field(default_factory=PatchSourceConfig)
    loss: FocalConsistencyConfig = field(default_factory=FocalConsistencyConfig)
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig("adamw", 1e-3, (0.5, 0.999), 1e-4, clip=5.0)
    )
    validation: AutofocusValidation = field(default_factory=AutofocusValidation)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.network.steps == 2) != bool(self.source.first):
            raise ValueError(
                "AutofocusTrainConfig: source.first, weights of the first step, goes with network.steps = 2"
            )

    def progress(self, step: int) -> float:
        """Share of the whole training that is done before ``step``, in [0,1]."""
        return min(1.0, step / (self.steps + self.optimiser.decay / self.source.batch))
