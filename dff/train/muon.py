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
    x = x if x.ndim == 3 else x[None]
    for _ in range(_ITERATIONS):  # few calls: a GPU waits for each
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    x = x.view_as(matrix.mT if tall else matrix)
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
        moved = [p for p in parameters if p.grad is not None]
        if not moved:
            return
        for p in moved:
            if "momentum" not in self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
                self.state[p]["step"] = torch.zeros(())  # AdamW asks for it when a state is loaded
        # all at once: one by one, a GPU would wait for the many small calls
        gradients = [p.grad for p in moved if p.grad is not None]
        momenta = [self.state[p]["momentum"] for p in moved]
        torch._foreach_lerp_(momenta, gradients, 1 - self.momentum)
        ahead = torch._foreach_lerp(gradients, momenta, self.momentum)
        alike: dict[torch.Size, list[int]] = {}  # worked on together
        for k, one in enumerate(ahead):
            alike.setdefault(one.flatten(1).shape, []).append(k)
        steps = list(ahead)
        for shape, places in alike.items():
            length = _LIKE_ADAMW * max(shape) ** 0.5
            together = orthogonal(torch.stack([ahead[k].flatten(1) for k in places])) * length
            for k, step in zip(places, together, strict=True):
                steps[k] = step.view_as(moved[k])
        torch._foreach_mul_(moved, 1 - lr * weight_decay)
        torch._foreach_add_(moved, steps, alpha=-lr)
        for p in moved:
            p.grad = None  # nothing is left for AdamW
