"""Alignment by OpenCV's ECC: the affine motion between neighbours, chained from the reference outwards.

ECC (Evangelidis and Psarakis 2008) maximises the correlation of two pictures, which makes it blind to gain
and offset of brightness. It knows nothing of defocus: a change of blur between slices counts as motion.
"""

from __future__ import annotations

import cv2
import numpy as np

from dff.classical import motion
from dff.stack import FocalStack, Progress, to_luma

ITERATIONS = 50
EPSILON = 1e-4  # smallest gain of correlation that goes on
SMOOTHING = 5  # px, side of the Gaussian window that both pictures are smoothed with


def _grey(image: np.ndarray, scale: float) -> np.ndarray:
    """(H,W) float32 in [0,1] of a slice, reduced by ``scale``."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale != 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return to_luma(image)


def _step(template: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """(2,3) template pixel -> pixel of the other picture; None where ECC does not converge, or to worse."""
    start: np.ndarray = np.eye(2, 3, dtype=np.float32)
    everywhere: np.ndarray = np.ones(template.shape, np.uint8)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, ITERATIONS, EPSILON)
    try:
        found, matrix = cv2.findTransformECC(
            template, other, start, cv2.MOTION_AFFINE, criteria, everywhere, SMOOTHING
        )
    except cv2.error:
        return None
    before, after = (cv2.GaussianBlur(picture, (SMOOTHING, SMOOTHING), 0) for picture in (template, other))
    if found < float(np.corrcoef(before.ravel(), after.ravel())[0, 1]):
        return None  # it went astray: how far depends on the processor's rounding
    return matrix.astype(np.float64) if np.isfinite(matrix).all() else None


def ecc_chain(
    stack: FocalStack,
    reference: int,
    *,
    scale: float = 0.5,
    progress: Progress | None = None,
) -> tuple[np.ndarray, list[int]]:
    """Affine motion of every slice against the reference, neighbour by neighbour.

    Args:
        stack: N slices, in an order in which neighbours look alike.
        reference: index of the slice that does not move.
        scale: the pictures are reduced to this size first, in (0, 1].
        progress: called with ("align", slices done, N).

    Returns:
        (N,2,3) float64, reference pixel (x, y, 1) -> pixel of slice n, and the slices on which ECC failed:
        those stay where their neighbour towards the reference is, and the chain goes on from there.

    Raises:
        ValueError: a scale or reference out of range.
    """
    count = len(stack)
    if not 0 < scale <= 1:
        raise ValueError(f"ecc: scale {scale:g}; give a number above 0 and at most 1")
    if not 0 <= reference < count:
        raise ValueError(f"ecc: reference {reference}; the stack has slices 0 to {count - 1}")
    matrices = np.repeat(motion.IDENTITY[None], count, axis=0)
    failed: list[int] = []
    first = _grey(stack.slices[reference], scale)
    done = 1
    for outwards in (range(reference + 1, count), range(reference - 1, -1, -1)):
        before, template = reference, first
        for k in outwards:
            picture = _grey(stack.slices[k], scale)
            step = _step(template, picture)
            if step is None:
                failed.append(k)
                step = motion.IDENTITY
            matrices[k] = motion.compose(motion.rescale(step, 1 / scale), matrices[before])
            before, template = k, picture
            done += 1
            if progress is not None:
                progress("align", done, count)
    return matrices, sorted(failed)
