"""Random numbers by the tensor, from one seeded generator and on its device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Range = float | Tensor


class Draws:
    """Draws whole tensors, so that a batch of scenes costs no more calls than one.

    Args:
        generator: seeded; every tensor comes on its device.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.device = torch.empty(0, device=generator.device).device  # "cuda" is a card with a number, too

    def uniform(self, shape: Sequence[int], low: Range = 0.0, high: Range = 1.0) -> Tensor:
        return torch.rand(*shape, generator=self.generator, device=self.device) * (high - low) + low

    def log_uniform(self, shape: Sequence[int], low: Range, high: Range) -> Tensor:
        """Uniform in the logarithm; a tensor serves as a limit, broadcast against ``shape``."""
        bottom, top = (
            end.log() if isinstance(end, Tensor) else math.log(end)  # no transfer for plain numbers
            for end in (low, high)
        )
        return self.uniform(shape, bottom, top).exp()

    def normal(self, shape: Sequence[int], deviation: Range = 1.0) -> Tensor:
        return torch.randn(*shape, generator=self.generator, device=self.device) * deviation

    def angle(self, shape: Sequence[int]) -> Tensor:
        return self.uniform(shape, 0.0, 2 * math.pi)

    def chance(self, shape: Sequence[int], share: float) -> Tensor:
        """True in ``share`` of all draws."""
        return self.uniform(shape) < share

    def integer(self, shape: Sequence[int], low: int, high: int) -> Tensor:
        """Between ``low`` and ``high``, both included."""
        return torch.randint(low, high + 1, tuple(shape), generator=self.generator, device=self.device)

    def choice(self, shape: Sequence[int], options: Sequence[int]) -> Tensor:
        """One of ``options`` each; an option that stands there twice comes twice as often."""
        table = torch.tensor(list(options), device=self.device)
        return table[self.integer(shape, 0, len(options) - 1)]
