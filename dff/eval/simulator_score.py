"""Scenes to render, and how near a rendered focal stack comes to an exact one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from kornia.metrics import ssim
from torch import Tensor

from dff.metrics import psnr
from dff.simulator.layers import Layer
from dff.simulator.procedural import random_scenes
from dff.simulator.scene_config import SceneConfig
from dff.simulator.textures import to_display

SSIM_WINDOW_PX = 11


def procedural_layers(
    config: SceneConfig, size: tuple[int, int], far_dioptre: float, near_dioptre: float, seed: int
) -> list[Layer]:
    """One procedural scene, layers without batch dimension."""
    generator = torch.Generator().manual_seed(seed)
    layers = random_scenes(config, 1, *size, far_dioptre, near_dioptre, generator)
    return [Layer(one.colour[0], one.alpha[0], one.dioptre[0]) for one in layers]


def central(stack: Tensor, margin_px: int) -> Tensor:
    """(...,H,W) without ``margin_px`` at every border."""
    height, width = stack.shape[-2:]
    return stack[..., margin_px : height - margin_px, margin_px : width - margin_px]


@dataclass(frozen=True, eq=False)
class Likeness:
    """PSNR [dB] and SSIM of every slice, (n,) each, of gamma 2.2 values."""

    psnr_db: np.ndarray
    ssim: np.ndarray

    @staticmethod
    def of(found: Tensor, exact: Tensor, margin_px: int) -> Likeness:
        """Compare stacks (N,3,H,W) of linear light as they would be shown, without their borders."""
        a, b = (central(to_display(stack.float()), margin_px) for stack in (found, exact))
        decibels = [psnr(one.numpy(), other.numpy()) for one, other in zip(a, b, strict=True)]
        similar = ssim(a, b, SSIM_WINDOW_PX).mean((1, 2, 3))
        return Likeness(np.array(decibels), similar.double().numpy())

    @staticmethod
    def pooled(parts: list[Likeness]) -> Likeness:
        """All slices of several stacks."""
        return Likeness(
            np.concatenate([one.psnr_db for one in parts]), np.concatenate([one.ssim for one in parts])
        )
