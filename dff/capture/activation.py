"""Activation matrices: which pixels need no shot any more (Wang et al. 2021, 5.3)."""

from __future__ import annotations

from collections import deque

import numpy as np


class Activation:
    """The matrix U, from the in-focus masks of the shots in the order they were taken.

    Args:
        memory: still scenes: None, every shot counts (Eq. 9). Moving scenes: the last shot and ``memory``
            before it, since what was sharp long ago has moved on; 0 is the greedy strategy.

    Raises:
        ValueError: a negative memory.
    """

    def __init__(self, memory: int | None = None) -> None:
        if memory is not None and memory < 0:
            raise ValueError(f"activation memory {memory}; give 0 or more, or None for still scenes")
        self._masks: deque[np.ndarray] = deque(maxlen=None if memory is None else memory + 1)

    def add(self, mask: np.ndarray) -> np.ndarray:
        """Take in the mask (h,w) of one more shot; returns U, (h,w) bool."""
        self._masks.append(mask)
        return self.matrix

    @property
    def matrix(self) -> np.ndarray:
        """U, (h,w) bool: True where nothing is left to do.

        Raises:
            ValueError: no mask was added yet.
        """
        if not self._masks:
            raise ValueError("activation: no mask was added yet")
        return np.asarray(np.logical_or.reduce(list(self._masks)))
