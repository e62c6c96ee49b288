"""Votes for the slices of a ladder: what each slice seen shows of a region, times how far away that is.

Pooled over the slices seen, so that their number does not matter, put beside what a slice itself shows, and
compared with the neighbours on the ladder. No index is built in.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INDEX_SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # slices
_BLUR_SCALES = (0.5, 1.5, 4.0, 12.0)  # px of blur diameter
_SAME = 1e-3  # steps: what is this near is the slice itself


class Geometry(NamedTuple):
    """Where the slices of the ladder are, seen from the slices that were seen.

    Args:
        far: (B,K,n,V) how far they are, as votes take it in.
        nearest: (B,K) which slice seen is nearest.
        seen: (B,K) 1 for the slices that were seen, else 0.
    """

    far: Tensor
    nearest: Tensor
    seen: Tensor


def shifted(x: Tensor, by: int) -> Tensor:
    """(...,K,C) read ``by`` places further on along K; the ends are repeated."""
    at = (torch.arange(x.shape[-2], device=x.device) + by).clamp(0, x.shape[-2] - 1)
    return x[..., at, :]


def steps(distance: Tensor, scales: tuple[float, ...]) -> Tensor:
    """(...) signed distances -> (...,S) in [-1,1], steep within each scale."""
    wide = distance[..., None]
    return wide / (wide.abs() + wide.new_tensor(scales))


class FocalLinear(nn.Module):
    """x + ReLU(linear of a slice and its neighbours ``reach`` away) along the last axis but one."""

    def __init__(self, channels: int, reach: int = 1) -> None:
        super().__init__()
        self.reach = reach
        self.linear = nn.Linear(3 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        near = (shifted(x, -self.reach), x, shifted(x, self.reach))
        return x + F.relu(self.linear(torch.cat(near, dim=-1)))


class LadderVotes(nn.Module):
    """What is shown of a region -> a logit for every slice of the ladder; silent before training.

    Args:
        shown: numbers that each slice seen shows.
        told: numbers that are told of each slice of the ladder beside the votes.
        channels: of a slice seen.
        votes: of a slice of the ladder.
        blocks: residual blocks over the ladder; their reach doubles from one to the next.
    """

    def __init__(self, shown: int, told: int, channels: int, votes: int, blocks: int) -> None:
        super().__init__()
        c, v = channels, votes
        self.read = nn.Linear(shown + 2, c)
        self.compare = nn.ModuleList(FocalLinear(c) for _ in range(2))
        self.context = nn.Linear(2 * c, c)
        self.vote = nn.Linear(c, v)
        self.distance = nn.Linear(len(INDEX_SCALES) + 2 * len(_BLUR_SCALES) + 1, v, bias=False)
        self.own = nn.Linear(c, v)
        self.gather = nn.Linear(3 * v + told + 1, v)
        self.blocks = nn.ModuleList(FocalLinear(v, 2**i) for i in range(blocks))
        self.residual = nn.Linear(v, 1)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)

    def geometry(self, places: Tensor, ladder: Tensor, blur_px: Tensor) -> Geometry:
        """What depends on no region: how far every slice of the ladder is from every slice seen.

        Args:
            places, ladder: (B,n) and (B,K) as in `dff.model.focus_head_encode.Seen`.
            blur_px: (B,) as for `dff.model.focus_head.FocusNetwork.forward`.
        """
        count = ladder.shape[1]
        step = (ladder[:, -1:] - ladder[:, :1]) / (count - 1)
        away = (ladder[:, :, None] - places[:, None]) / step[..., None]  # B,K,n, in mean steps of the ladder
        known = torch.isfinite(blur_px).to(away.dtype)[:, None, None]
        blur = away * (torch.nan_to_num(blur_px) / (count - 1)).to(away.dtype)[:, None, None]  # px, signed
        sizes = steps(blur, _BLUR_SCALES) * known[..., None]
        known = known.expand_as(away)[..., None]
        far = torch.cat((steps(away, INDEX_SCALES), sizes, sizes.abs(), known), dim=-1)
        distance, nearest = away.abs().min(dim=2)
        return Geometry(self.distance(far), nearest, (distance < _SAME).to(away.dtype))

    def slices(self, shown: Tensor, places: Tensor, ladder: Tensor) -> Tensor:
        """(B,R,n,S) what each slice shows -> (B,R,n,C), beside its neighbours and the others."""
        gaps = places.diff(dim=1) / (ladder[:, -1:] - ladder[:, :1]) * (ladder.shape[1] - 1)
        gaps = F.pad(gaps, (1, 1))  # an end has no neighbour
        around = torch.stack((gaps[:, :-1], gaps[:, 1:]), dim=-1).log1p()[:, None]
        x = F.relu(self.read(torch.cat((shown, around.expand(*shown.shape[:3], 2)), dim=-1)))
        for compare in self.compare:
            x = compare(x)
        both = torch.cat((x.mean(dim=2), x.amax(dim=2)), dim=-1)
        return x + F.relu(self.context(both))[:, :, None]

    def ballot(self, x: Tensor, geometry: Geometry, told: Tensor) -> Tensor:
        """(B,R,K) logits from slices (B,R,n,C) and what is told (B,R,K,T) of the ladder's."""
        votes = F.relu(self.vote(x)[:, :, None] * geometry.far[:, None])  # B,R,K,n,V
        at = geometry.nearest[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[-1])
        own = F.relu(self.own(x.gather(2, at)))  # what a slice itself shows, or the nearest that was seen
        seen = geometry.seen[:, None, :, None].expand(*told.shape[:3], 1)
        parts = (votes.mean(dim=3), votes.amax(dim=3), own, told, seen)
        y = F.relu(self.gather(torch.cat(parts, dim=-1)))
        for block in self.blocks:
            y = block(y)
        found: Tensor = self.residual(y)[..., 0]
        return found
