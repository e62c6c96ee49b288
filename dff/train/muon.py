"""Muon: momentum whose direction is made orthogonal, for the kernels of convolutions.

After Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); the factor on the rate,
which makes steps as long as AdamW's, is that of Liu et al., "Muon is scalable for LLM training" (2025).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)  # its iteration takes singular values from (0,1] to about 1
_ITERATIONS = 5
_LIKE_ADAMW = 0.2  # root mean square of AdamW's usual steps, in learning rates


def orthogonal(matrix: Tensor) -> Tensor:
    """(r,c) or (m,r,c) -> nearly the nearest matrix with orthonormal rows (columns, where r > c)."""
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.mT if tall else matrix
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.AdamW):
    """Orthogonalised Nesterov momentum for the groups that ask for it, AdamW for the others.

    Args:
        groups: tables of "params", "weight_decay" and "orthogonal"; where that is true, parameters have two
            or more dimensions, the first of them the output.
        lr: learning rate of both.
        betas: of AdamW.
        momentum: of the orthogonal groups.
    """

    def __init__(
        self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float], momentum: float = 0.95
    ) -> None:
        super().__init__(groups, lr=lr, betas=betas)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            if group["orthogonal"]:
                self._orthogonal_step(group["params"], group["lr"], group["weight_decay"])
        super().step(closure)

    def _orthogonal_step(self, parameters: list[Tensor], lr: float, weight_decay: float) -> None:
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}  # worked on together
        for p in parameters:
            if p.grad is None:
                continue
            slot = self.state[p]
            if "momentum" not in slot:
                slot["momentum"] = torch.zeros_like(p)
                slot["step"] = torch.zeros(())  # AdamW asks for it when a state is loaded
            slot["momentum"].lerp_(p.grad, 1 - self.momentum)
            ahead = p.grad.lerp(slot["momentum"], self.momentum).flatten(1)
            alike.setdefault(ahead.shape, []).append((p, ahead))
            p.grad = None  # nothing is left for AdamW
        for shape, pairs in alike.items():
            length = _LIKE_ADAMW * max(shape) ** 0.5
            steps = orthogonal(torch.stack([ahead for _, ahead in pairs]))
            for (p, _), step in zip(pairs, steps, strict=True):
                p.mul_(1 - lr * weight_decay)
                p.add_(step.view_as(p), alpha=-lr * length)
