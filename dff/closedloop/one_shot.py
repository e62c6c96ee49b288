"""A trained autofocus network as a policy: asked once, after one frame or a few, or until it is content."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dff.autofocus.answer import middle, resting, shares
from dff.autofocus.load import decide, load_autofocus
from dff.closedloop.policy import Frame, Scripted
from dff.closedloop.steps import predict_once, settle
from dff.model import focus_head
from dff.model.focus_head_encode import Seen
from dff.simulator.textures import shown_halves, to_linear
from dff.weights import load_weights

WEIGHTS = "afpe-d1"
"""Taken unless others are named."""


@dataclass(frozen=True)
class Spot:
    """What a network is told besides the frames.

    Args:
        corner: x and y of the region's top left pixel in the picture.
        picture: (height, width) of the picture.
        linear: whether frames hold light, not display values (gamma 2.2).
        blur_px: diameter of the blur of one end of the lens's way when focused at the other; NaN: unknown.
    """

    corner: tuple[int, int]
    picture: tuple[int, int]
    linear: bool
    blur_px: float = math.nan


def one_shot(weights: str | Path, positions: int, spot: Spot) -> Scripted:
    """The policy that asks a network of one step once (Choi et al. 2023; Herrmann et al. 2020).

    It looks at the middle of the region, as large as the windows it has learned from, and goes to the median
    of what the network thinks possible.

    Args:
        weights: name or path: of an autofocus network, or of a head on the depth network, which takes the
            whole region.
        positions: of the lens; an autofocus network's ladder must have as many.
        spot: where the region is.

    Raises:
        ValueError: unknown weights, or those of another ladder or of a second step.
        FileNotFoundError: a known name whose file is missing.
    """
    said, frames = _asked(weights, positions, spot)
    script = partial(predict_once, predictor=lambda window: float(middle(said(window))), frames=frames)
    return Scripted("one-shot", script, halves=True)


def until_sure(weights: str | Path, positions: int, spot: Spot) -> Scripted:
    """As `one_shot`, but asked again at every place it leads to, until the network is not sure enough on
    which side focus lies (`dff.autofocus.answer.resting`)."""
    said, frames = _asked(weights, positions, spot)

    def advised(window: Sequence[Frame], current: float) -> float:
        return float(resting(said(window), np.rint(current)))

    return Scripted("until-sure", partial(settle, adviser=advised, frames=frames), halves=True)


def _asked(
    weights: str | Path, positions: int, spot: Spot
) -> tuple[Callable[[Sequence[Frame]], np.ndarray], int]:
    """What gives (K,) probabilities from frames, and how many frames it takes."""
    if load_weights(weights).network == focus_head.KIND:
        return partial(_of_head, focus_head.load_focus_network(weights), positions, spot), 1
    network = load_autofocus(weights)
    if network.config.count != positions or network.config.steps != 1:
        raise ValueError(
            f"{weights}: step {network.config.steps} of a ladder of {network.config.count}; the lens has "
            f"{positions} positions: give as many by --positions, or other weights of a first step"
        )

    def said(frames: Sequence[Frame]) -> np.ndarray:
        light = np.stack([_light(frame, spot.linear) for frame in frames])
        tall, wide = (min(side, network.config.window or side) for side in light.shape[-2:])
        top, left = (light.shape[-2] - tall) // 2, (light.shape[-1] - wide) // 2
        light = light[..., top : top + tall, left : left + wide]
        corner = spot.corner[0] + left, spot.corner[1] + top
        index = np.clip(np.rint([frame.index for frame in frames]), 0, positions - 1).astype(np.int64)
        return decide(network, light, index, corner, spot.picture)

    return said, network.problem.frames


def _of_head(
    head: focus_head.FocusNetwork, positions: int, spot: Spot, frames: Sequence[Frame]
) -> np.ndarray:
    """(K,) probabilities by the head on the depth network: any ladder, taken as even; the whole region."""
    light = torch.from_numpy(np.stack([_light(frame, spot.linear) for frame in frames]))[None].float()
    images, halves = shown_halves(light)
    ladder = torch.linspace(0, 1, positions)[None]
    index = np.clip(np.rint([frame.index for frame in frames]), 0, positions - 1).astype(np.int64)
    height, width = light.shape[-2:]
    region = torch.tensor([[[0.0, 0.0, width, height]]])
    with torch.inference_mode():
        seen = Seen(images, ladder[:, index], ladder, halves)
        logits = head(seen, region, torch.tensor([spot.blur_px]))
    return shares(logits[0, 0].numpy())


def _light(frame: Frame, linear: bool) -> np.ndarray:
    """(2,H,W) of the halves of the sensor."""
    if frame.halves is None:
        raise ValueError("policy one-shot needs frames with the halves of a dual-pixel sensor")
    halves = np.stack(frame.halves)
    return halves if linear else to_linear(torch.from_numpy(halves)).numpy()
