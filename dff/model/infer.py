"""A depth network on aligned slices of any number and any size, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dff.allocator import give_back
from dff.model.device import computes_in_half
from dff.model.interface import FINEST, STRIDE, DepthModel, Tones
from dff.model.long_stacks import (
    interleaved,
    trust_in_windows,
    two_of,
    weighted_mean,
    window_share,
    windows,
)
from dff.model.network import LEAST_CONTRAST, focus_coordinate
from dff.model.tiles import Box, Mosaic, Tile, box_round, tile_plan, within
from dff.model.views import VIEWS, unviewed, viewed

Precision = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")

_HALF_SHARE = 0.7  # of the memory of float32: pictures and depth stay in it
_MOST_STRETCH = 5.0  # of stacks fainter than LEAST_CONTRAST, as of phase contrast; what is left is noise
_LEAST_WHITE = 0.5  # stacks darker than this are brightened: 12 bit in 16-bit files, night


@dataclass(frozen=True)
class InferenceConfig:
    """How a depth network is run.

    Args:
        work_pixels: pictures larger than about this are reduced, and depth is brought up along their edges.
        slices: most slices at a time; longer stacks are solved in parts (`dff.model.long_stacks`).
        tile_bytes: working memory that a tile may take; more pixels are solved in overlapping tiles.
        overlap: of tiles [px], a multiple of 32.
        tolerance, tolerance_steps: error that still counts as right, as a share of the sweep and of the mean
            step from slice to slice; the larger holds. Confidence is its probability.
        valid_confidence: confidence below which a pixel is "unknown".
        precision: "float32", "bfloat16", or "auto": bfloat16 where the device computes in it.
        views: 1, 2, 4 or 8: the picture is shown mirrored, upside down and turned as well, and the answers
            are averaged, for as many times the time.
    """

    work_pixels: int = 400_000
    slices: int = 10
    tile_bytes: int = 1 << 30
    overlap: int = 128
    tolerance: float = 0.1
    tolerance_steps: float = 0.4
    valid_confidence: float = 0.7
    precision: Precision = "auto"
    views: int = 1

    def __post_init__(self) -> None:
        if self.work_pixels < 1 or self.tile_bytes < 1 or self.slices < 3 or self.tolerance <= 0:
            raise ValueError(
                "InferenceConfig: work_pixels, tile_bytes and tolerance must be above 0, slices at least 3"
            )
        if self.overlap < STRIDE or self.overlap % STRIDE:
            raise ValueError(f"InferenceConfig: overlap {self.overlap}; give a multiple of {STRIDE}")
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"InferenceConfig: precision {self.precision!r}; choose from {', '.join(PRECISIONS)}"
            )
        if self.views not in VIEWS:
            raise ValueError(f"InferenceConfig: views {self.views}; choose from {', '.join(map(str, VIEWS))}")


@dataclass(eq=False)
class Inferred:
    """What the network says of a stack.

    Args:
        u: (h,w) float32 focus coordinate, 0 = farthest slice, 1 = nearest.
        scale: (h,w) float32 Laplace scale of its error.
        tiles: number of tiles.
        parts: number of parts that the slices were solved in, both passes together.
    """

    u: np.ndarray
    scale: np.ndarray
    tiles: int
    parts: int


def probability_within(tolerance: float, scale: np.ndarray) -> np.ndarray:
    """Probability that an error of the Laplace distribution of ``scale`` is at most ``tolerance``."""
    return np.asarray(-np.expm1(-np.float32(tolerance) / np.maximum(scale, np.float32(1e-6))))


def bytes_per_pixel(network: DepthModel, count: int, half: bool = False) -> int:
    """Working memory of ``network`` for a pixel of ``count`` slices, in float32 or in half precision."""
    return round(count * network.slice_bytes * (_HALF_SHARE if half else 1))


def infer(
    network: DepthModel,
    slices: Sequence[np.ndarray],
    positions: np.ndarray,
    config: InferenceConfig | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Inferred:
    """Depth of aligned slices, tile by tile; of long stacks in two passes (`dff.model.long_stacks`).

    The tone of the picture is measured once, on the whole stack: tiles of one picture agree.

    Args:
        network: in evaluation mode, on the device to run on.
        slices: N of (h,w,3), uint8, uint16 or float in [0,1], farthest first, in the reference frame.
        positions: (N,) rising focus positions, in dioptres or whatever they are linear in.
        config: memory, precision.
        progress: told (done, total) tiles.
    """
    config = config or InferenceConfig()
    count, size = len(slices), slices[0].shape[:2]
    device = next(network.parameters()).device
    gain, tones = _tones(slices, device)
    stretch = min(max(LEAST_CONTRAST / max(float(tones.deviation), 1e-6), 1), _MOST_STRETCH)
    stretched_tones = tones._replace(deviation=tones.deviation * stretch)
    parts = two_of(interleaved(count, config.slices))
    finer = windows(count, config.slices) if len(parts) > 1 else []
    half = runs_in_half(config.precision, device)
    most_pixels = config.tile_bytes // bytes_per_pixel(network, max(map(len, [*parts, *finer])), half)
    plan = tile_plan(size, most_pixels, config.overlap, STRIDE)
    mosaic = Mosaic(size, config.overlap)
    places = np.asarray(positions, np.float64)

    def ask(part: list[int], box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Focus coordinate and scale in the sweep of these slices alone."""
        give_back()  # parts and windows want blocks of other sizes, and would leave gaps
        u = focus_coordinate(torch.from_numpy(places[part])[None]).to(device)
        images = _pictures([slices[k][box] for k in part], gain).to(device)
        if stretch > 1:
            level = tones.mean[:, None, :, None, None]
            images.sub_(level).mul_(stretch).add_(level)
        height, width = slices[0][box].shape[:2]

        def look(view: int) -> tuple[np.ndarray, np.ndarray]:
            output = network(viewed(images, view), u, stretched_tones)
            maps = unviewed(torch.stack((output.u[0], output.log_scale[0].exp())), view)
            own, scale = maps[:, :height, :width].cpu().numpy()
            return own, scale

        said = [look(view) for view in range(config.views)]
        return weighted_mean(*(np.stack(values) for values in zip(*said, strict=True)))

    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
        for done, tile in enumerate(plan, start=1):
            said = [ask(part, tile.box) for part in parts]
            u, scale = weighted_mean(*(np.stack(values) for values in zip(*said, strict=True)))
            if finer:
                u, scale = _refined(u, scale, finer, places, _part_of(tile, ask), config.overlap)
            mosaic.add(tile, {"u": u, "scale": scale})
            if progress is not None:
                progress(done, len(plan))
    maps = mosaic.maps()
    return Inferred(maps["u"], maps["scale"], len(plan), len(parts) + len(finer))


