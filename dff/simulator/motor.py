"""The focus motor in a sweep: what the lens is told, and where it really stands when the picture is taken."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dff.camera import FocusMotor, LensCalibration

BEYOND = 0.25  # share of the ladder's range that the motor can travel past the near end
REST_C = 25.0  # temperature [C] of the calibration


@dataclass(frozen=True)
class Motor:
    """A voice coil with its errors; codes are spread evenly over the ladder's dioptres.

    Args:
        code_far, code_near: codes of the far and the near end of the camera's ladder.
        quantum: codes are rounded to multiples of this.
        hysteresis: codes by which the lens stops short, on the side it comes from; drawn per stack from
            this (low, high).
        ringing_hz, damping: settling oscillation; ``settle_s``: time from command to exposure.
        jitter: deviation in codes of every single move.
        offset: deviation in codes of a whole stack (calibration of the module, wear).
        gain: deviation of the share by which travel is longer or shorter than told, per stack.
        temperature_per_c, temperature_c: codes of drift per degree from 25 C; temperature drawn per stack.
        posture, pitch_deg: codes of sag when looking straight up; pitch drawn per stack.
    """

    code_far: float = 0.0
    code_near: float = 1000.0
    quantum: float = 1.0
    hysteresis: tuple[float, float] = (0.0, 0.0)
    ringing_hz: float = 0.0
    damping: float = 0.2
    settle_s: float = 0.05
    jitter: float = 0.0
    offset: float = 0.0
    gain: float = 0.0
    temperature_per_c: float = 0.0
    temperature_c: tuple[float, float] = (REST_C, REST_C)
    posture: float = 0.0
    pitch_deg: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.code_far == self.code_near:
            raise ValueError("Motor: code_far and code_near must differ")
        for name in ("jitter", "offset", "gain", "settle_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"Motor: {name} must not be negative")
        for name in ("hysteresis", "temperature_c", "pitch_deg"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"Motor: {name} ({low}, {high}) must be low <= high")
        if self.hysteresis[0] < 0:
            raise ValueError("Motor: hysteresis must not be negative")
        self.motor((0.0, 1.0), 0.0)  # refuses a quantum, a damping or a frequency that cannot be

    def motor(self, ends: tuple[float, float], hysteresis: float) -> FocusMotor:
        """The motor on a ladder from ``ends[0]`` to ``ends[1]`` dioptres."""
        span = ends[1] - ends[0]
        focus = np.array([max(0.0, ends[0] - BEYOND * span), ends[1] + BEYOND * span])
        code = self.code_far + (focus - ends[0]) / span * (self.code_near - self.code_far)
        calibration = LensCalibration(focus, code)
        return FocusMotor(
            calibration,
            self.quantum,
            hysteresis,
            self.ringing_hz,
            self.damping,
            self.temperature_per_c,
            self.posture,
        )

    def true_focus(
        self, focus: np.ndarray, ends: tuple[float, float], random: np.random.Generator
    ) -> MotorDraw:
        """Where the lens stands in each slice of a sweep from far to near that starts at rest at the far end.

        Args:
            focus: (N,) dioptres the sweep asks for, and reports.
            ends: far and near end [dioptre] of the camera's ladder.
            random: of everything drawn.
        """
        hysteresis = random.uniform(*self.hysteresis)
        temperature_c = random.uniform(*self.temperature_c)
        pitch_deg = random.uniform(*self.pitch_deg)
        offset, gain = random.normal(0, self.offset), random.normal(1, self.gain)
        motor = self.motor(ends, hysteresis)
        code = motor.command(focus)
        before = np.concatenate([[motor.command(ends[0])], code[:-1]])
        there = [
            float(motor.trajectory(start, target, self.settle_s))
            for start, target in zip(before, code, strict=True)
        ]
        reached = self.code_far + gain * (np.array(there) - self.code_far) + offset
        reached += random.normal(0, self.jitter, focus.size)
        # the spring lags behind the move, whatever else is wrong with it
        lag = before + (reached - code)
        true = motor.true_focus(reached, lag, temperature_c=temperature_c, pitch_deg=pitch_deg)
        return MotorDraw(true, code, hysteresis, temperature_c, pitch_deg, float(offset), float(gain))


@dataclass(frozen=True, eq=False)
class MotorDraw:
    """One sweep of a motor: true focus (N,) [dioptre], codes told (N,), and what was drawn for the stack."""

    focus: np.ndarray
    code: np.ndarray = field(repr=False)
    hysteresis: float
    temperature_c: float
    pitch_deg: float
    offset: float
    gain: float

    def describe(self) -> dict[str, float]:
        """What was drawn for the stack, by name."""
        names = ("hysteresis", "temperature_c", "pitch_deg", "offset", "gain")
        return {f"motor_{name}": float(getattr(self, name)) for name in names}
