"""Both networks as one: an unaligned stack goes in, depth in the frame of its reference slice comes out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dff.flow import warp
from dff.model.alignment import AlignmentNetwork
from dff.model.interface import DepthModel, DepthOutput
from dff.model.motions import AlignmentOutput


class JointOutput(NamedTuple):
    """What was found of a batch of stacks."""

    motion: AlignmentOutput
    depth: DepthOutput


def warped(images: Tensor, flow: Tensor) -> Tensor:
    """Slices (B,N,3,H,W) brought onto the reference by their flow (B,N,2,H,W), by one bicubic warp each."""
    aligned = warp(images.flatten(0, 1).float(), flow.flatten(0, 1))
    return aligned.clamp(0, 1).unflatten(0, images.shape[:2])


class JointNetwork(nn.Module):
    """Alignment, one warp, depth (after Won & Jeon, ECCV 2022, section 2); gradients flow through all three.

    What slices do not show beyond their border is continued by its pixels, as in inference. The norm of the
    alignment network, where it has one, keeps the statistics that it came with: a few stacks per step would
    undo them.
    """

    def __init__(self, alignment: AlignmentNetwork, depth: DepthModel) -> None:
        super().__init__()
        self.alignment, self.depth = alignment, depth

    def train(self, mode: bool = True) -> JointNetwork:
        super().train(mode)
        for module in self.alignment.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(
        self, images: Tensor, u: Tensor, reference: int, relative_fov: Tensor | None = None
    ) -> JointOutput:
        """Motion and depth of a batch of stacks.

        Args:
            images: (B,N,3,H,W) unaligned slices, display values in [0,1], farthest focus first.
            u: (B,N) focus coordinate of the slices.
            reference: slice whose frame depth is in.
            relative_fov: (B,N) fields of view; ones or None where unknown.

        Raises:
            ValueError: shapes that disagree, fewer than 2 slices, integer pictures, or no such reference.
        """
        with torch.autocast(images.device.type, enabled=False):  # a motion wants float32
            motion = self.alignment(images, reference, relative_fov)
            aligned = warped(images, motion.flow)
        return JointOutput(motion, self.depth(aligned, u))
