"""Simulated stacks to compare depth models on: aligned as well as asked for, with given photographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dff.flow import affine_flow
from dff.simulator.camera_prior import load_camera
from dff.simulator.capture import SimulationConfig, simulate_batch
from dff.simulator.dataset import Dataset
from dff.simulator.photos import PhotoPack
from dff.simulator.simulated import Simulated
from dff.simulator.sources import RgbdScenes
from dff.stack import FocalStack
from dff.train.augment import align, alignment_errors


@dataclass(frozen=True, eq=False)
class Case:
    """A focal stack to find depth of, far first, and its truth.

    Args:
        name: for people.
        stack: with focus in dioptres.
        u: (H,W) float32 true focus coordinate, 0 = farthest slice, 1 = nearest; truth beyond the sweep is
            moved to its end.
        valid: (H,W) bool, where the truth is known.
    """

    name: str
    stack: FocalStack
    u: np.ndarray
    valid: np.ndarray

    @classmethod
    def of(cls, name: str, stack: FocalStack, dioptre: np.ndarray, valid: np.ndarray | None = None) -> Case:
        """From truth in dioptres (H,W)."""
        far, near = stack.positions[0], stack.positions[-1]
        u = np.clip((dioptre - far) / (near - far), 0, 1).astype(np.float32)
        known = np.isfinite(dioptre) if valid is None else valid & np.isfinite(dioptre)
        return cls(name, stack, u, known)

    def spread(self, n: int) -> Case:
        """``n`` of the slices, spread evenly, both ends kept."""
        chosen = np.linspace(0, len(self.stack) - 1, n).round().astype(int)
        focus = self.stack.positions[chosen]
        return Case(self.name, FocalStack([self.stack.slices[k] for k in chosen], focus), self.u, self.valid)


def controlled_errors(n: int, size: tuple[int, int], rms_px: float, reference: int, seed: int) -> Tensor:
    """(1,N,2,3) alignment errors whose flow at the corners has just this root mean square over the slices.

    Made as in training (`dff.train.augment.alignment_errors`), then scaled: motions so small add up.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = alignment_errors(1, n, size, 1.0, generator)
    flow = affine_flow(drawn[0], *size)[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    moved = torch.cat((flow[:reference], flow[reference + 1 :]))
    found = float(moved.square().sum(1).mean().sqrt())
    still = torch.eye(2, 3)
    return still + (drawn - still) * (rms_px / max(found, 1e-9))


def aligned(made: Simulated, rms_px: float, seed: int) -> FocalStack:
    """The stack warped to its reference by its true motion, with an error of ``rms_px`` at the corners."""
    pictures = torch.from_numpy(np.stack([made.stack[k] for k in range(len(made.stack))]))
    size = pictures.shape[1:3]
    errors = controlled_errors(len(made.stack), (size[0], size[1]), rms_px, made.reference, seed)
    matrices = torch.from_numpy(made.matrices)[None]
    warped = align(pictures.permute(0, 3, 1, 2)[None], matrices, errors, made.reference)[0]
    return FocalStack(list(warped.permute(0, 2, 3, 1).contiguous().numpy()), made.focus)


def simulated_cases(
    config: SimulationConfig,
    n_slices: int,
    seeds: Sequence[int],
    photos: PhotoPack | None,
    rms_px: Sequence[float] = (0.0,),
) -> Iterator[list[Case]]:
    """For each seed the stack of procedural scenes with each misalignment."""
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        made = simulate_batch(config, generator, 1, photos=photos, n_slices=n_slices).stack(0)
        yield [Case.of(f"seed {seed}", aligned(made, rms, seed), made.dioptre, made.valid) for rms in rms_px]


def rgbd_cases(
    scenes: RgbdScenes, camera: str, size: tuple[int, int], n_slices: int, seeds: Sequence[int]
) -> Iterator[Case]:
    """Aligned stacks of windows of pictures with depth.

    Raises:
        FileNotFoundError, ValueError: the folder is missing or holds nothing of use.
    """
    crop = SimulationConfig(camera=camera, size=size).crop()
    taken_with = load_camera(camera)
    for seed in seeds:
        made = Dataset(scenes, taken_with, camera, crop, 1, seed, n_slices=n_slices).stack(0)
        yield Case.of(f"seed {seed}", aligned(made, 0.0, seed), made.dioptre, made.valid)
