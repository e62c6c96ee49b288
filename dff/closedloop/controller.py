"""The state machine round a policy: Scanning, then Focused or Failed, and never hunting for ever."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from dff.closedloop.policy import Action, End, Fail, Frame, Move, Policy, Stop, Track


class State(Enum):
    """Where autofocus stands."""

    SCANNING = "scanning"
    FOCUSED = "focused"
    FAILED = "failed"


@dataclass(frozen=True)
class Guard:
    """What makes a policy fail that does not come to an end, and what starts one again.

    Args:
        most_captures: frames after the first; None: four times the number of positions, 100 at least.
        most_returns: how often the lens may turn round and come back to within half a position of where it
            took a frame before; a sweep over many such places is one return. Searches that remember what
            they saw do not return at all.
        retrigger_ratio: a settled lens watches: once sharpness is below this share of what it was, or that
            is below this share of it, the scene has changed. 0: never.
        retrigger_frames: frames the changed scene must be stable for, to that ratio, before the policy begins
            anew.
    """

    most_captures: int | None = None
    most_returns: int = 4
    retrigger_ratio: float = 0.8
    retrigger_frames: int = 10

    def __post_init__(self) -> None:
        if self.most_captures is not None and self.most_captures < 1:
            raise ValueError(f"Guard: most_captures {self.most_captures}; give 1 or more")
        if self.most_returns < 0 or self.retrigger_frames < 1 or not 0 <= self.retrigger_ratio < 1:
            raise ValueError(
                "Guard: most_returns must be >= 0, retrigger_frames >= 1 and retrigger_ratio in [0,1)"
            )

    def limit(self, track: Track) -> int:
        """Captures on a track."""
        return max(100, 4 * len(track)) if self.most_captures is None else self.most_captures


class Controller:
    """Drives any policy frame by frame; `observe` returns where the lens should be for the next frame.

    Args:
        policy: what decides.
        track: where the lens can go.
        guard: what ends it.
        random: for policies that draw.

    Attributes:
        state: Scanning until the policy ends; then Focused or Failed, until the scene changes.
        reason: why it failed, or "".
        stopped: whether the guard ended the scan, not the policy.
        scans: how often the policy was begun.
        returns: how often the lens came back to an earlier place in this scan.
    """

    def __init__(
        self,
        policy: Policy,
        track: Track,
        guard: Guard | None = None,
        random: np.random.Generator | None = None,
    ) -> None:
        self.policy, self.track, self.guard = policy, track, guard or Guard()
        self._random = np.random.default_rng(0) if random is None else random
        self.scans = 0
        self._begin()

    def _begin(self) -> None:
        self.state, self.reason, self.rest = State.SCANNING, "", 0.0
        self.scans += 1
        self.returns, self._way, self._returned = 0, 0.0, False
        self.stopped = False
        self._frames: list[Frame] = []
        self._settled: float | None = None
        self._changed: list[float] = []
        self.policy.begin(self.track, self._random)

    def observe(self, frame: Frame) -> Action:
        """What to do after ``frame``; a settled lens is told to stay, Move to where it is."""
        if self.state is not State.SCANNING:
            if not self._scene_changed(frame):
                return Move(self.rest)
            self._begin()
        self._count(frame)
        action = self.policy.observe(frame)
        if isinstance(action, Move):
            if self.returns > self.guard.most_returns:
                action = self._failed(f"hunting: back at earlier positions {self.returns} times")
            elif len(self._frames) > self.guard.limit(self.track):
                action = self._failed(f"no end after {len(self._frames) - 1} captures")
        if not isinstance(action, Move):
            self._end(action)
        return action

    def _count(self, frame: Frame) -> None:
        if self._frames and abs(step := frame.index - self._frames[-1].index) > 0.5:
            if step * self._way <= 0:
                self._way, self._returned = step, False
            if not self._returned and any(abs(frame.index - one.index) <= 0.5 for one in self._frames):
                self._returned = True
                self.returns += 1
        self._frames.append(frame)

    def _failed(self, reason: str) -> Fail:
        self.stopped = True
        return Fail(max(self._frames, key=lambda frame: frame.sharpness).index, reason)

    def _end(self, action: End) -> None:
        self.state = State.FOCUSED if isinstance(action, Stop) else State.FAILED
        self.reason = action.reason if isinstance(action, Fail) else ""
        self.rest = action.index

    def _scene_changed(self, frame: Frame) -> bool:
        """Whether sharpness has changed since the lens came to rest, and has become stable again."""
        if self._settled is None:
            self._settled = frame.sharpness
            return False
        ratio = self.guard.retrigger_ratio
        if _share(frame.sharpness, self._settled) >= ratio:
            self._changed = []
            return False
        if self._changed and _share(frame.sharpness, self._changed[0]) < ratio:
            self._changed = []
        self._changed.append(frame.sharpness)
        return len(self._changed) > self.guard.retrigger_frames


def _share(a: float, b: float) -> float:
    """The smaller of two sharpnesses over the larger; 1 of two that are nothing."""
    return min(a, b) / max(a, b) if max(a, b) > 0 else 1.0
