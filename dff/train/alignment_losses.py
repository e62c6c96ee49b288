"""Losses of the alignment network: with the true motion, and without it."""

from __future__ import annotations

import torch
from torch import Tensor

from dff.flow import affine_flow, corner_error, valid_mask, warp
from dff.model.motions import AlignmentOutput
from dff.model.pairs import between
from dff.train.alignment_config import AlignmentLossConfig

_NEVER_ZERO_PX = 1e-4  # the slope of the corner error at zero has no value


def true_pair_flow(output: AlignmentOutput, matrices: Tensor) -> Tensor:
    """(B*P,2,H,W) true flow of the pairs, of ``matrices`` (B,N,2,3) from any one common reference."""
    truth = between(matrices, output.templates, output.others).flatten(0, 1)
    return affine_flow(truth, output.frame.height, output.frame.width).float()


def robust(difference: Tensor) -> Tensor:
    """(|x| + 0.01)^0.4 (Won & Jeon 2022, eq. 1)."""
    return (difference.abs() + 0.01) ** 0.4


def photometric_error(images: Tensor, output: AlignmentOutput, step: int = -1) -> Tensor:
    """Mean robust difference of the templates and the slices warped onto them, where these see something.

    Args:
        images: (B,N,3,H,W) as the network saw them.
        output: of the network.
        step: correction to judge; -1: the last.
    """
    flow = output.pair_flow(step).flatten(0, 1)
    seen = valid_mask(flow)
    warped = warp(images[:, output.others].flatten(0, 1), flow, "bilinear")
    misfit = robust(warped - images[:, output.templates].flatten(0, 1)) * seen
    return misfit.sum() / (3 * seen.sum()).clamp_min(1)


def alignment_loss(
    output: AlignmentOutput, images: Tensor, matrices: Tensor, config: AlignmentLossConfig
) -> dict[str, Tensor]:
    """The loss as "total", and "corner_px": mean corner error of the pairs after the last correction.

    Args:
        output: of the network.
        images: (B,N,3,H,W) as the network saw them.
        matrices: (B,N,2,3) true motions from any one common reference.
    """
    truth = true_pair_flow(output, matrices) + _NEVER_ZERO_PX
    steps = len(output.coefficients)
    total, error = truth.new_zeros(()), truth.new_zeros(())
    for step in range(steps):
        error = corner_error(output.pair_flow(step).flatten(0, 1), truth)
        part = (
            torch.log1p(error / config.corner_px).mean()
            if config.kind == "corner"
            else photometric_error(images, output, step)
        )
        total = total + config.discount ** (steps - 1 - step) * part
    return {"total": total, "corner_px": error.detach().mean()}
