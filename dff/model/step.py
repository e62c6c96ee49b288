"""Step estimator and focus discriminator (Wang et al. 2021, arXiv 2002.12389, section 4 and Figure 4).

How many lens positions a picture is out of focus, and whether it is in focus, from one 512 x 512 px patch.
Layer sizes are the paper's: 663,849 and 791 parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.weights import load_network

ESTIMATOR, DISCRIMINATOR = "step_estimator", "step_discriminator"
PATCH = 512


def in_blocks(x: Tensor, convolution: nn.Module) -> Tensor:
    """A convolution of one channel in steps of its own size, as one product of matrices: much faster."""
    assert isinstance(convolution, nn.Conv2d)
    side, (height, width) = convolution.kernel_size[0], x.shape[-2:]
    rows, columns = height // side, width // side
    blocks = x.view(-1, rows, side, columns, side).transpose(2, 3).reshape(-1, side * side)
    made = F.linear(blocks, convolution.weight.flatten(1), convolution.bias)
    return made.view(-1, rows, columns, made.shape[-1]).permute(0, 3, 1, 2)


def _counted(name: str, values: tuple[int, ...], least: int = 1) -> None:
    if not values or min(values) < least:
        raise ValueError(f"{name} {values}; give numbers of {least} or more")


@dataclass(frozen=True)
class StepConfig:
    """Make-up of an estimator.

    Args:
        channels: of the three convolutions: 8x8 px in steps of 8, then twice 4x4 in steps of 4.
        hidden: of the fully connected layers before the last, which has one output.
        camera: of the defocus table it was trained on.
        positions: of that camera; the output is a share of them.
        px_per_position: growth of the blur radius there.
    """

    channels: tuple[int, int, int] = (4, 8, 8)
    hidden: tuple[int, ...] = (1024, 512, 10)
    camera: str = ""
    positions: float = 1050.0
    px_per_position: float = 0.19

    def __post_init__(self) -> None:
        _counted("StepConfig: channels", tuple(self.channels))
        _counted("StepConfig: hidden", tuple(self.hidden))
        if not (self.positions > 0 and self.px_per_position > 0):
            raise ValueError("StepConfig: positions and px_per_position must be above 0")


class StepEstimator(nn.Module):
    """Distance to focus of grey patches. `dff.model.step_global` runs it over whole pictures."""

    def __init__(self, config: StepConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c = config.channels
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(1, a, 8, 8), nn.Conv2d(a, b, 4, 4), nn.Conv2d(b, c, 4, 4)]
        )
        sizes = (16 * c, *config.hidden, 1)
        self.linears = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))

    def forward(self, patches: Tensor) -> Tensor:
        """(B,1,512,512) display values in [0,1] -> (B,) lens positions away from focus, either way, >= 0.

        Raises:
            ValueError: patches of another size.
        """
        check_patches(patches)
        x = F.relu(in_blocks(patches, self.convolutions[0]))
        for convolution in self.convolutions[1:]:
            x = F.relu(convolution(x))
        x = x.flatten(1)
        for linear in self.linears[:-1]:
            x = F.leaky_relu(linear(x), 0.1)
        return self.distance(self.linears[-1](x)[:, 0])

    def distance(self, output: Tensor) -> Tensor:
        """Positions that the last layer's output means: its absolute value, as a share of all."""
        return output.abs() * self.config.positions


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Make-up of a discriminator.

    Args:
        channels: of the two convolutions, 8x8 in steps of 8 each.
        hidden: of the fully connected layer before the last.
        dropout: share of hidden values dropped in training.
        camera: of the defocus table it was trained on.
        focused: positions either way that it was trained to accept.
    """

    channels: tuple[int, int] = (1, 1)
    hidden: int = 10
    dropout: float = 0.5
    camera: str = ""
    focused: float = 10.0

    def __post_init__(self) -> None:
        _counted("DiscriminatorConfig: channels, hidden", (*self.channels, self.hidden))
        if not 0 <= self.dropout < 1:
            raise ValueError(f"DiscriminatorConfig: dropout {self.dropout} must lie in [0,1)")


class FocusDiscriminator(nn.Module):
    """Whether grey patches are in focus."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        a, b = config.channels
        self.convolutions = nn.ModuleList([nn.Conv2d(1, a, 8, 8), nn.Conv2d(a, b, 8, 8)])
        self.hidden = nn.Linear(64 * b, config.hidden)
        self.last = nn.Linear(config.hidden, 1)

    def forward(self, patches: Tensor, keep: Tensor | None = None) -> Tensor:
        """(B,1,512,512) display values -> (B,) logits of being in focus.

        Args:
            keep: (B,hidden) in training, uniform in [0,1]: values below the dropout are dropped. Drawn by
                the caller, so that a run that is resumed draws the same.

        Raises:
            ValueError: patches of another size.
        """
        check_patches(patches)
        x = F.relu(in_blocks(patches, self.convolutions[0]))
        x = F.relu(self.convolutions[1](x))
        x = F.relu(self.hidden(x.flatten(1)))
        if keep is not None and self.config.dropout:
            x = x * (keep >= self.config.dropout) / (1 - self.config.dropout)
        logits: Tensor = self.last(x)[:, 0]
        return logits


def check_patches(patches: Tensor) -> None:
    """Refuse what is not (B,1,512,512) with a ValueError."""
    if patches.ndim != 4 or tuple(patches.shape[1:]) != (1, PATCH, PATCH):
        raise ValueError(f"patches {tuple(patches.shape)}: must be (B,1,{PATCH},{PATCH}), grey")


def parameters(network: nn.Module) -> int:
    """Number of weights."""
    return sum(math.prod(one.shape) for one in network.parameters())


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def load_estimator(name: str | Path, device: torch.device | str = "cpu") -> StepEstimator:
    """A trained estimator by the name or path of its weights; errors as `dff.weights.load_network`."""
    return load_network(name, ESTIMATOR, lambda config: StepEstimator(StepConfig(**_tuples(config))), device)


def load_discriminator(name: str | Path, device: torch.device | str = "cpu") -> FocusDiscriminator:
    """A trained discriminator by the name or path of its weights; errors as `dff.weights.load_network`."""

    def build(config: dict[str, Any]) -> FocusDiscriminator:
        return FocusDiscriminator(DiscriminatorConfig(**_tuples(config)))

    return load_network(name, DISCRIMINATOR, build, device)
