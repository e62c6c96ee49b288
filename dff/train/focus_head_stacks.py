"""Simulated stacks for the autofocus head, as an alignment leaves them, and their truth."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dff.simulator.capture import simulate_batch
from dff.simulator.photos import PhotoPack
from dff.simulator.simulated import SimulatedBatch
from dff.simulator.textures import to_display
from dff.train.augment import Batch, align, alignment_errors, recolour
from dff.train.focus_head_config import FocusHeadTrainConfig, StackKind


def as_pictures(made: SimulatedBatch) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """Display values (B,N,3,H,W), and (B,N,C,H,W) of the halves; linear green becomes grey."""
    linear = made.images.shape[2] == 1

    def display(x: Tensor) -> Tensor:
        return to_display(x) if linear else x

    images = display(made.images).expand(-1, -1, 3, -1, -1)
    return images, None if made.halves is None else (display(made.halves[0]), display(made.halves[1]))


def sweep_blur_px(made: SimulatedBatch) -> Tensor:
    """(B,) blur diameter [px] of one end of the sweep focused at the other."""
    gain = torch.from_numpy(made.sweep.coc_px_per_dioptre).to(made.focus).mean(dim=1)
    return gain * (made.focus[:, -1] - made.focus[:, 0])


def aligned_stacks(
    config: FocusHeadTrainConfig,
    images: Tensor,
    halves: tuple[Tensor, Tensor] | None,
    matrices: Tensor,
    reference: int,
    generator: torch.Generator,
) -> Batch:
    """Pictures (B,N,3,H,W), recoloured, and halves on the reference slice, as an alignment leaves them."""
    largest = config.source.misalignment_px
    batch, n, _, height, width = images.shape
    errors = alignment_errors(batch, n, (height, width), largest, generator)
    aligned = recolour(align(images, matrices, errors, reference), config.augment, generator)
    if halves is None:
        return {"images": aligned}
    left, right = (align(half, matrices, errors, reference) for half in halves)
    return {"images": aligned, "left": left, "right": right}


def focus_stacks(
    kind: StackKind, config: FocusHeadTrainConfig, seed: int, photos: PhotoPack | None, device: torch.device
) -> Batch:
    """Aligned stacks and their truth: "true_focus" (B,N), "dioptre", "valid" (B,H,W), "blur_px" (B,)."""
    source = config.source
    count = int(np.random.default_rng(seed).choice(kind.slices)) or None
    generator = torch.Generator(device).manual_seed(seed)
    made = simulate_batch(kind.simulation, generator, source.batch, photos=photos, n_slices=count)
    images, halves = as_pictures(made)
    matrices = torch.from_numpy(made.sweep.matrices).to(device)
    far, near = made.focus[:, :1], made.focus[:, -1:]
    return aligned_stacks(config, images, halves, matrices, made.reference, generator) | {
        "ladder": (made.focus - far) / (near - far),
        "true_focus": torch.from_numpy(made.sweep.true_focus).to(made.focus),
        "dioptre": made.dioptre,
        "valid": made.valid,
        "blur_px": sweep_blur_px(made),
    }
