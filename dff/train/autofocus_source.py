"""Batches of patches seen from several focal indices each; as of every source, a function of the step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dff.autofocus.inputs import halves_added, roi_planes
from dff.autofocus.models import AutofocusNet
from dff.autofocus.sampler import FocalSampler
from dff.data.af_open import open_patches
from dff.data.af_patches import AutofocusPatches
from dff.train.augment import Batch
from dff.train.autofocus_config import AutofocusTrainConfig
from dff.train.source import stream_seed

_ORDER, _FLIP, _DROPOUT = range(3)  # streams of random numbers, apart from each other


def at_patches(config: AutofocusTrainConfig, folder: Path | None) -> AutofocusTrainConfig:
    """The recipe with the place of its patches, which is looked at before any work.

    Raises:
        ValueError, FileNotFoundError: none given, none there, or of another ladder than the network's.
    """
    if folder is None:
        raise ValueError(
            "--data: give the folder of the patches; python -m dff.train.autofocus_patches makes them"
        )
    config = replace(config, source=replace(config.source, folder=str(folder)))
    for split in ("train", "val"):
        check_ladder(open_patches(folder, split), config.network.count)
    return config


def check_ladder(patches: AutofocusPatches, count: int) -> None:
    """Refuse patches with another number of slices than the network knows."""
    if patches.count != count:
        raise ValueError(
            f"{patches.name}: {patches.count} slices; the network's ladder has {count}: set network.count"
        )


def tensors(patches: AutofocusPatches, patch: int, slices: np.ndarray, dual: bool) -> Tensor:
    """(m,C,h,w) frames of one patch, as networks take them: halves, or their sum."""
    frames = torch.from_numpy(patches.frames(patch, slices))
    return frames if dual else halves_added(frames)


@dataclass(frozen=True, eq=False)
class _Draws:
    """How the patches of a step are changed: mirrored along x and y (S,2), and cut from x and y (S,2)."""

    flips: np.ndarray
    insets: np.ndarray


class PatchSource:
    """Batches for training.

    Each has "frames" (S*F,m,C,h,w), "index" (S*F,m), "place" (S*F,2,h,w), "target" (S,), "progress" ()
    and "draw" (), a seed for what the network itself draws; the F inputs of a patch follow each other.

    Args:
        first: the network of the first step, for one of the second; in evaluation mode, on any device.
    """

    def __init__(
        self,
        config: AutofocusTrainConfig,
        patches: AutofocusPatches,
        seed: int,
        *,
        rank: int = 0,
        first: AutofocusNet | None = None,
    ) -> None:
        source = config.source
        self.config, self.patches, self.first = config, patches, first
        self.seed, self.rank = seed, rank
        self.problem = config.network.seen
        self.size = np.minimum(patches.size, source.crop or max(patches.size))
        self.sampler = FocalSampler(
            len(patches),
            patches.count,
            min(source.scenes, len(patches)),
            source.per_scene,
            stream_seed(seed, _ORDER, rank),
        )
        self._epoch = -1
        self._batches: list[tuple[np.ndarray, np.ndarray]] = []

    def _drawn(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, place = divmod(step, len(self.sampler))
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, list(self.sampler.epoch(epoch))
        return self._batches[place]

    def __call__(self, step: int) -> Batch:
        scenes, starts = self._drawn(step)
        random = np.random.default_rng([self.seed, _FLIP, self.rank, step])
        draws = _Draws(
            random.integers(0, 2, (len(scenes), 2)) * self.config.source.flip,
            random.integers(0, 1 + np.array(self.patches.size[::-1]) - self.size[::-1], (len(scenes), 2)),
        )
        windows = self.problem.window(torch.from_numpy(starts))  # (S,F,m)
        inputs = self._inputs(scenes, windows, draws)
        if self.first is not None:
            with torch.no_grad():
                device = next(self.first.parameters()).device
                shown = (inputs[name].to(device) for name in ("frames", "index", "place"))
                said = self.first(*shown).argmax(dim=-1).cpu()
            second = self._inputs(scenes, self.problem.window(said).reshape(windows.shape), draws)
            inputs |= {key: torch.cat([inputs[key], second[key]], dim=1) for key in ("frames", "index")}
        target = torch.from_numpy(self.patches.index[scenes])
        progress = torch.tensor(self.config.progress(step))
        draw = torch.tensor(stream_seed(self.seed, _DROPOUT, self.rank, step))
        return {**inputs, "target": target, "progress": progress, "draw": draw}

    def _inputs(self, scenes: np.ndarray, windows: Tensor, draws: _Draws) -> Batch:
        rows = zip(scenes, windows, draws.flips, draws.insets, strict=True)
        frames = torch.stack([self._frames(*row) for row in rows])
        place = self._place(scenes, draws)
        return {
            "frames": frames.flatten(0, 1),
            "index": windows.flatten(0, 1),
            "place": place.repeat_interleave(windows.shape[1], dim=0),
        }

    def _frames(self, patch: int, windows: Tensor, flip: np.ndarray, inset: np.ndarray) -> Tensor:
        """(F,m,C,h,w) of one patch; its mirror image has left and right half the other way round."""
        wanted, where = np.unique(windows.numpy(), return_inverse=True)
        (x, y), (height, width) = inset, self.size
        frames = tensors(self.patches, int(patch), wanted, self.problem.dual)[
            ..., y : y + height, x : x + width
        ]
        if flip[0]:
            frames = frames.flip(-1, -3)
        if flip[1]:
            frames = frames.flip(-2)
        return frames[torch.from_numpy(where.reshape(windows.shape))]

    def _place(self, scenes: np.ndarray, draws: _Draws) -> Tensor:
        corner = self.patches.corner[scenes] + draws.insets
        mirrored = np.array(self.patches.frame[::-1]) - self.size[::-1] - corner
        corner = np.where(draws.flips > 0, mirrored, corner)
        return roi_planes(
            torch.from_numpy(corner), (int(self.size[0]), int(self.size[1])), self.patches.frame
        )


def held_out_batches(
    config: AutofocusTrainConfig, patches: AutofocusPatches, per_batch: int = 16
) -> list[Batch]:
    """Whole sweeps of patches spread evenly over a split: "stack" (B,K,C,h,w), "place" and "target"."""
    most = min(config.validation.patches, len(patches))
    chosen = np.unique(np.linspace(0, len(patches) - 1, most).round().astype(int))
    return [
        stack_batch(patches, chosen[at : at + per_batch], config.network.seen.dual)
        for at in range(0, len(chosen), per_batch)
    ]


def stack_batch(patches: AutofocusPatches, chosen: np.ndarray, dual: bool) -> Batch:
    """Whole sweeps of the chosen patches."""
    every = np.arange(patches.count)
    return {
        "stack": torch.stack([tensors(patches, int(k), every, dual) for k in chosen]),
        "place": roi_planes(torch.from_numpy(patches.corner[chosen]), patches.size, patches.frame),
        "target": torch.from_numpy(patches.index[chosen]),
    }
