"""Stacks for the autofocus head from files of patches (`dff.data.af_patches`) instead of the simulator."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F

from dff.data.af_patches import SimulatedPatches, patches_file
from dff.simulator.camera_model import CameraModel
from dff.simulator.camera_prior import load_camera
from dff.simulator.textures import shown_halves
from dff.train.augment import Batch
from dff.train.config import takes
from dff.train.focus_head_config import FocusHeadTrainConfig
from dff.train.focus_head_stacks import aligned_stacks

Run = TypeVar("Run")

_CUT = 1  # stream of random numbers
_opened = cache(SimulatedPatches)  # gigabytes: one copy per process


def with_patches(config: Run, folder: Path | None) -> Run:
    """The recipe with the folder of patches that --patches names, which is looked at before any work.

    Raises:
        ValueError: a recipe that wants patches and gets none, or the reverse; files that hold none.
        FileNotFoundError: no train.h5 or val.h5 in the folder.
    """
    share = config.source.patches_share if isinstance(config, FocusHeadTrainConfig) else 0.0
    remedy = (
        "the folder of the patches by --patches FOLDER (python -m dff.train.autofocus_patches makes them)"
    )
    if not takes(share, folder, "--patches", "source.patches_share", remedy):
        return config
    assert isinstance(config, FocusHeadTrainConfig)
    assert folder is not None
    for split in ("train", "val"):
        _opened(patches_file(folder, split))
    return replace(config, source=replace(config.source, patches=str(folder)))


@cache  # it reads the camera's recipe
def sweep_blur(patches: SimulatedPatches) -> float:
    """Blur diameter [px] of one end of the ladder focused at the other, of the camera that took a file."""
    camera = load_camera(json.loads(patches.settings)["patches"]["camera"])
    assert isinstance(camera, CameraModel)
    lens = camera.lens.resized(patches.frame[1] / camera.picture_width)
    return abs(float(lens.coc_px(patches.focus[-1], patches.focus[0])))


def cut_motion(matrices: np.ndarray, corner: np.ndarray, factor: int) -> np.ndarray:
    """(...,2,3) motions [px] of a picture as those of the part from ``corner`` (x,y), reduced by a factor."""
    origin = corner + (factor - 1) / 2  # centre of the first pixel of the part
    moved = matrices.copy()
    moved[..., 2] = (matrices[..., :2] @ origin + matrices[..., 2] - origin) / factor
    return moved


def _cut(
    config: FocusHeadTrainConfig, patches: SimulatedPatches, random: np.random.Generator
) -> tuple[tuple[Any, ...], np.ndarray, int]:
    """What is cut out of the patches of a batch: an index, its corner (x,y), and how far it is reduced."""
    factor = 2 if random.random() < config.source.halved_share else 1
    wanted = config.source.patch_px * factor or min(patches.size) // factor * factor
    if wanted > min(patches.size):
        raise ValueError(
            f"{patches.name}: patches of {min(patches.size)} px, and the recipe takes {wanted} of them; make "
            "larger ones, or lower source.patch_px or source.halved_share"
        )
    corner = np.array([random.integers(side - wanted + 1) for side in patches.size[::-1]])
    return (..., *(slice(start, start + wanted) for start in corner[::-1])), corner, factor


def patch_stacks(config: FocusHeadTrainConfig, split: str, seed: int, device: torch.device) -> Batch:
    """As `dff.train.focus_head_stacks.focus_stacks`, of patches of one split, mirrored at random.

    Raises:
        ValueError: patches that are smaller than what the recipe cuts out of them.
    """
    patches = _opened(patches_file(config.source.patches, split))
    random = np.random.default_rng(seed)
    chosen = random.choice(len(patches), config.source.batch)
    part, corner, factor = _cut(config, patches, np.random.default_rng([seed, _CUT]))

    light = torch.from_numpy(np.stack([patches.stack(int(k))[part] for k in chosen])).to(device)
    light = F.avg_pool2d(light.flatten(0, 1), factor).unflatten(0, light.shape[:2])  # B,K,2,h,w
    images, halves = shown_halves(light)
    matrices = torch.from_numpy(cut_motion(patches.matrices[chosen], corner, factor)).to(device)
    generator = torch.Generator(device).manual_seed(seed)
    depth = np.stack([patches.depth(int(k))[part][::factor, ::factor] for k in chosen])
    dioptre = torch.from_numpy(depth).to(device)
    stacks = aligned_stacks(config, images, halves, matrices, patches.reference, generator)
    stacks |= {"dioptre": dioptre, "valid": torch.isfinite(dioptre)}
    across, down = (bool(random.integers(2)) for _ in range(2))
    axes = [axis for axis, turned in ((-1, across), (-2, down)) if turned]
    stacks = {name: value.flip(axes) for name, value in stacks.items()}
    if across:  # a mirror swaps the halves of the aperture
        stacks |= {"left": stacks["right"], "right": stacks["left"]}

    ladder = torch.from_numpy((patches.focus - patches.focus[0]) / np.ptp(patches.focus)).float()
    return stacks | {
        "ladder": ladder.to(device).repeat(len(chosen), 1),
        "true_focus": torch.from_numpy(patches.true_focus[chosen]).to(device),
        "blur_px": torch.full((len(chosen),), sweep_blur(patches) / factor, device=device),
    }
