"""What the benchmark of depth models measures."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dff.eval.depth_models_cycles import CyclesSet
from dff.eval.depth_models_rivals import Grid
from dff.eval.inputs import Seeds

NAME = "depth-models"


@dataclass(frozen=True)
class SetSeeds:
    """Seeds of the stacks of each set, and of the stacks that rivals are tuned on (so many of each kind)."""

    procedural: Seeds
    crowded: Seeds
    slice_counts: Seeds
    five_layers: Seeds
    rgbd: Seeds
    tuning: Seeds

    def __post_init__(self) -> None:
        tuned = set(self.tuning.take(None))
        for one in fields(self):
            if one.name != "tuning" and tuned & set(getattr(self, one.name).take(None)):
                raise ValueError(f"seeds: some of {one.name} are also in tuning; tune on other stacks")


@dataclass(frozen=True)
class Targets:
    """Bars for the first model.

    Args:
        procedural, rgbd, cycles: mean absolute error over that of the best rival of a set.
        five_layers_mae, five_layers_delta1: on the stacks of five layers.
        confident_half: error of the more confident half of the pixels over the error of all, on every set.
    """

    procedural: float
    rgbd: float
    cycles: float
    five_layers_mae: float
    five_layers_delta1: float
    confident_half: float


@dataclass(frozen=True)
class Protocol:
    """Sets, rivals and targets.

    Args:
        camera: recipe of `simulator/cameras`, of the crowded and the RGB-D stacks.
        parts: recipe of `simulator/scenes`, of the procedural stacks.
        scene: recipe of `simulator/scenes`, the stacks of five layers.
        crowded_size, rgbd_size: (height, width); the former is of the simulator's usual scenes.
        n_slices: of all stacks but those of other ``slice_counts``.
        misalignment_px: root mean square error at the corners, of the procedural stacks.
        slice_counts: of slices spread evenly over one sweep of the largest count.
    """

    camera: str
    parts: str
    scene: str
    crowded_size: tuple[int, int]
    rgbd_size: tuple[int, int]
    n_slices: int
    misalignment_px: tuple[float, ...]
    slice_counts: tuple[int, ...]
    seeds: SetSeeds
    rivals: Grid
    targets: Targets
    cycles: CyclesSet

    def __post_init__(self) -> None:
        if not self.misalignment_px or min(self.misalignment_px) < 0:
            raise ValueError(f"misalignment_px {self.misalignment_px}; give numbers of 0 or more")
        if self.slice_counts and min(self.slice_counts) < 2:
            raise ValueError(f"slice_counts {self.slice_counts}; a focal stack has at least 2 slices")
