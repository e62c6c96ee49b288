"""What a training recipe of the autofocus head (task = "focus_head") may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dff.autofocus.losses import FocalConsistencyConfig
from dff.model.focus_head import FocusHeadConfig
from dff.model.focus_head_halves import HalvesConfig
from dff.model.network import SIZES, NetworkConfig
from dff.simulator.capture import SimulationConfig
from dff.train.config import RunConfig


@dataclass(frozen=True)
class StackKind:
    """One kind of simulated stacks.

    Args:
        simulation: camera and scenes; with ``dual_pixel`` the head also sees the halves of the aperture.
        slices: lengths K of the ladder, one picked per batch; 0 is the camera's own.
        weight: how often batches are of this kind, beside the others.
    """

    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    slices: tuple[int, ...] = (0,)
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight <= 0 or not self.slices or any(n != 0 and n < 3 for n in self.slices):
            raise ValueError("StackKind: weight must be above 0, slices 3 or more (0: the camera's own)")


@dataclass(frozen=True)
class FocusHeadSourceConfig:
    """Stacks made on the fly, the slices that are seen of them, and regions.

    Args:
        kinds: of stacks.
        batch: stacks per step (and per process).
        reuse: steps that a batch serves on average, each with other regions.
        pool: batches kept at hand, from which a step draws.
        frames: numbers of slices seen that follow one another; a step takes one of these, or of the next two.
        scattered: numbers of slices seen at random places.
        whole: whether the whole stack is seen in some steps.
        sets: of the other choices, how many are made of one simulated batch.
        starts: sets of slices seen of each stack in a step, which must agree on where to focus; the whole
            stack is one set.
        regions: per stack and step.
        region_px: smallest and largest side of a region, log-uniform, cut to the picture.
        outside_share: share of the regions that may reach out of the picture.
        misalignment_px: largest root mean square corner error of the simulated alignment.
        blur_known_share: share of the stacks whose lens is known.
        phase_share: share of the steps, where there are halves, that show them.
        patches_share: share of the batches that show patches of a file instead of stacks of ``kinds``.
        patch_px: side [px] of what is cut out of a patch, anywhere; 0 takes all of it.
        halved_share: share of the patches that are shown at half their size, as large pictures are before
            they are looked at; twice ``patch_px`` is cut out then.
        patches: folder of these, set by --patches.
    """

    kinds: tuple[StackKind, ...] = (StackKind(),)
    batch: int = 2
    reuse: int = 6
    pool: int = 16
    frames: tuple[int, ...] = (1, 2, 3, 5)
    scattered: tuple[int, ...] = (4,)
    whole: bool = True
    sets: int = 2
    starts: int = 4
    regions: int = 16
    region_px: tuple[int, int] = (12, 128)
    outside_share: float = 0.1
    misalignment_px: float = 1.0
    blur_known_share: float = 0.7
    phase_share: float = 0.6
    patches_share: float = 0.0
    patch_px: int = 0
    halved_share: float = 0.0
    patches: str = ""

    def __post_init__(self) -> None:
        counts = ("batch", "reuse", "pool", "sets", "starts", "regions")
        if not self.kinds or min(getattr(self, name) for name in counts) < 1:
            raise ValueError(f"FocusHeadSourceConfig: give a kind, and {', '.join(counts)} of 1 or more")
        if not (self.frames or self.scattered or self.whole) or min((*self.frames, *self.scattered, 1)) < 1:
            raise ValueError("FocusHeadSourceConfig: frames, scattered, whole: give one that is 1 or more")
        if not 2 <= self.region_px[0] <= self.region_px[1]:
            raise ValueError(f"FocusHeadSourceConfig: region_px {self.region_px} must be 2 <= low <= high")
        if self.misalignment_px < 0:
            raise ValueError("FocusHeadSourceConfig: misalignment_px must not be negative")
        if self.patch_px % 8 or self.patch_px < 0:
            raise ValueError(f"FocusHeadSourceConfig: patch_px {self.patch_px} must be a multiple of 8, or 0")
        for name in ("outside_share", "blur_known_share", "phase_share", "patches_share", "halved_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"FocusHeadSourceConfig: {name} {getattr(self, name)} must lie in [0,1]")


@dataclass(frozen=True)
class FocusHeadTrainConfig(RunConfig):
    """One training run of the autofocus head.

    Of ``augment`` only the colours count, of ``validation`` not the slices: ``source.frames`` says them.

    Args:
        task: tells the recipe from those of other networks.
        head: the head.
        size: name of a size of the depth network.
        backbone: weights of the depth network to begin with, by name or path; "": none.
        joint: train the backbone too, instead of leaving it as it is.
        halves: a part for the halves of dual pixels, trained alone, on a head that is trained already.
        head_weights: that head, by name or path.
        cues_kept: leave what looks at halves as it is, too, so that its maps are made once per stack.
        alone: weight of the ordinal loss of what the halves of every single slice say by themselves.
        loss: ordinal loss, and what the sets of slices seen of a stack must agree on.
        source: where stacks come from.
    """

    task: Literal["focus_head"] = "focus_head"
    head: FocusHeadConfig = field(default_factory=FocusHeadConfig)
    size: Literal["nano", "tiny", "base"] = "tiny"
    backbone: str = "tiny"
    joint: bool = False
    halves: HalvesConfig | None = None
    head_weights: str = ""
    cues_kept: bool = False
    alone: float = 0.0
    loss: FocalConsistencyConfig = field(default_factory=FocalConsistencyConfig)
    source: FocusHeadSourceConfig = field(default_factory=FocusHeadSourceConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.halves is not None) != bool(self.head_weights):
            raise ValueError("FocusHeadTrainConfig: halves and head_weights come together or not at all")
        if self.halves is not None and self.joint:
            raise ValueError("FocusHeadTrainConfig: the part for halves is trained alone; leave joint out")
        if self.alone < 0 or ((self.alone or self.cues_kept) and self.halves is None):
            raise ValueError("FocusHeadTrainConfig: alone must not be negative; it and cues_kept need halves")

    @property
    def network_config(self) -> NetworkConfig:
        """Make-up of the depth network."""
        return SIZES[self.size]
