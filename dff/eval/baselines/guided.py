"""The guided filter (He, Sun and Tang, "Guided Image Filtering", PAMI 2013), with weights for its source."""

from __future__ import annotations

import cv2
import numpy as np


def _box_mean(field: np.ndarray, radius_px: int) -> np.ndarray:
    side = 2 * radius_px + 1
    return cv2.boxFilter(field, -1, (side, side), borderType=cv2.BORDER_REFLECT)


def guided_filter(
    source: np.ndarray,
    guide: np.ndarray,
    radius_px: int,
    eps: float,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """(H,W) ``source`` smoothed within the edges of a grey ``guide``.

    In every box the source is fitted by a line in the guide (section 3.1 there, equations 5 and 6), and every
    pixel takes the mean of the lines of all boxes round it (equation 8).

    Args:
        source: (H,W) float32.
        guide: (H,W) float32 in [0,1].
        radius_px: of the box, which is 2 r + 1 wide.
        eps: variance of the guide below which it counts as flat.
        weight: (H,W) float32 >= 0 of the pixels of the source in the fits; None: all alike, as published.
    """
    weight = np.ones_like(source) if weight is None else np.maximum(weight, np.float32(1e-6))
    total = _box_mean(weight, radius_px)

    def mean(field: np.ndarray) -> np.ndarray:
        return np.asarray(_box_mean(weight * field, radius_px) / total)

    guide_mean, source_mean = mean(guide), mean(source)
    variance = np.maximum(mean(guide * guide) - guide_mean**2, 0)
    slope = (mean(guide * source) - guide_mean * source_mean) / (variance + np.float32(eps))
    offset = source_mean - slope * guide_mean
    return np.asarray(_box_mean(slope, radius_px) * guide + _box_mean(offset, radius_px))
