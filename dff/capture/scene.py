"""What stands before the camera that decides what to capture, and shots of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dff.camera import Lens
from dff.classical.alignment import Alignment
from dff.closedloop.policy import Track
from dff.stack import FocalStack


@dataclass(frozen=True, eq=False)
class Shot:
    """One capture.

    Args:
        position: where the lens stood, in the unit of the scene's track.
        picture: (H,W) or (H,W,3), in the frame that all shots share.
        step: time step it was taken at.
        index: of the slice of a recorded stack, or None.
    """

    position: float
    picture: np.ndarray
    step: int = 0
    index: int | None = None


class Scene(Protocol):
    """A lens that can be sent to places, and pictures from there.

    Attributes:
        track: ends and unit of what the lens can reach.
        lens: None where it is not known.
        size: (height, width) of the pictures.
    """

    track: Track
    lens: Lens | None
    size: tuple[int, int]

    def half_depth(self, position: float) -> float:
        """Depth of field to one side of ``position``."""

    def stand(self, position: float) -> float:
        """The place nearest to ``position`` that the lens can be sent to."""

    def take(self, position: float, step: int = 0) -> Shot:
        """Capture from there, at a time step."""


class LensDepth:
    """Depth of field by the lens: blur of up to ``max_coc_px`` across."""

    def __init__(self, lens: Lens, max_coc_px: float) -> None:
        if not max_coc_px > 0:
            raise ValueError(f"max_coc_px {max_coc_px} must be above 0")
        self.lens, self.max_coc_px = lens, max_coc_px

    def __call__(self, position: float) -> float:
        far, near = self.lens.depth_of_field(position, self.max_coc_px)
        return (near - far) / 2


class RecordedStack:
    """A stack that was taken slice by slice; the camera sees the slices that it asks for, and no others.

    Args:
        stack: far first.
        alignment: of the stack; shots are in the frame of its reference.
        half_depth: depth of field to one side in the stack's unit; None: that of the lens for blur of 1 px
            where lens and focus are known, else half the mean distance of the slices.

    Raises:
        ValueError: a depth of field that is not above 0.
    """

    def __init__(self, stack: FocalStack, alignment: Alignment, half_depth: float | None = None) -> None:
        self.stack, self.alignment, self.lens = stack, alignment, stack.lens
        self.track = Track(stack.positions, stack.unit)
        self.size = (stack.height, stack.width)
        if half_depth is not None and not half_depth > 0:
            raise ValueError(f"depth of field {half_depth:g} must be above 0 {stack.unit}")
        self._given = half_depth
        known = stack.lens is not None and stack.focus is not None
        self._by_lens = LensDepth(stack.lens, 1.0) if known and stack.lens is not None else None

    def half_depth(self, position: float) -> float:
        if self._given is not None:
            return self._given
        step = self.track.span / self.track.last / 2
        # slices farther apart than the lens's depth of field: what is between two of them is in neither
        return step if self._by_lens is None else max(step, self._by_lens(position))

    def index(self, position: float) -> int:
        """The slice nearest to a position."""
        return int(np.argmin(np.abs(self.track.positions - position)))

    def stand(self, position: float) -> float:
        return float(self.track.positions[self.index(position)])

    def take(self, position: float, step: int = 0) -> Shot:
        k = self.index(position)
        picture = self.alignment.warp(self.stack.slices[k], k)
        return Shot(float(self.track.positions[k]), picture, step, k)
