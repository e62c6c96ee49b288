"""The blur of the simulator that was released with Won and Jeon (ECCV 2022), made again from its description.

The circle of confusion, a diameter, is rounded to whole pixels and taken as the radius of the kernel; it is
never below 1, so that nothing is ever quite sharp. The whole picture is blurred with each kernel, in 8-bit
gamma values, and every pixel shows the blur of its own depth: nothing is hidden, and edges are hard.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from dff.simulator.textures import to_display, to_linear


def published_kernel(radius_px: int) -> np.ndarray:
    """(2r+1,2r+1) float32 filled disc of sum 1."""
    disc = np.zeros((2 * radius_px + 1, 2 * radius_px + 1), np.float32)
    cv2.circle(disc, (radius_px, radius_px), radius_px, 1.0, thickness=-1)
    return disc / disc.sum()


def published_blur(aif: Tensor, dioptre: Tensor, focus: Tensor, gain: Tensor | float) -> Tensor:
    """A focal stack from one picture and its depth.

    Args:
        aif: (3,H,W) linear light, all in focus; cut to [0,1].
        dioptre: (H,W).
        focus: (N,) dioptres.
        gain: blur diameter [px] per dioptre of defocus; one number or (N,).

    Returns:
        (N,3,H,W) linear light.
    """
    display = to_display(aif.clamp(0, 1)).permute(1, 2, 0).cpu().numpy()
    sharp = np.rint(255 * display).astype(np.uint8)
    coc_px = torch.as_tensor(gain, device=dioptre.device).reshape(-1, 1, 1) * (
        dioptre - focus.to(dioptre.device)[:, None, None]
    )
    slices = []
    for radius_px in coc_px.abs().round().clamp_min(1).int().cpu().numpy():
        blurred = np.zeros_like(sharp)
        for r in np.unique(radius_px):
            here = radius_px == r
            blurred[here] = cv2.filter2D(sharp, -1, published_kernel(int(r)))[here]
        slices.append(torch.from_numpy(blurred).permute(2, 0, 1))
    stack = torch.stack(slices).to(aif.device, aif.dtype) / 255
    return to_linear(stack)
