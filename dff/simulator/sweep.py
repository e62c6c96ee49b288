"""One drawn sweep per stack of a batch: focus, blur and motion, and the patch of the frame that is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dff.camera import Lens
from dff.simulator.psf import PSF, Field
from dff.simulator.sensor import Sensor

BICUBIC_REACH = 3  # px that bicubic sampling needs beyond the outermost place that is read, and one to spare


@dataclass(frozen=True, eq=False)
class Sweep:
    """What the cameras of a batch do from slice to slice.

    Args:
        focus: (B,N) dioptres that the camera reports, rising.
        true_focus: (B,N) dioptres where the lens really stands.
        coc_px_per_dioptre: (B,N) blur diameter [px] per dioptre of defocus.
        matrices: (B,N,2,3) float64, reference pixel (x,y,1) -> slice pixel; the identity for the reference.
        coefficients: (B,N,4) the same motion about the frame's centre: scale, x, y [px], rotation [rad].
        lenses: B lenses, for the picture's pixels; None: not known.
        psf: point spread function, one for the batch.
        sensor: what makes pictures of the light.
        softness_px: (B,) Gaussian sigma [px] of lens and pixel, of what is in focus too.
        frame: (height, width) of the whole picture that the patch is cut from.
        origin: (row, column) of the patch's first pixel in the frame.
        notes: B tables of whatever else was drawn, plain numbers.
    """

    focus: np.ndarray
    true_focus: np.ndarray
    coc_px_per_dioptre: np.ndarray
    matrices: np.ndarray
    coefficients: np.ndarray
    lenses: tuple[Lens | None, ...]
    psf: PSF
    sensor: Sensor
    softness_px: np.ndarray
    frame: tuple[int, int]
    origin: tuple[int, int] = (0, 0)
    notes: tuple[dict[str, Any], ...] = ()

    @property
    def ramp(self) -> np.ndarray:
        """(B,N) where each slice stands between the first (0) and the last (1) of its sweep."""
        first, last = self.focus[:, :1], self.focus[:, -1:]
        return (self.focus - first) / (last - first)

    def margin(self, size: tuple[int, int]) -> int:
        """Scene pixels needed beyond each border of (height, width) so that no slice looks past the end."""
        height, width = size
        corners = np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1], [1, 1, 1, 1]])
        seen = inverse(self.matrices) @ corners
        limit = np.array([width - 1, height - 1])[:, None]
        beyond = max(float(-seen.min()), float((seen - limit).max()))
        return math.ceil(beyond) + BICUBIC_REACH if beyond > 0 else 0

    def field(self, margin: int = 0) -> Field:
        """Where the frame's centre and corner lie, seen from the patch with ``margin`` px round it."""
        height, width = self.frame
        row, column = self.origin
        centre = (width - 1) / 2 - column + margin, (height - 1) / 2 - row + margin
        return Field(centre, math.hypot(height, width) / 2)


def inverse(matrices: np.ndarray) -> np.ndarray:
    """(...,2,3) the motions that undo ``matrices``."""
    linear = np.linalg.inv(matrices[..., :2])
    return np.concatenate([linear, -linear @ matrices[..., 2:]], axis=-1)
