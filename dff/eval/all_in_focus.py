"""All-in-focus pictures of real stacks: sharpness kept, and values that no slice has."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from dff.eval.baselines.laplacian import fuse_argmax
from dff.eval.inputs import Say, real_stack
from dff.eval.report import Cell, Report, Table, Target
from dff.metrics import gradients_kept, outside_range
from dff.pipeline import fuse
from dff.stack import to_float

NAME = "all-in-focus"


@dataclass(frozen=True)
class Targets:
    """What ours should reach on every stack: shares, 0 to 1."""

    gradients_kept: float
    outside_range: float


@dataclass(frozen=True)
class Protocol:
    """Which stacks, and how their pictures are scored.

    Args:
        stacks: folders below the data folder.
        models: names or files, as for `dff.fuse`; the targets are about the first.
        strongest: share of the pixels whose gradients count.
        window_px: side of the neighbourhood within which a value must occur.
        laplacian_window_px: side of the box of the rival's Laplacian energy.
    """

    stacks: tuple[str, ...]
    models: tuple[str, ...]
    targets: Targets
    strongest: float = 0.05
    window_px: int = 5
    laplacian_window_px: int = 5


@dataclass(frozen=True)
class Score:
    """Two shares, 0 to 1, of one picture."""

    gradients_kept: float
    outside_range: float


def luma(image: np.ndarray) -> np.ndarray:
    """(H,W) float32 in [0,1]."""
    return cv2.cvtColor(to_float(image), cv2.COLOR_RGB2GRAY)


def score_picture(
    picture: np.ndarray, lumas: list[np.ndarray], mask: np.ndarray, protocol: Protocol
) -> Score:
    """Score a picture against the lumas of the aligned slices, within ``mask``."""
    return Score(
        gradients_kept(picture, lumas, mask, protocol.strongest),
        outside_range(picture, lumas, protocol.window_px, mask),
    )


def best_slice(lumas: list[np.ndarray], mask: np.ndarray, strongest: float) -> int:
    """The single slice that keeps most of the strongest gradients."""
    return int(np.argmax([gradients_kept(one, lumas, mask, strongest) for one in lumas]))


def score_stack(folder: Path, name: str, protocol: Protocol) -> dict[str, Score]:
    """Our pictures, the rival's and the best slice of one stack, in the frame of the reference slice."""
    given = real_stack(folder, name)
    fused = {f"ours ({model})": fuse(given, model=model) for model in protocol.models}
    stack, alignment = next((one.stack, one.alignment) for one in fused.values())
    mask = np.ones((stack.height, stack.width), bool)
    lumas = []
    for k in range(len(stack)):
        mask &= alignment.valid_mask(k)
        lumas.append(luma(alignment.warp(stack.slices[k], k)))
    aligned = (alignment.warp(stack.slices[k], k) for k in range(len(stack)))
    best = best_slice(lumas, mask, protocol.strongest)
    pictures = {
        f"single best slice ({best})": lumas[best],
        "Laplacian argmax": fuse_argmax(aligned, protocol.laplacian_window_px),
    } | {method: one.aif for method, one in fused.items() if one.aif is not None}
    return {method: score_picture(picture, lumas, mask, protocol) for method, picture in pictures.items()}


def run(
    protocol: Protocol, folder: Path, *, limit: int | None = None, options: str = "", say: Say = print
) -> Report:
    """Score the first ``limit`` stacks of the protocol, found in ``folder``."""
    rows: list[list[Cell]] = []
    targets = []
    for name in protocol.stacks[:limit]:
        say(f"{NAME}: {name}")
        scores = score_stack(folder, name, protocol)
        rows += [[name, method, s.gradients_kept, 100 * s.outside_range] for method, s in scores.items()]
        ours, wanted = scores[f"ours ({protocol.models[0]})"], protocol.targets
        targets += [
            Target(f"{name}: gradients kept", ours.gradients_kept, "at least", wanted.gradients_kept),
            Target(f"{name}: share outside range", ours.outside_range, "at most", wanted.outside_range),
        ]
    columns = {"stack": "", "picture": "", "gradients kept": ".3f", "outside range [%]": ".3f"}
    note = (
        f"Gradients kept: mean share kept of the strongest {100 * protocol.strongest:g} % of the slices' "
        "gradients. Outside range: pixels darker or brighter than every aligned slice within "
        f"{protocol.window_px}x{protocol.window_px} px. Slices as aligned by ours; pixels that every slice "
        "shows."
    )
    return Report(NAME, options, asdict(protocol), [Table("All-in-focus", columns, rows, note)], targets)
