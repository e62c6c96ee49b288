"""Batches of S scenes, each seen from F different focal indices: what losses of agreement are fed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FocalSampler:
    """Which scenes, from which focal indices, go into each batch (the paper: 32 x 4 of 49).

    Args:
        scenes: number of scenes (patches with all their slices).
        indices: number of focal indices that a scene can be seen from.
        scenes_per_batch: S.
        per_scene: F, all different; 1 is training without agreement.
        seed: batches depend on it, the epoch, and nothing else.

    Raises:
        ValueError: more asked for than there is.
    """

    scenes: int
    indices: int
    scenes_per_batch: int = 32
    per_scene: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.scenes_per_batch <= self.scenes:
            raise ValueError(
                f"{self.scenes_per_batch} scenes a batch of {self.scenes}; give 1 to {self.scenes}"
            )
        if not 1 <= self.per_scene <= self.indices:
            raise ValueError(
                f"{self.per_scene} focal indices a scene of {self.indices}; give 1 to {self.indices}"
            )

    def __len__(self) -> int:
        """Batches of one epoch; scenes that fill no whole batch wait for the next epoch's order."""
        return self.scenes // self.scenes_per_batch

    def epoch(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches (scene (S,), focal index (S,F)) int64 of one epoch: no scene twice."""
        rng = np.random.default_rng((self.seed, number))
        order = rng.permutation(self.scenes)
        for batch in range(len(self)):
            scene = order[batch * self.scenes_per_batch : (batch + 1) * self.scenes_per_batch]
            every = np.tile(np.arange(self.indices), (len(scene), 1))
            yield scene, rng.permuted(every, axis=1)[:, : self.per_scene]
