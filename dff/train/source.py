"""Where training stacks come from. A source is a function of the step: same seed, same step, same batch.

So a run that is stopped and resumed sees what it would have seen, and no state of a random generator needs
to be kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dff.model.network import focus_coordinate
from dff.simulator.capture import simulate_batch
from dff.simulator.photos import PhotoPack
from dff.simulator.scene_pack import ScenePack
from dff.simulator.simulated import SimulatedBatch
from dff.train.ahead import Ahead, Make
from dff.train.augment import Batch, align, alignment_errors, augment
from dff.train.config import AugmentConfig, SourceConfig, TrainConfig

Source = Callable[[int], Batch]

HELD_OUT_SEEDS = 1 << 20
"""Simulated stacks of seeds below this are for benchmarks: training and validation never draw one."""

_HELD_OUT_EVERY = 5  # photographs
_SAME_LOOK = 0.98  # correlation from which two pictures count as versions of one
# streams of random numbers, apart from each other
_STACKS, _PICK, _AUGMENT, _SLICES, _VALIDATION, _RENDERED = range(6)


def stream_seed(*words: int) -> int:
    """A seed of 63 bits from several numbers, never below `HELD_OUT_SEEDS`; nearby numbers give unrelated
    seeds."""
    seed = int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)
    return seed if seed >= HELD_OUT_SEEDS else seed + HELD_OUT_SEEDS


def simulated_batch(
    config: SourceConfig,
    seed: int,
    photos: PhotoPack | None,
    device: torch.device | str,
    scenes: ScenePack | None = None,
) -> Batch:
    """Simulated stacks, aligned to their reference about as well as real ones get aligned.

    Noise and breathing come first, the estimated warp after them, as with real pictures: what the warp does
    to noise and sharpness is then seen in training too. Focus is what the camera reports; truth beyond the
    sweep moves to its end. ``scenes`` are taken instead of procedural ones.
    """
    generator = torch.Generator(device).manual_seed(seed)
    made = simulate_batch(
        config.simulation, generator, config.batch, photos=photos, scenes=scenes, n_slices=config.slices
    )
    size = config.simulation.size
    errors = alignment_errors(config.batch, config.slices, size, config.misalignment_px, generator)
    matrices = torch.from_numpy(made.sweep.matrices).to(device)
    return {"images": align(made.images, matrices, errors, made.reference)} | true_depth(made)


def true_depth(made: SimulatedBatch) -> Batch:
    """ "u", "target_u" and "valid" of simulated stacks; truth beyond the sweep at its end."""
    focus = made.focus
    far, near = focus[:, :1, None], focus[:, -1:, None]
    return {
        "u": focus_coordinate(focus),
        "target_u": ((made.dioptre - far) / (near - far)).clamp(0, 1).float(),
        "valid": made.valid,
    }


def _look(tiles: Tensor) -> Tensor:
    """(M,144) what pictures (M,3,s,s) look like from afar, without brightness and contrast; length 1."""
    small = F.adaptive_avg_pool2d(tiles.float().mean(dim=1, keepdim=True), 12).flatten(1)
    return F.normalize(small - small.mean(dim=1, keepdim=True), dim=1)


def split(photos: PhotoPack | None) -> tuple[PhotoPack | None, PhotoPack | None]:
    """Photographs for training, and every fifth for validation; with fewer than five, all for both.

    One that looks like a training photograph, as another version of it would, is left out of the validation.
    """
    if photos is None:
        return None, None
    numbers = {name: k for k, name in enumerate(sorted(set(photos.credits)))}
    if len(numbers) < _HELD_OUT_EVERY:
        return photos, photos
    held_out = [numbers[name] % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1 for name in photos.credits]

    def part(chosen: list[int]) -> PhotoPack:
        return PhotoPack(photos.tiles[chosen], tuple(photos.credits[k] for k in chosen))

    training = part([k for k, out in enumerate(held_out) if not out])
    known = _look(training.tiles)
    alike = (_look(photos.tiles) @ known.T).amax(dim=1) > _SAME_LOOK
    seen = {name for name, same in zip(photos.credits, alike.tolist(), strict=True) if same}
    return training, part([k for k, name in enumerate(photos.credits) if held_out[k] and name not in seen])


class Pooled(Protocol):
    """How often batches are used, of any source's settings."""

    @property
    def reuse(self) -> int: ...

    @property
    def pool(self) -> int: ...


class PooledRun(Protocol):
    """What a source asks of a recipe."""

    @property
    def source(self) -> Pooled: ...

    @property
    def augment(self) -> AugmentConfig: ...


