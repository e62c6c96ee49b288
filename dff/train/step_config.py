"""What a training recipe of step estimator or focus discriminator (task = "step_...") may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dff.model.step import DiscriminatorConfig, StepConfig
from dff.model.step_spectrum import SpectrumConfig
from dff.train.config import RunConfig


@dataclass(frozen=True)
class StepSourceConfig:
    """Photographs, degraded by a defocus table.

    Args:
        table: recipe of simulator/defocus, or a file like it.
        batch: patches per step.
        reuse: steps that a batch serves on average, each time with other noise, gain and orientation.
        pool: batches kept at hand, from which a step draws.
        tile_px: side of the photographs' tiles, where they come from a folder.
        zoom: pixels of a photograph per pixel of the camera, drawn log-uniformly; below 1 it is enlarged.
        near_share: share of patches within ``near`` positions of focus; the others are anywhere on the track.
        near: see above.
        shot, read: variance of noise per unit of light, and of noise in the dark (light is 1 at white), each
            drawn log-uniformly: the light level.
        blurred_share: share of the spectrum network's batches that are of blurred patches, which cost more;
            the others are made of sharp spectra.
        crops: of photographs, whose sharp spectra the spectrum network learns from.
        blank: deviation of display values of the sharp patch below which another is drawn.
    """

    table: str = "imx274_1050"
    batch: int = 32
    reuse: int = 6
    pool: int = 32
    tile_px: int = 1024
    zoom: tuple[float, float] = (0.6, 1.1)
    near_share: float = 0.4
    near: float = 60.0
    shot: tuple[float, float] = (1e-5, 3e-3)
    read: tuple[float, float] = (1e-8, 2e-5)
    blurred_share: float = 0.0
    crops: int = 640
    blank: float = 0.03

    def __post_init__(self) -> None:
        if min(self.batch, self.reuse, self.pool, self.crops) < 1:
            raise ValueError("StepSourceConfig: batch, reuse, pool and crops must be 1 or more")
        for name in ("zoom", "shot", "read"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"StepSourceConfig: {name} ({low}, {high}) must be 0 < low <= high")
        if (
            not (0 <= self.near_share <= 1 and 0 <= self.blurred_share <= 1)
            or self.near <= 0
            or self.tile_px < 32
        ):
            raise ValueError(
                "StepSourceConfig: near_share and blurred_share must lie in [0,1], near > 0, tile_px >= 32"
            )


@dataclass(frozen=True)
class StepLossConfig:
    """What is minimised.

    Args:
        kind: "mse": squared error as a share of all positions, as in the paper; "relative": error over the
            distance, which costs captures.
        floor: positions added to that distance.
    """

    kind: Literal["mse", "relative"] = "mse"
    floor: float = 20.0


@dataclass(frozen=True)
class StepRunConfig(RunConfig):
    """What both networks' recipes say. Of ``augment``, gain, gamma and flip are used."""

    source: StepSourceConfig = field(default_factory=StepSourceConfig)
    precision: Literal["auto", "float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class EstimatorTrainConfig(StepRunConfig):
    """One training run of the step estimator."""

    task: Literal["step_estimator"] = "step_estimator"
    network: StepConfig = field(default_factory=StepConfig)
    loss: StepLossConfig = field(default_factory=StepLossConfig)


@dataclass(frozen=True)
class DiscriminatorTrainConfig(StepRunConfig):
    """One training run of the focus discriminator."""

    task: Literal["step_discriminator"] = "step_discriminator"
    network: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)


@dataclass(frozen=True)
class SpectrumTrainConfig(StepRunConfig):
    """One training run of the network that reads spectra."""

    task: Literal["step_spectrum"] = "step_spectrum"
    network: SpectrumConfig = field(default_factory=SpectrumConfig)
