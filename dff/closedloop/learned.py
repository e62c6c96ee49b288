"""Learned step networks in policies, on any camera whose blur is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dff.closedloop.policy import Frame, Scripted
from dff.closedloop.steps import Discriminator, Estimator, step_search
from dff.model.step import PATCH, load_discriminator, load_estimator
from dff.model.step_spectrum import load_spectrum

WEIGHTS = "step-spectrum"
"""The weights of the step search's parts."""


def patch_of(picture: np.ndarray) -> torch.Tensor:
    """(1,1,512,512) the middle of a grey picture (H,W), mirrored where it is smaller."""
    places = [_mirrored(side) for side in picture.shape]
    cut = picture[np.ix_(*places)]
    return torch.from_numpy(np.ascontiguousarray(cut, dtype=np.float32))[None, None]


def _mirrored(side: int) -> np.ndarray:
    at = np.mod(np.arange(PATCH) - (PATCH - side) // 2, 2 * side)
    return np.where(at < side, at, 2 * side - 1 - at)


def _patch(frame: Frame) -> torch.Tensor:
    if frame.picture is None:
        raise ValueError("a learned policy needs frames with pictures")
    return patch_of(frame.picture)


def _share(px_per_position: float, blur_px_per_index: float) -> float:
    """Indices of this camera per position of the one that was learned: both have the same blur."""
    if not blur_px_per_index > 0:
        raise ValueError(f"blur of {blur_px_per_index} px per lens position: it must grow")
    return px_per_position / blur_px_per_index


def spectrum_parts(weights: str | Path, blur_px_per_index: float) -> tuple[Estimator, Discriminator]:
    """Distance [index] and focus of frames, by the spectrum network.

    Args:
        weights: name or path.
        blur_px_per_index: growth of the blur radius [px] from one index to the next.

    Raises:
        ValueError: unknown or unfit weights, or a blur that does not grow.
        FileNotFoundError: a known name whose file is missing.
    """
    network = load_spectrum(weights)
    share = _share(network.config.px_per_position, blur_px_per_index)
    read = _Once(network.of_patches)
    return lambda frame: read(frame)[0] * share, lambda frame: read(frame)[1] > 0


def paper_parts(
    estimator: str | Path, discriminator: str | Path, blur_px_per_index: float
) -> tuple[Estimator, Discriminator]:
    """The same by the two networks of Wang et al., each with its own weights; errors as `spectrum_parts`."""
    steps, focused = load_estimator(estimator), load_discriminator(discriminator)
    share = _share(steps.config.px_per_position, blur_px_per_index)
    read = _Once(lambda patch: (steps(patch), focused(patch)))
    return lambda frame: read(frame)[0] * share, lambda frame: read(frame)[1] > 0


def step_parts(weights: str, blur_px_per_index: float) -> tuple[Estimator, Discriminator]:
    """The parts by what their weights are called: one name or path of the spectrum network's, or two, with a
    comma between, of estimator and discriminator; errors as `spectrum_parts`."""
    one, _, other = weights.partition(",")
    if other:
        return paper_parts(one, other, blur_px_per_index)
    return spectrum_parts(one, blur_px_per_index)


class _Once:
    """Asks a network once about each frame."""

    def __init__(self, network: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]) -> None:
        self._network = network
        self._last: tuple[Frame, tuple[float, float]] | None = None

    @torch.inference_mode()
    def __call__(self, frame: Frame) -> tuple[float, float]:
        if self._last is None or self._last[0] is not frame:
            distance, logit = self._network(_patch(frame))
            self._last = frame, (float(distance[0]), float(logit[0]))
        return self._last[1]


def step_policy(parts: tuple[Estimator, Discriminator]) -> Scripted:
    """Algorithm 1 of Wang et al. with its learned parts."""
    return Scripted("step-search", partial(step_search, estimator=parts[0], discriminator=parts[1]))
