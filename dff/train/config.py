"""What a training recipe (train/*.toml) may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dff.model.network import NAMED, DepthConfig, NetworkConfig
from dff.simulator.capture import SimulationConfig


def _check_range(owner: str, name: str, pair: tuple[float, float], least: float) -> None:
    if not least <= pair[0] <= pair[1]:
        raise ValueError(f"{owner}: {name} {pair} must be {least:g} <= low <= high")


def takes(share: float, given: Path | None, option: str, setting: str, remedy: str) -> bool:
    """Whether a recipe of which ``setting`` is ``share`` takes what a command-line ``option`` gives.

    Args:
        remedy: what to give where it is missing, and how to make it.

    Raises:
        ValueError: a recipe that wants something and gets nothing, or the reverse.
    """
    if given is None and share > 0:
        raise ValueError(f"{setting} is {share:g}: give {remedy}")
    if given is not None and share <= 0:
        raise ValueError(f"{option}: this recipe takes none; choose one with {setting} above 0")
    return given is not None


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to a batch each time it is seen. Pairs are (low, high).

    Args:
        slices: slices per stack, drawn for each step; a random, uneven choice of those that are there.
        keep_ends_share: share of stacks whose first and last slices are always kept; of others the sweep
            shrinks, and some of the scene lies beyond it.
        run_share: share of stacks of which slices that follow one another are taken, as of the windows of a
            long stack (`dff.model.long_stacks`): most of the scene lies beyond so short a sweep.
        by_number_share: share of stacks of which nothing is known but the order of the slices: the focus
            coordinate is then the slice's number.
        crop: side [px] of the square that is cut out; a multiple of 32 wastes nothing.
        flip: mirror and turn at random.
        gamma: exponent on display values, drawn log-uniformly.
        gain: factor on display values, drawn log-uniformly.
        swap_channels_share, grey_share: share of stacks whose channels are permuted, or made grey.
    """

    slices: tuple[int, int] = (3, 12)
    keep_ends_share: float = 0.7
    run_share: float = 0.0
    by_number_share: float = 0.15
    crop: int = 96
    flip: bool = True
    gamma: tuple[float, float] = (0.7, 1.4)
    gain: tuple[float, float] = (0.6, 1.1)
    swap_channels_share: float = 0.5
    grey_share: float = 0.1

    def __post_init__(self) -> None:
        _check_range("AugmentConfig", "slices", self.slices, 2)
        _check_range("AugmentConfig", "gamma", self.gamma, 0.1)
        _check_range("AugmentConfig", "gain", self.gain, 0.01)
        if self.crop < 32:
            raise ValueError(f"AugmentConfig: crop {self.crop}; give at least 32 px")


