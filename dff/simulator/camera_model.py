"""A named camera: lens, ladder, aperture, motor, motion and sensor, from simulator/cameras/*.toml."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dff.camera import Lens
from dff.simulator.ladder import Ladder
from dff.simulator.motion import Motion, motion_matrices
from dff.simulator.motor import Motor
from dff.simulator.psf import PSF
from dff.simulator.sensor import Sensor
from dff.simulator.sweep import Sweep


@dataclass(frozen=True)
class Frame:
    """Which pixels of a camera are wanted.

    Args:
        size: (height, width) of the pictures.
        frame: (height, width) that the whole field of view has at this scale; the pictures are a patch of
            it, at a random place. None: the pictures are the whole.
        reference: slice that stands still and that the truth belongs to; negative counts from the end.
    """

    size: tuple[int, int]
    frame: tuple[int, int] | None = None
    reference: int = -1

    def __post_init__(self) -> None:
        if min(self.size) < 16:
            raise ValueError(f"size {self.size} is too small; at least 16x16 px")
        if self.frame is not None and (self.frame[0] < self.size[0] or self.frame[1] < self.size[1]):
            raise ValueError(f"frame {self.frame} is smaller than the size {self.size} of its patches")

    @property
    def whole(self) -> tuple[int, int]:
        """(height, width) of the whole field of view."""
        return self.frame or self.size

    def origin(self, random: np.random.Generator) -> tuple[int, int]:
        """(row, column) of a random patch."""
        height, width = self.whole
        row = int(random.integers(0, height - self.size[0] + 1))
        return row, int(random.integers(0, width - self.size[1] + 1))

    def index(self, n_slices: int) -> int:
        """The reference counted from 0.

        Raises:
            ValueError: the stack has no such slice.
        """
        if not -n_slices <= self.reference < n_slices:
            raise ValueError(f"reference {self.reference} is not among {n_slices} slices")
        return self.reference % n_slices


@dataclass(frozen=True)
class CameraModel:
    """Everything about one camera.

    Args:
        lens: optics; its pixel pitch is that of pictures ``picture_width`` wide.
        picture_width: width [px] of the camera's pictures, which all pixels in this recipe belong to.
        picture_height: their height [px].
        ladder: focus distances of its sweeps.
        psf: shape of the blur.
        softness_px: Gaussian sigma of what lens and pixel blur even in focus, in px of the pictures at hand.
        motion: what moves the picture beside the lens's breathing.
        motor: errors of the focus motor; none: the lens stands where it is told.
        sensor: noise, mosaic, vignetting, coding.
    """

    lens: Lens
    picture_width: int
    picture_height: int
    ladder: Ladder = field(default_factory=Ladder)
    psf: PSF = field(default_factory=PSF)
    softness_px: float = 0.0
    motion: Motion = field(default_factory=Motion)
    motor: Motor | None = None
    sensor: Sensor = field(default_factory=Sensor)

    def __post_init__(self) -> None:
        if self.picture_width < 16 or self.picture_height < 16:
            raise ValueError("CameraModel: picture_width and picture_height must be at least 16 px")
        if self.softness_px < 0:
            raise ValueError("CameraModel: softness_px must not be negative")
        self.lens.coc_px(0.0, self.ladder.focus())  # refuses a focus nearer than the focal length

    def sweep(
        self, batch: int, frame: Frame, random: np.random.Generator, n_slices: int | None = None
    ) -> Sweep:
        """Draw the sweeps of ``batch`` stacks; ``n_slices`` None takes the ladder as it is."""
        focus = self.ladder.focus(n_slices)
        ends = self.ladder.focus()[[0, -1]]
        lens = self.lens.resized(frame.whole[1] / self.picture_width)
        reference = frame.index(focus.size)
        true, coefficients, notes = [], [], []
        for _ in range(batch):
            stands, note = focus, {}
            if self.motor is not None:
                moved = self.motor.true_focus(focus, (float(ends[0]), float(ends[1])), random)
                stands, note = moved.focus, moved.describe()
            coefficients.append(
                self.motion.draw(
                    stands, lens.relative_fov(stands), reference, frame.whole, self.picture_width, random
                )
            )
            true.append(stands)
            notes.append(note)
        return assemble(
            np.tile(focus, (batch, 1)),
            np.stack(true),
            np.stack(coefficients),
            (lens,) * batch,
            (self.psf, self.sensor, np.full(batch, self.softness_px)),
            frame,
            random,
            tuple(notes),
        )


def assemble(
    focus: np.ndarray,
    true_focus: np.ndarray,
    coefficients: np.ndarray,
    lenses: tuple[Lens, ...],
    parts: tuple[PSF, Sensor, np.ndarray],
    frame: Frame,
    random: np.random.Generator,
    notes: tuple[dict[str, Any], ...],
) -> Sweep:
    """A `Sweep` of what was drawn; the place of the patch is drawn here."""
    origin = frame.origin(random)
    matrices = motion_matrices(coefficients, frame.whole, origin)
    matrices[:, frame.index(focus.shape[1])] = np.eye(2, 3)
    gain = np.stack([lens.coc_px(now + 1, now) for lens, now in zip(lenses, true_focus, strict=True)])
    return Sweep(
        focus=focus,
        true_focus=true_focus,
        coc_px_per_dioptre=gain,
        matrices=matrices,
        coefficients=coefficients,
        lenses=lenses,
        psf=parts[0],
        sensor=parts[1],
        softness_px=parts[2],
        frame=frame.whole,
        origin=origin,
        notes=notes,
    )
