"""A recorded focal stack as a scene: the lens sees the slice nearest to where it stands, or between two."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dff.autofocus.curves import DEFAULT_MEASURE
from dff.autofocus.measures import measure
from dff.autofocus.regions import Roi
from dff.closedloop.drive import View, blur_growth, region
from dff.closedloop.policy import Track
from dff.stack import FocalStack, to_luma

Between = Literal["nearest", "interpolated"]


class RecordedScene:
    """Slices as they were taken: their breathing is part of what a camera sees.

    Args:
        stack: far first.
        roi: the region; None: the middle, as cameras meter. 8 x 8 px or more after clipping.
        between: the nearest slice in the stack's unit, or the mean of both neighbours by distance.
        truth: index in focus; None: the sharpest slice by ``contrast``.
        contrast: name of the measure.

    Raises:
        ValueError: a region outside the picture or too small, a truth that is no slice, unknown measure.
    """

    def __init__(
        self,
        stack: FocalStack,
        roi: Roi | None = None,
        *,
        between: Between = "nearest",
        truth: int | None = None,
        contrast: str = DEFAULT_MEASURE,
    ) -> None:
        inside = region(roi, stack.height, stack.width)
        if truth is not None and not 0 <= truth < len(stack):
            raise ValueError(f"slice {truth} in focus: the stack has slices 0 to {len(stack) - 1}")
        self.track = Track(stack.positions, stack.unit)
        self.between = between
        pictures = [to_luma(inside.crop(stack.slices[k])) for k in range(len(stack))]
        # 12-bit data in 16-bit files would be nearly black
        white = max(float(np.quantile(picture, 0.999)) for picture in pictures)
        self._pictures = [picture / np.float32(max(white, 1e-3)) for picture in pictures]
        sharpness = measure(contrast)
        self.curve = np.array([float(sharpness(picture)) for picture in self._pictures])
        self.truth = self.track.position(int(self.curve.argmax()) if truth is None else truth)
        self.depth_of_field: float | None = None
        self.blur_px_per_index: float | None = None
        if stack.lens is not None and stack.focus is not None:
            far, near = stack.lens.depth_of_field(self.truth)
            self.depth_of_field = (near - far) / 2
            self.blur_px_per_index = blur_growth(stack.lens, self.track)

    def view(self, position: float, shot: int, halves: bool) -> View:
        """The region as recorded: no other noise and no halves, whatever is asked."""
        index = self.track.index(position)
        low = int(index)
        high = min(low + 1, self.track.last)
        share = index - low
        if self.between == "nearest" or share == 0:
            places = self.track.positions[[low, high]]
            nearer = low if abs(position - places[0]) <= abs(position - places[1]) else high
            return View(self._pictures[nearer])
        return View((1 - share) * self._pictures[low] + share * self._pictures[high])
