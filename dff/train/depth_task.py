"""The depth network as the loop trains it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from dff.model.interface import DepthModel
from dff.model.network import build_depth_network
from dff.simulator.photos import PhotoPack
from dff.train.augment import Batch
from dff.train.config import DepthRunConfig, TrainConfig
from dff.train.losses import PARTS, depth_loss
from dff.train.source import SimulatedSource, Source, validation_batches
from dff.train.task import Precision
from dff.train.validate import SCORES, scores, write_sheet


class DepthNetworkTask:
    """What is the same wherever the stacks come from; see `dff.train.task.Task`."""

    parts = PARTS

    def __init__(self, config: DepthRunConfig) -> None:
        self.run = config
        self.scores = tuple(f"{name}_{n}" for n in config.validation.slices for name in SCORES)

    def network(self) -> DepthModel:
        return build_depth_network(self.run.network_config)

    def trained(self, network: nn.Module) -> dict[str, nn.Module]:
        return {"depth": network}

    def loss(self, model: nn.Module, batch: dict[str, Tensor], precision: Precision) -> dict[str, Tensor]:
        with precision():
            output = model(batch["images"], batch["u"])
        return depth_loss(output, batch["u"], batch["target_u"], batch["valid"], self.run.loss)

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        validation = self.run.validation
        found = scores(network, batches, validation.slices, precision)
        write_sheet(sheet, network, batches, validation.pictures, max(validation.slices), precision)
        return found


class DepthTask(DepthNetworkTask):
    """On simulated stacks."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        self.config = config

    def source(self, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Source:
        return SimulatedSource(self.config, seed, rank=rank, photos=photos, device=device)

    def held_out(self, seed: int, photos: PhotoPack | None, device: torch.device) -> list[Batch]:
        return validation_batches(self.config, seed, photos, device)
