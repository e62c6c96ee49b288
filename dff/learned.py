"""Depth by a network: aligned slices at work size in, a depth map of the reference slice out."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np

from dff.classical.alignment import Alignment
from dff.classical.depth import StepSink
from dff.classical.enlarge import enlarge, enlarge_along_edges
from dff.model.device import usable_device
from dff.model.infer import InferenceConfig, infer, probability_within, runs_in_half
from dff.model.interface import DepthModel
from dff.model.network import load_depth_network
from dff.second_opinion import TOLERATED, contradicted
from dff.stack import DepthMap, FocalStack, Progress
from dff.sub_step import DENSE, between_slices


@dataclass(frozen=True, eq=False)
class LearnedModel:
    """A depth network as a model of `dff.pipeline.predict`.

    Args:
        name: as it was asked for.
        network: in evaluation mode, on its device.
        inference: how it is run.
    """

    name: str
    network: DepthModel
    inference: InferenceConfig = field(default_factory=InferenceConfig)

    @property
    def computes(self) -> dict[str, str]:
        """Kind of device, and number format: what the last digits of a result depend on."""
        device = next(self.network.parameters()).device
        half = runs_in_half(self.inference.precision, device)
        return {"device": device.type, "precision": "bfloat16" if half else "float32"}

    def depth(
        self,
        stack: FocalStack,
        alignment: Alignment,
        *,
        progress: Progress | None = None,
        steps: StepSink | None = None,
    ) -> DepthMap:
        """Depth map of the reference slice, full size, from a far-first stack and its alignment.

        Confidence is the probability that the error is at most ``inference.tolerance`` of the sweep, or
        ``tolerance_steps`` of a step, by the Laplace scale that the network gives; of a stack in which the
        network contradicts what is plainly in focus (`dff.second_opinion`), with a warning, less. A pixel is
        valid where it is at least ``inference.valid_confidence``, and where the slice focused there and its
        neighbours show the pixel.

        Raises:
            ValueError: the network's answer is not finite.
        """
        config = self.inference
        keep = steps or (lambda name, array: None)
        factor = work_factor((stack.height, stack.width), config.work_pixels)
        slices, shown = work_slices(stack, alignment, factor, progress)
        report = None if progress is None else partial(progress, "depth")
        found = infer(self.network, slices, stack.positions, config, progress=report)
        if not (np.isfinite(found.u).all() and np.isfinite(found.scale).all()):
            raise ValueError(f"{self.name}: the network's depth is not finite; its weights are damaged")
        keep("network_depth", found.u)
        keep("network_scale", found.scale)
        positions, size = stack.positions, (stack.height, stack.width)
        places = (positions - positions[0]) / (positions[-1] - positions[0])
        numbers = np.arange(len(stack))

        def index_of(share: np.ndarray) -> np.ndarray:
            return np.interp(share, places, numbers)

        if len(stack) >= DENSE * config.slices:
            steps_off = found.scale * np.float32(len(stack) - 1)
            index = between_slices(index_of(found.u).astype(np.float32), steps_off, slices)
            found = replace(found, u=np.interp(index, numbers, places).astype(np.float32))
            keep("sub_step_depth", found.u)
        tolerance = max(config.tolerance, config.tolerance_steps / (len(stack) - 1))
        confidence = probability_within(tolerance, found.scale)
        confidence[~_seen_in_focus(index_of(found.u), shown)] = 0
        contrary = contradicted(found.u, slices, positions)
        if contrary > TOLERATED:
            warnings.warn(
                f"{self.name} contradicts {contrary:.0%} of what looks plainly in focus, as it does in light "
                "that shines through things; its confidence is lowered: compare --model classical",
                stacklevel=2,
            )
            confidence *= np.float32(1 - contrary)
        keep("network_confidence", confidence)
        valid = (confidence >= config.valid_confidence).astype(np.float32)
        share = enlarge_along_edges(found.u, factor, stack.slices[alignment.reference])
        return DepthMap(
            index_of(np.clip(share, 0, 1)),
            np.clip(enlarge(confidence, factor, size), 0, 1),
            enlarge(valid, factor, size) > 0.5,
            positions,
            stack.unit,
            info={
                **self.computes,
                "work_size": [found.u.shape[1], found.u.shape[0]],
                "tiles": found.tiles,
                "parts": found.parts,
                "views": config.views,
                "contradicted": round(contrary, 3),
            },
        )


def load_learned_model(name: str, device: str, inference: InferenceConfig | None = None) -> LearnedModel:
    """A network by the name or path of its weights, on "auto", "cpu" or "cuda".

    Raises:
        ValueError: unknown or unfit weights, or no CUDA device.
        FileNotFoundError: a known name whose file is missing.
    """
    device = usable_device(device)
    return LearnedModel(name, load_depth_network(name, device), inference or InferenceConfig())


def work_factor(size: tuple[int, int], work_pixels: int) -> int:
    """Whole factor by which a (height, width) picture is reduced to about ``work_pixels``."""
    return min(max(1, round(math.sqrt(size[0] * size[1] / work_pixels))), *size)


def work_slices(
    stack: FocalStack, alignment: Alignment, factor: int, progress: Progress | None
) -> tuple[list[np.ndarray], np.ndarray]:
    """Aligned slices (h,w,3) at work size, and (N,h,w) bool: where each shows the picture.

    Reduced ones are kept as uint16: their averages are finer than 8 bits.
    """
    height, width = stack.height // factor, stack.width // factor
    slices = []
    shown = np.empty((len(stack), height, width), bool)
    for k in range(len(stack)):
        image = alignment.warp(stack.slices[k], k)[: height * factor, : width * factor]
        slices.append(_reduced(image, factor))
        middle = slice(factor // 2, None, factor)
        shown[k] = alignment.valid_mask(k)[middle, middle][:height, :width]
        if progress is not None:
            progress("focus", k + 1, len(stack))
    return slices, shown


def _reduced(image: np.ndarray, factor: int) -> np.ndarray:
    if factor > 1:
        if image.dtype == np.uint8:
            image = image.astype(np.uint16) * np.uint16(257)
        elif image.dtype.kind == "f":
            image = np.rint(image * np.float32(65535)).astype(np.uint16)
        size = (image.shape[1] // factor, image.shape[0] // factor)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _seen_in_focus(index: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(h,w) bool: the slice nearest to a focal index and its neighbours show the pixel.

    Without a neighbour nobody knows whether sharpness goes on rising there.
    """
    if shown.all():
        return np.ones(index.shape, bool)
    last = len(shown) - 1
    nearest = np.rint(index).astype(np.intp)
    around = (np.clip(nearest + step, 0, last)[None] for step in (-1, 0, 1))
    return np.logical_and.reduce([np.take_along_axis(shown, k, axis=0)[0] for k in around])
