"""What the alignment network says: motions of pairs of slices, and what they make of a stack."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dff.flow import BASIS, affine_flow, affine_matrix, flow_from_coefficients
from dff.model.pairs import Pairing, flow_from_reference, matrices_from_reference


@dataclass(frozen=True)
class Frame:
    """Pictures of (height, width), lying at (top, left) of padded ones of (tall, wide)."""

    height: int
    width: int
    top: int
    left: int
    tall: int
    wide: int

    def inside(self, x: Tensor) -> Tensor:
        """The pictures' part of (...,tall,wide)."""
        return x[..., self.top : self.top + self.height, self.left : self.left + self.width]


def padded_frame(height: int, width: int, multiple: int) -> Frame:
    """As much on all sides, so that the centre that things zoom about stays where it is (to half a px)."""
    below, right = -height % multiple, -width % multiple
    return Frame(height, width, below // 2, right // 2, height + below, width + right)


@dataclass(eq=False)
class AlignmentOutput:
    """What the network says of a batch of stacks.

    Args:
        coefficients: after each correction, coarse to fine, (B,P,M) of P pairs and M motions, in pixels of
            the picture. Motions are about the middle of the padded picture, at most half a pixel from that
            of the picture.
        templates, others: of the pairs.
        relative_fov: (B,P) field of view of the other over that of the template, as the metadata has it.
        reference: slice that stands still.
        names: of the motions.
        pairing: of the network.
        frame: size of the pictures and their padding.
    """

    coefficients: list[Tensor]
    templates: list[int]
    others: list[int]
    relative_fov: Tensor
    reference: int
    names: tuple[str, ...]
    pairing: Pairing
    frame: Frame

    @property
    def count(self) -> int:
        """Number of slices."""
        return len(self.others) + 1

    def pair_flow(self, step: int = -1) -> Tensor:
        """(B,P,2,H,W) flow of every pair after a correction; -1: the last."""
        coefficients, frame = self.coefficients[step], self.frame
        flow = flow_from_coefficients(
            coefficients.flatten(0, 1), self.names, frame.tall, frame.wide, self.relative_fov.flatten()
        )
        return frame.inside(flow).unflatten(0, coefficients.shape[:2])

    @property
    def is_affine(self) -> bool:
        """Whether matrices can hold the motions."""
        return all(BASIS[name].affine for name in self.names)

    @property
    def matrices(self) -> Tensor:
        """(B,N,2,3) reference pixel (x,y,1) -> slice pixel; exactly the identity for the reference.

        Raises:
            ValueError: the network's motions are not all affine; use `flow`.
        """
        last, frame = self.coefficients[-1], self.frame
        found = affine_matrix(
            last.flatten(0, 1), self.names, frame.tall, frame.wide, self.relative_fov.flatten()
        )
        corner = found.new_tensor([frame.left, frame.top])
        shift = found[..., 2] + found[..., :2] @ corner - corner
        pairs = torch.cat((found[..., :2], shift[..., None]), dim=-1).unflatten(0, last.shape[:2])
        return matrices_from_reference(pairs, self.count, self.reference, self.pairing)

    @property
    def flow(self) -> Tensor:
        """(B,N,2,H,W) with which `dff.flow.warp` brings slices onto the reference; its own is 0."""
        if not self.is_affine:
            return flow_from_reference(self.pair_flow(), self.count, self.reference, self.pairing)
        matrices = self.matrices
        flow = affine_flow(matrices.flatten(0, 1), self.frame.height, self.frame.width)
        return flow.unflatten(0, matrices.shape[:2])
