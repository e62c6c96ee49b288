"""What the depth benchmark measures, and the methods it compares."""

from __future__ import annotations

from dataclasses import dataclass

from dff.eval.inputs import Seeds
from dff.models import DEFAULT
from dff.pipeline import predict
from dff.stack import DepthMap, FocalStack

NAME = "depth"
SML, SML_PARABOLA, SML_BEST = "SML argmax", "SML + parabola", "SML argmax, best sigma here"
OURS = {"ours (classical)": "classical", f"ours ({DEFAULT})": DEFAULT}
"""Rows of ours and their models."""


@dataclass(frozen=True)
class Sml:
    """The rival's Gaussian windows, and the simulated stacks on which one of them is chosen."""

    sigmas_px: tuple[float, ...]
    tuning: Seeds

    def __post_init__(self) -> None:
        if not self.sigmas_px:
            raise ValueError("sigmas_px: none given; give at least one")


@dataclass(frozen=True)
class Protocol:
    """What is measured.

    Args:
        rendered: folders below the data folder, with a depth_truth.npy.
        scene: recipe of `simulator/scenes`.
        seeds: of the simulated stacks.
        sml: the rival.
        mae_ratio: target, mean absolute error of ours over the rival's.
    """

    rendered: tuple[str, ...]
    scene: str
    seeds: Seeds
    sml: Sml
    mae_ratio: float

    def __post_init__(self) -> None:
        tuned = range(self.sml.tuning.first, self.sml.tuning.first + self.sml.tuning.count)
        if set(tuned) & set(self.seeds.take(None)):
            raise ValueError("seeds: some are also in sml.tuning; tune the rival on other stacks")


def our_depths(stack: FocalStack) -> dict[str, DepthMap]:
    """Ours, on a stack that is aligned, by row."""
    return {row: predict(stack, model=model, align="none", aif=False).depth for row, model in OURS.items()}
