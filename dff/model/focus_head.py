"""The autofocus head: which slice of a ladder brings a region into focus, from any number of slices seen.

Logits over the K slices of the ladder are -(d - k)^2 / tau, d the region's depth as a focal index, plus a
residual. For that, what each slice seen shows of the region is turned into votes for every slice of the
ladder, as a function of how far away that is; votes are pooled over the slices seen, put beside what a slice
itself shows, and neighbours on the ladder compared. No index, and no number of slices, is built in: one set
of weights serves one slice, some, and the whole stack. The make-up is this project's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.model.focus_head_cues import CELL, OCTAVES, PHASES, phase
from dff.model.focus_head_encode import DEPTH_CELL, Encoded, Seen, encode, feature_count
from dff.model.focus_head_pool import clipped, region_mean
from dff.model.network import DepthNetwork, NetworkConfig
from dff.weights import load_network

KIND = "focus_head"
"""What files of weights call it."""

_INDEX_SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # slices
_BLUR_SCALES = (0.5, 1.5, 4.0, 12.0)  # px of blur diameter
_KNEE = 4.0  # slices: beyond, the parabola goes on as a line
_ENERGY_FLOOR = 1e-5
_SAME = 1e-3  # steps: what is this near is the slice itself
_FIRST_TRUST = -4.0  # before training depth hardly counts: from few slices it is far off


@dataclass(frozen=True)
class FocusHeadConfig:
    """Size of the head.

    Args:
        channels: of a slice seen, pooled over a region.
        votes: of a slice of the ladder.
        blocks: residual blocks over the ladder; their reach doubles from one to the next.

    Raises:
        ValueError: a size below 4, or fewer than 1 block.
    """

    channels: int = 96
    votes: int = 64
    blocks: int = 3

    def __post_init__(self) -> None:
        if min(self.channels, self.votes) < 4 or self.blocks < 1:
            raise ValueError("FocusHeadConfig: give channels and votes of 4 or more, and 1 block or more")


class Pooled(NamedTuple):
    """Regions of an encoded stack.

    Args:
        slices: (B,R,n,D) what each slice seen shows of each region.
        depth: (B,R,K) share of each slice of the ladder in the region's depth; zeros where it is unknown.
        sure: (B,R) mean probability that the depth of its pixels is right.
    """

    slices: Tensor
    depth: Tensor
    sure: Tensor


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


class FocalLinear(nn.Module):
    """x + ReLU(linear of a slice and its neighbours ``reach`` away) along the last axis but one."""

    def __init__(self, channels: int, reach: int = 1) -> None:
        super().__init__()
        self.reach = reach
        self.linear = nn.Linear(3 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        near = (shifted(x, -self.reach), x, shifted(x, self.reach))
        return x + F.relu(self.linear(torch.cat(near, dim=-1)))


def _steps(distance: Tensor, scales: tuple[float, ...]) -> Tensor:
    """(...) signed distances -> (...,S) in [-1,1], steep within each scale."""
    wide = distance[..., None]
    return wide / (wide.abs() + wide.new_tensor(scales))


def depth_index(shares: Tensor) -> Tensor:
    """(...,K) shares -> (...) median as a focal index, between the slices too; 0 where there are none."""
    total = shares.cumsum(dim=-1)
    half = total[..., -1:] / 2
    k = (total < half).sum(dim=-1, keepdim=True).clamp_max(shares.shape[-1] - 1)
    before = total.gather(-1, k) - shares.gather(-1, k)
    inside = (half - before) / shares.gather(-1, k).clamp_min(1e-9)
    return (k - 0.5 + inside.clamp(0, 1))[..., 0].clamp(0, shares.shape[-1] - 1)


class FocusHead(nn.Module):
    """Pooled regions -> logits over the ladder."""

    def __init__(self, config: FocusHeadConfig, features: int) -> None:
        super().__init__()
        c, v = config.channels, config.votes
        width = features + 2 * OCTAVES + PHASES + 1
        self.norm = nn.LayerNorm(features)
        self.read = nn.Linear(width + 2, c)
        self.compare = nn.ModuleList(FocalLinear(c) for _ in range(2))
        self.context = nn.Linear(2 * c, c)
        self.vote = nn.Linear(c, v)
        self.distance = nn.Linear(len(_INDEX_SCALES) + 2 * len(_BLUR_SCALES) + 1, v, bias=False)
        self.own = nn.Linear(c, v)
        self.gather = nn.Linear(3 * v + len(_INDEX_SCALES) + 3, v)
        self.blocks = nn.ModuleList(FocalLinear(v, 2**i) for i in range(config.blocks))
        self.residual = nn.Linear(v, 1)
        self.trust = nn.Linear(5, 1)
        for silent in (self.residual, self.trust):
            nn.init.zeros_(silent.weight)
            nn.init.zeros_(silent.bias)
        nn.init.constant_(self.trust.bias, _FIRST_TRUST)

    def geometry(self, encoded: Encoded, blur_px: Tensor) -> Geometry:
        """What depends on no region: how far every slice of the ladder is from every slice seen.

        Args:
            blur_px: (B,) as for `FocusNetwork.forward`.
        """
        places, ladder = encoded.places, encoded.ladder
        count = ladder.shape[1]
        step = (ladder[:, -1:] - ladder[:, :1]) / (count - 1)
        away = (ladder[:, :, None] - places[:, None]) / step[..., None]  # B,K,n, in mean steps of the ladder
        known = torch.isfinite(blur_px).to(away.dtype)[:, None, None]
        blur = away * (torch.nan_to_num(blur_px) / (count - 1)).to(away.dtype)[:, None, None]  # px, signed
        sizes = _steps(blur, _BLUR_SCALES) * known[..., None]
        known = known.expand_as(away)[..., None]
        far = torch.cat((_steps(away, _INDEX_SCALES), sizes, sizes.abs(), known), dim=-1)
        distance, nearest = away.abs().min(dim=2)
        return Geometry(self.distance(far), nearest, (distance < _SAME).to(away.dtype))

    def forward(self, pooled: Pooled, encoded: Encoded, geometry: Geometry) -> Tensor:
        """(B,R,K) logits; see `FocusNetwork.forward`."""
        places, ladder = encoded.places, encoded.ladder
        x = self._slices(pooled, places, ladder)  # B,R,n,C
        votes = F.relu(self.vote(x)[:, :, None] * geometry.far[:, None])  # B,R,K,n,V
        at = geometry.nearest[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[-1])
        own = F.relu(self.own(x.gather(2, at)))  # what a slice itself shows, or the nearest that was seen
        has_depth = float(places.shape[1] > 1)
        index = depth_index(pooled.depth)[..., None] - torch.arange(ladder.shape[1], device=x.device)  # B,R,K
        shares = pooled.depth / pooled.sure.clamp_min(1e-6)[..., None]
        sure = pooled.sure[..., None].expand_as(index)
        of_depth = torch.cat(
            (_steps(index, _INDEX_SCALES), torch.stack(((shares + 1e-3).log() / 4, sure), dim=-1)), dim=-1
        )
        seen = geometry.seen[:, None, :, None].expand(*index.shape, 1)
        told = (votes.mean(dim=3), votes.amax(dim=3), own, has_depth * of_depth, seen)
        y = F.relu(self.gather(torch.cat(told, dim=-1)))
        for block in self.blocks:
            y = block(y)
        residual = self.residual(y)[..., 0]
        return has_depth * self._parabola(index, shares, pooled.sure, places, ladder) + residual

    def _slices(self, pooled: Pooled, places: Tensor, ladder: Tensor) -> Tensor:
        """(B,R,n,C): what each slice shows, beside its neighbours and the others."""
        split = [self.norm.normalized_shape[0], pooled.slices.shape[-1] - self.norm.normalized_shape[0]]
        features, cues = pooled.slices.split(split, dim=-1)
        gaps = places.diff(dim=1) / (ladder[:, -1:] - ladder[:, :1]) * (ladder.shape[1] - 1)
        gaps = F.pad(gaps, (1, 1))  # an end has no neighbour
        around = torch.stack((gaps[:, :-1], gaps[:, 1:]), dim=-1).log1p()[:, None]
        around = around.expand(*features.shape[:3], 2)
        x = F.relu(self.read(torch.cat((self.norm(features), cues, around), dim=-1)))
        for compare in self.compare:
            x = compare(x)
        both = torch.cat((x.mean(dim=2), x.amax(dim=2)), dim=-1)
        return x + F.relu(self.context(both))[:, :, None]

    def _parabola(
        self, index: Tensor, shares: Tensor, sure: Tensor, places: Tensor, ladder: Tensor
    ) -> Tensor:
        """-(d - k)^2 / tau, a line beyond `_KNEE`; tau by how sure and how alike the region's depth is."""
        entropy = -(shares * (shares + 1e-6).log()).sum(dim=-1)
        span = ((places[:, -1] - places[:, 0]) / (ladder[:, -1] - ladder[:, 0]))[:, None].expand_as(sure)
        ends = shares[..., 0] + shares[..., -1]
        density = torch.full_like(sure, math.log(places.shape[1] / ladder.shape[1]))
        trust = F.softplus(self.trust(torch.stack((entropy, sure, span, ends, density), dim=-1)))
        distance = index.abs()
        square = torch.where(distance <= _KNEE, distance.square(), 2 * _KNEE * distance - _KNEE**2)
        return -trust * square


