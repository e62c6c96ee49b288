"""The depth network, put together. This file alone knows all sizes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.model import prior
from dff.model.depth import Completion, Scale, Uncertainty, doubled, expectation, joined, pooled_over_slices
from dff.model.device import working_dtype
from dff.model.features import (
    Conv,
    EfdKind,
    EffectiveDownsampling,
    Norm,
    SrdKind,
    sharp_region_detector,
    slice_by_slice,
    together,
    without_gradient_on_cpu,
)
from dff.model.interface import FINEST, DepthModel, DepthOutput, Tones, check_inputs, padded
from dff.model.wild import WildConfig, WildNetwork
from dff.weights import load_network

_DEEP_LEVELS = 2  # of the volume, below 1/8; a row or column that is left over there is a cell of its own
LEAST_CONTRAST = 0.02  # deviation of display values below which a stack is not stretched further


@dataclass(frozen=True)
class NetworkConfig:
    """Size and make-up of the depth network.

    Args:
        channels: of a slice at half size; doubled at 1/4 and 1/8. Multiples of 16 run fastest.
        context_channels: of the 2D completion.
        prior: feed classical focus measures, as channels and as first logits.
        srd, efd: the modules of the paper or their alternatives (Table 3).
        norm: "none" (begins as the identity) or "batch".
    """

    channels: int = 16
    context_channels: int = 32
    prior: bool = True
    srd: SrdKind = "srd"
    efd: EfdKind = "efd"
    norm: Norm = "none"

    def __post_init__(self) -> None:
        for name in ("channels", "context_channels"):
            if getattr(self, name) < 4:
                raise ValueError(f"NetworkConfig: {name} {getattr(self, name)}; give at least 4")
        for name, known in (
            ("srd", ("srd", "residual-2d", "residual-3d")),
            ("efd", ("efd", "max+conv3d", "avg+conv3d", "strided", "pool3d")),
            ("norm", ("none", "batch")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"NetworkConfig: {name} {getattr(self, name)!r}; choose from {', '.join(known)}"
                )


SIZES: dict[str, NetworkConfig] = {
    "nano": NetworkConfig(channels=8, context_channels=16),
    "tiny": NetworkConfig(channels=16, context_channels=32),
    "base": NetworkConfig(channels=32, context_channels=64),
}
"""Named sizes: about 0.19, 0.75 and 3 million parameters."""

DepthConfig = NetworkConfig | WildConfig

NAMED: dict[str, DepthConfig] = {**SIZES, "dff-wild": WildConfig()}
"""The named sizes, and the paper's own network."""


def focus_coordinate(positions: Tensor) -> Tensor:
    """Focus coordinate (B,N) in [0,1] of rising positions (B,N) in dioptres, micrometres or slice numbers.

    Raises:
        ValueError: positions that do not rise.
    """
    if positions.ndim != 2 or positions.shape[1] < 2 or bool((positions.diff(dim=1) <= 0).any()):
        raise ValueError(
            "focus positions must be (B,N), N >= 2, rising from the farthest slice to the nearest"
        )
    wide = positions.double()
    far, near = wide[:, :1], wide[:, -1:]
    return ((wide - far) / (near - far)).float()


class Explained(NamedTuple):
    """What `DepthNetwork` found on the way to depth, for heads that share it; of the padded picture.

    Args:
        output: depth, as `DepthNetwork.forward` gives it.
        maps: three of (B*N,C,h,w), features of the compared slices at 1/8, 1/4 and 1/2.
    """

    output: DepthOutput
    maps: list[Tensor]


