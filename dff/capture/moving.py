"""All-in-focus capture of a moving scene: one shot and one fused picture per time step (Wang et al. 2021).

Earlier shots and the picture fused before are carried to the new shot by optical flow, and give what the shot
lacks wherever they agree with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from dff.capture.activation import Activation
from dff.capture.course import Course, course_between
from dff.capture.deviation import Deviation, gains, in_focus
from dff.capture.estimators import Estimator
from dff.capture.scene import Scene, Shot
from dff.capture.still import spread_positions
from dff.capture.transfer import Carried, moved, transfer


@dataclass(frozen=True)
class MovingConfig:
    """How a moving scene is captured.

    Args:
        memory: k of the activation matrix: pixels in focus in this shot or the ``memory`` before it need none
            now; 0 is the greedy strategy.
        worth: share of the weight that a capture must be expected to bring into focus. Where the fullest bin
            holds less, the oldest mask is dropped for this step: seeing again what is large serves the next
            pictures better than chasing what is left.
        opening: shots at evenly spread positions at the start, one per time step as all others.
        recall: shots from different places, the last included, that the estimator is shown.
    """

    memory: int = 1
    worth: float = 0.08
    opening: int = 3
    recall: int = 5

    def __post_init__(self) -> None:
        if self.memory < 0 or self.opening < 1 or self.recall < 2:
            raise ValueError("MovingConfig: memory must be 0 or more, opening 1 or more, recall 2 or more")


@dataclass(frozen=True, eq=False)
class MovingFrame:
    """One time step.

    Args:
        shot: what was captured.
        fused: (H,W,3) or (H,W), sharp wherever a shot of late was, in the dtype of the shots.
        activation: (H,W) bool, U, or None before anything is known.
    """

    shot: Shot
    fused: np.ndarray = field(repr=False)
    activation: np.ndarray | None = field(repr=False)


def capture_moving(
    scene: Scene, estimator: Estimator, steps: int, config: MovingConfig | None = None
) -> Iterator[MovingFrame]:
    """Capture once per time step where the most pixels need it, and fuse (Algorithm 2).

    Earlier shots and masks are carried to the newest by optical flow: they belong to things, wherever these
    have gone.

    Args:
        scene: moves from step to step.
        estimator: one that tells signs (`DepthEstimator`, or `Agreed` for single shots).
        steps: time steps.

    Raises:
        ValueError: no steps.
    """
    if steps < 1:
        raise ValueError(f"{steps} time steps; give 1 or more")
    config = config or MovingConfig()
    first = spread_positions(scene, max(config.opening, estimator.needs))
    recent: list[Carried] = []
    course: Course | None = None
    masks: list[np.ndarray] = []
    fused: np.ndarray | None = None
    place = first[0]
    for step in range(steps):
        shot = scene.take(place, step)
        if fused is None:
            fused = shot.picture
        else:
            course = course_between(shot.picture, fused, course)
            flow = course.flow
            recent = [one.on(flow).matched_to(shot.picture) for one in recent]
            masks = [moved(mask.astype(np.float32), flow) > 0.5 for mask in masks]
            before, fused = moved(fused, flow), shot.picture
            for one in (*reversed([one.seen().picture for one in recent]), before):
                fused = transfer(fused, one)
        # of one place the newest: a lens that stays must not forget what it saw elsewhere
        half = scene.half_depth(shot.position)
        elsewhere = [one for one in recent if abs(one.shot.position - shot.position) > half / 10]
        recent = [*elsewhere, Carried.new(shot)][-config.recall :]
        matrix = None
        if len(recent) < estimator.needs or step + 1 < len(first):
            masks.append(np.zeros(shot.picture.shape[:2], bool))
            place = first[min(step + 1, len(first) - 1)]
        else:
            found = estimator([one.seen() for one in recent])
            masks.append(in_focus(found.values, half))
            for memory in range(config.memory, -1, -1):
                activation = Activation(memory)
                for mask in masks[-memory - 1 :]:
                    activation.add(mask)
                matrix = activation.matrix
                place, share = _next_place(scene, found, shot.position, matrix)
                if share >= config.worth:
                    break
        masks = masks[-config.memory - 1 :]
        yield MovingFrame(shot, fused, matrix)


def _next_place(scene: Scene, found: Deviation, here: float, matrix: np.ndarray) -> tuple[float, float]:
    """Centre of the fullest bin of what is left, and the share of the weight that it holds."""
    low, high = float(scene.track.positions[0]), float(scene.track.positions[-1])
    thin = np.s_[::2, ::2]
    weight = (found.weight * ~matrix)[thin]
    if not weight.sum() > 0:
        return here, 0.0
    grid = np.arange(low, high, scene.half_depth(low) / 2)
    places = list(dict.fromkeys(scene.stand(float(at)) for at in (*grid, high)))
    bins = [(at - scene.half_depth(at), at + scene.half_depth(at)) for at in places]
    error = None if found.error is None else found.error[thin]
    counts = gains(found.values[thin] + here, error, weight, [], bins)
    best = int(counts.argmax())
    return places[best], float(counts[best] * weight.sum() / found.weight[thin].sum())
