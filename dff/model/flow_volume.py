"""What tells how two slices differ in place: their features, and how alike their surroundings are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def local_correlation(a: Tensor, b: Tensor, radius: int) -> Tensor:
    """Cosine of the features of ``a`` at p and of ``b`` at p + d, for every whole step d up to ``radius``.

    Args:
        a, b: (M,C,H,W).

    Returns:
        (M,(2 radius + 1)^2,H,W), rows of d from top to bottom; 0 where p + d lies outside.
    """
    height, width = a.shape[-2:]
    # channels last in memory, these products take several times as long
    a, b = (F.normalize(x.contiguous(), dim=1) for x in (a, b))
    b = F.pad(b, (radius,) * 4)
    side = range(2 * radius + 1)
    return torch.stack(
        [(a * b[..., y : y + height, x : x + width]).sum(dim=1) for y in side for x in side], dim=1
    )


def flow_volume(reference: Tensor, warped: Tensor, flow: Tensor, radius: int) -> Tensor:
    """Features of the reference, of the slice warped onto it, and that warp's flow (Won & Jeon 2022, 2.1).

    Args:
        reference, warped: (M,C,h,w).
        flow: (M,2,h,w) in pixels of this level.
        radius: of the local correlation that is added; 0 adds none, as in the paper.
    """
    parts = [reference, warped, flow.to(reference.dtype)]
    if radius:
        parts.append(local_correlation(reference, warped, radius))
    return torch.cat(parts, dim=1)


def volume_channels(channels: int, radius: int) -> int:
    """Channels of `flow_volume` of features of ``channels``."""
    return 2 * channels + 2 + ((2 * radius + 1) ** 2 if radius else 0)
