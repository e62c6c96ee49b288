"""Learning rate and averaged weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

from dff.train.config import OptimiserConfig


def learning_rate(config: OptimiserConfig, samples: int, decay_from: int | None) -> float:
    """Rate after ``samples`` stacks: a linear rise, a constant part of any length, a linear fall.

    Counted in samples, so that neither batch size nor number of processes changes it, and with the fall begun
    whenever it is wanted, so that a run may be stopped, resumed and ended at any time.
    """
    rise = min(1.0, (samples + 1) / config.warm_up) if config.warm_up else 1.0
    fall = 1.0 if decay_from is None else 1 - (samples - decay_from) / config.decay
    return config.lr * rise * min(1.0, max(0.0, fall))


def build_optimiser(network: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW; weight decay on kernels alone, not on biases, norms and gains."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas)


class AveragedWeights:
    """Exponential moving average of the weights, young at first so that the start is soon forgotten."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        keep = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1 - keep)
        for mine, new in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(new)
