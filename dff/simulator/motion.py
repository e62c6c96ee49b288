"""What moves the picture from slice to slice: field-of-view error, principal-point drift, hand, hiccups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dff.flow import affine_matrix


@dataclass(frozen=True)
class Motion:
    """Motion of the picture beside the lens's own breathing. Pixels belong to the camera's picture width.

    Args:
        fov_error, fov_error_per_dioptre: error of the relative field of view, ``fov_error +
            fov_error_per_dioptre * focus`` (alpha of Won & Jeon 2022, 2.1).
        drift_px: (x, y) way of the picture's centre from the far to the near end of the sweep, linear in
            focus: the lens does not move along its axis.
        shift_mean_px, shift_sd_px: (x, y) of a normal shift of every slice, independent (beta, gamma).
        zoom_px, shift_px, rotation_deg: further errors of every slice but the reference, independent and
            uniform in +- this: scale in px at the left and right border, shift in x and in y, rotation.
        hiccup_chance, hiccup_zoom: chance that a slice jumps in scale and back, by a share in (low, high).
        shake_px, shake_deg: deviation of one step of the random walk of a hand, in x and y and in rotation.
    """

    fov_error: float = 0.0
    fov_error_per_dioptre: float = 0.0
    drift_px: tuple[float, float] = (0.0, 0.0)
    shift_mean_px: tuple[float, float] = (0.0, 0.0)
    shift_sd_px: tuple[float, float] = (0.0, 0.0)
    zoom_px: float = 0.0
    shift_px: float = 0.0
    rotation_deg: float = 0.0
    hiccup_chance: float = 0.0
    hiccup_zoom: tuple[float, float] = (0.01, 0.02)
    shake_px: float = 0.0
    shake_deg: float = 0.0

    def __post_init__(self) -> None:
        for name in ("zoom_px", "shift_px", "rotation_deg", "shake_px", "shake_deg"):
            if getattr(self, name) < 0:
                raise ValueError(f"Motion: {name} must not be negative")
        if min(self.shift_sd_px) < 0:
            raise ValueError("Motion: shift_sd_px must not be negative")
        if not 0 <= self.hiccup_chance <= 1:
            raise ValueError(f"Motion: hiccup_chance {self.hiccup_chance} must lie in [0,1]")
        if not 0 <= self.hiccup_zoom[0] <= self.hiccup_zoom[1] < 0.5:
            raise ValueError(f"Motion: hiccup_zoom {self.hiccup_zoom} must be 0 <= low <= high < 0.5")

    def draw(
        self,
        focus: np.ndarray,
        relative_fov: np.ndarray,
        reference: int,
        frame: tuple[int, int],
        picture_width: float,
        random: np.random.Generator,
    ) -> np.ndarray:
        """Coefficients of every slice of one stack against its reference, (N,4): scale, x, y, rotation.

        Args:
            focus: (N,) dioptres.
            relative_fov: (N,) field of view of each slice that the lens alone makes.
            reference: slice that stands still.
            frame: (height, width) of the whole picture in px.
            picture_width: width in px that the pixels of this recipe belong to.
            random: of everything drawn.

        Returns:
            scale: size of things in the slice over their size in the reference; x, y: way of the picture's
            centre in px of ``frame``; rotation in radians.
        """
        count, px = focus.size, frame[1] / picture_width
        ramp = (focus - focus[0]) / (focus[-1] - focus[0])
        fov = relative_fov + self.fov_error + self.fov_error_per_dioptre * focus
        sign = random.choice([-1.0, 1.0], count)
        jump = sign * random.uniform(*self.hiccup_zoom, count)
        fov = fov * (1 + jump * (random.uniform(size=count) < self.hiccup_chance))

        shift = ramp[:, None] * np.array(self.drift_px)
        shift = shift + random.normal(self.shift_mean_px, self.shift_sd_px, (count, 2))
        shift = shift + np.cumsum(random.normal(0, self.shake_px, (count, 2)), axis=0)
        turn = np.cumsum(random.normal(0, np.deg2rad(self.shake_deg), count))
        shift, turn = shift - shift[reference], turn - turn[reference]

        error = random.uniform(-1, 1, (count, 4))
        error[reference] = 0
        zoom = 1 + error[:, 0] * self.zoom_px / (picture_width / 2)
        shift = (shift + error[:, 1:3] * self.shift_px) * px
        turn = turn + error[:, 3] * np.deg2rad(self.rotation_deg)
        return np.column_stack([fov[reference] / fov * zoom, shift, turn])


def motion_matrices(
    coefficients: np.ndarray, frame: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> np.ndarray:
    """Matrices (...,2,3), reference pixel (x,y,1) -> slice pixel, of a crop of the frame.

    Args:
        coefficients: (...,4) scale, x, y, rotation about the frame's centre, as `Motion.draw` makes them.
        frame: (height, width) of the whole picture.
        origin: (row, column) of the crop's first pixel in the frame.
    """
    flat = torch.from_numpy(coefficients.reshape(-1, 4))
    matrices = affine_matrix(flat[:, 1:], ("x", "y", "rotation"), *frame, 1 / flat[:, 0]).numpy()
    corner = np.array(origin[::-1], dtype=np.float64)
    matrices[:, :, 2] += matrices[:, :, :2] @ corner - corner
    return matrices.reshape(*coefficients.shape[:-1], 2, 3)
