"""The alignment network: zoom and shift of every slice, coarse to fine, from blurred pictures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.flow import (
    BASIS,
    DEFAULT_NAMES,
    basis_fields,
    flow_from_coefficients,
    scale_coefficients,
    valid_mask,
    warp,
)
from dff.model.features import Conv, Norm, Residual
from dff.model.flow_volume import flow_volume, volume_channels
from dff.model.motion_heads import HEADS, HeadKind, motion_head
from dff.model.motions import AlignmentOutput, Frame, padded_frame
from dff.model.pairs import PAIRINGS, Pairing, pairs_of
from dff.weights import load_network

LEVELS = 3
_LEAST_CONTRAST = 0.02  # deviation of display values below which a stack is not stretched further
_MOST_ZOOM = 0.3  # and least, against what the metadata says


@dataclass(frozen=True)
class AlignmentConfig:
    """Make-up of the alignment network.

    Args:
        channels: at the finest level; doubled at each coarser one.
        names: motions of `dff.flow.BASIS`.
        head: "wls" fits a weighted flow to the motions, "pool" averages coefficients as the paper does.
        pairing: "reference" compares every slice with the reference, "chained" each with the next one.
        stem: size of a pixel of the finest level; 1 as in the paper, 2 for a quarter of the time.
        radius: of the local correlation [px of each level]; 0: none, as in the paper.
        iterations: corrections at each level, coarse to fine.
        norm: "none" or "batch" (as in the paper).
    """

    channels: int = 16
    names: tuple[str, ...] = DEFAULT_NAMES
    head: HeadKind = "wls"
    pairing: Pairing = "reference"
    stem: int = 2
    radius: int = 2
    iterations: tuple[int, int, int] = (2, 1, 1)
    norm: Norm = "none"

    def __post_init__(self) -> None:
        for name in ("names", "iterations"):  # lists when they come from a file of weights
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.names or len(set(self.names)) != len(self.names) or set(self.names) - set(BASIS):
            raise ValueError(
                f"AlignmentConfig: names {', '.join(self.names)}; choose from {', '.join(BASIS)}, each once"
            )
        for name, known in (("head", HEADS), ("pairing", PAIRINGS), ("norm", ("none", "batch"))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"AlignmentConfig: {name} {getattr(self, name)!r}; choose from {', '.join(known)}"
                )
        if self.stem not in (1, 2, 4):
            raise ValueError(f"AlignmentConfig: stem {self.stem}; choose 1, 2 or 4")
        if self.channels < 4 or self.radius < 0 or len(self.iterations) != LEVELS or min(self.iterations) < 1:
            raise ValueError(
                f"AlignmentConfig: channels must be at least 4, radius 0 or more, and iterations {LEVELS} "
                "numbers of at least 1"
            )


def _normalised(images: Tensor) -> Tensor:
    """Each slice with zero mean per channel, each stack with unit deviation: exposure may drift; float32."""
    images = images.float()
    centred = images - images.mean(dim=(3, 4), keepdim=True)
    deviation = centred.square().mean(dim=(1, 2, 3, 4), keepdim=True).sqrt()
    return centred / deviation.clamp_min(_LEAST_CONTRAST)


class AlignmentNetwork(nn.Module):
    """Alignment of a focal stack of any number of slices and any size, after Won & Jeon (ECCV 2022, 2.1).

    One encoder for all slices gives features at three levels. From the coarsest level on, features of a
    slice are warped with the motion found so far, starting from the metadata's field of view, and joined
    with those of its template to a flow volume, from which a head reads a correction of the motion.

    Other than in the paper, coefficients are scaled from level to level, zoom acts exactly, the reference
    stands still, N is free, and by default a local correlation is part of the volume and the correction is a
    weighted least squares fit.
    """

    def __init__(self, config: AlignmentConfig | None = None) -> None:
        super().__init__()
        self.config = config = AlignmentConfig() if config is None else config
        widths = [config.channels << level for level in range(LEVELS)]
        self.stem = Conv(3 * config.stem**2, widths[0], norm=config.norm)
        self.encode = nn.ModuleList(Residual(width, config.norm) for width in widths)
        self.down = nn.ModuleList(Conv(a, b, norm=config.norm) for a, b in pairwise(widths))
        self.heads = nn.ModuleList(
            motion_head(
                config.head,
                volume_channels(width, config.radius),
                config.channels,
                len(config.names),
                config.radius,
                config.norm,
            )
            for width in reversed(widths)
        )

    @property
    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, images: Tensor, reference: int, relative_fov: Tensor | None = None) -> AlignmentOutput:
        """Motions of a batch of stacks.

        Args:
            images: (B,N,3,H,W) display values in [0,1], in the order of focus.
            reference: slice that stands still; negative counts from the end.
            relative_fov: (B,N) fields of view, up to a factor per stack; ones or None where unknown.

        Raises:
            ValueError: shapes that disagree, fewer than 2 slices, integer pictures, or no such reference.
        """
        reference = _check_inputs(images, reference, relative_fov)
        config, batch, n = self.config, images.shape[0], images.shape[1]
        frame = padded_frame(images.shape[-2], images.shape[-1], config.stem << (LEVELS - 1))
        templates, others = pairs_of(n, reference, config.pairing)
        fov = images.new_ones(batch, n, dtype=torch.float32) if relative_fov is None else relative_fov.float()
        fov = fov[:, others] / fov[:, templates]
        features, shown = self._features(images, frame)

        names, flat = config.names, fov.flatten()
        coefficients = torch.zeros(flat.shape[0], len(names), device=images.device)
        found: list[Tensor] = []
        for step, (level, head) in enumerate(zip(reversed(range(LEVELS)), self.heads, strict=True)):
            maps = features[level].unflatten(0, (batch, n))
            template, other = maps[:, templates].flatten(0, 1), maps[:, others].flatten(0, 1)
            height, width = template.shape[-2:]
            fields = basis_fields(names, height, width, images.device)
            for _ in range(config.iterations[step]):
                # each correction answers for itself alone
                coefficients = coefficients.detach()
                flow = flow_from_coefficients(coefficients, names, height, width, flat)
                volume = flow_volume(template, warp(other, flow, "bilinear"), flow, config.radius)
                mask = (valid_mask(flow) & shown[level]).float()
                coefficients = self._limited(coefficients + head(volume, mask, fields))
                found.append(
                    scale_coefficients(coefficients, names, config.stem << level).unflatten(0, (batch, -1))
                )
            coefficients = scale_coefficients(coefficients, names, 2.0)
        return AlignmentOutput(found, templates, others, fov, reference, names, config.pairing, frame)

    def _features(self, images: Tensor, frame: Frame) -> tuple[list[Tensor], list[Tensor]]:
        """Features (B*N,C,h,w) at every level, fine to coarse, and where they show the picture (1,1,h,w)."""
        padding = (
            frame.left,
            frame.wide - frame.width - frame.left,
            frame.top,
            frame.tall - frame.height - frame.top,
        )
        x = F.pad(_normalised(images).flatten(0, 1), padding, mode="replicate")
        shown = F.pad(x.new_ones(1, 1, frame.height, frame.width), padding)
        x = F.pixel_unshuffle(x, self.config.stem).to(self.stem.conv.weight.dtype)
        x = F.relu(self.stem(x.contiguous(memory_format=torch.channels_last)))
        x = self.encode[0](x)
        features, masks = [x], [F.avg_pool2d(shown, self.config.stem) > 0.5]
        for level, (down, encode) in enumerate(zip(self.down, self.encode[1:], strict=True), start=1):
            # pooled, not strided: the middle of a pixel stays the middle of those it was made of
            features.append(encode(F.relu(down(F.avg_pool2d(features[-1], 2)))))
            masks.append(F.avg_pool2d(shown, self.config.stem << level) > 0.5)
        return features, masks

    def _limited(self, coefficients: Tensor) -> Tensor:
        """Zoom within reason: the field of view must stay above zero."""
        columns = [
            column.clamp(-_MOST_ZOOM, _MOST_ZOOM) if name == "zoom" else column
            for name, column in zip(self.config.names, coefficients.unbind(dim=1), strict=True)
        ]
        return torch.stack(columns, dim=1)


def _check_inputs(images: Tensor, reference: int, relative_fov: Tensor | None) -> int:
    if images.ndim != 5 or images.shape[2] != 3:
        raise ValueError(f"images must be (B,N,3,H,W), got {tuple(images.shape)}")
    n = images.shape[1]
    if n < 2:
        raise ValueError(f"images: a focal stack needs at least 2 slices, got {n}")
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}; give floating point values in [0,1]")
    if not -n <= reference < n:
        raise ValueError(f"reference {reference}: the stack has slices 0 to {n - 1}")
    if relative_fov is not None and relative_fov.shape != images.shape[:2]:
        raise ValueError(
            f"relative_fov must be (B,N) = {tuple(images.shape[:2])}, got {tuple(relative_fov.shape)}"
        )
    return reference % n


def load_alignment_network(name: str | Path, device: torch.device | str = "cpu") -> AlignmentNetwork:
    """A trained alignment network, in evaluation mode, by the name or the path of its weights.

    Raises:
        ValueError: unknown or damaged weights, weights of something else, or tensors that do not fit.
        FileNotFoundError: a known name whose file is missing.
    """
    return load_network(name, "alignment", lambda config: AlignmentNetwork(AlignmentConfig(**config)), device)
