"""Autofocus networks as the loop trains them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from dff.autofocus.load import load_autofocus
from dff.autofocus.losses import focal_consistency_loss
from dff.autofocus.metrics import report
from dff.autofocus.models import AutofocusNet, answers
from dff.autofocus.pictures import answers_picture
from dff.data.af_open import open_patches
from dff.formats.safe_write import atomic_path
from dff.simulator.photos import PhotoPack
from dff.train.augment import Batch
from dff.train.autofocus_config import AutofocusTrainConfig
from dff.train.autofocus_source import PatchSource, check_ladder, held_out_batches
from dff.train.source import Source
from dff.train.task import Precision

SCORES = ("mae", "rmse", "within_0", "within_1", "msd_star", "tv_mean", "hunting_share")


class AutofocusTask:
    """See `dff.train.task.Task`; photographs are in the patches already."""

    parts = ("total", "ordinal", "divergence", "msd")
    scores = SCORES

    def __init__(self, config: AutofocusTrainConfig) -> None:
        self.config = config
        self.patches, self.kept_back = (
            open_patches(config.source.folder, split) for split in ("train", "val")
        )
        for patches in (self.patches, self.kept_back):
            check_ladder(patches, config.network.count)
        self.first = first_step(config)

    def network(self) -> AutofocusNet:
        # a CPU filters channel by channel about half as fast again when channels lie side by side
        return AutofocusNet(self.config.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def trained(self, network: nn.Module) -> dict[str, nn.Module]:
        return {"autofocus": network}

    def source(self, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Source:
        first = self.first and self.first.to(device)
        return PatchSource(self.config, self.patches, seed, rank=rank, first=first)

    def held_out(self, seed: int, photos: PhotoPack | None, device: torch.device) -> list[Batch]:
        return held_out_batches(self.config, self.kept_back)

    def loss(self, model: nn.Module, batch: dict[str, Tensor], precision: Precision) -> dict[str, Tensor]:
        frames = batch["frames"]
        devices = [frames.device] if frames.device.type == "cuda" else []
        # dropout as a function of the step, else a resumed run would draw something else
        with precision(), torch.random.fork_rng(devices):
            torch.manual_seed(int(batch["draw"]))
            logits = model(frames, batch["index"], batch["place"])
        by_scene = logits.float().unflatten(0, (len(batch["target"]), -1))
        return focal_consistency_loss(by_scene, batch["target"], float(batch["progress"]), self.config.loss)

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        assert isinstance(network, AutofocusNet)
        device = next(network.parameters()).device
        network.eval()
        with precision():
            maps = np.concatenate([self._answers(network, batch, device) for batch in batches])
        truth = np.concatenate([batch["target"].numpy() for batch in batches])
        with atomic_path(sheet) as temporary:
            Image.fromarray(answers_picture(maps, truth)).save(temporary)
        told = report(maps, truth)
        return {name: told[name] for name in SCORES}

    def _answers(self, network: AutofocusNet, batch: Batch, device: torch.device) -> np.ndarray:
        stack, place = (batch[key].to(device) for key in ("stack", "place"))
        if self.first is None:
            said = answers(network, stack, place)
        else:
            said = answers(self.first.to(device), stack, place, network)
        return said.cpu().numpy()


def first_step(config: AutofocusTrainConfig) -> AutofocusNet | None:
    """The trained network of the first step that a recipe of the second names.

    Raises:
        ValueError: weights of another problem, or of a second step themselves.
    """
    if not config.source.first:
        return None
    first = load_autofocus(config.source.first)
    if first.config.steps != 1 or first.problem != config.network.seen:
        raise ValueError(
            f"source.first {config.source.first}: for step {first.config.steps} of {first.config.problem}; "
            f"give weights for step 1 of {config.network.problem}"
        )
    return first
