"""The naive blur: every pixel is the mean of the picture over its own circle of confusion; nothing hides."""

from __future__ import annotations

import torch
from torch import Tensor

from dff.simulator.layers import Layer
from dff.simulator.render import render_stack


def naive_gather(aif: Tensor, dioptre: Tensor, focus: Tensor, gain: Tensor | float) -> Tensor:
    """A focal stack from one picture and its depth, with the kernels of our renderer.

    Args:
        aif: (3,H,W) linear light, all in focus.
        dioptre: (H,W).
        focus: (N,) dioptres.
        gain: blur diameter [px] per dioptre of defocus; one number or (N,).

    Returns:
        (N,3,H,W) linear light.
    """
    # a single layer is just that: one surface, with the blur of each pixel's own depth
    return render_stack([Layer(aif, torch.ones_like(dioptre), dioptre)], focus, gain)
