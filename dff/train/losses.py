"""Losses of the depth network. All are means over valid pixels, in the focus coordinate u (sweep = 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.model.interface import DepthOutput
from dff.train.config import LossConfig

PARTS = ("total", "depth", "bins", "likelihood", "gradient", "relative")
_LEAST_LOG_SCALE = -6.0  # a quarter of a percent of the sweep: no pixel may claim to be surer


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask``; zero, with a gradient of zero, where nothing is."""
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp_min(1)


def depth_error(u: Tensor, target: Tensor, valid: Tensor, beta: float | None) -> Tensor:
    """Smooth L1 of (B,h,w), brought up to the target's (B,H,W) first: no corner of a cell is preferred.

    Args:
        beta: error up to which it counts squared; None: everywhere, and without the factor 1/(2 beta).
    """
    height, width = target.shape[-2:]
    if u.shape != target.shape:
        factor = -(-height // u.shape[-2])
        u = F.interpolate(u[:, None], scale_factor=float(factor), mode="bilinear", align_corners=False)[:, 0]
        u = u[:, :height, :width]
    if beta is None:
        return masked_mean((u - target).square(), valid)
    return masked_mean(F.smooth_l1_loss(u, target, reduction="none", beta=beta), valid)


def two_bins(target: Tensor, places: Tensor) -> Tensor:
    """(B,N,H,W) share of the two slices round each target, such that their mean is the target.

    Args:
        target: (B,H,W) in [0,1].
        places: (B,N) focus coordinate of the slices, rising from 0 to 1.
    """
    above = torch.searchsorted(places.contiguous(), target.flatten(1)).clamp(1, places.shape[1] - 1)
    low, high = places.gather(1, above - 1), places.gather(1, above)
    share = ((target.flatten(1) - low) / (high - low)).clamp(0, 1)
    bins = torch.zeros(*places.shape, share.shape[1], device=target.device)
    bins.scatter_(1, (above - 1)[:, None], (1 - share)[:, None])
    bins.scatter_(1, above[:, None], share[:, None])
    return bins.unflatten(2, target.shape[1:])


def bin_error(logits: Tensor, bins: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy of (B,N,h,w) logits with the mean of the full-size ``bins`` (B,N,H,W) over each cell."""
    factor = -(-bins.shape[-2] // logits.shape[-2])
    weight = valid[:, None].to(bins.dtype)
    share = F.avg_pool2d(bins * weight, factor)
    known = F.avg_pool2d(weight, factor)[:, 0]
    height, width = known.shape[-2:]
    log_p = torch.log_softmax(logits[:, :, :height, :width], dim=1)
    return -(share * log_p).sum() / known.sum().clamp_min(1)


def likelihood_error(u: Tensor, log_scale: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace distribution round ``u`` (without its constant)."""
    log_scale = log_scale.clamp_min(_LEAST_LOG_SCALE)
    return masked_mean((u - target).abs() * torch.exp(-log_scale) + log_scale, valid)


def relative_error(u: Tensor, target: Tensor, valid: Tensor, far_end: float) -> Tensor:
    """Mean absolute difference of the logarithms of dioptres, as of those of distances: what delta1 judges.

    Args:
        far_end: distance of u = 0 from infinity, in sweeps.
    """
    found = u.clamp_min(-0.5 * far_end) + far_end
    return masked_mean((found / (target + far_end)).log().abs(), valid)


def gradient_error(u: Tensor, target: Tensor, valid: Tensor, octaves: int = 3) -> Tensor:
    """Mean absolute difference of the gradients, at steps of 1, 2 and 4 px (Li & Snavely 2018, eq. 3)."""
    gap = u - target
    total = gap.new_zeros(())
    for step in (2**i for i in range(octaves)):
        for axis in (1, 2):
            length = gap.shape[axis] - step
            difference = gap.narrow(axis, step, length) - gap.narrow(axis, 0, length)
            both = valid.narrow(axis, step, length) & valid.narrow(axis, 0, length)
            total = total + masked_mean(difference.abs(), both)
    return total / (2 * octaves)


def depth_loss(
    output: DepthOutput, places: Tensor, target: Tensor, valid: Tensor, config: LossConfig
) -> dict[str, Tensor]:
    """Every part of the loss by name, and their weighted sum as "total".

    Args:
        output: of the network.
        places: (B,N) focus coordinate of the slices.
        target: (B,H,W) true focus coordinate, within [0,1].
        valid: (B,H,W) bool.
    """
    maps = [*(scale.u for scale in output.scales), output.u]
    beta = None if config.kind == "mse" else config.beta
    errors = [depth_error(u, target, valid, beta) for u in maps]
    parts = {
        "depth": sum((w * e for w, e in zip(config.scales, errors, strict=True)), target.new_zeros(())),
        "likelihood": likelihood_error(output.u, output.log_scale, target, valid),
        "gradient": gradient_error(output.u, target, valid),
        "relative": relative_error(output.u, target, valid, config.far_end),
    }
    bins = two_bins(target, places)
    parts["bins"] = torch.stack([bin_error(scale.logits, bins, valid) for scale in output.scales]).mean()
    weighted = (getattr(config, name) * value for name, value in parts.items())
    parts["total"] = sum(weighted, target.new_zeros(()))
    return parts
