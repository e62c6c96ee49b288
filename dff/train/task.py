"""What the loop asks of the thing that is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from dff.simulator.photos import PhotoPack
from dff.train.augment import Batch
from dff.train.source import Source

Precision = Callable[[], AbstractContextManager]


class Task(Protocol):
    """A network, the batches it learns from, its loss, and how it is scored."""

    @property
    def parts(self) -> Sequence[str]:
        """Names of the parts of the loss; "total" is the first."""

    @property
    def scores(self) -> Sequence[str]:
        """Names of what `validate` returns."""

    def network(self) -> nn.Module:
        """A fresh network."""

    def trained(self, network: nn.Module) -> dict[str, nn.Module]:
        """The networks that it is made of, by what their files of weights call them."""

    def source(self, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Source:
        """Batches to train on."""

    def held_out(self, seed: int, photos: PhotoPack | None, device: torch.device) -> list[Batch]:
        """Batches to score on."""

    def loss(self, model: nn.Module, batch: dict[str, Tensor], precision: Precision) -> dict[str, Tensor]:
        """Parts of the loss of one batch."""

    def validate(
        self, network: nn.Module, batches: Sequence[Batch], precision: Precision, sheet: Path
    ) -> dict[str, float]:
        """Scores, and a sheet of pictures."""