class FocusNetwork(nn.Module):
    """The depth network and the autofocus head on it.

    Args:
        depth: the backbone.
        config: of the head.
        frozen: leave the backbone as it is: it stays in evaluation mode and takes no gradient.
    """

    def __init__(self, depth: DepthNetwork, config: FocusHeadConfig, *, frozen: bool = True) -> None:
        super().__init__()
        self.config, self.frozen = config, frozen
        self.depth = depth.requires_grad_(not frozen)
        self.head = FocusHead(config, feature_count(depth))

    def train(self, mode: bool = True) -> FocusNetwork:
        super().train(mode)
        if self.frozen:
            self.depth.eval()
        return self

    def encode(self, seen: Seen) -> Encoded:
        """See `dff.model.focus_head_encode.encode`."""
        return encode(self.depth, seen)

    def pool(self, encoded: Encoded, regions: Tensor) -> Pooled:
        """Means over regions (B,R,4), as `forward`.

        Raises:
            ValueError: an empty region, or one outside the picture.
        """
        inside = clipped(regions, *encoded.size)
        n = encoded.places.shape[1]
        features, energy, products = (
            region_mean(maps.flatten(1, 2), inside, CELL).unflatten(2, (n, -1))  # B,R,n,C
            for maps in (encoded.features, encoded.energy, encoded.phase)
        )
        has_phase = encoded.has_phase[:, None, None, None]
        levels = (energy + _ENERGY_FLOOR).log()
        cues = (
            levels / 4,
            levels - levels.mean(dim=2, keepdim=True),
            phase(products) * has_phase,
            has_phase.expand(*features.shape[:3], 1),
        )
        depth = region_mean(encoded.depth, inside, DEPTH_CELL)
        return Pooled(torch.cat((features, *cues), dim=-1), depth[..., :-1], depth[..., -1])

    def forward(self, seen: Seen | Encoded, regions: Tensor, blur_px: Tensor) -> Tensor:
        """Logits over the ladder.

        Args:
            seen: slices, or what `encode` made of them.
            regions: (B,R,4) as (x0, y0, x1, y1) px, edges; they may reach out of the picture.
            blur_px: (B,) diameter of the blur of one end of the ladder focused at the other, in px of these
                pictures; NaN where it is not known.

        Returns:
            (B,R,K).

        Raises:
            ValueError: shapes that disagree, places off the ladder, or a region empty or outside.
        """
        encoded = self.encode(seen) if isinstance(seen, Seen) else seen
        return self.head(self.pool(encoded, regions), encoded, self.head.geometry(encoded, blur_px))


def build_focus_network(settings: dict[str, Any], *, frozen: bool = True) -> FocusNetwork:
    """An untrained network from the tables "head" and "depth" in a file of weights.

    Raises:
        TypeError: a key that this version does not know.
        ValueError: a value that it does not take.
    """
    depth = DepthNetwork(NetworkConfig(**settings["depth"]))
    return FocusNetwork(depth, FocusHeadConfig(**settings["head"]), frozen=frozen)


def load_focus_network(name: str | Path, device: torch.device | str = "cpu") -> FocusNetwork:
    """A trained network, in evaluation mode, by the name or the path of its weights; it needs no other file.

    Raises:
        ValueError: unknown or damaged weights, weights of something else, or tensors that do not fit.
        FileNotFoundError: a known name whose file is missing.
    """
    return load_network(name, KIND, build_focus_network, device)
