"""The autofocus head: which slice of a ladder brings a region into focus, from any number of slices seen.

Logits over the K slices of the ladder are -(d - k)^2 / tau, d the region's depth as a focal index, plus a
residual of votes (`dff.model.focus_head_votes`). No index, and no number of slices, is built in: one set
of weights serves one slice, some, and the whole stack. Where there are the halves of a dual-pixel sensor, a
part for them (`dff.model.focus_head_halves`) hears that answer and gives its own; without them it is silent.
The make-up is this project's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.model.focus_head_cues import CELL, OCTAVES, PHASES, phase
from dff.model.focus_head_encode import DEPTH_CELL, Encoded, Seen, encode, feature_count
from dff.model.focus_head_halves import HalvesConfig, HalvesHead
from dff.model.focus_head_pool import by_cells, clipped, region_mean
from dff.model.focus_head_votes import INDEX_SCALES, Geometry, LadderVotes, steps
from dff.model.network import DepthNetwork, NetworkConfig
from dff.weights import load_network

KIND = "focus_head"
"""What files of weights call it."""

Trained = Literal["head", "all", "halves"]

_KNEE = 4.0  # slices: beyond, the parabola goes on as a line
_ENERGY_FLOOR = 1e-5
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
        halves: (B,R,n,D+1) what the halves of each slice show, or None.
    """

    slices: Tensor
    depth: Tensor
    sure: Tensor
    halves: Tensor | None = None


Geometries = tuple[Geometry, Geometry | None]
"""Where the slices of the ladder are, for the head and for its part that reads halves."""


def depth_index(shares: Tensor) -> Tensor:
    """(...,K) shares -> (...) median as a focal index, between the slices too; 0 where there are none."""
    total = shares.cumsum(dim=-1)
    half = total[..., -1:] / 2
    k = (total < half).sum(dim=-1, keepdim=True).clamp_max(shares.shape[-1] - 1)
    before = total.gather(-1, k) - shares.gather(-1, k)
    inside = (half - before) / shares.gather(-1, k).clamp_min(1e-9)
    return (k - 0.5 + inside.clamp(0, 1))[..., 0].clamp(0, shares.shape[-1] - 1)


