"""The loop: one policy, one camera, one start, until focus is found, given up, or the guard steps in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from dff.closedloop.controller import Controller, Guard, State
from dff.closedloop.policy import Frame, Move, Policy, Track


class DeviceGoneError(OSError):
    """A real lens or camera no longer answers."""


class Shooter(Protocol):
    """What the loop needs of a camera; `dff.closedloop.drive.Camera` tells what each part does.

    Attributes:
        track: where its lens can be sent.
        halves: set by the loop: whether the policy wants dual-pixel frames.
        exposed_at: position of the lens when the last frame was exposed, as far as it is known.
        time_s: since the start.
    """

    track: Track
    halves: bool
    exposed_at: float
    time_s: float

    @property
    def position(self) -> float: ...

    def restart(self, index: float, repeat: int = 0) -> None: ...

    def move(self, index: float) -> None: ...

    def frame(self) -> Frame: ...


@dataclass(frozen=True)
class Sight:
    """One place of a trajectory.

    Args:
        time_s: when the frame was at hand; of the last place, when the lens had settled.
        told: index the lens was sent to.
        position: where it stood when the frame was exposed, in the track's unit.
        sharpness: of the frame; NaN of the last place, of which no frame was taken.
    """

    time_s: float
    told: float
    position: float
    sharpness: float


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What one run did.

    Args:
        policy, start, repeat: which run it was.
        state: Focused or Failed.
        reason: why it failed, or "".
        hunted: whether the guard stopped it, for coming back again and again or for not coming to an end.
        sights: places in order, the start first, and where the lens rests last.
    """

    policy: str
    start: float
    repeat: int
    state: State
    reason: str
    hunted: bool
    sights: tuple[Sight, ...] = field(repr=False)

    @property
    def captures(self) -> int:
        """Frames after the one at the start."""
        return len(self.sights) - 2


def run(
    policy: Policy,
    camera: Shooter,
    start: float,
    *,
    repeat: int = 0,
    seed: int = 0,
    guard: Guard | None = None,
) -> Trajectory:
    """Focus once from ``start`` [index].

    Args:
        repeat: picks other noise, and other draws of policies that draw.
        seed: of those draws.
        guard: what makes it fail.

    Returns:
        What was done; Failed, with all that was seen so far, where a device has gone on the way.

    Raises:
        ValueError: a start or a move beyond the range of the lens.
        DeviceGoneError: a device that does not answer at all.
    """
    camera.restart(start, repeat)
    camera.halves = policy.halves
    controller = Controller(
        policy, camera.track, guard, np.random.default_rng([seed, repeat, round(1000 * start)])
    )
    sights: list[Sight] = []
    state, reason, rest = State.FAILED, "", start
    try:
        while True:
            frame = camera.frame()
            sights.append(Sight(frame.time_s, frame.index, camera.exposed_at, frame.sharpness))
            action = controller.observe(frame)
            camera.move(action.index)
            rest = action.index
            if not isinstance(action, Move):
                state, reason = controller.state, controller.reason
                break
    except DeviceGoneError as gone:
        if not sights:
            raise
        reason = str(gone)
    sights.append(Sight(camera.time_s, rest, camera.position, float("nan")))
    return Trajectory(policy.name, start, repeat, state, reason, controller.stopped, tuple(sights))


def runs(
    policy: Policy,
    camera: Shooter,
    starts: Iterable[float],
    repeats: int = 1,
    *,
    seed: int = 0,
    guard: Guard | None = None,
) -> list[Trajectory]:
    """`run` from every start, ``repeats`` times with other noise: repeat by repeat, then start by start."""
    if repeats < 1:
        raise ValueError(f"{repeats} repeats; give 1 or more")
    starts = list(starts)
    return [
        run(policy, camera, start, repeat=repeat, seed=seed, guard=guard)
        for repeat in range(repeats)
        for start in starts
    ]
