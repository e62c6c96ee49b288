"""All-in-focus capture of a still scene: which positions to take, one after the other (Wang et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dff.capture.activation import Activation
from dff.capture.deviation import Deviation, gains, in_focus, signs, within
from dff.capture.estimators import Estimator
from dff.capture.scene import Scene, Shot

ALL_IN_FOCUS = "everything was in focus once"
OUT_OF_RANGE = "what is left is beyond the lens's range"
NOTHING_NEW = "no place away from those visited is expected to add anything"
_BINS_PER_HALF_DEPTH = 2  # bins overlap, so that no cluster is cut by a fixed grid
_COUNTED = 16_000  # pixels that a histogram is made of, about


@dataclass(frozen=True)
class StillConfig:
    """How capture begins and ends.

    Args:
        budget: most captures; None: half of those of a uniform sweep, and as many as it opens with at least.
        opening: captures at evenly spread positions before the estimator is asked.
        enough: share of the weight that may stay out of focus.
        least_gain: share of the weight that a capture must be expected to add.
        replan: ask the estimator again after every capture; otherwise once, after the opening, which makes it
            a coarse sweep and a second one of the depths that it found (as Vaquero et al. 2011). Only with
            estimators that tell signs.
    """

    budget: int | None = None
    opening: int = 3
    enough: float = 0.02
    least_gain: float = 0.005
    replan: bool = True

    def __post_init__(self) -> None:
        if self.opening < 1 or (self.budget is not None and self.budget < 1):
            raise ValueError(f"captures: opening {self.opening}, budget {self.budget}; give 1 or more")
        if not 0 <= self.enough < 1:
            raise ValueError(f"captures: enough {self.enough} must lie in [0,1)")


@dataclass(frozen=True, eq=False)
class Capture:
    """What was captured, and why it ended.

    Args:
        shots: in the order they were taken.
        targets: (h,w) where every pixel is in focus, as last estimated; None: nothing was estimated.
        activation: (h,w) bool, pixels in focus in some shot, as far as the camera knows; None likewise.
        weight: (h,w) in [0,1] how much that is believed; None likewise.
        reason: why it ended.
    """

    shots: list[Shot] = field(repr=False)
    targets: np.ndarray | None = field(repr=False)
    activation: np.ndarray | None = field(repr=False)
    weight: np.ndarray | None = field(repr=False)
    reason: str

    @property
    def positions(self) -> list[float]:
        """Where the lens stood, in the order of the shots."""
        return [shot.position for shot in self.shots]


def uniform_positions(scene: Scene) -> list[float]:
    """Positions whose depths of field cover the whole range without gaps: what a uniform sweep takes."""
    low, high = float(scene.track.positions[0]), float(scene.track.positions[-1])
    found: list[float] = []
    edge = low
    while edge < high * (1 - 1e-12) - 1e-12:
        # that of the place itself must reach back to the edge: it shrinks towards the near end
        half = scene.half_depth(min(edge + scene.half_depth(edge), high))
        here = scene.stand(min(edge + half, high))
        if found and here <= found[-1]:
            break
        found.append(here)
        edge = here + scene.half_depth(here)
    return found


def spread_positions(scene: Scene, count: int) -> list[float]:
    """``count`` positions over the range, whose ends the outer ones just hold; one alone is in the middle."""
    low, high = float(scene.track.positions[0]), float(scene.track.positions[-1])
    if count == 1:
        return [scene.stand((low + high) / 2)]
    inset = min(scene.half_depth(low), (high - low) / 4)
    places = np.linspace(low + inset, high - inset, count)
    return list(dict.fromkeys(scene.stand(float(place)) for place in places))


def capture_still(
    scene: Scene, estimator: Estimator, config: StillConfig | None = None, *, start: float | None = None
) -> Capture:
    """Capture until everything was in focus once, as far as the camera can tell.

    Opens with evenly spread shots, or with one from ``start`` where the estimator speaks of single shots.
    Then: deviation matrix, its signs, in-focus mask, activation matrix, histogram of what is left with bins
    as wide as the depth of field, and a move to the centre of the fullest. It ends where little is left,
    where the next place is within the depth of field of one that was visited, or with the budget.

    Args:
        scene: what to capture.
        estimator: of the deviations.
        start: position of the first shot of an estimator that needs but one; None: the middle.
    """
    config = config or StillConfig()
    least = max(estimator.needs, 1 if estimator.needs == 1 else config.opening)
    budget = config.budget or max(least, len(uniform_positions(scene)) // 2)
    first = spread_positions(scene, least) if start is None or least > 1 else [scene.stand(start)]
    shots: list[Shot] = []
    state = _State(scene, config)
    for position in first[:budget]:
        shots.append(scene.take(position))
        if len(shots) >= estimator.needs and estimator.needs == 1:
            state.observe(shots, estimator(shots))
    if len(shots) < estimator.needs:
        return Capture(
            shots, None, None, None, f"the budget of {budget} captures ends before anything is known"
        )
    if estimator.needs > 1:
        state.observe(shots, estimator(shots))
    while True:
        place, reason = state.next_place(shots)
        if place is None:
            break
        if len(shots) >= budget:
            reason = f"the budget of {budget} captures"
            break
        shots.append(scene.take(place))
        if config.replan:
            state.observe(shots, estimator(shots))
        else:
            state.judge(shots)
    return Capture(shots, state.targets, state.covered >= 0.5, state.weight, reason)


class _State:
    """What is known between captures."""

    def __init__(self, scene: Scene, config: StillConfig) -> None:
        self.scene, self.config = scene, config
        self._kept = Activation()
        self._before: tuple[float, np.ndarray] | None = None
        self.targets: np.ndarray
        self.covered: np.ndarray
        self._found: Deviation

    def observe(self, shots: Sequence[Shot], found: Deviation) -> None:
        """Take in the deviation of the last shot.

        An estimate with signs has seen all shots: it judges the earlier ones anew. Of single shots, what was
        once in focus stays so (Eq. 9).
        """
        here, values = shots[-1].position, found.values
        self._found = found
        if found.signed:
            self.targets = here + values
            self.judge(shots)
            return
        values = np.abs(values)
        if self._before is not None:
            there, before = self._before
            values = values * signs(values, np.abs(before), here - there, before)
        self._before = here, values
        self.targets = here + values
        self.covered = self._kept.add(in_focus(values, self.scene.half_depth(here))).astype(np.float64)

    def judge(self, shots: Sequence[Shot]) -> None:
        """What the shots have in focus, by the estimate at hand, which must have signs."""
        spans = [self._span(shot.position) for shot in shots]
        self.covered = within(self.targets, self._found.error, spans)

    @property
    def weight(self) -> np.ndarray:
        return self._found.weight

    def _span(self, position: float) -> tuple[float, float]:
        half = self.scene.half_depth(position)
        return position - half, position + half

    def next_place(self, shots: Sequence[Shot]) -> tuple[float | None, str]:
        """Where to go, or None, and why it ends."""
        low, high = float(self.scene.track.positions[0]), float(self.scene.track.positions[-1])
        ends = self._span(low)[0], self._span(high)[1]
        inside = (self.targets >= ends[0]) & (self.targets <= ends[1])
        rest = self.weight * (1 - self.covered)
        enough = self.config.enough * self.weight.sum()
        if (rest * inside).sum() <= enough:
            return None, OUT_OF_RANGE if (rest * ~inside).sum() > enough else ALL_IN_FOCUS
        grid = np.arange(low, high, self.scene.half_depth(low) / _BINS_PER_HALF_DEPTH)
        stands = dict.fromkeys(self.scene.stand(float(place)) for place in (*grid, high))
        taken = [shot.position for shot in shots]
        fresh = [
            place
            for place in stands
            if min(abs(place - one) for one in taken) > self.scene.half_depth(place) * (1 - 1e-9)
        ]
        if not fresh:
            return None, NOTHING_NEW
        found = self._found
        step = max(1, round((found.values.size / _COUNTED) ** 0.5))
        thin = np.s_[::step, ::step]
        error = None if found.error is None else found.error[thin]
        # with signs the spans say what is done; without, the activation matrix does
        weight, spans = self.weight[thin], [self._span(place) for place in taken]
        if not found.signed:
            weight, spans = weight * (1 - self.covered[thin]), []
        counts = gains(self.targets[thin], error, weight, spans, [self._span(place) for place in fresh])
        best = int(counts.argmax())
        if counts[best] * weight.sum() < self.config.least_gain * self.weight[thin].sum():
            return None, NOTHING_NEW
        return fresh[best], ""
