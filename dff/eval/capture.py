"""All-in-focus capture of simulated scenes: how few captures bring how much into focus, by the truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import cv2
import numpy as np
import torch
from kornia.metrics import ssim

from dff.capture.estimators import DepthEstimator
from dff.capture.scene import Shot
from dff.capture.simulated import SimulatedScene
from dff.capture.still import StillConfig, capture_still, spread_positions, uniform_positions
from dff.eval.inputs import Say, Seeds
from dff.eval.report import Cell, Report, Table, Target
from dff.metrics import gradient_size, gradients_kept, psnr
from dff.models import Model, load_model
from dff.pipeline import fuse
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig
from dff.stack import FocalStack, to_luma

NAME = "capture"
SSIM_WINDOW_PX = 11
DETAIL, DETAIL_PX = (
    0.02,
    2.0,
)  # gradient of the sharp luma per px, averaged over so many, that counts as detail
FEWEST, UNIFORM, FEW, TWO, OURS = (
    "fewest (truth known)", "uniform sweep", "uniform, as many", "two sweeps", "ours",
)  # fmt: skip


@dataclass(frozen=True)
class Protocol:
    """Which scenes, and what is wanted.

    Args:
        scenes: recipes of simulator/scenes; still.
        seeds: of the still scenes, the same for every recipe.
        model: what finds depth from the shots so far.
        max_coc_px: blur across [px] that counts as in focus.
        coarse: captures that both adaptive policies open with.
        covered: target, mean share of the pixels in focus in some capture.
        share: target, captures at most, over those of the uniform sweep.
    """

    scenes: tuple[str, ...]
    seeds: Seeds
    model: str
    max_coc_px: float
    coarse: int
    covered: float
    share: float


def fewest(scene: SimulatedScene, covered: float) -> list[float]:
    """Positions that a camera would take that knew the truth: greedy, until ``covered`` are in focus."""
    low, high = (float(scene.track.positions[k]) for k in (0, -1))
    places = np.arange(low, high, scene.half_depth(low) / 2)
    masks = np.stack([scene.covered([float(place)])[::2, ::2].ravel() for place in places])
    done = np.zeros(masks.shape[1], bool)
    taken: list[float] = []
    while done.mean() < covered and len(taken) < len(places):
        best = int((masks & ~done).sum(1).argmax())
        taken.append(float(places[best]))
        done |= masks[best]
    return taken


def likeness(picture: np.ndarray, true: np.ndarray) -> tuple[float, float, float]:
    """PSNR [dB], SSIM, and share kept of the true picture's strongest gradients."""
    a, b = (torch.from_numpy(np.ascontiguousarray(one.transpose(2, 0, 1)))[None] for one in (picture, true))
    similar = float(ssim(a, b, SSIM_WINDOW_PX).mean())
    return psnr(picture, true), similar, gradients_kept(picture, [true])


def detailed(sharp: np.ndarray) -> np.ndarray:
    """(H,W) bool: where the sharp picture (H,W,3) has detail that focus could show."""
    return np.asarray(cv2.GaussianBlur(gradient_size(to_luma(sharp)), (0, 0), DETAIL_PX) > DETAIL)


def fused(shots: list[Shot], model: Model) -> np.ndarray:
    """The shots of one still scene made one picture, as `dff fuse` does it."""
    ordered = sorted({shot.position: shot for shot in shots}.values(), key=lambda shot: shot.position)
    stack = FocalStack([shot.picture for shot in ordered], [shot.position for shot in ordered])
    made = fuse(stack, model=model, align="none", poor="keep").aif
    assert made is not None
    return made


