"""What every depth network takes and gives, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from dff.model.depth import Scale

FINEST = 8  # px: sizes that are multiples of it are worked on as they are; others are padded
STRIDE = 32  # px of the deepest map; tiles begin at multiples of it


@dataclass
class DepthOutput:
    """What a network says, at the size of the pictures.

    Args:
        u: (B,H,W) float32 focus coordinate, 0 = farthest slice, 1 = nearest.
        log_scale: (B,H,W) float32, log of the Laplace scale of the error of ``u``.
        scales: the volume's distributions, three of them, coarse to fine, of the padded picture; for
            training.
    """

    u: Tensor
    log_scale: Tensor
    scales: list[Scale]


class Tones(NamedTuple):
    """Brightness of whole stacks, for pictures that show parts of them.

    Args:
        mean: (B,3) of every channel, over all slices.
        deviation: (B,) from it, over all slices and channels.
    """

    mean: Tensor
    deviation: Tensor


class DepthModel(nn.Module):
    """A depth network as training, inference and files of weights know it.

    ``config`` is a frozen dataclass from which `dff.model.network.build_depth_network` makes the network
    again.
    """

    config: Any

    @property
    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def slice_bytes(self) -> int:
        """Working memory in evaluation per pixel and slice, in float32."""
        raise NotImplementedError

    def forward(self, images: Tensor, u: Tensor, tones: Tones | None = None) -> DepthOutput:
        """Depth of a batch of stacks.

        Args:
            images: (B,N,3,H,W), aligned slices, display values in [0,1], farthest focus first.
            u: (B,N) focus coordinate of the slices.
            tones: of the whole stacks, when ``images`` are parts of them.

        Raises:
            ValueError: shapes that disagree, fewer than 2 slices, or integer pictures.
        """
        raise NotImplementedError


def check_inputs(images: Tensor, u: Tensor) -> None:
    """Raise ValueError unless ``images`` (B,N,3,H,W) and ``u`` (B,N) are what a network takes."""
    if images.ndim != 5 or images.shape[2] != 3:
        raise ValueError(f"images must be (B,N,3,H,W), got {tuple(images.shape)}")
    if images.shape[1] < 2:
        raise ValueError(f"images: a focal stack needs at least 2 slices, got {images.shape[1]}")
    if u.shape != images.shape[:2]:
        raise ValueError(f"u must be (B,N) = {tuple(images.shape[:2])}, got {tuple(u.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}; give floating point values in [0,1]")


def padded(images: Tensor, stride: int = STRIDE) -> Tensor:
    """Bottom and right of (B,N,3,H,W) repeated until height and width are multiples of ``stride``."""
    height, width = images.shape[-2:]
    below, right = -height % stride, -width % stride
    if not (below or right):
        return images
    flat = F.pad(images.flatten(0, 1), (0, right, 0, below), mode="replicate")
    return flat.unflatten(0, images.shape[:2])
