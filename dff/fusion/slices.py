"""What all fusions share: aligned slices one at a time, sharpness, and the way back to the slices' dtype."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dff.stack import FocalStack, Progress

if TYPE_CHECKING:
    from dff.classical.alignment import Alignment


def aligned_slices(
    stack: FocalStack, alignment: Alignment, progress: Progress | None = None, stage: str = "fuse"
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(k, slice k brought onto the reference, (H,W) bool: where it shows the scene), one after the other."""
    for k in range(len(stack)):
        image = alignment.warp(stack.slices[k], k)
        whole = k == alignment.reference
        yield k, image, np.ones(image.shape[:2], bool) if whole else alignment.valid_mask(k)
        if progress is not None:
            progress(stage, k + 1, len(stack))


def sharpness(luma: np.ndarray, sigma_px: float) -> np.ndarray:
    """(H,W) magnitude of the Laplacian, averaged by a Gaussian."""
    laplacian = cv2.Laplacian(luma, cv2.CV_32F, ksize=3, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.GaussianBlur(np.abs(laplacian), (0, 0), sigma_px))


def spread(weight: np.ndarray, image: np.ndarray) -> np.ndarray:
    """A weight (H,W) shaped to multiply a picture (H,W) or (H,W,3)."""
    return weight[..., None] if image.ndim == 3 else weight


def as_picture(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float values in the slices' own scale -> a picture of their dtype, clipped and rounded."""
    if dtype.kind == "f":
        return np.clip(values, 0, 1).astype(dtype)
    return np.rint(np.clip(values, 0, np.iinfo(dtype).max)).astype(dtype)