class DepthNetwork(DepthModel):
    """Depth of an aligned focal stack of any number of slices and any size.

    Per slice: pictures at half size (2x2 pixels as channels), SRD; EFD and SRD to 1/4 and 1/8, a coarse
    U-Net of SRDs to 1/32. Back up, logits over slices are added coarse to fine at 1/8, 1/4 and 1/2. The
    expectation over slices is completed and brought to full size by `dff.model.depth.Completion`.
    After Won & Jeon (ECCV 2022); the prior, the folded convolutions, the space-to-depth stem, the
    uncertainty and the 2D completion are this project's own.
    """

    def __init__(self, config: NetworkConfig = SIZES["tiny"]) -> None:
        super().__init__()
        self.config = config
        c, norm = config.channels, config.norm
        widths = (c, 2 * c, 4 * c)

        def srd(channels: int) -> nn.Module:
            return sharp_region_detector(config.srd, channels, norm)

        self.stem = Conv(12 + (prior.CHANNELS if config.prior else 0), c, norm=norm)
        self.place = nn.Linear(3, c)
        self.encode = nn.ModuleList(srd(width) for width in widths)
        self.down = nn.ModuleList(EffectiveDownsampling(a, b, config.efd, norm) for a, b in pairwise(widths))
        self.deep = nn.ModuleList(srd(widths[-1]) for _ in range(_DEEP_LEVELS))
        self.narrow = nn.ModuleList(Conv(2 * width, width, 1, norm=norm) for width in widths[1::-1])
        self.decode = nn.ModuleList(srd(width) for width in widths[::-1])
        self.score = nn.ModuleList(Conv(width, 1, 1).silence() for width in widths[::-1])
        self.prior_gain = nn.Parameter(torch.ones(3)) if config.prior else None
        self.completion = Completion(2 * c + 12 + 2, config.context_channels, norm)
        self.uncertainty = Uncertainty(norm=norm)

    @property
    def slice_bytes(self) -> int:
        if self.place.weight.device.type == "cpu":
            return 60 + 6 * self.config.channels  # measured
        return 100 + 12 * self.config.channels  # SRDs look at all slices at once

    def forward(self, images: Tensor, u: Tensor, tones: Tones | None = None) -> DepthOutput:
        """See `DepthModel.forward`."""
        return self._explained(images, u, tones, keep_maps=False).output

    def explain(self, images: Tensor, u: Tensor, tones: Tones | None = None) -> Explained:
        """Depth and what it was made of; arguments as for `DepthModel.forward`."""
        return self._explained(images, u, tones, keep_maps=True)

    def _explained(self, images: Tensor, u: Tensor, tones: Tones | None, *, keep_maps: bool) -> Explained:
        check_inputs(images, u)
        height, width = images.shape[-2:]
        seen, mean, variance, scales, maps = self._seen(padded(images, FINEST), u, tones, keep_maps)
        fine, correction = self.completion(seen, mean, variance)
        log_scale = self.uncertainty(mean, variance, correction, u)
        if not self.training:
            fine = fine.clamp(0, 1)
        output = DepthOutput(fine[:, :height, :width], log_scale[:, :height, :width], scales)
        return Explained(output, maps)

    def _seen(
        self, images: Tensor, u: Tensor, tones: Tones | None, keep_maps: bool
    ) -> tuple[Tensor, Tensor, Tensor, list[Scale], list[Tensor]]:
        """Features of the sharp slice (B,C,H/2,W/2), mean and variance there, scales, and maps.

        The volumes are gone when this returns: the completion needs the memory.
        """
        n = images.shape[1]
        hints = prior.focus_prior(images) if self.prior_gain is not None else None
        shown = _in_blocks(images, tones or _tones(images), hints)
        begun = self._begun(shown.to(self.place.weight.dtype), u)
        colours = shown[:, :12].to(begun.dtype)
        del shown
        volumes = self._features(begun, n)
        shallow = volumes[0]
        scales, maps = self._decode(volumes, hints, u, n, keep_maps)
        sharp = maps[-1]
        share, mean, variance = expectation(scales[-1].logits, u)
        seen = [pooled_over_slices(x, share) for x in (sharp, shallow, colours)]
        return torch.cat(seen, dim=1), mean, variance, scales, maps if keep_maps else []

    def _features(self, begun: Tensor, n: int) -> list[Tensor]:
        """Volumes (B*N,C,h,w) at 1/2, 1/4, 1/8, 1/16 and 1/32 of what `_begun` gave, which is used up."""
        volumes = [self.encode[0](begun, n)]
        for down, encode in zip(self.down, self.encode[1:], strict=True):
            volumes.append(encode(down(volumes[-1], n), n))
        for block in self.deep:
            volumes.append(block(F.max_pool2d(volumes[-1], 2, ceil_mode=True), n))
        return volumes

    def _begun(self, shown: Tensor, u: Tensor) -> Tensor:
        """(B*N,C,h,w): what the stem makes of pictures in blocks, in the number format of later layers."""
        half = working_dtype(shown)
        # To add a bias for each slice takes long in bfloat16, and the pictures need not be rounded.
        with torch.autocast(shown.device.type, enabled=False):
            where = self.place(_places(u).to(shown.dtype)).flatten(0, 1)[:, :, None, None]

            def of(some: slice) -> Tensor:
                return F.relu_(self.stem(shown[some]).add_(where[some])).to(half)

            if without_gradient_on_cpu(shown):
                return slice_by_slice(lambda k: of(slice(k, k + 1)), len(shown))
            return of(slice(None))

    def _decode(
        self, volumes: list[Tensor], hints: Tensor | None, u: Tensor, n: int, keep_maps: bool
    ) -> tuple[list[Scale], list[Tensor]]:
        """Distributions at 1/8, 1/4, 1/2, and the features (B*N,C,h,w) that they come from, or their last."""
        x = volumes.pop()
        for _ in self.deep:
            x = joined(x, volumes.pop())
        scales: list[Scale] = []
        maps: list[Tensor] = []
        for level, (decode, score) in enumerate(zip(self.decode, self.score, strict=True)):
            if level:
                x = joined(self.narrow[level - 1](x), volumes.pop())
            x = decode(x, n)
            maps = [*maps, x] if keep_maps else [x]
            logits = score(x)[:, 0].unflatten(0, (-1, n)).float()
            if hints is not None and self.prior_gain is not None:
                said = F.avg_pool2d(hints[:, :, 0], 4 >> level) if level < 2 else hints[:, :, 0]
                logits = logits + self.prior_gain[level].float() * said
            if scales:
                logits = logits + doubled(scales[-1].logits)
            scales.append(Scale(logits, expectation(logits, u)[1]))
        return scales, maps