def still_scores(scene: SimulatedScene, model: Model, protocol: Protocol) -> dict[str, np.ndarray]:
    """(7,) captures, the same over the sweep's, shares in focus (all, detail), PSNR, SSIM, gradients."""
    uniform = uniform_positions(scene)
    budget = int(protocol.share * len(uniform))
    estimator = DepthEstimator(model, needs=protocol.coarse)
    config = StillConfig(budget=max(budget, protocol.coarse), opening=protocol.coarse)
    # half of the budget sweeps, the other half goes to what was found
    coarse = max(2, (config.budget or 0) // 2)
    sweeper = DepthEstimator(model, needs=coarse)
    ours = capture_still(scene, estimator, config)
    two = capture_still(scene, sweeper, replace(config, opening=coarse, replan=False))
    evenly = [scene.take(place) for place in spread_positions(scene, len(ours.shots))]
    taken: dict[str, list[Shot]] = {FEW: evenly, TWO: two.shots, OURS: ours.shots}
    true = scene.truth()[1]
    detail = detailed(true)

    def reached(positions: list[float]) -> list[float]:
        mask = scene.covered(positions)
        return [float(mask.mean()), float(mask[detail].mean()) if detail.any() else float("nan")]

    out = {}
    for policy, positions in {UNIFORM: uniform, FEWEST: fewest(scene, protocol.covered)}.items():
        unknown = [float("nan")] * 3
        out[policy] = np.array([len(positions), len(positions) / len(uniform), *reached(positions), *unknown])
    for policy, shots in taken.items():
        picture = fused(shots, model)
        shares = reached([shot.position for shot in shots])
        row = [len(shots), len(shots) / len(uniform), *shares, *likeness(picture, true)]
        out[policy] = np.array(row)
    return out


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """Capture at most ``limit`` scenes per recipe with every policy."""
    model = load_model(protocol.model)
    rows: list[list[Cell]] = []
    targets = []
    seeds = protocol.seeds.take(limit)
    for recipe in protocol.scenes:
        config = load_recipe("simulator/scenes", recipe, SimulationConfig)
        scores = []
        for seed in seeds:
            say(f"{NAME}: {recipe}, seed {seed}")
            scene = SimulatedScene(config, seed, max_coc_px=protocol.max_coc_px)
            scores.append(still_scores(scene, model, protocol))
        for policy in (UNIFORM, FEW, TWO, OURS, FEWEST):
            each = np.array([one[policy] for one in scores])
            reached = float((each[:, 2] >= protocol.covered).mean())
            mean = each.mean(0)
            shares = [100 * mean[2], 100 * mean[3], 100 * reached]
            rows.append([recipe, policy, mean[0], mean[1], *shares, *mean[4:].tolist()])
        ours = np.array([one[OURS] for one in scores])
        targets += [
            Target(f"{recipe}: share in focus", float(ours[:, 2].mean()), "at least", protocol.covered),
            Target(f"{recipe}: captures, most", float(ours[:, 1].max()), "at most", protocol.share),
        ]
    columns = {
        "scene": "", "policy": "", "captures": ".1f", "of sweep": ".2f", "in focus [%]": ".1f",
        "detail [%]": ".1f",
        "scenes reached [%]": ".0f", "PSNR [dB]": ".2f", "SSIM": ".4f", "gradients kept": ".3f",
    }  # fmt: skip
    note = (
        f"Means of {len(seeds)} scenes per recipe, seeds {seeds[0]} to {seeds[-1]}. In focus: pixels whose "
        f"true blur is at most {protocol.max_coc_px:g} px across in some capture; detail: "
        "the same of the pixels round which the sharp "
        f"picture is not plain; reached: scenes with "
        f"{100 * protocol.covered:g} % of them. Uniform sweep: depths of field side by side over the range. "
        f"{TWO}: half of the captures spread evenly, then the depths that {protocol.model} finds in them. "
        f"{FEWEST}: greedy, until {100 * protocol.covered:g} % are reached. Fused by depth "
        f"({protocol.model}), against the sharp picture free of noise."
    )
    return Report(NAME, options, asdict(protocol), [Table("Still scenes", columns, rows, note)], targets)
