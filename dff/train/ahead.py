"""Batches made ahead of the step that draws them, by processes of their own.

They travel by shared memory, so a container needs as much as twice the workers' number of batches takes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

import torch

from dff.simulator.workers import end_with_parent
from dff.train.augment import Batch

Make = Callable[[int], Batch]

_make: Make | None = None  # of a worker


def _begin(maker: Callable[[], Make]) -> None:
    global _make
    end_with_parent()
    torch.set_num_threads(1)
    _make = maker()


def _work(seed: int) -> Batch:
    assert _make is not None
    return {name: value.cpu() for name, value in _make(seed).items()}


class Ahead:
    """Makes numbered batches ahead, so that none is waited for; which they are does not depend on it.

    Args:
        maker: called once in each worker, gives what makes a batch from its seed; must be picklable.
        seed_of: the seed of batch ``index``.
        back: how far behind the newest index one may still be asked for.
        workers: processes, of one thread each; twice as many batches are on the way.
    """

    def __init__(
        self, maker: Callable[[], Make], seed_of: Callable[[int], int], back: int, workers: int
    ) -> None:
        self._seed_of, self._back, self._depth = seed_of, back, 2 * workers
        self._pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (maker,))
        self._begun: dict[int, Future[Batch]] = {}

    def __call__(self, index: int) -> Batch:
        """Batch ``index``, waited for if need be; those after it are begun."""
        for k in range(index, index + self._depth):
            if k not in self._begun:
                self._begun[k] = self._pool.submit(_work, self._seed_of(k))
        for k in [k for k in self._begun if k <= index - self._back]:
            self._begun.pop(k).cancel()
        return self._begun.pop(index).result()

    def close(self) -> None:
        """End the workers; what they were at is lost."""
        self._pool.shutdown(cancel_futures=True)
