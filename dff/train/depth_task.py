"""The depth network as the loop trains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from dff.model.interface import DepthModel
from dff.model.network import build_depth_network
from dff.simulator.photos import PhotoPack
from dff.simulator.scene_pack import load_scenes
from dff.train.augment import Batch
from dff.train.config import DepthRunConfig, RunConfig, TrainConfig, takes
from dff.train.losses import PARTS, depth_loss
from dff.train.source import SimulatedSource, Source, validation_batches
from dff.train.task import Precision
from dff.train.validate import SCORES, scores, write_sheet

Run = TypeVar("Run", bound=RunConfig)


def only_part(network: DepthModel, name: str) -> DepthModel:
    """The network with everything but one of its parts held fast.

    Raises:
        ValueError: no part of that name.
    """
    parts = dict(network.named_children())
    if name not in parts:
        raise ValueError(f"only {name!r}: no such part of the network; choose from {', '.join(parts)}")
    network.requires_grad_(False)
    parts[name].requires_grad_(True)
    return network


class DepthNetworkTask:
    """What is the same wherever the stacks come from; see `dff.train.task.Task`."""

    parts = PARTS

    def __init__(self, config: DepthRunConfig) -> None:
        self.run = config
        self.scores = tuple(f"{name}_{n}" for n in config.validation.slices for name in SCORES)

    def network(self) -> DepthModel:
        network = build_depth_network(self.run.network_config)
        return only_part(network, self.run.only) if self.run.only else network

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
        self.scenes = load_scenes(config.source.scenes).split()[0] if config.source.scenes else None

    def source(self, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Source:
        scenes = self.scenes and self.scenes.to(device)
        return SimulatedSource(self.config, seed, rank=rank, photos=photos, scenes=scenes, device=device)

    def held_out(self, seed: int, photos: PhotoPack | None, device: torch.device) -> list[Batch]:
        return validation_batches(self.config, seed, photos, device)


def with_scenes(config: Run, path: Path | None) -> Run:
    """The recipe with the file of rendered scenes that --scenes names.

    Raises:
        ValueError: a recipe that wants scenes and gets none, or the reverse.
        FileNotFoundError: no such file.
    """
    share = config.source.rendered_share if isinstance(config, TrainConfig) else 0.0
    remedy = "rendered scenes by --scenes FILE (python -m dff.train.render_scenes makes one)"
    if not takes(share, path, "--scenes", "source.rendered_share", remedy):
        return config
    assert isinstance(config, TrainConfig)
    assert path is not None
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of rendered scenes")
    return replace(config, source=replace(config.source, scenes=str(path)))
