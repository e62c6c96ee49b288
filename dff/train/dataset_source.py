"""Batches of windows of the stacks of a data set; as of every source, a function of the step."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dff.data.catalogue import find_dataset
from dff.data.order import check_order
from dff.data.sample import DepthSample
from dff.stack import to_float
from dff.train.augment import Batch, align, alignment_errors, augment
from dff.train.dataset_config import DatasetSourceConfig, DatasetTrainConfig
from dff.train.source import PooledSource, validation_seed

_TRIES = 8  # windows looked at for one with enough depth
_ENOUGH = 0.8  # share of a window's pixels with known depth


def open_splits(config: DatasetSourceConfig) -> tuple[Sequence[DepthSample], Sequence[DepthSample]]:
    """Stacks to train on, and stacks to validate on.

    Raises:
        ValueError, FileNotFoundError: as `dff.data.catalogue.open_dataset`; or too few stacks to part.
    """
    found = find_dataset(config.dataset)
    samples = found.open(config.folder, config.split)
    every = config.held_out_every
    if not every:
        return samples, found.open(config.folder, config.held_out)
    if len(samples) < 2:
        raise ValueError(
            f"{config.folder}: one stack cannot serve for training and for validation; give more"
        )
    every = min(every, len(samples))
    held_out = range(every - 1, len(samples), every)
    return _Part(samples, [k for k in range(len(samples)) if k not in held_out]), _Part(samples, held_out)


class _Part(Sequence[DepthSample]):
    """Some of the samples."""

    def __init__(self, samples: Sequence[DepthSample], chosen: Sequence[int]) -> None:
        self._samples, self._chosen = samples, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, k: int) -> DepthSample:  # type: ignore[override]
        return self._samples[self._chosen[k]]


def at_folder(config: DatasetTrainConfig, folder: Path | None) -> DatasetTrainConfig:
    """The recipe with the place of its data set, whose first stack is looked at before any work.

    Raises:
        ValueError: no folder is given; as `open_splits`; or the first stack is damaged, or its slices lie in
            the wrong order.
        FileNotFoundError: as `open_splits`.
    """
    found = find_dataset(config.source.dataset)
    if folder is None:
        raise ValueError(f"{found.name}: give the folder of the data set with --data; expected: {found.tree}")
    placed = replace(config, source=replace(config.source, folder=str(folder)))
    first = open_splits(placed.source)[0][0]
    check_order(first, first.truth())
    return placed


def _place(valid: np.ndarray, size: tuple[int, int], random: np.random.Generator) -> tuple[slice, slice]:
    """A random window with as much known depth as a few tries find."""
    best, most = (slice(0), slice(0)), -1.0
    for _ in range(_TRIES):
        top, left = (
            int(random.integers(whole - side + 1)) for whole, side in zip(valid.shape, size, strict=True)
        )
        window = slice(top, top + size[0]), slice(left, left + size[1])
        share = float(valid[window].mean())
        if share > most:
            best, most = window, share
        if most >= _ENOUGH:
            break
    return best


def _middle(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[slice, slice]:
    top, left = ((whole - side) // 2 for whole, side in zip(shape, size, strict=True))
    return slice(top, top + size[0]), slice(left, left + size[1])


def _aligned(sample: DepthSample, matrices: np.ndarray, largest_px: float, seed: int) -> Tensor:
    """All slices (N,3,H,W), warped to the reference by their known motion but for small errors."""
    images = torch.from_numpy(np.stack([to_float(image).transpose(2, 0, 1) for image in sample.images]))
    generator = torch.Generator().manual_seed(seed)
    height, width = images.shape[-2:]
    errors = alignment_errors(1, len(images), (height, width), largest_px, generator)
    return align(images[None], torch.from_numpy(matrices)[None], errors, sample.reference)[0]


def read_window(
    sample: DepthSample, config: DatasetSourceConfig, random: np.random.Generator, *, middle: bool = False
) -> Batch:
    """One stack as a batch of one on the CPU (`dff.train.augment`): a window, at random or in the middle.

    Truth beyond the sweep moves to its end. A pixel that is trusted by w is valid with the chance w: the mean
    of the loss is then the weighted one.

    Raises:
        ValueError: too few slices, pictures smaller than the window, or no true depth.
    """
    if len(sample) < config.slices:
        raise ValueError(f"{sample.name}: has {len(sample)} slices; set source.slices, now {config.slices}")
    truth = sample.truth()
    height, width = truth.depth.shape
    if height < config.size[0] or width < config.size[1]:
        raise ValueError(
            f"{sample.name}: {width}x{height} px are less than the window, source.size {list(config.size)}"
        )
    keep = np.rint(np.linspace(0, len(sample) - 1, config.slices)).astype(int)
    window = _middle(truth.depth.shape, config.size) if middle else _place(truth.valid, config.size, random)
    valid = truth.valid[window]
    if truth.weight is not None:
        valid = valid & (random.random(valid.shape) < truth.weight[window])
    if sample.matrices is not None:
        seed = int(random.integers(2**62))
        images = _aligned(sample, sample.matrices, config.misalignment_px, seed)[keep][(..., *window)]
    else:
        slices = [to_float(sample.images[k][window]).transpose(2, 0, 1) for k in keep]
        images = torch.from_numpy(np.stack(slices))
    focus = sample.focus[keep]
    far, near = focus[0], focus[-1]
    target = ((truth.depth[window] - far) / (near - far)).clip(0, 1)
    return {
        "images": images[None],
        "u": torch.from_numpy((focus - far) / (near - far)).float()[None],
        "target_u": torch.from_numpy(target.astype(np.float32))[None],
        "valid": torch.from_numpy(valid)[None],
    }


def _joined(parts: Sequence[Batch], device: torch.device) -> Batch:
    return {name: torch.cat([part[name] for part in parts]).to(device) for name in parts[0]}


class DatasetSource(PooledSource[DatasetTrainConfig]):
    """Windows of stacks that are drawn at random, with replacement; threads read ahead of the step."""

    def __init__(
        self,
        config: DatasetTrainConfig,
        samples: Sequence[DepthSample],
        seed: int,
        *,
        rank: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(config, seed, rank=rank, device=device)
        self.samples = samples
        readers = config.source.readers
        self._readers = ThreadPoolExecutor(readers, "dff-read") if readers else None
        self._begun: dict[int, list[Future[Batch]]] = {}

    def _window(self, seed: int, i: int) -> Batch:
        random = np.random.default_rng([seed, i])
        return read_window(self.samples[int(random.integers(len(self.samples)))], self.config.source, random)

    def _begin(self, step: int) -> None:
        """Have the stacks of a step read."""
        index = self._index_of(step)
        seed = self._seed_of(index)
        if self._readers is not None and index not in self._kept and seed not in self._begun:
            numbers = range(self.config.source.batch)
            self._begun[seed] = [self._readers.submit(self._window, seed, i) for i in numbers]

    def __call__(self, step: int) -> Batch:
        for ahead in range(self.config.source.readers + 1):
            self._begin(step + ahead)
        return super().__call__(step)

    def make(self, seed: int) -> Batch:
        begun = self._begun.pop(seed, None)
        if begun is not None:
            return _joined([part.result() for part in begun], self.device)
        return _joined([self._window(seed, i) for i in range(self.config.source.batch)], self.device)

    def change(self, batch: Batch, n: int, generator: torch.Generator) -> Batch:
        return augment(batch, self.config.augment, n, generator)


def held_out_batches(
    config: DatasetTrainConfig, samples: Sequence[DepthSample], seed: int, device: torch.device
) -> list[Batch]:
    """The middles of held-out stacks, spread evenly over the data set; each stack at most once."""
    batch = config.source.batch
    count = min(len(samples), config.validation.batches * batch)
    chosen = np.linspace(0, len(samples) - 1, count).round().astype(int)
    batches = []
    for first in range(0, count, batch):
        random = np.random.default_rng(validation_seed(seed, first))
        part = [samples[int(k)] for k in chosen[first : first + batch]]
        batches.append(
            _joined([read_window(one, config.source, random, middle=True) for one in part], device)
        )
    return batches
