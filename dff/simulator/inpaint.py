"""Filling what a picture or a depth map does not show, by image pyramids: batched, on any device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FAR_BIAS = 20.0  # a depth at the near end of the range counts e^-20 of one at the far end
KNOWN_SHARE = 0.75  # a pyramid cell this full of depths needs no look at its surroundings
EMPTY = 1e-12


def _halved(field: Tensor) -> Tensor:
    """(...,H,W) means of 2x2 pixels; odd borders are means of what there is."""
    flat = field.reshape(-1, 1, *field.shape[-2:])
    small = F.avg_pool2d(flat, 2, ceil_mode=True, count_include_pad=False)
    return small.reshape(*field.shape[:-2], *small.shape[-2:])


def _enlarged(field: Tensor, like: Tensor) -> Tensor:
    flat = field.reshape(-1, 1, *field.shape[-2:])
    large = F.interpolate(flat, like.shape[-2:], mode="bilinear", align_corners=False)
    return large.reshape(*field.shape[:-2], *like.shape[-2:])


def push_pull(values: Tensor, weight: Tensor) -> Tensor:
    """Fill values where ``weight`` is low from where it is high, the nearer the stronger.

    The pull goes down a pyramid of weighted means, the push back up puts what finer levels know over it
    (Gortler et al., The Lumigraph, SIGGRAPH 1996).

    Args:
        values: (...,C,H,W).
        weight: (...,1,H,W) in [0,1]: 1 keeps the value, 0 ignores it.

    Returns:
        (...,C,H,W); 0 where a picture has no weight at all.
    """
    pyramid = [(values * weight, weight)]
    while max(pyramid[-1][1].shape[-2:]) > 1:
        value, known = (_halved(field) for field in pyramid[-1])
        # one known pixel in four is enough to know the cell
        raised = (4 * known).clamp_max(1) / known.clamp_min(EMPTY)
        pyramid.append((value * raised, known * raised))
    value, known = pyramid.pop()
    filled = value / known.clamp_min(EMPTY)
    for value, known in reversed(pyramid):
        filled = torch.addcmul(value, 1 - known, _enlarged(filled, known))
    return filled


def fill_from_behind(dioptre: Tensor, valid: Tensor) -> Tensor:
    """Fill the holes of a depth map with the surface behind: the farthest within about a hole's own width.

    What a depth sensor or a stereo pair cannot see is mostly background beside a near edge.

    Args:
        dioptre: (...,H,W); values outside ``valid`` are ignored and may be anything.
        valid: (...,H,W) bool.

    Returns:
        (...,H,W), unchanged where valid; 0 in a map without any valid pixel.
    """
    if bool(valid.all()):
        return dioptre
    infinity = torch.full_like(dioptre, torch.inf)
    far = torch.where(valid, dioptre, infinity).amin((-2, -1), keepdim=True)
    near = torch.where(valid, dioptre, -infinity).amax((-2, -1), keepdim=True)
    relative = torch.where(valid, (dioptre - far) / (near - far).clamp_min(EMPTY), torch.zeros_like(dioptre))
    share = valid.to(dioptre.dtype)
    weight = share * torch.exp(-FAR_BIAS * relative)
    pyramid = [(relative * weight, weight, share)]
    while max(share.shape[-2:]) > 1:
        pyramid.append(tuple(_halved(field) for field in pyramid[-1]))  # type: ignore[arg-type]
        share = pyramid[-1][2]
    filled = torch.ones_like(share)
    for value, weight, share in reversed(pyramid):
        bias = torch.exp(-FAR_BIAS * filled)
        around = _enlarged(filled * bias, share) / _enlarged(bias, share)
        own = torch.where(weight > 0, value / weight.clamp_min(torch.finfo(weight.dtype).tiny), around)
        filled = torch.where(share >= KNOWN_SHARE, own, torch.minimum(own, around))
    empty = ~valid.any(-1, keepdim=True).any(-2, keepdim=True)
    filled = torch.where(empty, torch.zeros_like(filled), far + filled * (near - far))
    return torch.where(valid, dioptre, filled)
