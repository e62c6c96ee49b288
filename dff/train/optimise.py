"""Learning rate and averaged weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from dff.train.config import OptimiserConfig
from dff.train.muon import Muon


def learning_rate(config: OptimiserConfig, samples: int, decay_from: int | None) -> float:
    """Rate after ``samples`` stacks: a linear rise, a constant part of any length, a linear fall.

    Counted in samples, so that neither batch size nor number of processes changes it, and with the fall begun
    whenever it is wanted, so that a run may be stopped, resumed and ended at any time.
    """
    rise = min(1.0, (samples + 1) / config.warm_up) if config.warm_up else 1.0
    fall = 1.0 if decay_from is None else 1 - (samples - decay_from) / config.decay
    return config.lr * rise * min(1.0, max(0.0, fall))


_LEAST_OUTPUTS = 8  # of a kernel: the heads' few rows are no matrix to make orthogonal


def build_optimiser(network: nn.Module, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW, or Muon for the kernels; weight decay on kernels alone, not on biases, norms and gains."""
    trained = [p for p in network.parameters() if p.requires_grad]
    kernels = [p for p in trained if p.ndim > 1]
    hidden = [p for p in kernels if p.ndim > 2 and p.shape[0] >= _LEAST_OUTPUTS and config.kind == "muon"]
    known = {id(p) for p in hidden}
    groups: list[dict[str, Any]] = [
        {"params": hidden, "weight_decay": config.weight_decay, "orthogonal": True},
        {"params": [p for p in kernels if id(p) not in known], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [{"orthogonal": False} | group for group in groups if group["params"]]
    return Muon(groups, config.lr, config.betas)


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
