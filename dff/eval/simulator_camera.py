"""The simulated camera measured from its pictures: dual pixels, motion, a real camera's breathing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from dff.classical.motion import decompose
from dff.eval.alignment_simulated import corner_errors_px
from dff.eval.inputs import Say, Seeds
from dff.eval.report import Cell, Report, Table, Target
from dff.eval.simulator_dots import dot_matrices, take_dots
from dff.eval.simulator_halves import DualPixel, dual_pixel_part
from dff.pipeline import align
from dff.simulator.camera_prior import load_camera
from dff.simulator.capture import SimulationConfig, simulate_batch
from dff.simulator.scene_config import SceneConfig
from dff.simulator.simulated import Simulated
from dff.stack import FocalStack

NAME = "simulator-camera"


@dataclass(frozen=True)
class Law:
    """Image scale measured on a real camera: ``offset + slope * D``, D in dioptres, to within ``rms``."""

    camera: str
    offset: float
    slope: float
    rms: float


@dataclass(frozen=True)
class Targets:
    """What should be reached.

    Args:
        dots_px: worst corner error of the motion that dots tell.
        alignment_px: corner error, root mean square over slices, of our alignment, for each camera.
    """

    dots_px: float
    alignment_px: float


@dataclass(frozen=True)
class Protocol:
    """Cameras and sizes.

    Args:
        dot_cameras: of simulator/cameras: they take a grid of dots.
        aligned_cameras: they take procedural scenes, whose motion our alignment measures.
        seeds: of the stacks, the same for every camera.
        size: (height, width) that their whole pictures are reduced to.
        n_slices: of the aligned stacks.
        scene: what the aligned stacks show.
    """

    dual_pixel: DualPixel
    dot_cameras: tuple[str, ...]
    aligned_cameras: tuple[str, ...]
    seeds: Seeds
    law: Law
    targets: Targets
    size: tuple[int, int] = (480, 640)
    n_slices: int = 12
    scene: SceneConfig = field(default_factory=SceneConfig)


Part = tuple[Table, list[Target]]


# --- motion ----------------------------------------------------------------------------------------------


def dots_part(protocol: Protocol, limit: int | None, say: Say) -> Part:
    """Motion that dots tell against motion that was drawn."""
    rows: list[list[Cell]] = []
    worst = 0.0
    for camera in protocol.dot_cameras:
        say(f"{NAME}: dots, {camera}")
        errors: list[np.ndarray] = []
        moved: list[np.ndarray] = []
        for seed in protocol.seeds.take(limit):
            known = take_dots(load_camera(camera), protocol.size, seed)
            found = dot_matrices(known)
            errors.append(corner_errors_px(found, known.matrices, known.reference, protocol.size))
            still = np.repeat(np.eye(2, 3)[None], len(found), axis=0)
            moved.append(corner_errors_px(still, known.matrices, known.reference, protocol.size))
        error = np.concatenate(errors)
        worst = max(worst, float(error.max()))
        rows.append([camera, float(np.max(np.concatenate(moved))), _rms(error), float(error.max())])
    columns = {
        "camera": "",
        "motion, largest [px]": ".2f",
        "error, rms [px]": ".4f",
        "error, worst [px]": ".4f",
    }
    note = (
        f"Dots in the middle of each camera's sweep, pictures reduced to {protocol.size[1]} px width, "
        f"all slices, {len(protocol.seeds.take(limit))} stacks each, free of noise, round blur: "
        "scale, shift and rotation fitted to the dots' centroids against those that were drawn; root mean "
        "square over the four corners."
    )
    target = Target("dots: worst corner error [px]", worst, "at most", protocol.targets.dots_px)
    return Table("Motion that dots tell", columns, rows, note), [target]


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _without_metadata(stack: FocalStack) -> FocalStack:
    return FocalStack([stack.slices[k] for k in range(len(stack))])


def aligned_part(protocol: Protocol, limit: int | None, say: Say) -> Part:
    """Motion that our alignment finds against motion that was drawn."""
    rows: list[list[Cell]] = []
    targets = []
    for camera in protocol.aligned_cameras:
        config = SimulationConfig(scene=protocol.scene, camera=camera, size=protocol.size)
        errors: dict[str, list[np.ndarray]] = {"nothing": [], "focus and lens": []}
        moved = []
        for seed in protocol.seeds.take(limit):
            say(f"{NAME}: alignment, {camera}, seed {seed}")
            known = _taken(config, seed, protocol.n_slices)
            for told, stack in (("nothing", _without_metadata(known.stack)), ("focus and lens", known.stack)):
                found = align(stack, reference=known.reference)[1]
                errors[told].append(
                    corner_errors_px(found.matrices, known.matrices, known.reference, protocol.size)
                )
            still = np.repeat(np.eye(2, 3)[None], len(known.stack), axis=0)
            moved.append(corner_errors_px(still, known.matrices, known.reference, protocol.size))
        for told, parts in errors.items():
            error = np.concatenate(parts)
            rows.append(
                [
                    camera,
                    told,
                    float(np.max(np.concatenate(moved))),
                    float(np.median(error)),
                    _rms(error),
                    float(np.quantile(error, 0.9)),
                    float(error.max()),
                ]
            )
        error = np.concatenate(errors["focus and lens"])
        targets.append(
            Target(
                f"{camera}: alignment, corner error rms [px]",
                _rms(error),
                "at most",
                protocol.targets.alignment_px,
            )
        )
    columns = {
        "camera": "",
        "alignment is told": "",
        "motion, largest [px]": ".2f",
        "error, median [px]": ".3f",
        "rms [px]": ".3f",
        "p90 [px]": ".3f",
        "worst [px]": ".3f",
    }
    note = (
        f"{len(protocol.seeds.take(limit))} stacks of {protocol.n_slices} slices for each camera, "
        f"procedural scenes, {protocol.size[1]}x{protocol.size[0]} px, with the camera's noise and coding; "
        "direct alignment of the package. Error of a slice: root mean square over its four corners."
    )
    return Table("Motion that alignment finds", columns, rows, note), targets


def _taken(config: SimulationConfig, seed: int, n_slices: int) -> Simulated:
    generator = torch.Generator().manual_seed(seed)
    return simulate_batch(config, generator, 1, n_slices=n_slices).stack(0)


# --- a measured law --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScaleFit:
    """Scale of the dots over focus, ``offset + slope * D`` and its residual; ``off_law``: rms distance from
    the law, both brought to their mean."""

    offset: float
    slope: float
    rms: float
    off_law: float


def fit_scale(known: Simulated, law: Law) -> ScaleFit:
    """Fit a line to the image scale of a stack of dots, in the unit of the law."""
    size = (known.stack.height, known.stack.width)
    scale = np.array([decompose(matrix, size)[0] for matrix in dot_matrices(known)])
    focus = known.focus
    of_law = law.offset + law.slope * focus
    scale = scale * of_law.mean() / scale.mean()  # the law is relative to a slice that nobody knows
    slope, offset = np.polyfit(focus, scale, 1)
    rms = _rms(scale - (offset + slope * focus))
    return ScaleFit(float(offset), float(slope), rms, _rms(scale - of_law))


def law_part(protocol: Protocol, say: Say) -> Part:
    """The law fitted to a simulated stack of that camera."""
    law = protocol.law
    say(f"{NAME}: law of breathing, {law.camera}")
    known = take_dots(load_camera(law.camera), protocol.size, protocol.seeds.first)
    found = fit_scale(known, law)
    rows: list[list[Cell]] = [
        ["measured on the real camera", law.offset, law.slope, law.rms, None],
        ["simulated", found.offset, found.slope, found.rms, found.off_law],
    ]
    columns = {
        "scale": "",
        "at 0 D": ".5f",
        "per dioptre": ".6f",
        "rms of the line": ".6f",
        "rms off the law": ".6f",
    }
    note = (
        f"Image scale = a + b D over the {len(known.stack)} slices of {law.camera}, D in dioptres; the "
        "simulated scale, which is relative to the last slice, is brought to the mean of the law."
    )
    target = Target(f"{law.camera}: scale, rms off the law", found.off_law, "at most", law.rms)
    return Table("Law of breathing", columns, rows, note), [target]


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """All four parts; ``limit`` scenes and stacks of each kind."""
    parts: Sequence[Part] = (
        dual_pixel_part(protocol.dual_pixel, limit, lambda line: say(f"{NAME}: {line}")),
        dots_part(protocol, limit, say),
        aligned_part(protocol, limit, say),
        law_part(protocol, say),
    )
    followed: dict[str, Any] = asdict(protocol)
    tables, targets = [table for table, _ in parts], [target for _, some in parts for target in some]
    return Report(NAME, options, followed, tables, targets)
