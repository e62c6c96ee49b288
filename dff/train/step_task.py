"""Step estimator and focus discriminator as the loop trains them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.formats.pictures import write_picture
from dff.formats.plot import COLOURS, INK, Line, Plot, draw
from dff.model.step import FocusDiscriminator, StepEstimator
from dff.simulator.photos import PhotoPack
from dff.train.augment import Batch
from dff.train.source import Source
from dff.train.step_config import DiscriminatorTrainConfig, EstimatorTrainConfig, StepRunConfig
from dff.train.step_source import StepSource, held_out_patches
from dff.train.task import Precision

_BINS = 12  # of the distance, on the sheet
_SIZE = (260, 420)


class _StepTask:
    """What both tasks share; see `dff.train.task.Task`."""

    def __init__(self, config: StepRunConfig) -> None:
        self.run = config

    def source(self, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Source:
        return StepSource(self.run, seed, rank=rank, photos=photos, device=device)

    def held_out(self, seed: int, photos: PhotoPack | None, device: torch.device) -> list[Batch]:
        return held_out_patches(self.run, seed, photos, device)


class EstimatorTask(_StepTask):
    """Distance to focus."""

    parts = ("total", "positions")
    scores = ("mae", "mae_near", "bias_near", "median_relative")

    def __init__(self, config: EstimatorTrainConfig) -> None:
        super().__init__(config)
        self.config = config

    def network(self) -> StepEstimator:
        return StepEstimator(self.config.network)

    def trained(self, network: nn.Module) -> dict[str, nn.Module]:
        return {"step_estimator": network}

    def loss(self, model: nn.Module, batch: dict[str, Tensor], precision: Precision) -> dict[str, Tensor]:
        with precision():
            distance = model(batch["images"])
        error = distance - batch["distance"]
        if self.config.loss.kind == "mse":
            total = (error / self.config.network.positions).square().mean()
        else:
            total = (error.abs() / (batch["distance"] + self.config.loss.floor)).mean()
        return {"total": total, "positions": error.detach().abs().mean()}

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        """Mean error [positions] of all and of those within ``near``, bias there, relative error."""
        found = _answers(network, batches, precision)
        truth = torch.cat([batch["distance"] for batch in batches])
        error = (found - truth).abs()
        near = truth < self.run.source.near
        _sheet(sheet, truth, found, "estimate over true distance", self.config.network.positions)
        return {
            "mae": float(error.mean()),
            "mae_near": float(error[near].mean()),
            "bias_near": float((found - truth)[near].mean()),
            "median_relative": float((error / (truth + 1)).median()),
        }


class DiscriminatorTask(_StepTask):
    """Whether in focus; distances up to ``network.focused`` are, in the loss and in the scores.

    Those up to the depth of field (twice that far) weigh less: they are neither.
    """

    parts = ("total", "wrong")
    scores = ("missed", "false_alarm", "threshold")

    def __init__(self, config: DiscriminatorTrainConfig) -> None:
        super().__init__(config)
        self.config = config

    def network(self) -> FocusDiscriminator:
        return FocusDiscriminator(self.config.network)

    def trained(self, network: nn.Module) -> dict[str, nn.Module]:
        return {"step_discriminator": network}

    def loss(self, model: nn.Module, batch: dict[str, Tensor], precision: Precision) -> dict[str, Tensor]:
        focused = self.config.network.focused
        with precision():
            logits = model(batch["images"], batch["keep"][:, : self.config.network.hidden])
        label = (batch["distance"] <= focused).float()
        between = (batch["distance"] > focused) & (batch["distance"] < 2 * focused)
        weight = torch.where(between, 0.25, 1.0)
        total = (F.binary_cross_entropy_with_logits(logits, label, reduction="none") * weight).mean()
        wrong = ((logits.detach() > 0) != label.bool()).float().mean()
        return {"total": total, "wrong": wrong}

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        """Shares: in focus but missed, beyond twice ``focused`` but passed; and up to where half pass."""
        logits = _answers(network, batches, precision)
        truth = torch.cat([batch["distance"] for batch in batches])
        focused = self.config.network.focused
        passed = logits > 0
        _sheet(sheet, truth, logits.sigmoid() * 100, "chance of focus [%] over distance", 100.0, 100.0)
        order = truth.argsort()
        upto = passed[order].float().cumsum(0) / torch.arange(1, len(truth) + 1)
        half = truth[order][upto >= 0.5]
        return {
            "missed": float((~passed)[truth <= focused].float().mean()),
            "false_alarm": float(passed[truth > 2 * focused].float().mean()),
            "threshold": float(half.max()) if len(half) else 0.0,
        }


def _answers(network: nn.Module, batches: Sequence[Batch], precision: Precision) -> Tensor:
    was_training = network.training
    network.eval()
    with torch.inference_mode(), precision():
        found = torch.cat([network(batch["images"]) for batch in batches])
    network.train(was_training)
    return found


def _sheet(path: Path, truth: Tensor, found: Tensor, title: str, high: float, end: float = 0.0) -> None:
    """Median and middle four fifths of ``found`` by ``truth``; the dashed line is what should be."""
    end = end or float(truth.max())
    edges = np.linspace(0, end, _BINS + 1)
    middles, quantiles = [], []
    for low, top in pairwise(edges):
        inside = found[(truth >= low) & (truth < top)].cpu().numpy()
        if inside.size:
            middles.append((low + top) / 2)
            quantiles.append(np.quantile(inside, (0.1, 0.5, 0.9)))
    at, rows = np.array(middles), np.array(quantiles)
    lines = [Line(at, rows[:, k], COLOURS[0 if k == 1 else 1]) for k in range(3)]
    lines.append(Line(np.array([0.0, end]), np.array([0.0, end]), INK, dashed=True))
    picture = draw(Plot(title, "positions", (0.0, end), (0.0, max(high, 1.0)), lines), *_SIZE)
    write_picture(picture, path, overwrite=True)
