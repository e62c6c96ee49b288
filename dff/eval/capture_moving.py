"""All-in-focus capture of moving scenes: one shot and one fused picture per time step, against the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from dff.capture.estimators import DepthEstimator
from dff.capture.moving import MovingConfig, capture_moving
from dff.capture.simulated import Movement, SimulatedScene
from dff.eval.capture import likeness
from dff.eval.inputs import Say, Seeds
from dff.eval.report import Cell, Report, Table, Target
from dff.models import Model, load_model
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig

NAME = "capture-moving"
SINGLE = "best single focus"


@dataclass(frozen=True)
class Protocol:
    """Which scenes, how they move, and what is compared.

    Args:
        scene: recipe of simulator/scenes.
        seeds: of the scenes.
        model: what finds depth from the shots of late.
        max_coc_px: blur that counts as in focus.
        steps: time steps; the first ``settle`` are not measured.
        memories: values of k, the greedy 0 among them.
        memory: the one that the targets are about.
        transverse: the camera moves sideways, things as well.
        axial: the camera comes nearer.
        singles: fixed focus positions that are tried for the best single focus.
    """

    scene: str
    seeds: Seeds
    model: str
    max_coc_px: float
    steps: int
    settle: int
    memories: tuple[int, ...]
    memory: int
    transverse: Movement
    axial: Movement
    singles: int = 8


def moving_scores(scene: SimulatedScene, model: Model, protocol: Protocol) -> dict[str, np.ndarray]:
    """(3,) mean PSNR, SSIM, gradients kept over the measured time steps, per policy."""
    measured = range(protocol.settle, protocol.steps)
    truth = {step: scene.truth(step)[1] for step in measured}

    def mean(pictures: dict[int, np.ndarray]) -> np.ndarray:
        return np.mean([likeness(pictures[step], truth[step]) for step in measured], axis=0)

    low, high = (float(scene.track.positions[k]) for k in (0, -1))
    tries = [
        mean({step: scene.take(float(place), step).picture for step in measured})
        for place in np.linspace(low, high, protocol.singles)
    ]
    out = {SINGLE: max(tries, key=lambda one: float(one[0]))}
    for memory in protocol.memories:
        frames = capture_moving(scene, DepthEstimator(model), protocol.steps, MovingConfig(memory=memory))
        out[f"k = {memory}"] = mean({frame.shot.step: frame.fused for frame in frames})
    return out


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """Capture at most ``limit`` scenes per kind of movement with every memory."""
    model = load_model(protocol.model)
    rows: list[list[Cell]] = []
    targets = []
    seeds = protocol.seeds.take(limit)
    config = load_recipe("simulator/scenes", protocol.scene, SimulationConfig)
    for name, movement in {"transverse": protocol.transverse, "axial": protocol.axial}.items():
        scores = []
        for seed in seeds:
            say(f"{NAME}: {name} movement, seed {seed}")
            scene = SimulatedScene(
                config, seed, max_coc_px=protocol.max_coc_px, movement=movement, steps=protocol.steps
            )
            scores.append(moving_scores(scene, model, protocol))
        means = {policy: np.mean([one[policy] for one in scores], axis=0) for policy in scores[0]}
        rows += [[name, policy, *mean.tolist()] for policy, mean in means.items()]
        ours = means[f"k = {protocol.memory}"]
        for rival in (SINGLE, "k = 0"):
            for column, measure in ((0, "PSNR [dB]"), (2, "gradients kept")):
                what = f"{name}: {measure} of k = {protocol.memory}, over {rival}"
                targets.append(Target(what, float(ours[column]), "at least", float(means[rival][column])))
    columns = {"movement": "", "fused": "", "PSNR [dB]": ".2f", "SSIM": ".4f", "gradients kept": ".3f"}
    note = (
        f"Means of {len(seeds)} scenes of {protocol.scene}, seeds {seeds[0]} to {seeds[-1]}, over time steps "
        f"{protocol.settle} to {protocol.steps - 1} of {protocol.steps}, one capture each, against the sharp "
        f"picture of that moment. k: earlier captures that count as done. {SINGLE}: the best of "
        f"{protocol.singles} fixed positions of each scene, picked by the truth. In focus: blur of "
        f"{protocol.max_coc_px:g} px."
    )
    return Report(NAME, options, asdict(protocol), [Table("Moving scenes", columns, rows, note)], targets)
