"""What a training recipe on a data set (``source.dataset`` names it) may say."""

from __future__ import annotations

from dataclasses import dataclass

from dff.data.catalogue import find_dataset
from dff.train.config import DepthRunConfig


@dataclass(frozen=True, kw_only=True)
class DatasetSourceConfig:
    """Where stacks come from: windows of those of a data set, each used a few times.

    Args:
        dataset: a name of `dff.data.catalogue`.
        split: the stacks to train on.
        held_out: the stacks to validate on.
        held_out_every: of a split that serves for both, every so many stacks are for validation alone; 0: the
            splits are two.
        folder: where the data set lies; --data says it.
        batch: stacks per step (and per process).
        slices: slices taken from each stack, evenly, the most that a step can see.
        size: height and width of the windows [px]; pictures must not be smaller.
        reuse: steps that a batch serves on average, each time augmented anew.
        pool: batches kept at hand, from which a step draws.
        readers: threads that read what the next steps draw while one is computed; 0: none (as stacks that
            are simulated when asked for need it: their maker sets the number of threads of the process).
        misalignment_px: largest root mean square corner error left in stacks whose motion is known, which are
            aligned by it; most get less (uniform squared).
    """

    dataset: str
    split: str = "train"
    held_out: str = "val"
    held_out_every: int = 0
    folder: str = ""
    batch: int = 4
    slices: int = 10
    size: tuple[int, int] = (224, 224)
    reuse: int = 2
    pool: int = 16
    readers: int = 2
    misalignment_px: float = 1.0

    def __post_init__(self) -> None:
        splits = find_dataset(self.dataset).splits
        for name in (self.split, self.held_out):
            if name not in splits:
                raise ValueError(f"{self.dataset}: no split {name!r}; choose from {', '.join(splits)}")
        if (self.split == self.held_out) != (self.held_out_every > 0):
            raise ValueError(
                "DatasetSourceConfig: held_out_every goes with one split for both, and with nothing else"
            )
        if min(self.batch, self.reuse, self.pool) < 1 or self.slices < 2 or self.held_out_every == 1:
            raise ValueError(
                "DatasetSourceConfig: batch, reuse and pool must be 1 or more, slices and held_out_every 2"
            )
        if self.misalignment_px < 0 or self.readers < 0:
            raise ValueError("DatasetSourceConfig: misalignment_px and readers must not be negative")


@dataclass(frozen=True, kw_only=True)
class DatasetTrainConfig(DepthRunConfig):
    """One training run of the depth network on a data set."""

    source: DatasetSourceConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_source(self.source.slices, self.source.size)
