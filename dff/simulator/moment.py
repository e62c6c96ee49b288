"""One frame of a sweep with the lens anywhere: the moment of a sweep at a position between its slices."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from dff.simulator.camera_model import CameraModel
from dff.simulator.camera_prior import Camera
from dff.simulator.motion import motion_matrices
from dff.simulator.sensor import Sensor, SensorDraw
from dff.simulator.sweep import Sweep

_STILL = 1e-9  # rounding errors of a picture that does not move
_PLACE = ("exposure", "corner_loss", "contrast")  # settings that change along the sweep


@dataclass(frozen=True)
class _Drawn(Sensor):
    """A sensor whose settings were drawn for the whole sweep; a frame takes those of its place in it."""

    settings: SensorDraw | None = None

    def draw(
        self, generator: torch.Generator, batch: int, n_slices: int, ramp: Tensor | None = None
    ) -> SensorDraw:
        assert self.settings is not None
        return self.settings


@dataclass(frozen=True, eq=False)
class _Moment(Sweep):
    """A sweep of one slice, which has no first and last."""

    @property
    def ramp(self) -> np.ndarray:
        return np.zeros_like(self.focus)


def without_motor_errors(camera: Camera) -> Camera:
    """The camera with a focus motor that goes where it is told."""
    if isinstance(camera, CameraModel):
        return replace(camera, motor=None)
    return replace(camera, focus_error_steps=0.0)


def moment(sweep: Sweep, settings: SensorDraw, position: float) -> Sweep:
    """A sweep of one slice: what the camera of stack 0 of ``sweep`` sees with the lens at ``position``.

    Args:
        sweep: its lens must be known; motion and sensor settings are read off between its slices, and end
            with them.
        settings: what the sensor drew for the sweep, so that all frames share it.
        position: where the lens stands [dioptre], also past the ends of the sweep.

    Raises:
        ValueError: a sweep whose lens is not known.
    """
    lens = sweep.lenses[0]
    if lens is None:
        raise ValueError("moment: the lens of this sweep is not known; use a camera that states one")
    at = np.arange(sweep.focus.shape[1])
    index = float(np.interp(position, sweep.focus[0], at))
    coefficients = np.array([[[np.interp(index, at, one) for one in sweep.coefficients[0].T]]])
    matrices = motion_matrices(coefficients, sweep.frame, sweep.origin)
    matrices = np.where(np.abs(matrices - np.eye(2, 3)) < _STILL, np.eye(2, 3), matrices)
    here = np.array([[position]])
    drawn = {one.name: getattr(sweep.sensor, one.name) for one in fields(Sensor)}
    # the gain belongs to where the lens stands, which may be past the ends of the sweep
    gain = np.asarray(lens.coc_px(here + 1, here))
    changed = {
        "focus": here,
        "true_focus": here,
        "coc_px_per_dioptre": gain,
        "coefficients": coefficients,
        "matrices": matrices,
        "sensor": _Drawn(**drawn, settings=_settings_at(settings, index, int(at[-1]))),
    }
    return _Moment(**{one.name: getattr(sweep, one.name) for one in fields(Sweep)} | changed)


def _settings_at(settings: SensorDraw, index: float, last: int) -> SensorDraw:
    """The sensor's settings at one place of the sweep; mains light flickers as at the nearest slice."""
    low = int(index)
    high, share = min(low + 1, last), index - low
    between = {
        name: (1 - share) * values[:, low : low + 1] + share * values[:, high : high + 1]
        for name in _PLACE
        for values in [getattr(settings, name)]
    }
    return replace(settings, **between, flicker_phase=settings.flicker_phase[:, [round(index)]])
