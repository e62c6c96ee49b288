"""The depth network as the loop trains it on a data set."""

from __future__ import annotations

import torch

from dff.simulator.photos import PhotoPack
from dff.train.augment import Batch
from dff.train.dataset_config import DatasetTrainConfig
from dff.train.dataset_source import DatasetSource, held_out_batches, open_splits
from dff.train.depth_task import DepthNetworkTask
from dff.train.source import Source


class DatasetTask(DepthNetworkTask):
    """See `dff.train.task.Task`; photographs are of no use here."""

    def __init__(self, config: DatasetTrainConfig) -> None:
        super().__init__(config)
        self.config = config
        self.samples, self.kept_back = open_splits(config.source)

    def source(self, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Source:
        return DatasetSource(self.config, self.samples, seed, rank=rank, device=device)

    def held_out(self, seed: int, photos: PhotoPack | None, device: torch.device) -> list[Batch]:
        return held_out_batches(self.config, self.kept_back, seed, device)
