"""The layered renderer against exact lens sampling of the same scenes; rivals are given what they can use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from dff.eval.baselines.naive_gather import naive_gather
from dff.eval.baselines.published_blur import published_blur
from dff.eval.inputs import Say, Seeds
from dff.eval.report import Cell, Report, Table, Target
from dff.eval.simulator_score import Likeness, procedural_layers
from dff.simulator.layers import Layer, all_in_focus, truth
from dff.simulator.lens_sampling import render_exact
from dff.simulator.render import render_stack
from dff.simulator.rgbd import rgbd_layers
from dff.simulator.scene_config import SceneConfig

NAME = "simulator-exact"
LAYERS, RGBD, PUBLISHED, NAIVE = "layers (ours)", "RGB-D (ours)", "published blur", "naive gather"

Renderer = Callable[[Tensor, Tensor, Tensor, float], Tensor]
"""(all in focus (3,H,W) linear light, dioptre (H,W), focus (N,), px per dioptre) -> (N,3,H,W)."""


@dataclass(frozen=True)
class Targets:
    """What the layered renderer should reach: PSNR [dB], SSIM, and dB over the published blur."""

    mean_db: float
    worst_db: float
    ssim: float
    over_published_db: float


@dataclass(frozen=True)
class Protocol:
    """Scenes, slices and blur.

    Args:
        seeds: of the scenes.
        radii_px: largest blur radius: at the far end of the scene when the near end is in focus.
        n_slices: evenly over the scene's dioptres, both ends included.
        size: (height, width) of the scenes.
        margin_px: left out at every border.
        far_dioptre, near_dioptre: ends of scene and sweep.
        samples: places of the pupil in the exact renderer.
        scene: what the scenes are made of.
    """

    seeds: Seeds
    radii_px: tuple[float, ...]
    targets: Targets
    n_slices: int = 8
    size: tuple[int, int] = (192, 192)
    margin_px: int = 20
    far_dioptre: float = 0.3
    near_dioptre: float = 3.0
    samples: int = 400
    scene: SceneConfig = field(default_factory=SceneConfig)


def from_rgbd(aif: Tensor, dioptre: Tensor, focus: Tensor, gain: float) -> Tensor:
    """Our path for a picture with depth, hidden parts unknown."""
    return render_stack(rgbd_layers(aif, dioptre), focus, gain)


RIVALS: dict[str, Renderer] = {RGBD: from_rgbd, NAIVE: naive_gather, PUBLISHED: published_blur}


def score(protocol: Protocol, layers: list[Layer], radius_px: float) -> dict[str, Likeness]:
    """Every method on one scene."""
    focus = torch.linspace(protocol.far_dioptre, protocol.near_dioptre, protocol.n_slices)
    gain = 2 * radius_px / (protocol.near_dioptre - protocol.far_dioptre)
    exact = render_exact(layers, focus, gain, samples=protocol.samples)
    known = all_in_focus(layers), truth(layers)[0]
    found = {LAYERS: render_stack(layers, focus, gain)}
    found |= {method: render(*known, focus, gain) for method, render in RIVALS.items()}
    return {method: Likeness.of(stack, exact, protocol.margin_px) for method, stack in found.items()}


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """Score all methods on the first ``limit`` scenes at every radius."""
    seeds = protocol.seeds.take(limit)
    parts: dict[tuple[float, str], list[Likeness]] = {}
    for seed in seeds:
        layers = procedural_layers(
            protocol.scene, protocol.size, protocol.far_dioptre, protocol.near_dioptre, seed
        )
        for radius in protocol.radii_px:
            say(f"{NAME}: seed {seed}, radius {radius:g} px")
            for method, likeness in score(protocol, layers, radius).items():
                parts.setdefault((radius, method), []).append(likeness)
    pooled = {key: Likeness.pooled(some) for key, some in parts.items()}
    rows: list[list[Cell]] = []
    targets = []
    for (radius, method), one in pooled.items():
        mean, worst, similar = one.psnr_db.mean(), one.psnr_db.min(), one.ssim.mean()
        rows.append([radius, method, float(mean), float(worst), float(similar), float(one.ssim.min())])
        if method == LAYERS:
            wanted, at = protocol.targets, f"radius {radius:g} px"
            lead = mean - pooled[radius, PUBLISHED].psnr_db.mean()
            targets += [
                Target(f"{at}: mean PSNR [dB]", float(mean), "at least", wanted.mean_db),
                Target(f"{at}: worst PSNR [dB]", float(worst), "at least", wanted.worst_db),
                Target(f"{at}: mean SSIM", float(similar), "at least", wanted.ssim),
                Target(
                    f"{at}: over the published blur [dB]", float(lead), "at least", wanted.over_published_db
                ),
            ]
    columns = {
        "radius [px]": ".1f",
        "method": "",
        "mean PSNR [dB]": ".2f",
        "worst [dB]": ".2f",
        "mean SSIM": ".4f",
        "worst SSIM": ".4f",
    }
    height, width = (side - 2 * protocol.margin_px for side in protocol.size)
    note = (
        f"{len(seeds)} procedural scenes (seeds {seeds[0]} to {seeds[-1]}), {protocol.n_slices} slices each, "
        f"the central {width}x{height} px, gamma 2.2 values, against the mean of {protocol.samples} pin-hole "
        "pictures over the pupil. Layers know the hidden parts of the scene; the others get the all-in-focus "
        "picture and its depth. Published blur: that of the simulator released with Won and Jeon 2022, made "
        "again from its description."
    )
    table = Table("Against exact lens sampling", columns, rows, note)
    return Report(NAME, options, asdict(protocol), [table], targets)
