"""Laplacian pyramid: at every scale the detail of the slices that have most of it, nothing out of range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from dff.fusion.slices import aligned_slices, as_picture, spread
from dff.stack import FocalStack, Progress, to_luma

if TYPE_CHECKING:
    from dff.classical.alignment import Alignment

LEAST_SIDE = 16  # px of the coarsest level
WINDOW_SIGMA = 1.5  # px of each level that the energy of detail is averaged over
POWER = 6  # how strongly the slice with most energy is preferred; noise of all is averaged a little
FLOOR = np.float32(1e-7)  # energy of flat ground, where all slices count alike


def laplacian_pyramid(image: np.ndarray, levels: int) -> list[np.ndarray]:
    """``levels`` bands of detail, finest first, then the coarse rest; float32 as ``image``."""
    bands = []
    for _ in range(levels):
        coarse = np.asarray(cv2.pyrDown(image))
        bands.append(image - cv2.pyrUp(coarse, dstsize=image.shape[1::-1]))
        image = coarse
    return [*bands, image]


def collapse(bands: list[np.ndarray]) -> np.ndarray:
    """The picture that a pyramid came from."""
    image = bands[-1]
    for band in bands[-2::-1]:
        image = band + cv2.pyrUp(image, dstsize=band.shape[1::-1])
    return image


def levels_of(size: tuple[int, int]) -> int:
    """Bands of a (height, width) picture: until its shorter side would fall below `LEAST_SIDE`."""
    return max(1, int(np.log2(max(min(size) / LEAST_SIDE, 2))))


def fuse_pyramid(stack: FocalStack, alignment: Alignment, *, progress: Progress | None = None) -> np.ndarray:
    """All-in-focus picture in the reference frame, (H,W) or (H,W,3), in the slices' own dtype.

    Laplacian pyramid fusion (Burt and Kolczynski 1993): every band is a mean of the slices' bands, weighted
    by a power of the energy of their luma there; the coarse rest follows the coarsest band. The result is
    then kept within the range that the slices have within 3x3 px, since mixed bands overshoot at edges. One
    slice and its pyramid are in memory at a time, beside the sums.
    """
    first = stack.slices[alignment.reference]
    levels = levels_of(first.shape[:2])
    around = np.ones((3, 3), np.uint8)
    totals: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    low = high = first
    for k, image, shown in aligned_slices(stack, alignment, progress):
        hidden = None if shown.all() else spread(~shown, image)
        least, greatest = cv2.erode(image, around), cv2.dilate(image, around)
        low = np.minimum(low, least if hidden is None else np.where(hidden, low, least))
        high = np.maximum(high, greatest if hidden is None else np.where(hidden, high, greatest))
        bands = laplacian_pyramid(image.astype(np.float32), levels)
        seen = shown.astype(np.float32)
        scale = np.float32(1 if image.dtype.kind == "f" else 1 / np.iinfo(image.dtype).max)
        weight = seen
        for level, band in enumerate(bands):
            if level < levels:
                detail = to_luma(band * scale)
                energy = cv2.GaussianBlur(detail * detail, (0, 0), WINDOW_SIGMA) + FLOOR
                weight = (energy * np.float32(1e4)) ** POWER * seen
                if k == alignment.reference:
                    weight = weight + np.float32(1e-30)  # always something to show
            else:
                weight = np.asarray(cv2.pyrDown(weight))
            if len(totals) <= level:
                totals.append(np.zeros_like(band))
                weights.append(np.zeros(band.shape[:2], np.float32))
            totals[level] += band * spread(weight, band)
            weights[level] += weight
            seen = np.asarray(cv2.pyrDown(seen))
    fused = collapse([total / spread(weight, total) for total, weight in zip(totals, weights, strict=True)])
    return as_picture(np.clip(fused, low, high), first.dtype)
