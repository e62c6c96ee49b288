"""What an autofocus policy is: it observes frames and answers move, stop or fail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from dff.stack import UNIT_WORDS, Unit


@dataclass(frozen=True, eq=False)
class Track:
    """The positions a lens can be sent to. Policies speak of focal indices, whole or between two, 0 to K-1.

    Args:
        positions: (K,) rising: dioptres, micrometres of stage height, or the indices themselves.
        unit: what they are.

    Raises:
        ValueError: fewer than two positions, or some that do not rise.
    """

    positions: np.ndarray
    unit: Unit = "dioptre"

    def __post_init__(self) -> None:
        positions = np.array(self.positions, dtype=np.float64).reshape(-1)
        if positions.size < 2:
            raise ValueError(f"autofocus needs at least 2 lens positions, got {positions.size}")
        if not np.all(np.isfinite(positions)) or np.any(np.diff(positions) <= 0):
            raise ValueError(f"lens positions [{UNIT_WORDS[self.unit]}] must be finite and rise strictly")
        positions.setflags(write=False)
        object.__setattr__(self, "positions", positions)

    def __len__(self) -> int:
        return int(self.positions.size)

    @property
    def last(self) -> int:
        """The largest index."""
        return len(self) - 1

    @property
    def span(self) -> float:
        """From the first to the last position, in ``unit``."""
        return float(self.positions[-1] - self.positions[0])

    def position(self, index: float) -> float:
        """Position, in ``unit``, of an index within 0 to K-1."""
        return float(np.interp(index, np.arange(len(self)), self.positions))

    def index(self, position: float) -> float:
        """Index of a position; what lies beyond an end is that end."""
        return float(np.interp(position, self.positions, np.arange(len(self))))

    def clamped(self, index: float) -> float:
        """The nearest index within range."""
        return float(min(max(index, 0.0), self.last))


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture that the lens's camera took.

    Args:
        index: where the lens was told to stand; where it stood is not known to a policy.
        sharpness: contrast of the region, >= 0, larger is sharper.
        picture: (H,W) luma of the region in [0,1], or None.
        halves: what the left and the right half of a dual-pixel sensor saw of it, (H,W) each, or None.
        time_s: when the picture was at hand.
    """

    index: float
    sharpness: float
    picture: np.ndarray | None = None
    halves: tuple[np.ndarray, np.ndarray] | None = None
    time_s: float = 0.0


@dataclass(frozen=True)
class Move:
    """Go to ``index`` and show a frame from there; to the same index: show another frame."""

    index: float


@dataclass(frozen=True)
class Stop:
    """Focus is at ``index``; the lens goes there if it is elsewhere."""

    index: float


@dataclass(frozen=True)
class Fail:
    """No focus was found; the lens rests at ``index``, the best guess."""

    index: float
    reason: str


Action = Move | Stop | Fail
End = Stop | Fail


class Policy(ABC):
    """Brings a lens into focus. Call `begin`, then `observe` with the frame at the start and one per move.

    Args:
        name: for reports.
        halves: whether it needs frames of a dual-pixel sensor.
    """

    def __init__(self, name: str, halves: bool = False) -> None:
        self.name, self.halves = name, halves

    @abstractmethod
    def begin(self, track: Track, random: np.random.Generator) -> None:
        """Forget what was, and get ready for a lens."""

    @abstractmethod
    def observe(self, frame: Frame) -> Action:
        """What to do now that ``frame`` was seen."""


class Look:
    """What a script has seen: each index is captured once, then remembered.

    Args:
        frame: the first.
    """

    def __init__(self, frame: Frame) -> None:
        self.frames = {frame.index: frame}

    def at(self, index: float) -> Generator[Move, Frame, Frame]:
        """The frame at ``index``, captured if need be."""
        if index not in self.frames:
            self.frames[index] = yield Move(index)
        return self.frames[index]

    def sharpness(self, index: float) -> Generator[Move, Frame, float]:
        """Its sharpness."""
        return (yield from self.at(index)).sharpness

    @property
    def best(self) -> float:
        """Index of the sharpest frame so far; of equal ones the first seen."""
        return max(self.frames.values(), key=lambda frame: frame.sharpness).index


Script = Generator[Move, Frame, End]


class Scripted(Policy):
    """A policy written as a generator: it yields moves, is sent the frames, and returns the end.

    Args:
        name: for reports.
        script: called with (track, first frame, random).
        halves: as of any policy.
    """

    def __init__(
        self,
        name: str,
        script: Callable[[Track, Frame, np.random.Generator], Script],
        halves: bool = False,
    ) -> None:
        super().__init__(name, halves)
        self._script = script
        self._running: Script | None = None
        self._setting: tuple[Track, np.random.Generator] | None = None

    def begin(self, track: Track, random: np.random.Generator) -> None:
        self._setting, self._running = (track, random), None

    def observe(self, frame: Frame) -> Action:
        assert self._setting is not None, "begin comes first"
        try:
            if self._running is None:
                track, random = self._setting
                self._running = self._script(track, frame, random)
                return next(self._running)
            return self._running.send(frame)
        except StopIteration as end:
            return end.value
