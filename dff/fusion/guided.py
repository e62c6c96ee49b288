"""Guided-filter decisions: which slice is sharpest, tidied of specks, borders laid along the picture's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dff.classical.regularise import GuidedFilter
from dff.fusion.slices import aligned_slices, as_picture, spread
from dff.stack import FocalStack, Progress, to_luma

if TYPE_CHECKING:
    from dff.classical.alignment import Alignment


@dataclass(frozen=True)
class GuidedConfig:
    """How slices are compared and joined.

    Args:
        mean_px: side of the box whose mean is taken from the luma; what is left is the saliency.
        radius_px, epsilon: guided filter of saliency and decisions; lumas are in [0,1].
        speck_share: patches of one slice smaller than this share of the picture go to their surroundings.
    """

    mean_px: int = 7
    radius_px: int = 5
    epsilon: float = 0.01
    speck_share: float = 0.001

    def __post_init__(self) -> None:
        if self.mean_px < 3 or self.mean_px % 2 == 0 or self.radius_px < 1:
            raise ValueError("GuidedConfig: mean_px must be odd, 3 or more, and radius_px 1 or more")
        if not (self.epsilon > 0 and 0 <= self.speck_share < 1):
            raise ValueError("GuidedConfig: epsilon must be above 0, and speck_share in [0,1)")


def saliency(luma: np.ndarray, config: GuidedConfig) -> np.ndarray:
    """(H,W) what a box blur takes away from the luma, smoothed by a guided filter."""
    side = (config.mean_px, config.mean_px)
    detail = np.abs(luma - cv2.blur(luma, side, borderType=cv2.BORDER_REFLECT_101))
    return GuidedFilter(luma, config.radius_px, config.epsilon)(detail)


def without_specks(labels: np.ndarray, least_px: float) -> np.ndarray:
    """Labels (H,W) uint16 whose connected patches below ``least_px`` pixels took the nearest kept label."""
    kept = np.zeros(labels.shape, bool)
    for label in np.unique(labels):
        _, parts, stats, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8))
        large = stats[:, cv2.CC_STAT_AREA] >= least_px
        large[0] = False
        kept |= large[parts]
    if kept.all() or not kept.any():
        return labels
    _, nearest = cv2.distanceTransformWithLabels(
        (~kept).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(int(nearest.max()) + 1, labels.dtype)
    table[nearest[kept]] = labels[kept]
    return table[nearest]


def fuse_guided(
    stack: FocalStack,
    alignment: Alignment,
    config: GuidedConfig | None = None,
    *,
    progress: Progress | None = None,
) -> np.ndarray:
    """All-in-focus picture in the reference frame, (H,W) or (H,W,3), in the slices' own dtype.

    Guided-filter decision fusion (Qiu et al. 2019, GFDF) for any number of slices. Twice over the slices:
    first the saliency of each, where the largest decides; patches that are too small go to their nearest
    neighbour; then the decision for each slice is filtered with the picture put together so far as the
    guide, and the slices are joined with the filtered decisions as weights. Every value is a weighted mean
    of the slices there. One slice is in memory at a time.
    """
    config = config or GuidedConfig()
    first = stack.slices[alignment.reference]
    labels = np.full(first.shape[:2], alignment.reference, np.uint16)
    most = np.full(first.shape[:2], -np.inf, np.float32)
    guide = np.zeros(first.shape[:2], np.float32)
    for k, image, shown in aligned_slices(stack, alignment, progress, "compare"):
        luma = to_luma(image)
        value = saliency(luma, config)
        better = shown & (value > most)
        labels[better] = k
        np.copyto(most, value, where=better)
        np.copyto(guide, luma, where=better)
    labels = without_specks(labels, config.speck_share * labels.size)

    filtered = GuidedFilter(guide, config.radius_px, config.epsilon)
    total = np.zeros(first.shape, np.float32)
    weights = np.zeros(first.shape[:2], np.float32)
    for k, image, shown in aligned_slices(stack, alignment, progress):
        mine = (labels == k).astype(np.float32)
        weight = np.clip(filtered(mine), 0, 1) * shown + mine * np.float32(1e-6)
        weights += weight
        total += image * spread(weight, image)
    return as_picture(total / spread(weights, total), first.dtype)
