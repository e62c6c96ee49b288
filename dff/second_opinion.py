"""Does a network's depth contradict what is plainly in focus? Then it is out of its depth, and should say so.

Networks fill plain parts in from around them, and are sure of it. Under light that shines through things
(microscopes), where many depths lie over each other, they are sure and wrong. What the classical engine sees
plainly in focus in a reduced stack is a second opinion that costs little.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dff.classical.align import align_stack
from dff.classical.depth import DepthConfig, depth_from_focus
from dff.recipes import load_recipe
from dff.stack import FocalStack

LONG_SIDE = 320  # px of the reduced stack
PLAIN = 0.8  # confidence of the classical engine from which a place is plainly in focus
OFF = 0.25  # of the sweep, and a step, is a contradiction; below that the classical engine may be in error
LEAST_PLACES = 0.003  # of the picture; fewer say nothing
# of opaque things at most 0.07, of 9 in 10 of the hardest simulated stacks 0.26; of microscopes 0.27, 0.73
TOLERATED = 0.26


def contradicted(u: np.ndarray, slices: Sequence[np.ndarray], positions: np.ndarray) -> float:
    """Share, from 0 to 1, of the places plainly in focus in one slice of which ``u`` says another.

    Args:
        u: (h,w) depth, 0 at the farthest slice, 1 at the nearest, linear in ``positions``.
        slices: aligned pictures (h,w,3), far first.
        positions: (N,) where they are focused, rising.
    """
    height, width = u.shape
    scale = min(1.0, LONG_SIDE / max(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    stack = FocalStack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in slices])
    still = align_stack(stack, "none", reference="last")
    found = depth_from_focus(stack, still, load_recipe("weights", "classical", DepthConfig))
    plain = (found.confidence > PLAIN) & found.valid
    if plain.mean() < LEAST_PLACES:
        return 0.0
    said = np.interp(found.index, np.arange(len(slices)), (positions - positions[0]) / np.ptp(positions))
    theirs = cv2.resize(u.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return float((np.abs(theirs - said)[plain] > max(OFF, 1 / (len(slices) - 1))).mean())
