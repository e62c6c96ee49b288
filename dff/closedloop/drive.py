"""A camera in the loop: a lens, a clock, and a scene that can be looked at from any lens position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dff.autofocus.curves import DEFAULT_MEASURE
from dff.autofocus.measures import measure
from dff.autofocus.patches import LEAST_SIDE
from dff.autofocus.regions import Roi, middle
from dff.camera import Lens
from dff.closedloop.lens import MovingLens, Timing, ideal_motor
from dff.closedloop.policy import Frame, Track


@dataclass(frozen=True, eq=False)
class View:
    """What the region looks like: ``picture`` (H,W) luma, and the two ``halves`` of a dual pixel or None."""

    picture: np.ndarray
    halves: tuple[np.ndarray, np.ndarray] | None = None


def region(roi: Roi | None, height: int, width: int) -> Roi:
    """The part of ``roi`` inside a picture; None: the middle, as cameras meter.

    Raises:
        ValueError: outside the picture, or too small to measure sharpness.
    """
    inside = (roi or middle(height, width)).clipped(height, width)
    if min(inside.w, inside.h) < LEAST_SIDE:
        raise ValueError(f"region {inside}: too small for a focus curve; give 8x8 px or more")
    return inside


def blur_growth(lens: Lens, track: Track) -> float:
    """Growth of the blur radius [px] from one index to the next, over a track in dioptres in the mean."""
    ends = track.positions[[0, -1]]
    return float(abs(lens.coc_px(ends[0], ends[1]))) / 2 / track.last


class Scene(Protocol):
    """What stands before the camera.

    Attributes:
        track: positions the lens can be sent to.
        truth: position of the region in focus, in the track's unit.
        depth_of_field: how far off, in the same unit, focus may be before it shows; None: unknown.
        blur_px_per_index: growth of the blur radius from one index to the next; None: unknown.
    """

    track: Track
    truth: float
    depth_of_field: float | None
    blur_px_per_index: float | None

    def view(self, position: float, shot: int, halves: bool) -> View:
        """The region with the lens at ``position``; ``shot`` picks the noise; ``halves``: those, too."""


class Camera:
    """Takes frames of a scene, one after the other, on a clock of its own.

    Args:
        scene: what it sees.
        lens: how the lens moves; None: at once and without fault.
        timing: exposure, read-out, settling.
        contrast: name of the measure of sharpness (`dff.autofocus.measures`).

    Attributes:
        halves: whether frames have the halves of a dual-pixel sensor, where the scene can show them.

    Raises:
        ValueError: unknown measure.
    """

    def __init__(
        self,
        scene: Scene,
        lens: MovingLens | None = None,
        timing: Timing | None = None,
        contrast: str = DEFAULT_MEASURE,
    ) -> None:
        self.scene, self.track = scene, scene.track
        self.lens = lens or MovingLens(ideal_motor(scene.track), scene.track)
        self.timing = timing or Timing()
        self._measure = measure(contrast)
        self.halves = False
        self.restart(self.lens.told)

    def restart(self, index: float, repeat: int = 0) -> None:
        """Put the lens at ``index`` at rest, and the clock to 0; ``repeat`` picks other noise.

        Raises:
            ValueError: beyond the range of the lens.
        """
        self.lens.rest_at(index)
        self.time_s, self._repeat = 0.0, repeat
        self._visits: dict[float, int] = {}

    def move(self, index: float) -> None:
        """Send the lens to ``index`` and wait for it to settle; nothing where it is there already.

        Raises:
            ValueError: beyond the range of the lens.
        """
        if index != self.lens.told:
            self.lens.command(index)
            self._wait(self.timing.settle_s)

    @property
    def position(self) -> float:
        """Where the lens stands now, in the track's unit."""
        return self.lens.position

    def frame(self) -> Frame:
        """Expose and read out one frame."""
        self._wait(self.timing.exposure_s / 2)
        position = self.lens.position
        self._wait(self.timing.exposure_s / 2 + self.timing.readout_s)
        visit = self._visits.get(position, 0)
        self._visits[position] = visit + 1
        # the same place has the same noise for every policy, and other noise when looked at again
        view = self.scene.view(position, 1000 * self._repeat + visit, self.halves)
        sharpness = float(self._measure(view.picture))
        self.exposed_at = position
        return Frame(self.lens.told, sharpness, view.picture, view.halves, self.time_s)

    def _wait(self, seconds: float) -> None:
        self.lens.advance(seconds)
        self.time_s += seconds
