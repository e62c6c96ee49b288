"""All-in-focus by choosing, pixel by pixel, the slice with the largest Laplacian energy."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from dff.stack import to_float


def fuse_argmax(slices: Iterable[np.ndarray], window_px: int) -> np.ndarray:
    """The picture made of the pixels of aligned slices whose squared Laplacian, boxed, is largest.

    Args:
        slices: (H,W) or (H,W,3), read once, one at a time.
        window_px: side of the box that the energy is summed in.

    Raises:
        ValueError: no slices.
    """
    fused: np.ndarray | None = None
    most: np.ndarray = np.zeros((0, 0), np.float32)
    for image in slices:
        luma = cv2.cvtColor(to_float(image), cv2.COLOR_RGB2GRAY)
        energy = cv2.blur(cv2.Laplacian(luma, cv2.CV_32F) ** 2, (window_px, window_px))
        if fused is None:
            fused, most = image.copy(), energy
        else:
            sharper = energy > most
            fused[sharper], most[sharper] = image[sharper], energy[sharper]
    if fused is None:
        raise ValueError("fuse_argmax: no slices")
    return fused
