"""The fast renderer against path-traced references of Blender scenes, beside its rivals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dff.classical.focus_measure import laplacian_energy
from dff.eval.inputs import Say
from dff.eval.report import Cell, Report, Table, Target
from dff.eval.simulator_exact import LAYERS, NAIVE, RGBD, RIVALS
from dff.eval.simulator_score import Likeness, central
from dff.formats.pictures import write_picture
from dff.metrics import psnr
from dff.simulator.blender.reference import Reference, render_reference
from dff.simulator.blender.session import RenderSettings
from dff.simulator.render import render_stack
from dff.simulator.textures import to_display
from dff.stack import to_luma

NAME = "simulator-blender"
JUMP_PX = 2.0  # of blur between neighbouring pixels: a depth edge
ENERGY_SIGMA_PX = 2.0  # window of the focus measure
MAP_GAIN = 8  # of errors in their pictures


@dataclass(frozen=True)
class SceneChoice:
    """One reference: kind and seed of `dff.simulator.blender.random_scene`.

    Args:
        radius_px: widest blur.
        views: of its light field, if it must be rendered.
        textured: wants a folder of pictures as textures, if it must be rendered.
    """

    kind: str
    seed: int
    radius_px: float
    views: int = 256
    textured: bool = False

    @property
    def file(self) -> str:
        return f"{self.kind}_{self.seed}.npz"


@dataclass(frozen=True)
class Targets:
    """PSNR [dB], each the mean over the slices of a scene.

    Args:
        mean_db, worst_db: of the layers, over all scenes.
        rgbd_db: mean of the RGB-D path over scenes with a blur radius up to ``rgbd_radius_px``.
        rgbd_over_naive_db: by which that is above the naive gather.
    """

    mean_db: float
    worst_db: float
    rgbd_db: float
    rgbd_over_naive_db: float
    rgbd_radius_px: tuple[float, float] = (6.0, 13.0)


@dataclass(frozen=True)
class Protocol:
    """Scenes and targets.

    Args:
        n_slices: of references that must be rendered.
        size: (height, width) of those.
        samples: light paths per pixel of the picture and the layers of those.
    """

    scenes: tuple[SceneChoice, ...]
    targets: Targets
    n_slices: int = 5
    size: tuple[int, int] = (256, 256)
    samples: int = 64


def references(
    protocol: Protocol, folder: Path, textures: Path | None, limit: int | None, say: Say
) -> Iterator[Reference]:
    """Read each scene of the protocol from ``folder``; render it into the folder if it is not there.

    Raises:
        ValueError: a scene is missing, and so is bpy or its textures; or it has another blur radius.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for choice in protocol.scenes[:limit]:
        path = folder / choice.file
        if path.is_file():
            reference = Reference.load(path)
            if abs(radius_px(reference) - choice.radius_px) > 0.5:
                raise ValueError(
                    f"{path}: blur radius {radius_px(reference):.3g} px, the protocol wants "
                    f"{choice.radius_px:g}; move the file away, or give another --refs"
                )
            yield reference
            continue
        if choice.textured and textures is None:
            raise ValueError(
                f"{path}: missing, and it needs pictures to be rendered with; give --textures DIR"
            )
        say(f"{NAME}: rendering {choice.file}: minutes")
        yield render_reference(
            path,
            choice.kind,
            choice.seed,
            max_radius_px=choice.radius_px,
            n_slices=protocol.n_slices,
            size=protocol.size,
            views=choice.views,
            settings=RenderSettings(samples=protocol.samples),
            textures=textures if choice.textured else None,
        )


def near_edges(dioptre: Tensor, gain: float, radius_px: float) -> Tensor:
    """(H,W) bool: within ``radius_px`` of a depth edge."""
    jump = torch.zeros_like(dioptre, dtype=torch.bool)
    for axis in (0, 1):
        apart = dioptre.diff(dim=axis).abs() * gain > JUMP_PX
        jump |= F.pad(apart, (1, 0) if axis else (0, 0, 1, 0)) | F.pad(
            apart, (0, 1) if axis else (0, 0, 0, 1)
        )
    reach = round(radius_px)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return torch.from_numpy(cv2.dilate(jump.numpy().astype(np.uint8), disc) > 0)


def sharpest_slice(stack: Tensor) -> np.ndarray:
    """(H,W) index of the slice (N,3,H,W) with the largest Laplacian energy of display values."""
    energy = [
        cv2.GaussianBlur(laplacian_energy(to_luma(one)), (0, 0), ENERGY_SIGMA_PX)
        for one in to_display(stack).permute(0, 2, 3, 1).contiguous().numpy()
    ]
    return np.stack(energy).argmax(axis=0)


@dataclass(frozen=True)
class Score:
    """One method on one scene: PSNR over slices [dB] (mean, least), SSIM, PSNR near depth edges and
    elsewhere, and the mean difference of the sharpest slice's index to the reference."""

    mean_db: float
    worst_db: float
    ssim: float
    edge_db: float
    elsewhere_db: float
    index_error: float


def _psnr_within(found: Tensor, exact: Tensor, mask: Tensor) -> float:
    a, b = (to_display(stack).numpy() for stack in (found, exact))
    chosen = np.broadcast_to(mask.numpy(), a.shape)
    return psnr(a, b, chosen) if chosen.any() else float("nan")


