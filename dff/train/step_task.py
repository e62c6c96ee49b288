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
from dff.model.step_spectrum import SpectrumSteps, labels, likeliest
from dff.simulator.photos import PhotoPack
from dff.train.augment import Batch
from dff.train.source import Source
from dff.train.step_config import (
    DiscriminatorTrainConfig,
    EstimatorTrainConfig,
    SpectrumTrainConfig,
    StepLossConfig,
    StepRunConfig,
)
from dff.train.step_source import StepSource, held_out_patches
from dff.train.step_spectra import SpectrumSource, held_out_spectra
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
        total = _distance_loss(distance, batch["distance"], self.config.loss, self.config.network.positions)
        return {"total": total, "positions": (distance.detach() - batch["distance"]).abs().mean()}

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        """Mean error [positions] of all and of those within ``near``, bias there, relative error."""
        found, truth = _answers(network, batches, precision), _distances(batches)
        _sheet(sheet, truth, found, "estimate over true distance", self.config.network.positions)
        return _distance_scores(found, truth, self.run.source.near)


class DiscriminatorTask(_StepTask):
    """Whether in focus; distances up to ``network.focused`` are, in the loss and in the scores.

    Those up to the depth of field (twice that far) weigh less: they are neither.
    """

    parts = ("total", "wrong")
    scores = ("missed", "false_alarm")

    def __init__(self, config: DiscriminatorTrainConfig) -> None:
        super().__init__(config)
        self.config = config

    def network(self) -> FocusDiscriminator:
        return FocusDiscriminator(self.config.network)

    def trained(self, network: nn.Module) -> dict[str, nn.Module]:
        return {"step_discriminator": network}

    def loss(self, model: nn.Module, batch: dict[str, Tensor], precision: Precision) -> dict[str, Tensor]:
        with precision():
            logits = model(batch["images"], batch["keep"][:, : self.config.network.hidden])
        return _focus_loss(logits, batch["distance"], self.config.network.focused)

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        """Shares: in focus but missed, and beyond twice ``focused`` but passed."""
        logits, truth = _answers(network, batches, precision), _distances(batches)
        _sheet(sheet, truth, logits.sigmoid() * 100, "chance of focus [%] over distance", 100.0, 100.0)
        return _focus_scores(logits, truth, self.config.network.focused)


class SpectrumTask(_StepTask):
    """Both, from spectra."""

    parts = ("total", "distance", "focus", "positions", "wrong")
    scores = (*EstimatorTask.scores, *DiscriminatorTask.scores)

    def __init__(self, config: SpectrumTrainConfig) -> None:
        super().__init__(config)
        self.config = config

    def network(self) -> SpectrumSteps:
        return SpectrumSteps(self.config.network)

    def trained(self, network: nn.Module) -> dict[str, nn.Module]:
        return {"step_spectrum": network}

    def source(self, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Source:
        return SpectrumSource(self.config, seed, rank=rank, photos=photos, device=device)

    def held_out(self, seed: int, photos: PhotoPack | None, device: torch.device) -> list[Batch]:
        return held_out_spectra(self.config, seed, photos, device)

    def loss(self, model: nn.Module, batch: dict[str, Tensor], precision: Precision) -> dict[str, Tensor]:
        truth, made = batch["distance"], self.config.network
        with precision():
            classes, logits = model(batch["spectra"])
        far = F.cross_entropy(classes, labels(made, truth))
        focus = _focus_loss(logits, truth, made.focused)
        return {
            "total": far + focus["total"],
            "distance": far.detach(),
            "focus": focus["total"].detach(),
            "positions": (likeliest(made, classes.detach()) - truth).abs().mean(),
            "wrong": focus["wrong"],
        }

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        """Scores of both."""
        with torch.inference_mode(), precision():
            told = [network(batch["spectra"]) for batch in batches]
        classes, logits = (torch.cat([one[k] for one in told]) for k in (0, 1))
        found, truth = likeliest(self.config.network, classes), _distances(batches)
        _sheet(sheet, truth, found, "estimate over true distance", self.config.network.positions)
        scores = _distance_scores(found, truth, self.run.source.near)
        return scores | _focus_scores(logits, truth, self.config.network.focused)


def _distances(batches: Sequence[Batch]) -> Tensor:
    return torch.cat([batch["distance"] for batch in batches])


def _distance_loss(found: Tensor, truth: Tensor, settings: StepLossConfig, positions: float) -> Tensor:
    error = found - truth
    if settings.kind == "mse":
        return (error / positions).square().mean()
    return (error.abs() / (truth + settings.floor)).mean()


def _distance_scores(found: Tensor, truth: Tensor, near_by: float) -> dict[str, float]:
    error, near = (found - truth).abs(), truth < near_by
    return {
        "mae": float(error.mean()),
        "mae_near": float(error[near].mean()),
        "bias_near": float((found - truth)[near].mean()),
        "median_relative": float((error / (truth + 1)).median()),
    }


def _focus_loss(logits: Tensor, distance: Tensor, focused: float) -> dict[str, Tensor]:
    label = (distance <= focused).float()
    weight = torch.where((distance > focused) & (distance < 2 * focused), 0.25, 1.0)
    total = (F.binary_cross_entropy_with_logits(logits, label, reduction="none") * weight).mean()
    return {"total": total, "wrong": ((logits.detach() > 0) != label.bool()).float().mean()}


def _focus_scores(logits: Tensor, truth: Tensor, focused: float) -> dict[str, float]:
    passed = logits > 0
    return {
        "missed": float((~passed)[truth <= focused].float().mean()),
        "false_alarm": float(passed[truth > 2 * focused].float().mean()),
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
