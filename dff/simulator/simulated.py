"""What the simulator hands out: batches on the device for training, single stacks for all else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dff.camera import Lens
from dff.simulator.sensor import SensorDraw
from dff.simulator.sweep import Sweep
from dff.stack import FocalStack


@dataclass(eq=False)
class SimulatedBatch:
    """B focal stacks on one device, and everything that is known about them.

    Args:
        images: (B,N,C,H,W) float32 in [0,1] as the sensor's output is coded, far first; C is 3, or 1 for a
            raw green channel, whose H and W are half of the truth's.
        halves: the same of the left and of the right half of the aperture, or None.
        dioptre: (B,H,W) true inverse depth in the reference slice's frame.
        aif: (B,C,H,W) all-in-focus pictures in [0,1], gamma 2.2, free of noise, same frame.
        edges: (B,H,W) bool, pixels on an occlusion boundary.
        valid: (B,H,W) bool, pixels whose depth is known.
        sweep: focus, blur and motion.
        reference: index of the reference slice.
        exposure: what the sensor drew.
    """

    images: Tensor
    halves: tuple[Tensor, Tensor] | None
    dioptre: Tensor
    aif: Tensor
    edges: Tensor
    valid: Tensor
    sweep: Sweep
    reference: int
    exposure: SensorDraw

    @property
    def focus(self) -> Tensor:
        """(B,N) float32 reported focus [dioptre], on the device of the pictures."""
        return torch.from_numpy(self.sweep.focus).to(self.images.device, torch.float32)

    def stack(self, b: int) -> Simulated:
        """Stack ``b`` alone, on the CPU."""
        sweep = self.sweep
        depth = self.sweep.sensor.bit_depth
        lens = sweep.lenses[b]
        if lens is not None and self.images.shape[-1] != self.dioptre.shape[-1]:
            lens = lens.resized(self.images.shape[-1] / self.dioptre.shape[-1])
        halves = self.halves and tuple(_pictures(half[b], depth) for half in self.halves)
        return Simulated(
            stack=FocalStack(_pictures(self.images[b], depth), sweep.focus[b], lens, origin="simulated"),
            dioptre=self.dioptre[b].cpu().numpy(),
            aif=self.aif[b].permute(1, 2, 0).contiguous().cpu().numpy(),
            matrices=sweep.matrices[b],
            reference=self.reference,
            edges=self.edges[b].cpu().numpy(),
            valid=self.valid[b].cpu().numpy(),
            coc_px_per_dioptre=sweep.coc_px_per_dioptre[b],
            true_focus=sweep.true_focus[b],
            coefficients=sweep.coefficients[b],
            halves=(halves[0], halves[1]) if halves else None,
            parameters={
                "psf": asdict(sweep.psf),
                "softness_px": float(sweep.softness_px[b]),
                "frame": list(sweep.frame),
                "origin": list(sweep.origin),
                **sweep.notes[b],
                **self.exposure.describe(b),
            },
        )


@dataclass(eq=False)
class Simulated:
    """A focal stack and everything that is known about it.

    Args:
        stack: the pictures as coded by the sensor, far first, with the reported ``focus`` in dioptres.
        dioptre: (H,W) float32 true inverse depth in the reference slice's frame.
        aif: (H,W,C) float32 all-in-focus picture in [0,1], gamma 2.2, free of noise, same frame.
        matrices: (N,2,3) float64, reference pixel (x,y,1) -> pixel of slice n showing the same point (pixel
            centres at integers).
        reference: index of the reference slice.
        edges: (H,W) bool, pixels on an occlusion boundary.
        valid: (H,W) bool, pixels whose depth is known.
        coc_px_per_dioptre: (N,) blur diameter [px] per dioptre of defocus.
        true_focus: (N,) dioptres where the lens really stood.
        coefficients: (N,4) the motion about the frame's centre: scale, x, y [px], rotation [rad].
        halves: pictures of the left and of the right half of the aperture, or None.
        parameters: whatever else was drawn, plain numbers and words.
    """

    stack: FocalStack
    dioptre: np.ndarray
    aif: np.ndarray
    matrices: np.ndarray
    reference: int
    edges: np.ndarray
    valid: np.ndarray
    coc_px_per_dioptre: np.ndarray
    true_focus: np.ndarray
    coefficients: np.ndarray
    halves: tuple[list[np.ndarray], list[np.ndarray]] | None
    parameters: dict[str, Any]

    @property
    def focus(self) -> np.ndarray:
        """(N,) reported focus [dioptre]."""
        assert self.stack.focus is not None
        return self.stack.focus

    @property
    def lens(self) -> Lens:
        """The lens, for the pixels of the pictures."""
        assert self.stack.lens is not None
        return self.stack.lens


def _pictures(images: Tensor, bit_depth: int) -> list[np.ndarray]:
    """(N,C,H,W) in [0,1] -> N pictures (H,W,3) or (H,W): uint8, uint16, or float32 for a bit depth of 0."""
    pictures = images.permute(0, 2, 3, 1).contiguous().cpu()
    if pictures.shape[-1] == 1:
        pictures = pictures[..., 0]
    if bit_depth:
        pictures = (pictures * (2**bit_depth - 1)).round()
    kind = {0: np.float32, 8: np.uint8, 16: np.uint16}[bit_depth]
    return [picture.astype(kind) for picture in pictures.numpy()]
