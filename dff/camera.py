"""The camera: lens, focus motor, and the calibration that ties index, dioptre and motor code together."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dff import optics


def _positive(owner: str, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{owner}: {name} must be a positive number, got {value}")


@dataclass(frozen=True)
class Lens:
    """Lens and sensor of a camera, as a thin lens with its own breathing.

    Args:
        focal_length_m: focal length in metres.
        f_number: focal length over aperture diameter.
        pixel_pitch_m: pixel pitch in metres, of the image at hand (so it grows when the image is reduced).
        breathing: change of image scale with focus over that of a thin lens of this focal length.
            Real cameras were measured at 1.2 to 3: internal focusing and field curvature add to it.
    """

    focal_length_m: float
    f_number: float
    pixel_pitch_m: float
    breathing: float = 1.0

    def __post_init__(self) -> None:
        _positive(
            "Lens",
            focal_length_m=self.focal_length_m,
            f_number=self.f_number,
            pixel_pitch_m=self.pixel_pitch_m,
        )
        if not math.isfinite(self.breathing):
            raise ValueError(f"Lens: breathing must be finite, got {self.breathing}")

    def _check_focus(self, focus: Any) -> Any:
        focus = np.asarray(focus, dtype=np.float64)
        if np.any(~np.isfinite(focus)) or np.any(focus < 0):
            raise ValueError("Lens: focus must be finite and >= 0 dioptres")
        if np.any(focus * self.focal_length_m >= 1):
            raise ValueError(
                f"Lens: focus {focus.max():.4g} dioptres is nearer than the focal length "
                f"{self.focal_length_m * 1e3:.4g} mm: no image forms there"
            )
        return focus

    def coc_px(self, dioptre: Any, focus: Any) -> Any:
        """Signed blur diameter [px] of an object at ``dioptre`` when focused at ``focus``; + is nearer."""
        return optics.coc_px(
            np.asarray(dioptre, dtype=np.float64),
            self._check_focus(focus),
            focal_length_m=self.focal_length_m,
            f_number=self.f_number,
            pixel_pitch_m=self.pixel_pitch_m,
        )

    def relative_fov(self, focus: Sequence[float] | np.ndarray) -> np.ndarray:
        """Field of view of each slice over the smallest in the stack, (N,), >= 1 (Won & Jeon 2022, 2.1)."""
        scale = optics.magnification(self.focal_length_m, self._check_focus(focus), self.breathing)
        return np.asarray(scale.max() / scale)

    def depth_of_field(self, focus: float, max_coc_px: float = 1.0) -> tuple[float, float]:
        """Far and near limit [dioptre] of blur up to ``max_coc_px``; far < 0 means beyond infinity."""
        far, near = optics.depth_of_field(
            float(self._check_focus(focus)),
            focal_length_m=self.focal_length_m,
            f_number=self.f_number,
            pixel_pitch_m=self.pixel_pitch_m,
            max_coc_px=max_coc_px,
        )
        return float(far), float(near)

    def hyperfocal(self, max_coc_px: float = 1.0) -> float:
        """Focus [dioptre] at which infinity is blurred by just ``max_coc_px``."""
        return float(
            optics.hyperfocal(
                focal_length_m=self.focal_length_m,
                f_number=self.f_number,
                pixel_pitch_m=self.pixel_pitch_m,
                max_coc_px=max_coc_px,
            )
        )

    def resized(self, scale: float) -> Lens:
        """The same lens for an image resized by ``scale`` (0.5 = half size, pixels twice as large)."""
        _positive("Lens.resized", scale=scale)
        return replace(self, pixel_pitch_m=self.pixel_pitch_m / scale)


def _ladder(owner: str, name: str, values: Sequence[float] | np.ndarray, direction: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size < 2 or not np.all(np.isfinite(array)):
        raise ValueError(f"{owner}: {name} needs at least two finite numbers in one row")
    step = np.diff(array)
    if direction == "either" and not (np.all(step > 0) or np.all(step < 0)):
        raise ValueError(f"{owner}: {name} must rise or fall strictly, so that it can be inverted")
    if direction == "up" and not np.all(step > 0):
        raise ValueError(f"{owner}: {name} must rise strictly (index 0 is the farthest)")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class LensCalibration:
    """Focal index <-> focus <-> motor code, each piecewise linear between the calibrated steps.

    Args:
        focus: (K,) focus of each focal index in dioptres, rising: index 0 is the farthest.
        motor_code: (K,) code sent to the lens driver for each index; strictly monotonic.
        camera: a name, so that a calibration is not used with another camera unnoticed.
        temperature_per_c: codes by which the lens goes too far per degree above 25 C.
        posture: codes by which it goes too far when it looks straight up; scales with sin(pitch).
    """

    focus: np.ndarray
    motor_code: np.ndarray
    camera: str = ""
    temperature_per_c: float = 0.0
    posture: float = 0.0

    def __post_init__(self) -> None:
        focus = _ladder("LensCalibration", "focus", self.focus, "up")
        code = _ladder("LensCalibration", "motor_code", self.motor_code, "either")
        if focus.shape != code.shape:
            raise ValueError(
                f"LensCalibration: {focus.size} focus values but {code.size} motor codes; give one each"
            )
        if focus[0] < 0:
            raise ValueError("LensCalibration: focus must be >= 0 dioptres (0 is infinity)")
        if not (math.isfinite(self.temperature_per_c) and math.isfinite(self.posture)):
            raise ValueError("LensCalibration: temperature_per_c and posture must be finite numbers of codes")
        object.__setattr__(self, "focus", focus)
        object.__setattr__(self, "motor_code", code)

    def focus_of_index(self, index: Any) -> np.ndarray:
        """Focus [dioptre] of a (fractional) focal index, clamped to the calibrated range."""
        return np.interp(index, np.arange(self.focus.size), self.focus)

    def index_of_focus(self, focus: Any) -> np.ndarray:
        """Fractional focal index of a focus [dioptre], clamped to the calibrated range."""
        return np.interp(focus, self.focus, np.arange(self.focus.size))

    def excess(self, temperature_c: float = 25.0, pitch_deg: float = 0.0) -> float:
        """Codes by which temperature and posture carry the lens beyond what it is told."""
        return self.temperature_per_c * (temperature_c - 25.0) + self.posture * math.sin(
            math.radians(pitch_deg)
        )

    def code_of_focus(self, focus: Any, temperature_c: float = 25.0, pitch_deg: float = 0.0) -> np.ndarray:
        """Motor code that brings a focus [dioptre], clamped to the calibrated range, before the offsets."""
        nominal = np.interp(focus, self.focus, self.motor_code)
        return np.asarray(nominal - self.excess(temperature_c, pitch_deg))

    def focus_of_code(self, code: Any, temperature_c: float = 25.0, pitch_deg: float = 0.0) -> np.ndarray:
        """Focus [dioptre] that a motor code brings, clamped to the calibrated range: the inverse."""
        order = np.argsort(self.motor_code)
        reached = np.asarray(code, dtype=np.float64) + self.excess(temperature_c, pitch_deg)
        return np.interp(reached, self.motor_code[order], self.focus[order])

    def save(self, path: str | Path) -> None:
        """Write the calibration as JSON."""
        text = {
            "camera": self.camera,
            "focus_dioptre": self.focus.tolist(),
            "motor_code": self.motor_code.tolist(),
        }
        offsets = {"temperature_per_c": self.temperature_per_c, "posture": self.posture}
        text |= {name: codes for name, codes in offsets.items() if codes}
        Path(path).write_text(json.dumps(text, indent=2) + "\n")

    @classmethod
    def load(cls, path: str | Path, camera: str = "") -> LensCalibration:
        """Read a calibration written by `save`.

        Args:
            camera: name of the camera it is for; "": any.

        Raises:
            FileNotFoundError: no such file.
            ValueError: no calibration, or one of another camera.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such calibration file")
        try:
            raw = json.loads(path.read_text())
            found = cls(
                raw["focus_dioptre"],
                raw["motor_code"],
                raw.get("camera", ""),
                float(raw.get("temperature_per_c", 0.0)),
                float(raw.get("posture", 0.0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: not a lens calibration ({type(error).__name__}: {error}); "
                "it needs focus_dioptre and motor_code"
            ) from None
        if camera and found.camera != camera:
            named = f"of camera {found.camera!r}" if found.camera else "of no named camera"
            raise ValueError(f"{path}: a calibration {named}, not of {camera!r}; give the one of this camera")
        return found


@dataclass(frozen=True)
class FocusMotor:
    """A voice-coil focus motor: what it is told, and where the lens really goes.

    Args:
        calibration: the nominal code <-> dioptre map.
        quantum: codes are rounded to multiples of this (0 = continuous).
        hysteresis: the lens stops this many codes short of the target, on the side it came from.
        ringing_hz, damping: natural frequency and damping ratio (< 1) of the settling oscillation.
        temperature_per_c: codes of drift per degree from 25 C.
        posture: codes of sag when the lens looks straight up (+) or down (-); scales with sin(pitch).
    """

    calibration: LensCalibration
    quantum: float = 0.0
    hysteresis: float = 0.0
    ringing_hz: float = 0.0
    damping: float = 0.2
    temperature_per_c: float = 0.0
    posture: float = 0.0

    def __post_init__(self) -> None:
        for name in ("quantum", "hysteresis", "ringing_hz"):
            if getattr(self, name) < 0:
                raise ValueError(f"FocusMotor: {name} must not be negative")
        if not 0 < self.damping < 1:
            raise ValueError("FocusMotor: damping is a ratio between 0 and 1 (under-damped spring)")

    def command(self, focus: Any) -> np.ndarray:
        """Motor code sent for ``focus`` [dioptre], rounded to the quantum."""
        code = self.calibration.code_of_focus(focus)
        return np.asarray(np.round(code / self.quantum) * self.quantum if self.quantum else code)

    def true_focus(
        self, code: Any, previous_code: Any = None, *, temperature_c: float = 25.0, pitch_deg: float = 0.0
    ) -> np.ndarray:
        """Focus [dioptre] the settled lens really has at ``code``, with every fault of this motor."""
        reached = np.asarray(code, dtype=np.float64)
        if previous_code is not None:
            travel = reached - previous_code
            reached = reached - np.sign(travel) * np.minimum(self.hysteresis, np.abs(travel))
        reached = reached + self.temperature_per_c * (temperature_c - 25.0)
        reached = reached + self.posture * math.sin(math.radians(pitch_deg))
        return self.calibration.focus_of_code(reached)

    def trajectory(self, start_code: float, target_code: float, time_s: Any) -> np.ndarray:
        """Code of the lens ``time_s`` after a step: an under-damped second-order settling (or a jump)."""
        time_s = np.asarray(time_s, dtype=np.float64)
        if not self.ringing_hz:
            return np.where(time_s < 0, start_code, target_code).astype(np.float64)
        omega = 2 * math.pi * self.ringing_hz
        damped = omega * math.sqrt(1 - self.damping**2)
        decay = np.exp(-self.damping * omega * np.maximum(time_s, 0))
        swing = np.cos(damped * time_s) + self.damping * omega / damped * np.sin(damped * time_s)
        left = np.where(time_s < 0, 1.0, decay * swing)
        return np.asarray(target_code + (start_code - target_code) * left)
