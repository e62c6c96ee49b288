"""A lens on its way: where it stands at any time after what it was told, with every fault of its motor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dff.camera import FocusMotor, LensCalibration
from dff.closedloop.policy import Track
from dff.simulator.motor import Motor

CODES = 1000.0  # of an ideal motor over its range


@dataclass(frozen=True)
class Conditions:
    """What the motor meets.

    Args:
        slew: fastest travel [codes/s]; 0: at once.
        temperature_c, pitch_deg: as `dff.camera.FocusMotor.true_focus` takes them.
        offset: codes by which this module stands beside its calibration.
    """

    slew: float = 0.0
    temperature_c: float = 25.0
    pitch_deg: float = 0.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not self.slew >= 0:
            raise ValueError(f"lens: slew {self.slew} codes/s must not be negative; 0 is at once")


@dataclass(frozen=True)
class Timing:
    """The clock of a camera, in seconds.

    Args:
        exposure_s: of one frame; the lens is taken where it stands in the middle of it.
        readout_s: from the end of the exposure until the policy has the frame.
        settle_s: from a command to the start of the next exposure.
    """

    exposure_s: float = 0.01
    readout_s: float = 0.0233
    settle_s: float = 0.05

    def __post_init__(self) -> None:
        for name in ("exposure_s", "readout_s", "settle_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"Timing: {name} must not be negative, got {getattr(self, name)}")


def ideal_motor(track: Track) -> FocusMotor:
    """A motor without faults, 0 to 1000 codes over the track."""
    positions = track.positions - min(track.positions[0], 0.0)  # stage heights may be negative
    codes = (track.positions - track.positions[0]) / track.span * CODES
    return FocusMotor(LensCalibration(positions, codes))


class MovingLens:
    """A lens that is told positions and takes its time.

    The target follows the command by backlash (it stays ``hysteresis`` codes short, and a move within the
    dead zone does not reach the lens at all), runs at no more than the slew rate, and pulls the lens as a
    damped spring of second order; between commands this is exact, whatever the steps of time.

    Args:
        motor: calibration and faults. Its positions are those of the track, less the first where that is
            negative.
        track: where it can be sent.
        index: where it rests at first.
        conditions: what the motor meets.
    """

    def __init__(
        self, motor: FocusMotor, track: Track, index: float = 0.0, conditions: Conditions | None = None
    ) -> None:
        self.motor, self.track = motor, track
        self.conditions = conditions or Conditions()
        self._zero = min(float(track.positions[0]), 0.0)
        self.rest_at(index)

    def rest_at(self, index: float) -> None:
        """Put the lens at ``index``, at rest in the middle of its backlash."""
        self.target = self.code = self._pull = self._code_of(index)
        self.told, self.speed = index, 0.0

    def _code_of(self, index: float) -> float:
        if not 0 <= index <= self.track.last:
            raise ValueError(
                f"focus position {index:.6g}: beyond the lens, whose positions go from 0 to {self.track.last}"
            )
        return float(self.motor.command(self.track.position(index) - self._zero))

    def command(self, index: float) -> None:
        """Send the lens to an index.

        Raises:
            ValueError: beyond the range of the lens.
        """
        code, slack = self._code_of(index), self.motor.hysteresis
        self.told = index
        self.target = min(max(self.target, code - slack), code + slack)

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        slew = self.conditions.slew
        way = self.target - self._pull
        ramp_s = min(seconds, abs(way) / slew) if slew else 0.0
        if ramp_s > 0:
            self._spring(ramp_s, math.copysign(slew, way))
        if ramp_s < seconds:
            self._pull = self.target
            self._spring(seconds - ramp_s, 0.0)

    def _spring(self, seconds: float, rate: float) -> None:
        """The spring for a time in which what pulls it moves at ``rate``: the closed solution."""
        end = self._pull + rate * seconds
        if self.motor.ringing_hz:
            omega, damping = 2 * math.pi * self.motor.ringing_hz, self.motor.damping
            swing, decay = omega * math.sqrt(1 - damping**2), damping * omega
            lag = 2 * damping * rate / omega  # that it trails a steady pull by
            away, drift = self.code - self._pull + lag, self.speed - rate
            side = (drift + decay * away) / swing
            cos, sin = math.cos(swing * seconds), math.sin(swing * seconds)
            left = math.exp(-decay * seconds)
            self.code = end - lag + left * (away * cos + side * sin)
            self.speed = rate + left * (
                (swing * side - decay * away) * cos - (swing * away + decay * side) * sin
            )
        else:
            self.code, self.speed = end, rate
        self._pull = end

    @property
    def position(self) -> float:
        """Where the lens stands now, in the unit of the track, with every fault."""
        at = self.motor.true_focus(
            self.code + self.conditions.offset,
            temperature_c=self.conditions.temperature_c,
            pitch_deg=self.conditions.pitch_deg,
        )
        return float(at) + self._zero

    @property
    def moving(self) -> bool:
        """Whether it is a thousandth of its range or more from its target."""
        codes = np.ptp(self.motor.calibration.motor_code)
        return bool(abs(self.code - self.target) >= 1e-3 * codes)


def drawn_lens(motor: Motor, track: Track, seed: int = 0) -> MovingLens:
    """A lens with the faults of a camera recipe: hysteresis, temperature, pitch and offset are drawn once.

    Its quantum and its ringing come along; the jitter of single moves and the gain error do not.
    """
    random = np.random.default_rng([seed, 1])
    hysteresis = random.uniform(*motor.hysteresis)
    conditions = Conditions(
        temperature_c=random.uniform(*motor.temperature_c),
        pitch_deg=random.uniform(*motor.pitch_deg),
        offset=random.normal(0, motor.offset),
    )
    zero = min(float(track.positions[0]), 0.0)
    ends = float(track.positions[0]) - zero, float(track.positions[-1]) - zero
    return MovingLens(motor.motor(ends, hysteresis), track, conditions=conditions)