@dataclass(frozen=True)
class SourceConfig:
    """Where stacks come from: made on the fly, each batch used a few times.

    Args:
        simulation: the simulated camera and scenes; its pictures are the largest that a step can see.
        batch: stacks per step (and per process).
        slices: slices per simulated stack, the most that a step can see.
        reuse: steps that a simulated batch serves on average, each time augmented anew.
        pool: batches kept at hand, from which a step draws.
        misalignment_px: largest root mean square corner error of the simulated alignment; most stacks get
            less (uniform squared).
        rendered_share: share of the batches that show scenes of ``scenes`` instead of procedural ones.
        scenes: file of rendered scenes; --scenes says it.
    """

    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    batch: int = 4
    slices: int = 12
    reuse: int = 3
    pool: int = 16
    misalignment_px: float = 1.5
    rendered_share: float = 0.0
    scenes: str = ""

    def __post_init__(self) -> None:
        for name in ("batch", "reuse", "pool"):
            if getattr(self, name) < 1:
                raise ValueError(f"SourceConfig: {name} {getattr(self, name)}; give at least 1")
        if self.slices < 2:
            raise ValueError(f"SourceConfig: slices {self.slices}; a focal stack has at least 2")
        if self.misalignment_px < 0:
            raise ValueError("SourceConfig: misalignment_px must not be negative")
        if not 0 <= self.rendered_share <= 1:
            raise ValueError(f"SourceConfig: rendered_share {self.rendered_share} must lie in [0,1]")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the parts of the loss (`dff.train.losses`).

    Args:
        scales: of the error of depth at 1/8, 1/4, 1/2 and full size.
        kind: of that error: "smooth-l1", or "mse" as in the paper.
        beta: error (share of the sweep) up to which "smooth-l1" counts it squared.
        far_end: place of infinity beyond the far end of the sweep (share of the sweep), for the relative
            error: 0.11 is that of a sweep from 3 m to 0.3 m.
        depth, bins, likelihood, gradient, relative: of the parts.
    """

    scales: tuple[float, float, float, float] = (0.3, 0.5, 0.7, 1.0)
    kind: Literal["smooth-l1", "mse"] = "smooth-l1"
    beta: float = 0.02
    far_end: float = 0.11
    depth: float = 5.0
    bins: float = 0.15
    likelihood: float = 0.05
    gradient: float = 0.5
    relative: float = 0.3


@dataclass(frozen=True)
class OptimiserConfig:
    """The optimiser, and a schedule counted in samples (stacks seen, over all processes).

    Args:
        kind: "muon" (`dff.train.muon`) or "adamw".
        lr: learning rate of the constant part.
        betas: of AdamW, which all but the kernels use in any case.
        weight_decay: of kernels.
        clip: largest norm of the gradient.
        warm_up: samples over which the rate rises from zero.
        decay: samples over which it falls to zero, whenever the last part of the run is begun.
        ema: decay per step of the averaged weights, which are what is kept and measured.
    """

    kind: Literal["muon", "adamw"] = "muon"
    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-3
    clip: float = 2.0
    warm_up: int = 400
    decay: int = 8000
    ema: float = 0.999

    def __post_init__(self) -> None:
        if self.lr <= 0 or self.clip <= 0:
            raise ValueError("OptimiserConfig: lr and clip must be above 0")
        if not 0 <= self.ema < 1:
            raise ValueError(f"OptimiserConfig: ema {self.ema} must lie in [0,1)")
        if self.warm_up < 0 or self.decay < 1:
            raise ValueError("OptimiserConfig: warm_up must be 0 or more samples, decay at least 1")


@dataclass(frozen=True)
class ValidationConfig:
    """Held-out stacks, made as the training ones with seeds of their own.

    Args:
        every: steps between validations; checkpoints are written at the same time.
        batches: number of batches.
        slices: slices per stack, one number for each set that is reported.
        pictures: stacks on the picture sheet.
    """

    every: int = 200
    batches: int = 4
    slices: tuple[int, ...] = (5, 10)
    pictures: int = 6

    def __post_init__(self) -> None:
        if self.every < 1 or self.batches < 1 or self.pictures < 0 or not self.slices:
            raise ValueError(
                "ValidationConfig: every and batches must be 1 or more; name at least one of slices"
            )


@dataclass(frozen=True)
class RunConfig:
    """What every training run states, whatever it trains; its subclasses also have a ``source``.

    Args:
        steps: where the run ends unless told otherwise.
        precision: "bfloat16" runs the network in half precision (weights stay float32); "auto" does so on
            CUDA alone, "native" on processors with that number format as well.
        checkpoint_every: steps between checkpoints, besides those at validations.
        log_every: steps between lines of the log.
    """

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    steps: int = 20000
    precision: Literal["auto", "float32", "bfloat16", "native"] = "auto"
    checkpoint_every: int = 100
    log_every: int = 10

    def __post_init__(self) -> None:
        if self.steps < 1 or self.checkpoint_every < 1 or self.log_every < 1:
            raise ValueError(f"{self._name}: steps, checkpoint_every and log_every must be 1 or more")

    def check_source(self, slices: int, size: tuple[int, int]) -> None:
        """Raise unless stacks of ``slices`` pictures of ``size`` (h, w) serve this run."""
        most = max(self.augment.slices[1], *self.validation.slices)
        if most > slices:
            raise ValueError(f"{self._name}: {most} slices wanted, source.slices makes {slices}")
        if self.augment.crop > min(size):
            raise ValueError(
                f"{self._name}: a crop of {self.augment.crop} px does not fit pictures of "
                f"{size[1]}x{size[0]} px"
            )

    @property
    def _name(self) -> str:
        return type(self).__name__


@dataclass(frozen=True)
class DepthRunConfig(RunConfig):
    """What every run of the depth network alone states, wherever its stacks come from.

    Args:
        size: name of a network size, or "custom" with ``network`` spelt out.
        network: used when ``size`` is "custom".
        only: part of the network that is trained while the rest stays as it is, such as "uncertainty";
            "": all of it.
    """

    size: Literal["nano", "tiny", "base", "dff-wild", "custom"] = "tiny"
    only: str = ""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    @property
    def network_config(self) -> DepthConfig:
        return self.network if self.size == "custom" else NAMED[self.size]


@dataclass(frozen=True)
class TrainConfig(DepthRunConfig):
    """One training run of the depth network on simulated stacks."""

    source: SourceConfig = field(default_factory=SourceConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_source(self.source.slices, self.source.simulation.size)
