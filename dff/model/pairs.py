"""Which slices are compared, and how the motions of pairs become motions from the reference."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dff.flow import compose, invert

Pairing = Literal["reference", "chained"]
PAIRINGS: tuple[Pairing, ...] = ("reference", "chained")


def pairs_of(count: int, reference: int, pairing: Pairing) -> tuple[list[int], list[int]]:
    """Templates and others: the reference with every other slice, or each slice with the next one."""
    if pairing == "chained":
        return list(range(count - 1)), list(range(1, count))
    others = [k for k in range(count) if k != reference]
    return [reference] * len(others), others


def homogeneous(matrices: Tensor) -> Tensor:
    """(...,2,3) -> (...,3,3)."""
    last = matrices.new_tensor([0.0, 0.0, 1.0]).expand(*matrices.shape[:-2], 1, 3)
    return torch.cat((matrices, last), dim=-2)


def between(matrices: Tensor, templates: list[int], others: list[int]) -> Tensor:
    """(B,P,2,3) template pixel -> other's pixel, of ``matrices`` (B,N,2,3) from one common reference."""
    whole = homogeneous(matrices)
    return (whole[:, others] @ torch.linalg.inv(whole[:, templates]))[..., :2, :]


def matrices_from_reference(found: Tensor, count: int, reference: int, pairing: Pairing) -> Tensor:
    """(B,N,2,3) reference pixel -> slice pixel, of the motions (B,P,2,3) of pairs."""
    still = torch.eye(3, dtype=found.dtype, device=found.device).expand(found.shape[0], 3, 3)
    steps = homogeneous(found)
    whole = [still] * count
    if pairing == "reference":
        for p, k in enumerate(k for k in range(count) if k != reference):
            whole[k] = steps[:, p]
    else:
        for k in range(reference + 1, count):
            whole[k] = steps[:, k - 1] @ whole[k - 1]
        for k in range(reference - 1, -1, -1):
            whole[k] = torch.linalg.inv(steps[:, k]) @ whole[k + 1]
    return torch.stack(whole, dim=1)[..., :2, :]


def flow_from_reference(found: Tensor, count: int, reference: int, pairing: Pairing) -> Tensor:
    """The same of flows (B,P,2,H,W), for motions that no matrix can hold: (B,N,2,H,W)."""
    whole = [torch.zeros_like(found[:, 0])] * count
    if pairing == "reference":
        for p, k in enumerate(k for k in range(count) if k != reference):
            whole[k] = found[:, p]
    else:
        for k in range(reference + 1, count):
            whole[k] = compose(found[:, k - 1], whole[k - 1])
        for k in range(reference - 1, -1, -1):
            whole[k] = compose(invert(found[:, k]), whole[k + 1])
    return torch.stack(whole, dim=1)