Ask = Callable[[list[int], Box], tuple[np.ndarray, np.ndarray]]
"""Depth and its scale that a network finds of some slices, in a box."""


def _part_of(tile: Tile, ask: Ask) -> Ask:
    """``ask``, for boxes in the pixels of ``tile``."""
    return lambda part, box: ask(part, within(tile.box, box))


def _refined(
    u: np.ndarray,
    scale: np.ndarray,
    finer: list[list[int]],
    positions: np.ndarray,
    ask: Ask,
    margin: int,
) -> tuple[np.ndarray, np.ndarray]:
    """First depth and its scale (h,w), corrected by the windows round it, as far as pixels need them.

    A window is looked at where pixels need it, and ``margin`` px round them.
    """
    ladder = (positions - positions[0]) / (positions[-1] - positions[0])
    index = np.interp(u, ladder, np.arange(len(positions))).astype(np.float32)
    total, weight = np.zeros((3, *u.shape), np.float32), np.zeros_like(u)
    for window in finer:
        low, high = np.float32(ladder[window[0]]), np.float32(ladder[window[-1]])
        share, reach = window_share(index, window, len(positions)), (high - low) / 2
        if (share[scale < reach] > 0).any():
            box = box_round(share > 0, margin, STRIDE)
            fine, spread = ask(window, box)
            total[:, *box] += share[box] * np.stack(
                (low + fine * (high - low), spread * (high - low), np.full_like(fine, reach))
            )
            weight += share
    seen = weight > 0
    fine, spread, reach = total / np.where(seen, weight, 1)
    trust = np.where(seen, trust_in_windows(scale, spread, np.where(seen, reach, 1)), 0).astype(np.float32)
    return u + trust * (fine - u), scale + trust * (spread - scale)


def runs_in_half(precision: Precision, device: torch.device) -> bool:
    """Whether `infer` runs a network in bfloat16."""
    return precision == "bfloat16" or (precision == "auto" and computes_in_half(device))


def _top(image: np.ndarray) -> float:
    return 1.0 if image.dtype.kind == "f" else float(np.iinfo(image.dtype).max)


def _pictures(slices: Sequence[np.ndarray], gain: float) -> Tensor:
    """N of (h,w,3) of any depth -> (1,N,3,H,W) float32 in [0,1], the size that the network would pad them to.

    Padded as a whole, all slices would be in memory twice.
    """
    height, width = slices[0].shape[:2]
    below, right = -height % FINEST, -width % FINEST
    edge = ((0, below), (0, right), (0, 0))
    pictures = torch.empty(1, len(slices), 3, height + below, width + right)
    for k, image in enumerate(slices):
        values = np.pad(image, edge, mode="edge").astype(np.float32) * np.float32(gain / _top(image))
        pictures[0, k] = torch.from_numpy(np.minimum(values, 1)).permute(2, 0, 1)
    return pictures


def _tones(slices: Sequence[np.ndarray], device: torch.device) -> tuple[float, Tones]:
    """Gain for dark stacks, and mean and deviation of the whole stack after it."""
    picked = sorted({0, len(slices) // 2, len(slices) - 1})
    white = max(float(np.quantile(slices[k][::4, ::4], 0.9995)) / _top(slices[k]) for k in picked)
    gain = max(1.0, _LEAST_WHITE / max(white, 1e-3))
    total, squares = np.zeros(3), np.zeros(3)
    for image in slices:
        values = np.minimum(image.astype(np.float32) * np.float32(gain / _top(image)), 1)
        total += values.mean(axis=(0, 1), dtype=np.float64)
        squares += np.square(values).mean(axis=(0, 1), dtype=np.float64)
    mean = total / len(slices)
    deviation = np.sqrt(np.maximum(squares / len(slices) - mean**2, 0).mean())
    level = torch.from_numpy(mean[None]).float().to(device)
    return gain, Tones(level, torch.full_like(level[:, 0], float(deviation)))
