"""The part of the autofocus head that reads the halves of a dual-pixel sensor, at full size.

A convolutional network turns the two halves of each slice into maps of cells of 8 px; over a region they
are averaged by a weight that it gives each cell, since flat ones tell nothing. Votes for the ladder follow as
in the rest of the head (`dff.model.focus_head_votes`), which hears them beside its own. The make-up is this
project's own; that one dual-pixel frame suffices is Herrmann et al. 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.model.focus_head_cues import luma
from dff.model.focus_head_votes import Geometry, LadderVotes
from dff.model.prior import box_mean

_COARSE, _WINDOW = 4, 7  # px, cells of so many: the surrounding that brightness and contrast are relative to
_LEAST_DEVIATION = 0.02  # of display values: below it there is noise alone
_LEAST_WEIGHT = 1e-3
_PIXELS_AT_ONCE = 2_000_000  # of slices that are looked at together: memory
_TOLD = 2  # of each slice of the ladder: what the rest of the head thinks of it
_FIRST_GATE = 2.0  # before training the rest of the head is heard


@dataclass(frozen=True)
class HalvesConfig:
    """Size of the part that reads halves.

    Args:
        widths: channels at 1/2, 1/4 and 1/8 of the size.
        depths: blocks there.
        cues: maps that are averaged over a region.
        channels, votes, blocks: as in `dff.model.focus_head.FocusHeadConfig`.

    Raises:
        ValueError: other than three scales, or a size below 1.
    """

    widths: tuple[int, ...] = (24, 48, 96)
    depths: tuple[int, ...] = (1, 2, 3)
    cues: int = 64
    channels: int = 64
    votes: int = 32
    blocks: int = 2

    def __post_init__(self) -> None:
        for name in ("widths", "depths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # files of weights hold lists
        if len(self.widths) != 3 or len(self.depths) != 3:
            raise ValueError("HalvesConfig: give widths and depths of three scales")
        if min(*self.widths, *self.depths, self.cues, self.channels, self.votes, self.blocks) < 1:
            raise ValueError("HalvesConfig: give sizes of 1 or more")


def pair(left: Tensor, right: Tensor) -> Tensor:
    """(B,n,2,H,W) halves side by side, grey, from two of (B,n,C,H,W)."""
    both = torch.stack([luma(half)[:, 0] for half in (left, right)], dim=1)
    return both.unflatten(0, left.shape[:2])


def _balanced(halves: Tensor) -> Tensor:
    """(M,2,H,W) -> (M,4,H,W): without the brightness round about, as they are and at even contrast."""
    mean = halves.mean(dim=1, keepdim=True)
    moments = F.avg_pool2d(torch.cat((mean, mean.square()), dim=1), _COARSE)
    around = F.interpolate(
        box_mean(moments, _WINDOW), scale_factor=float(_COARSE), mode="bilinear", align_corners=False
    )
    level, square = around.split(1, dim=1)
    deviation = ((square - level.square()).clamp_min(0) + _LEAST_DEVIATION**2).sqrt()
    centred = halves - level
    return torch.cat((4 * centred, centred / deviation), dim=1)


class _Block(nn.Module):
    """A wide convolution of each channel, then a small network at every place, added to what was there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.up = nn.Linear(channels, 2 * channels)
        self.down = nn.Linear(2 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.wide(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(F.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


class HalvesHead(LadderVotes):
    """Halves -> maps -> logits over the ladder, beside those of the rest of the head.

    Args:
        config: its size.
        heard: channels of what the rest of the head makes of a slice.
    """

    def __init__(self, config: HalvesConfig, heard: int) -> None:
        shown = config.cues + 1 + heard
        super().__init__(shown, _TOLD, config.channels, config.votes, config.blocks)
        self.config = config
        layers: list[nn.Module] = [nn.Conv2d(4, config.widths[0], 5, stride=2, padding=2)]
        for scale, width in enumerate(config.widths):
            if scale:
                layers.append(nn.Conv2d(config.widths[scale - 1], width, 2, stride=2))
            layers += [_Block(width) for _ in range(config.depths[scale])]
        self.look = nn.Sequential(*layers)
        self.cues = nn.Conv2d(config.widths[-1], config.cues + 1, 1)
        self.norm = nn.LayerNorm(config.cues)
        self.gate = nn.Linear(2 * config.channels + 3, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, _FIRST_GATE)

    def maps(self, halves: Tensor) -> Tensor:
        """(B,n,2,H,W) halves, H and W multiples of 8 -> (B,n,D+1,H/8,W/8): cues times weight, and weight."""
        at_once = max(1, _PIXELS_AT_ONCE // (halves.shape[-2] * halves.shape[-1]))
        parts = [self.cues(self.look(_balanced(part))) for part in halves.flatten(0, 1).split(at_once)]
        cues, weight = torch.cat(parts).split((self.config.cues, 1), dim=1)
        weight = F.softplus(weight) + _LEAST_WEIGHT
        return torch.cat((cues * weight, weight), dim=1).unflatten(0, halves.shape[:2])

    def forward(
        self,
        pooled: Tensor,
        heard: Tensor,
        logits: Tensor,
        places: Tensor,
        ladder: Tensor,
        geometry: Geometry,
    ) -> Tensor:
        """Logits (B,R,K) from halves and the rest of the head.

        Args:
            pooled: (B,R,n,D+1) means of `maps` over regions.
            heard: (B,R,n,C) what the rest of the head makes of each slice.
            logits: (B,R,K) its answer.
            places, ladder: as in `dff.model.focus_head_encode.Seen`.
            geometry: of this part.
        """
        weight = pooled[..., -1:]
        shown = (self.norm(pooled[..., :-1] / weight), weight.log(), heard)
        x = self.slices(torch.cat(shown, dim=-1), places, ladder)
        shares = logits.softmax(dim=-1)
        told = torch.stack((logits.log_softmax(dim=-1).clamp_min(-16) / 4, shares), dim=-1)
        residual = self.ballot(x, geometry, told)
        entropy = -(shares * (shares + 1e-6).log()).sum(dim=-1)
        density = torch.full_like(entropy, math.log(places.shape[1] / ladder.shape[1]))
        facts = torch.stack((entropy, shares.amax(dim=-1), density), dim=-1)
        gate = self.gate(torch.cat((x.mean(dim=2), x.amax(dim=2), facts), dim=-1))
        found: Tensor = torch.sigmoid(gate) * logits + residual
        return found
