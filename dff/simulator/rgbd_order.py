"""Which surface of a depth map lies before which: a layer number for every pixel.

Neighbours that differ by more than a surface's slope are a *jump*: one hides the other. What is wanted is a
number per pixel that rises over every jump towards the nearer side and changes nowhere else, so that a floor
keeps one number from front to back, and an object standing on it has another with as short a cut between the
two as can be. Bins of depth would cut the floor, and every cut through a surface shows in the blur.

The number minimises, over all pairs of neighbours, the sum of |difference| where there is no jump plus, where
there is one, what its difference lacks of the jump's height. That is a convex problem; it is solved by the
alternating direction method of multipliers, whose linear part is a Poisson equation (Boyd et al., Distributed
Optimization and Statistical Learning via ADMM, 2011, section 6.4, with a hinge beside the absolute value).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ITERATIONS = 20
PENALTY = 10.0  # of ADMM, for heights in shares of the depth range
JUMP_WEIGHT = 20.0  # a jump over the whole range counts as many pairs without jump
LEVELS = 64  # candidate cuts between two layers
COUNTED = 2**12  # jumps are added up as whole numbers, in any order alike


@dataclass(frozen=True)
class Jumps:
    """Differences between neighbours, towards the right and towards below, as shares of the depth range.

    Args:
        right: (B,H,W-1), positive where the right one is nearer.
        down: (B,H-1,W).
        jump_right, jump_down: bool, where they belong to different surfaces.
    """

    right: Tensor
    down: Tensor
    jump_right: Tensor
    jump_down: Tensor

    @classmethod
    def of(cls, relative: Tensor, min_jump: Tensor) -> Jumps:
        """Of a depth map (B,H,W) in shares of its range; ``min_jump`` (B,1,1) alike."""
        right, down = relative.diff(dim=-1), relative.diff(dim=-2)
        return cls(right, down, right.abs() > min_jump, down.abs() > min_jump)

    def across(self, pixels: Tensor) -> Tensor:
        """Which pixels have one of ``pixels`` (B,H,W) bool on the other side of a jump."""
        seen = torch.zeros_like(pixels)
        seen[..., 1:] |= pixels[..., :-1] & self.jump_right
        seen[..., :-1] |= pixels[..., 1:] & self.jump_right
        seen[..., 1:, :] |= pixels[..., :-1, :] & self.jump_down
        seen[..., :-1, :] |= pixels[..., 1:, :] & self.jump_down
        return seen


class _Poisson:
    """The field (B,H,W) of zero mean whose differences to the right and down are nearest to given ones."""

    def __init__(self, height: int, width: int, device: torch.device) -> None:
        self._size = 2 * height, 2 * width
        down = torch.arange(2 * height, device=device) * (torch.pi / height)
        across = torch.arange(width + 1, device=device) * (torch.pi / width)
        stiffness = 4 - 2 * torch.cos(down)[:, None] - 2 * torch.cos(across)
        stiffness[0, 0] = torch.inf
        self._gain = -1 / stiffness

    def solve(self, right: Tensor, down: Tensor) -> Tensor:
        divergence = F.pad(right, (0, 1)) - F.pad(right, (1, 0))
        divergence += F.pad(down, (0, 0, 0, 1)) - F.pad(down, (0, 0, 1, 0))
        # mirrored, so that nothing flows over the border
        mirrored = torch.cat([divergence, divergence.flip(-1)], dim=-1)
        mirrored = torch.cat([mirrored, mirrored.flip(-2)], dim=-2)
        solved = torch.fft.irfft2(torch.fft.rfft2(mirrored) * self._gain, s=self._size)
        return solved[..., : divergence.shape[-2], : divergence.shape[-1]]


def _nearest(wish: Tensor, step: Tensor, jump: Tensor) -> Tensor:
    """The proximal step: the cheapest differences near ``wish``; ``step`` are those of the depth map."""
    flat = torch.sign(wish) * (wish.abs() - 1 / PENALTY).clamp_min(0)
    height = step.abs()
    rise = wish * step.sign()
    enough = torch.minimum(rise + JUMP_WEIGHT / PENALTY * height, height)
    return torch.where(jump, torch.maximum(rise, enough) * step.sign(), flat)


def surface_order(jumps: Jumps) -> Tensor:
    """(B,H,W): depth with the slopes taken out; equal along a surface, higher on the near side of a jump."""
    zero = torch.zeros((), dtype=jumps.right.dtype, device=jumps.right.device)
    right = torch.where(jumps.jump_right, jumps.right, zero)
    down = torch.where(jumps.jump_down, jumps.down, zero)
    poisson = _Poisson(right.shape[-2], down.shape[-1], right.device)
    order = poisson.solve(right, down)
    debt_right, debt_down = torch.zeros_like(right), torch.zeros_like(down)
    for _ in range(ITERATIONS):
        wish_right, wish_down = order.diff(dim=-1) + debt_right, order.diff(dim=-2) + debt_down
        right = _nearest(wish_right, jumps.right, jumps.jump_right)
        down = _nearest(wish_down, jumps.down, jumps.jump_down)
        debt_right, debt_down = wish_right - right, wish_down - down
        order = poisson.solve(right - debt_right, down - debt_down)
    return order


def _pair_counts(level: Tensor, jumps: Jumps) -> tuple[Tensor, Tensor]:
    """What cuts cost: (B,LEVELS+1) pairs of one surface that a cut divides, (B,LEVELS,LEVELS) summed height
    of the jumps between a lower and a higher level."""
    batch = level.shape[0]
    divided = level.new_zeros(batch, LEVELS + 1)
    height = level.new_zeros(batch, LEVELS * LEVELS)
    pairs = (
        (level[..., :-1], level[..., 1:], jumps.right, jumps.jump_right),
        (level[..., :-1, :], level[..., 1:, :], jumps.down, jumps.jump_down),
    )
    for one, other, step, jump in pairs:
        low, high = torch.minimum(one, other).flatten(1), torch.maximum(one, other).flatten(1)
        same = (~jump).flatten(1).long()
        # cuts above the lower and up to the higher level
        divided.scatter_add_(1, low + 1, same)
        divided.scatter_add_(1, high + 1, -same)
        counted = (step.abs() * jump * COUNTED).round().long().flatten(1)
        height.scatter_add_(1, low * LEVELS + high, counted)
    return divided.cumsum(1), height.reshape(batch, LEVELS, LEVELS)


def layer_numbers(order: Tensor, jumps: Jumps, n_layers: int) -> Tensor:
    """(B,H,W) int64 from 0, the farthest: ``order`` cut where it costs least, into ``n_layers`` at most.

    A cut costs the surfaces it divides, and a jump that no cut separates costs its height.
    """
    low, high = order.amin((-2, -1), keepdim=True), order.amax((-2, -1), keepdim=True)
    level = ((order - low) / (high - low).clamp_min(1e-6) * LEVELS).long().clamp_max(LEVELS - 1)
    divided, height = _pair_counts(level, jumps)
    # [from, to): what lies between two levels and is not separated
    together = F.pad(height.flip(1).cumsum(1).flip(1).cumsum(2), (1, 0, 0, 1)).double() / COUNTED
    forwards = torch.ones(LEVELS + 1, LEVELS + 1, dtype=torch.bool, device=order.device).triu()
    together = torch.where(forwards, together, torch.inf)
    cut_cost = divided.double() / JUMP_WEIGHT
    best, arrows, totals = together[:, 0], [], [together[:, 0, -1]]
    for _ in range(n_layers - 1):
        best, arrow = ((best + cut_cost)[:, :, None] + together).min(1)
        arrows.append(arrow)
        totals.append(best[:, -1])
    cuts = torch.stack(totals).argmin(0)  # (B,): how many
    at = torch.full_like(cuts, LEVELS)
    number = torch.zeros_like(level)
    for count in range(n_layers - 1, 0, -1):
        before = arrows[count - 1].gather(1, at[:, None])[:, 0]
        at = torch.where(count <= cuts, before, at)
        number += (level >= at[:, None, None]) & (count <= cuts)[:, None, None]
    return number
