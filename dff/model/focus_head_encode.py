"""What the autofocus head reads of the slices that were seen: once per stack, whatever the regions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.model import prior
from dff.model.focus_head_cues import CELL, PHASE_MAPS, octave_energy, phase_maps
from dff.model.focus_head_halves import pair
from dff.model.focus_head_pool import by_cells
from dff.model.interface import Tones, padded
from dff.model.long_stacks import interleaved
from dff.model.network import DepthNetwork, focus_coordinate

DEPTH_CELL = 4  # px
MOST_AT_ONCE = 10  # slices that the depth network sees together: as many as it was trained on
_LEAST_WHITE = 0.5  # stacks darker than this are brightened
_LEAST_DEVIATION = 0.02
_SURE_WITHIN = 0.1  # of the sweep seen: pixels count by the probability that their depth is this good
_LEAST_SCALE = 0.4  # steps of the ladder, of the depth's error


@dataclass
class Seen:
    """Aligned slices as they come.

    Args:
        images: (B,n,3,H,W) display values in [0,1], farthest focus first; n may be 1.
        places: (B,n) rising places of these slices on the ladder, which runs from 0 to 1.
        ladder: (B,K) places of all slices, 0 the farthest, 1 the nearest; linear in dioptres, or whatever the
            positions are linear in.
        halves: two of (B,n,C,H,W), what the left and the right half of the aperture saw, or None.
    """

    images: Tensor
    places: Tensor
    ladder: Tensor
    halves: tuple[Tensor, Tensor] | None = None


@dataclass
class Encoded:
    """Maps to pool over regions, in memory `by_cells`.

    Args:
        features: (B,n,C,h,w) of the depth network, and its prior; cells of `CELL` px.
        energy: (B,n,5,h,w) of octaves, in units of the stack's variance.
        phase: (B,n,38,h,w) of `phase_maps`, zeros where there are no halves.
        depth: (B,K+1,2h,2w) share of each slice of the ladder in the pixels' depth, times how sure they are,
            and that alone; cells of `DEPTH_CELL` px. Zeros where a single slice was seen.
        places, ladder: as in `Seen`.
        has_phase: (B,) 1 with dual-pixel halves, else 0.
        size: (height, width) of the pictures [px].
        pair: (B,n,2,H,W) the halves themselves, grey, or None: there are none, or ``cues`` took their place.
        cues: (B,n,D+1,h,w) of `dff.model.focus_head_halves.HalvesHead.maps`, or None.
    """

    features: Tensor
    energy: Tensor
    phase: Tensor
    depth: Tensor
    places: Tensor
    ladder: Tensor
    has_phase: Tensor
    size: tuple[int, int]
    pair: Tensor | None = None
    cues: Tensor | None = None


def feature_count(network: DepthNetwork) -> int:
    """Channels C of `Encoded.features`."""
    return 7 * network.config.channels + prior.CHANNELS


def check_seen(seen: Seen) -> None:
    """Raise ValueError unless shapes agree and places are on the ladder."""
    images, places, ladder = seen.images, seen.places, seen.ladder
    if images.ndim != 5 or images.shape[2] != 3 or not images.is_floating_point():
        raise ValueError(f"images must be (B,n,3,H,W) floats, got {tuple(images.shape)} {images.dtype}")
    if places.shape != images.shape[:2]:
        raise ValueError(f"places must be (B,n) = {tuple(images.shape[:2])}, got {tuple(places.shape)}")
    if ladder.ndim != 2 or len(ladder) != len(images) or ladder.shape[1] < 2:
        raise ValueError(f"ladder must be ({len(images)},K) with K of 2 or more, got {tuple(ladder.shape)}")
    if places.shape[1] > ladder.shape[1]:
        raise ValueError(
            f"{places.shape[1]} slices of a ladder of {ladder.shape[1]}; give no more than it has"
        )
    if bool((ladder.diff(dim=1) <= 0).any() or (places.diff(dim=1) <= 0).any()):
        raise ValueError("places and ladder must rise from the farthest slice to the nearest")
    if bool((places < ladder[:, :1] - 1e-4).any() or (places > ladder[:, -1:] + 1e-4).any()):
        raise ValueError("places must lie on the ladder")


def brightened(images: Tensor) -> Tensor:
    """Stacks (B,n,C,H,W) in [0,1] with the white of dark ones at one half: night, 12 bit in 16-bit files."""
    sample = images[:, :: max(1, images.shape[1] // 3), :, ::4, ::4].flatten(1).float()
    white = torch.quantile(sample, 0.9995, dim=1)
    gain = (_LEAST_WHITE / white.clamp_min(1e-3)).clamp_min(1)
    return (images * gain[:, None, None, None, None]).clamp_max(1)


def encode(network: DepthNetwork, seen: Seen) -> Encoded:
    """Run the depth network over the slices seen, in interleaved parts where they are many.

    A single slice is shown to it twice: nothing is then known of depth, but its features still tell blur. Of
    slices in several parts, the ends, features are averaged.

    Raises:
        ValueError: shapes that disagree, or places that are not on the ladder.
    """
    check_seen(seen)
    (batch, n), size = seen.places.shape, (seen.images.shape[-2], seen.images.shape[-1])
    images = padded(brightened(seen.images.float()))
    mean = images.mean(dim=(1, 3, 4))
    variance = (images - mean[:, None, :, None, None]).square().mean(dim=(1, 2, 3, 4))
    tones = Tones(mean, variance.sqrt())
    parts = interleaved(n, MOST_AT_ONCE) if n > 1 else [[0, 0]]
    sums: list[list[Tensor]] = [[] for _ in range(n)]
    depths: list[tuple[Tensor, Tensor]] = []
    for part in parts:
        places = seen.places[:, part]
        u = focus_coordinate(places) if n > 1 else places.new_tensor([[0.0, 1.0]]).expand(batch, 2)
        told = network.explain(images[:, part], u, tones)
        cells = [F.avg_pool2d(x, 1 << level) for level, x in enumerate(told.maps)]  # all at 1/8
        maps = torch.cat(cells, dim=1).unflatten(0, (batch, -1)).float()
        for k, one in zip(part, maps.unbind(1), strict=True):
            sums[k].append(one)
        far, span = places[:, :1, None], (places[:, -1:] - places[:, :1])[..., None]
        depths.append((far + span * told.output.u, span * told.output.log_scale.exp()))
    hints = F.avg_pool2d(prior.focus_prior(images).flatten(0, 1), CELL // 2).unflatten(0, (batch, n))
    features = torch.stack([torch.stack(found).mean(dim=0) for found in sums], dim=1)
    energy = octave_energy(images)
    energy = energy / tones.deviation.clamp_min(_LEAST_DEVIATION).square()[:, None, None, None, None]
    blank = energy.new_zeros(batch, n, PHASE_MAPS, *energy.shape[-2:])
    halves = seen.halves and [padded(brightened(half.float())) for half in seen.halves]
    return Encoded(
        features=by_cells(torch.cat((features, hints), dim=2)),
        energy=by_cells(energy),
        phase=by_cells(phase_maps(*halves) if halves else blank),
        depth=by_cells(_depth_shares(depths, seen) if n > 1 else _no_depth(energy, seen.ladder.shape[1])),
        places=seen.places.float(),
        ladder=seen.ladder.float(),
        has_phase=torch.full_like(seen.places[:, 0], float(bool(halves)), dtype=torch.float32),
        size=size,
        pair=pair(*halves) if halves else None,
    )


def _no_depth(energy: Tensor, count: int) -> Tensor:
    scale = CELL // DEPTH_CELL
    return energy.new_zeros(len(energy), count + 1, scale * energy.shape[-2], scale * energy.shape[-1])


def _depth_shares(depths: list[tuple[Tensor, Tensor]], seen: Seen) -> Tensor:
    """(B,K+1,H/4,W/4) of depths and their Laplace scales (B,H,W) on the ladder, one pair for each part."""
    place, scale = (torch.stack(values) for values in zip(*depths, strict=True))
    weight = scale.clamp_min(1e-3).square().reciprocal()
    weight = weight / weight.sum(dim=0)
    mean = (weight * place).sum(dim=0)
    spread = (weight * (scale + (place - mean).abs())).sum(dim=0)  # as `long_stacks.weighted_mean`
    mean, spread = (padded(x[:, None, None])[:, 0, 0, ::2, ::2] for x in (mean, spread))  # B,H/2,W/2
    ladder = seen.ladder.float()
    seen_span = (seen.places[:, -1] - seen.places[:, 0])[:, None, None]
    sure = -torch.expm1(-_SURE_WITHIN * seen_span / spread.clamp_min(1e-6))
    step = (ladder[:, -1] - ladder[:, 0])[:, None, None] / (ladder.shape[1] - 1)
    width = torch.maximum(spread, _LEAST_SCALE * step)
    distance = (mean[:, None] - ladder[:, :, None, None]).abs()
    shares = torch.softmax(-distance / width[:, None], dim=1) * sure[:, None]
    return F.avg_pool2d(torch.cat((shares, sure[:, None]), dim=1), DEPTH_CELL // 2)