class FocusHead(LadderVotes):
    """Pooled regions -> logits over the ladder."""

    def __init__(self, config: FocusHeadConfig, features: int) -> None:
        shown, told = features + 2 * OCTAVES + PHASES + 1, len(INDEX_SCALES) + 2
        super().__init__(shown, told, config.channels, config.votes, config.blocks)
        self.norm = nn.LayerNorm(features)
        self.trust = nn.Linear(5, 1)
        nn.init.zeros_(self.trust.weight)
        nn.init.constant_(self.trust.bias, _FIRST_TRUST)

    def forward(self, pooled: Pooled, encoded: Encoded, geometry: Geometry) -> tuple[Tensor, Tensor]:
        """(B,R,K) logits, and (B,R,n,C) what was made of each slice; see `FocusNetwork.forward`."""
        places, ladder = encoded.places, encoded.ladder
        split = [self.norm.normalized_shape[0], pooled.slices.shape[-1] - self.norm.normalized_shape[0]]
        features, cues = pooled.slices.split(split, dim=-1)
        x = self.slices(torch.cat((self.norm(features), cues), dim=-1), places, ladder)
        has_depth = float(places.shape[1] > 1)
        index = depth_index(pooled.depth)[..., None] - torch.arange(ladder.shape[1], device=x.device)  # B,R,K
        shares = pooled.depth / pooled.sure.clamp_min(1e-6)[..., None]
        sure = pooled.sure[..., None].expand_as(index)
        of_depth = torch.cat(
            (steps(index, INDEX_SCALES), torch.stack(((shares + 1e-3).log() / 4, sure), dim=-1)), dim=-1
        )
        residual = self.ballot(x, geometry, has_depth * of_depth)
        return has_depth * self._parabola(index, shares, pooled.sure, places, ladder) + residual, x

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
        halves: of its part for dual pixels; None: it has none.
        trained: what takes a gradient: the "head", "all" (the backbone too), or the part for "halves"
            alone. The backbone stays in evaluation mode unless it is trained.
    """

    def __init__(
        self,
        depth: DepthNetwork,
        config: FocusHeadConfig,
        halves: HalvesConfig | None = None,
        *,
        trained: Trained = "head",
    ) -> None:
        super().__init__()
        self.config, self.trained = config, trained
        self.depth = depth.requires_grad_(trained == "all")
        self.head = FocusHead(config, feature_count(depth)).requires_grad_(trained != "halves")
        self.halves = None if halves is None else HalvesHead(halves, config.channels)

    def train(self, mode: bool = True) -> FocusNetwork:
        super().train(mode)
        if self.trained != "all":
            self.depth.eval()
        return self

    def encode(self, seen: Seen, *, whole: bool = True) -> Encoded:
        """See `dff.model.focus_head_encode.encode`; halves are turned into maps unless ``whole`` is False."""
        encoded = encode(self.depth, seen)
        return self.looked(encoded) if whole else encoded

    def looked(self, encoded: Encoded) -> Encoded:
        """With the maps of what halves show in place of the halves."""
        if self.halves is None or encoded.pair is None:
            return replace(encoded, pair=None)
        return replace(encoded, pair=None, cues=by_cells(self.halves.maps(encoded.pair).float()))

    def geometry(self, encoded: Encoded, blur_px: Tensor) -> Geometries:
        """What depends on no region, for either part of the head; see `LadderVotes.geometry`."""
        places, ladder = encoded.places, encoded.ladder
        halves = None if encoded.cues is None or self.halves is None else self.halves
        return (
            self.head.geometry(places, ladder, blur_px),
            None if halves is None else halves.geometry(places, ladder, blur_px),
        )

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
        shown = None
        if encoded.cues is not None:
            shown = region_mean(encoded.cues.flatten(1, 2), inside, CELL).unflatten(2, (n, -1))
        return Pooled(torch.cat((features, *cues), dim=-1), depth[..., :-1], depth[..., -1], shown)

    def answer(self, pooled: Pooled, encoded: Encoded, geometry: Geometries) -> Tensor:
        """(B,R,K) logits of pooled regions; see `forward`."""
        logits, x = self.head(pooled, encoded, geometry[0])
        if self.halves is None or pooled.halves is None or geometry[1] is None:
            return logits
        places, ladder = encoded.places, encoded.ladder
        both = self.halves(pooled.halves, x, logits, places, ladder, geometry[1])
        return torch.where(encoded.has_phase[:, None, None] > 0, both, logits)

    def alone(self, seen: Encoded, regions: Tensor, blur_px: Tensor) -> Tensor:
        """(B,n,R,K) what the halves of each slice say by themselves; for training, as `forward` otherwise.

        Raises:
            ValueError: a head without a part for halves, or slices without halves.
        """
        encoded = self.looked(seen)
        shown = self.pool(encoded, regions).halves
        if self.halves is None or shown is None:
            raise ValueError("alone: this head, or this stack, has no halves")
        batch, n = encoded.places.shape
        singles = shown.transpose(1, 2).flatten(0, 1)[:, :, None]  # B*n,R,1,D+1
        places = encoded.places.flatten()[:, None]
        ladder = encoded.ladder.repeat_interleave(n, dim=0)
        geometry = self.halves.geometry(places, ladder, blur_px.repeat_interleave(n))
        unheard = singles.new_zeros(*singles.shape[:3], self.config.channels)
        silent = singles.new_zeros(*singles.shape[:2], ladder.shape[1])
        logits = self.halves(singles, unheard, silent, places, ladder, geometry)
        found: Tensor = logits.unflatten(0, (batch, n))
        return found

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
        encoded = self.encode(seen) if isinstance(seen, Seen) else self.looked(seen)
        return self.answer(self.pool(encoded, regions), encoded, self.geometry(encoded, blur_px))


def build_focus_network(settings: dict[str, Any]) -> FocusNetwork:
    """An untrained network from the tables "head", "halves" (if it has that part) and "depth" of its weights.

    Raises:
        TypeError: a key that this version does not know.
        ValueError: a value that it does not take.
    """
    depth = DepthNetwork(NetworkConfig(**settings["depth"]))
    halves = settings.get("halves")
    return FocusNetwork(
        depth, FocusHeadConfig(**settings["head"]), None if halves is None else HalvesConfig(**halves)
    )


def load_focus_network(name: str | Path, device: torch.device | str = "cpu") -> FocusNetwork:
    """A trained network, in evaluation mode, by the name or the path of its weights; it needs no other file.

    Raises:
        ValueError: unknown or damaged weights, weights of something else, or tensors that do not fit.
        FileNotFoundError: a known name whose file is missing.
    """
    return load_network(name, KIND, build_focus_network, device)
