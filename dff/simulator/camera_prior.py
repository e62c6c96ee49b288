"""Cameras at random: the prior that networks are trained on, and the make-up of simulated benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from dff import optics
from dff.camera import Lens
from dff.recipes import load_recipe
from dff.simulator.camera_model import CameraModel, Frame, assemble
from dff.simulator.motion import Motion
from dff.simulator.psf import PSF
from dff.simulator.sensor import Sensor
from dff.simulator.sweep import Sweep

FOCAL_LENGTH_M, F_NUMBER = 0.0044, 1.8  # a phone's; the pixel pitch follows from the blur that was drawn


@dataclass(frozen=True)
class CameraPrior:
    """A distribution of cameras. Pairs are (low, high); pixels are those of the frame at hand.

    Args:
        n_slices: slices per stack, one number for a batch.
        far_dioptre, near_dioptre: ends of the sweep, uniform.
        uneven: deviation of the logarithm of the ladder's steps, uniform.
        max_coc_px: blur DIAMETER of the far end when focused at the near end, log-uniform.
        breathing_px: growth of the picture from the far to the near end, at its left and right border,
            uniform; the camera's lens breathes that much.
        focus_error_steps: deviation of the true from the reported focus, in mean steps of the ladder.
        psfs: shapes of blur, one picked per batch.
        softness_px: Gaussian sigma of what lens, pixel and demosaicing blur even in focus, uniform.
        motion: beside the breathing.
        sensors: one picked per batch.
    """

    n_slices: tuple[int, int] = (10, 10)
    far_dioptre: tuple[float, float] = (0.3, 0.3)
    near_dioptre: tuple[float, float] = (3.0, 3.0)
    uneven: tuple[float, float] = (0.0, 0.0)
    max_coc_px: tuple[float, float] = (8.0, 24.0)
    breathing_px: tuple[float, float] = (0.0, 0.0)
    focus_error_steps: float = 0.0
    psfs: tuple[PSF, ...] = (PSF(),)
    softness_px: tuple[float, float] = (0.0, 0.0)
    motion: Motion = field(default_factory=Motion)
    sensors: tuple[Sensor, ...] = (Sensor(),)

    def __post_init__(self) -> None:
        for name in (
            *("n_slices", "far_dioptre", "near_dioptre", "uneven", "max_coc_px", "breathing_px"),
            "softness_px",
        ):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"CameraPrior: {name} ({low}, {high}) must be low <= high")
        if self.n_slices[0] < 2:
            raise ValueError(f"CameraPrior: n_slices {self.n_slices}: a focal stack has at least 2 slices")
        if not 0 <= self.far_dioptre[0] <= self.far_dioptre[1] < self.near_dioptre[0]:
            raise ValueError(
                f"CameraPrior: far_dioptre {self.far_dioptre} must be >= 0 and below near_dioptre "
                f"{self.near_dioptre}"
            )
        if self.max_coc_px[0] <= 0:
            raise ValueError(f"CameraPrior: max_coc_px {self.max_coc_px} must be above 0")
        if min(self.uneven[0], self.focus_error_steps, self.softness_px[0]) < 0:
            raise ValueError("CameraPrior: uneven, focus_error_steps, softness_px must not be negative")
        if not self.psfs or not self.sensors:
            raise ValueError("CameraPrior: give at least one of psfs and of sensors")

    def _focus(self, count: int, random: np.random.Generator) -> np.ndarray:
        far, near = random.uniform(*self.far_dioptre), random.uniform(*self.near_dioptre)
        steps = np.exp(random.normal(0, random.uniform(*self.uneven), count - 1))
        return far + (near - far) * np.concatenate([[0.0], np.cumsum(steps) / steps.sum()])

    def _lens(self, focus: np.ndarray, width: int, random: np.random.Generator) -> Lens:
        """The lens whose blur and breathing over this sweep are those drawn."""
        coc_px = np.exp(random.uniform(*np.log(self.max_coc_px)))
        growth = 1 + random.uniform(*self.breathing_px) / (width / 2)
        coc_m = optics.coc_px(
            focus[0], focus[-1], focal_length_m=FOCAL_LENGTH_M, f_number=F_NUMBER, pixel_pitch_m=1.0
        )
        far, near = (optics.magnification(FOCAL_LENGTH_M, end) - 1 for end in focus[[0, -1]])
        return Lens(
            FOCAL_LENGTH_M, F_NUMBER, float(abs(coc_m) / coc_px), float((growth - 1) / (near - growth * far))
        )

    def sweep(
        self, batch: int, frame: Frame, random: np.random.Generator, n_slices: int | None = None
    ) -> Sweep:
        """Draw the sweeps of ``batch`` stacks, each of another camera; ``n_slices`` None draws that too."""
        drawn = int(random.integers(self.n_slices[0], self.n_slices[1] + 1))
        count = drawn if n_slices is None else n_slices
        if count < 2:
            raise ValueError(f"CameraPrior: {count} slices; a focal stack has at least 2")
        reference, width = frame.index(count), frame.whole[1]
        psf = self.psfs[int(random.integers(len(self.psfs)))]
        sensor = self.sensors[int(random.integers(len(self.sensors)))]
        focus, true, coefficients, lenses = [], [], [], []
        for _ in range(batch):
            ladder = self._focus(count, random)
            lens = self._lens(ladder, width, random)
            step = (ladder[-1] - ladder[0]) / (count - 1)
            stands = np.abs(ladder + random.normal(0, self.focus_error_steps * step, count))
            fov = lens.relative_fov(stands)
            coefficients.append(self.motion.draw(stands, fov, reference, frame.whole, width, random))
            focus.append(ladder)
            true.append(stands)
            lenses.append(lens)
        parts = psf, sensor, random.uniform(*self.softness_px, batch)
        return assemble(
            np.stack(focus),
            np.stack(true),
            np.stack(coefficients),
            tuple(lenses),
            parts,
            frame,
            random,
            ({},) * batch,
        )


Camera = CameraModel | CameraPrior


def load_camera(name: str) -> Camera:
    """A camera of simulator/cameras (or a file of one's own): a model if it states a lens, else a prior.

    Raises:
        ValueError: no such recipe, or one that does not fit; file and key are named.
    """
    kind = "simulator/cameras"
    tables = load_recipe(kind, name)
    only_prior = {one.name for one in fields(CameraPrior)} - {one.name for one in fields(CameraModel)}
    if only_prior & set(tables):
        return load_recipe(kind, name, CameraPrior)
    return load_recipe(kind, name, CameraModel)