def render_all(reference: Reference) -> dict[str, Tensor]:
    """Stacks (N,3,H,W) of every method, in linear light."""
    focus, gain = reference.focus, reference.coc_px_per_dioptre
    found = {LAYERS: render_stack(reference.layers, focus, gain)}
    for method, render in RIVALS.items():
        found[method] = render(reference.aif, reference.dioptre, focus, gain)
    return {method: central(stack, reference.margin_px) for method, stack in found.items()}


def radius_px(reference: Reference) -> float:
    """Blur radius of the nearest focus when the farthest is in focus."""
    return reference.coc_px_per_dioptre * float(reference.focus[-1] - reference.focus[0]) / 2


def score(found: Tensor, reference: Reference) -> Score:
    """Compare a stack with the reference's slices."""
    exact = reference.slices
    likeness = Likeness.of(found, exact, 0)
    dioptre = central(reference.dioptre, reference.margin_px)
    edges = near_edges(dioptre, reference.coc_px_per_dioptre, radius_px(reference))
    apart = np.abs(sharpest_slice(found) - sharpest_slice(exact))
    return Score(
        float(likeness.psnr_db.mean()),
        float(likeness.psnr_db.min()),
        float(likeness.ssim.mean()),
        _psnr_within(found, exact, edges),
        _psnr_within(found, exact, ~edges),
        float(apart.mean()),
    )


def error_map(stacks: dict[str, Tensor], exact: Tensor) -> np.ndarray:
    """Rows: the reference, then each method's picture error, enlarged round mid-grey; columns: slices."""
    shown = to_display(exact)
    rows = [shown, *(0.5 + MAP_GAIN / 2 * (to_display(stack) - shown) for stack in stacks.values())]
    wide = [torch.cat(list(row.clamp(0, 1)), dim=-1) for row in rows]
    return torch.cat(wide, dim=-2).permute(1, 2, 0).numpy()


def run(
    protocol: Protocol,
    folder: Path,
    maps: Path | None = None,
    textures: Path | None = None,
    *,
    limit: int | None = None,
    options: str = "",
    say: Say = print,
) -> Report:
    """Score every method on the first ``limit`` references of ``folder``; error maps go to ``maps``."""
    scores: dict[str, list[Score]] = {}
    radii: list[float] = []
    rows: list[list[Cell]] = []
    for reference in references(protocol, folder, textures, limit, say):
        say(f"{NAME}: {reference.name}")
        radii.append(radius_px(reference))
        found = render_all(reference)
        for method, stack in found.items():
            one = score(stack, reference)
            scores.setdefault(method, []).append(one)
            rows.append([reference.name, radii[-1], method, *asdict(one).values()])
        noise: list[Cell] = [None] * 5
        rows.append(
            [reference.name, radii[-1], "halves of the reference", float(reference.floor_db.mean()), *noise]
        )
        if maps is not None:
            maps.mkdir(parents=True, exist_ok=True)
            write_picture(error_map(found, reference.slices), maps / f"{reference.name}.png", overwrite=True)
    low, high = protocol.targets.rgbd_radius_px
    narrow = [i for i, radius in enumerate(radii) if low - 0.5 <= radius <= high + 0.5]

    def mean(method: str, picked: list[int]) -> float:
        return float(np.mean([scores[method][i].mean_db for i in picked])) if picked else float("nan")

    every = list(range(len(radii)))
    layers = [one.mean_db for one in scores[LAYERS]]
    wanted = protocol.targets
    lead = mean(RGBD, narrow) - mean(NAIVE, narrow)
    span = f"radius {low:g} to {high:g} px"
    targets = [
        Target("layers: mean over scenes [dB]", float(np.mean(layers)), "at least", wanted.mean_db),
        Target("layers: worst scene [dB]", min(layers), "at least", wanted.worst_db),
        Target(f"RGB-D, {span}: mean over scenes [dB]", mean(RGBD, narrow), "at least", wanted.rgbd_db),
        Target(f"RGB-D, {span}: over naive [dB]", lead, "at least", wanted.rgbd_over_naive_db),
    ]
    columns = {
        "scene": "",
        "radius [px]": ".0f",
        "method": "",
        "PSNR [dB]": ".2f",
        "worst slice [dB]": ".2f",
        "SSIM": ".4f",
        "near depth edges [dB]": ".2f",
        "elsewhere [dB]": ".2f",
        "focus-index error": ".3f",
    }
    note = (
        "Gamma 2.2 values, without the margin round the scene. Layers are rendered by Cycles item by item; "
        "the others get its all-in-focus picture and depth. Reference: pin-hole views over the pupil, "
        "refocused. Its two halves differ by what the last row of a scene says; its own noise is about 6 dB "
        "below that. Near: within the largest blur radius of a step in depth. Focus-index error: mean "
        "difference of the slice with the largest Laplacian energy to that of the reference."
    )
    summary: list[list[Cell]] = [
        [method, mean(method, every), mean(method, narrow), float(np.mean([s.index_error for s in some]))]
        for method, some in scores.items()
    ]
    heads = {"method": "", "all scenes [dB]": ".2f", f"{span} [dB]": ".2f", "focus-index error": ".3f"}
    tables = [Table("Means over scenes", heads, summary), Table("Scene by scene", columns, rows, note)]
    return Report(NAME, options, asdict(protocol), tables, targets)