Run = TypeVar("Run", bound=PooledRun)


class PooledSource(ABC, Generic[Run]):
    """Batches for training, made on the fly, each used a few times under different augmentation.

    A step draws one of the ``pool`` newest batches; a new one appears every ``reuse`` steps. What is not at
    hand, as after a resume, is made again from its seed.

    Args:
        config: the recipe.
        photos: to paint simulated surfaces with.
    """

    def __init__(
        self,
        config: Run,
        seed: int,
        *,
        rank: int = 0,
        photos: PhotoPack | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.seed, self.rank, self.photos = config, seed, rank, photos
        self.device = torch.device(device)
        self._kept: dict[int, Batch] = {}
        self._ahead: Ahead | None = None

    @abstractmethod
    def make(self, seed: int) -> Batch:
        """A batch of stacks."""

    @abstractmethod
    def change(self, batch: Batch, n: int, generator: torch.Generator) -> Batch:
        """``n`` slices of a batch, as a step sees them."""

    def _generator(self, stream: int, *words: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(stream_seed(self.seed, stream, *words))

    def _seed_of(self, index: int) -> int:
        return stream_seed(self.seed, _STACKS, self.rank, index)

    def _index_of(self, step: int) -> int:
        """The batch that a step draws."""
        settings = self.config.source
        newest = step // settings.reuse
        pick = np.random.default_rng([self.seed, _PICK, self.rank, step])
        return newest - int(pick.integers(min(settings.pool, newest + 1)))

    @contextmanager
    def made_ahead(self, maker: Callable[[], Make], workers: int) -> Iterator[None]:
        """While the block lasts, batches come from ``workers`` processes.

        Args:
            maker: gives, in a worker, the ``make`` of a source like this one.
        """
        self._ahead = Ahead(maker, self._seed_of, self.config.source.pool, workers)
        try:
            yield
        finally:
            self._ahead.close()
            self._ahead = None

    def _made(self, index: int) -> Batch:
        if index not in self._kept:
            made = self.make(self._seed_of(index)) if self._ahead is None else self._ahead(index)
            self._kept[index] = to_device(made, self.device)
        batch = self._kept[index]
        while len(self._kept) > self.config.source.pool:
            del self._kept[min(self._kept)]  # of the newest ones, none is ever made twice
        return batch

    def __call__(self, step: int) -> Batch:
        slices = self.config.augment.slices
        # all processes take stacks of one length, or the longest would keep the others waiting
        n = int(np.random.default_rng([self.seed, _SLICES, step]).integers(slices[0], slices[1] + 1))
        return self.change(self._made(self._index_of(step)), n, self._generator(_AUGMENT, self.rank, step))


class SimulatedSource(PooledSource[TrainConfig]):
    """Aligned stacks with true depth, of procedural scenes, and in some batches of rendered ones."""

    def __init__(
        self,
        config: TrainConfig,
        seed: int,
        *,
        rank: int = 0,
        photos: PhotoPack | None = None,
        scenes: ScenePack | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(config, seed, rank=rank, photos=photos, device=device)
        self.scenes = scenes
        if config.source.rendered_share > 0 and scenes is None:
            raise ValueError(
                "source.rendered_share is above 0, but there are no rendered scenes: give --scenes"
            )

    def make(self, seed: int) -> Batch:
        rendered = np.random.default_rng([seed, _RENDERED]).random() < self.config.source.rendered_share
        scenes = self.scenes if rendered else None
        return simulated_batch(self.config.source, seed, self.photos, self.device, scenes)

    def change(self, batch: Batch, n: int, generator: torch.Generator) -> Batch:
        return augment(batch, self.config.augment, n, generator)


def validation_seed(seed: int, index: int) -> int:
    """Of held-out batch ``index``."""
    return stream_seed(seed, _VALIDATION, index)


def validation_batches(
    config: TrainConfig, seed: int, photos: PhotoPack | None = None, device: torch.device | str = "cpu"
) -> list[Batch]:
    """Held-out stacks: all slices, whole pictures, no augmentation."""
    return [
        simulated_batch(config.source, validation_seed(seed, index), photos, device)
        for index in range(config.validation.batches)
    ]


def even_slices(batch: Batch, n: int) -> Batch:
    """The batch with ``n`` of its slices, spread evenly, both ends kept."""
    chosen = torch.linspace(0, batch["u"].shape[1] - 1, n, device=batch["u"].device).round().long()
    return batch | {"images": batch["images"][:, chosen], "u": batch["u"][:, chosen]}


def to_device(batch: Batch, device: torch.device) -> dict[str, Tensor]:
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}