def depth_config(settings: dict[str, Any]) -> DepthConfig:
    """Make-up of a depth network from plain tables, as files of weights hold it.

    Raises:
        TypeError: a key that this version does not know.
        ValueError: a value that it does not take.
    """
    return WildConfig(**settings) if "architecture" in settings else NetworkConfig(**settings)


def build_depth_network(config: DepthConfig) -> DepthModel:
    """An untrained network of any make-up."""
    return WildNetwork(config) if isinstance(config, WildConfig) else DepthNetwork(config)


def load_depth_network(name: str | Path, device: torch.device | str = "cpu") -> DepthModel:
    """A trained depth network, in evaluation mode, by the name or the path of its weights.

    Raises:
        ValueError: unknown or damaged weights, weights of something else, or tensors that do not fit.
        FileNotFoundError: a known name whose file is missing.
    """
    return load_network(name, "depth", lambda settings: build_depth_network(depth_config(settings)), device)


def _tones(images: Tensor) -> Tones:
    """Of stacks (B,N,3,H,W) that are whole."""
    mean = images.float().mean(dim=(1, 3, 4))
    squares = [
        (some.float() - mean[:, None, :, None, None]).square().mean(dim=(2, 3, 4))
        for some in images.split(together(images, images.shape[1]), dim=1)
    ]
    return Tones(mean, torch.cat(squares, dim=1).mean(dim=1).sqrt())


def _in_blocks(images: Tensor, tones: Tones, hints: Tensor | None) -> Tensor:
    """(B*N,12+C,H/2,W/2) float32, channels last: 2x2 pixels of (B,N,3,H,W), and hints (B,N,C,H/2,W/2).

    Each stack gets zero mean per channel and, all channels together, unit deviation. Channels are those of
    `torch.nn.functional.pixel_unshuffle`; written where they go, in half the time.
    """
    n, colours, height, width = images.shape[1:]
    more = 0 if hints is None else hints.shape[2]
    mean, deviation = tones.mean[:, None, :, None, None], tones.deviation.clamp_min(LEAST_CONTRAST)
    joined = mean.new_empty(len(images), n, height // 2, width // 2, 4 * colours + more)
    step = together(images, n)
    for k in range(0, n, step):
        some = slice(k, k + step)
        shown = (images[:, some].float() - mean) / deviation[:, None, None, None, None]
        for channel in range(4 * colours):
            colour, down, across = channel // 4, channel // 2 % 2, channel % 2
            joined[:, some, :, :, channel] = shown[:, :, colour, down::2, across::2]
    if hints is not None:
        joined[..., 4 * colours :] = hints.permute(0, 1, 3, 4, 2)
    return joined.flatten(0, 1).permute(0, 3, 1, 2)


def _places(u: Tensor) -> Tensor:
    """(B,N,3): where a slice is in the sweep, and how far its neighbours are; an end repeats its gap."""
    u = u.float()
    gap = u.diff(dim=1)
    before, after = torch.cat((gap[:, :1], gap), dim=1), torch.cat((gap, gap[:, -1:]), dim=1)
    return torch.stack((2 * u - 1, before, after), dim=-1)
