"""Carrying pictures from one time step to the next, and what of a carried picture to trust."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from dff.capture.course import blurs, matched, read
from dff.capture.scene import Shot
from dff.fusion.slices import sharpness
from dff.stack import to_luma

COMPARE_SIGMA = 1.5  # px of the window in which a carried picture and the shot are compared
TRUST = 0.04  # of the tone range: a difference that halves the trust in a carried pixel
SHARP_SIGMA = 2.0  # px of the window in which sharpness is told
SHARPER = 1.15  # how much sharper than the shot a carried pixel must be to be taken


def moved(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """``image`` (H,W[,3]) read at p + flow(p), bicubic, edges repeated, dtype and range kept."""
    out = read(image, flow)
    return np.clip(out, 0, 1) if out.dtype.kind == "f" else out


@dataclass(frozen=True, eq=False)
class Carried:
    """An earlier shot and where it has gone since; read from the picture itself, so that it stays sharp.

    Args:
        shot: as it was taken.
        flow: (H,W,2) pixel p of now shows what the shot shows at p + flow(p).
    """

    shot: Shot
    flow: np.ndarray

    @classmethod
    def new(cls, shot: Shot) -> Carried:
        return cls(shot, np.zeros((*shot.picture.shape[:2], 2), np.float32))

    def on(self, flow: np.ndarray) -> Carried:
        """The same one time step later."""
        return Carried(self.shot, flow + read(self.flow, flow))

    def matched_to(self, picture: np.ndarray) -> Carried:
        """The same, its flow made better by what is seen now."""
        return Carried(self.shot, matched(picture, self.shot.picture, self.flow))

    def seen(self) -> Shot:
        """The shot as it would look now."""
        return replace(self.shot, picture=moved(self.shot.picture, self.flow))


def transfer(shot: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The shot, with what is sharper in a carried reference put in where both show the same thing.

    Agreement: the reference, blurred by the Gaussian of `dff.capture.course.blurs` that brings it nearest,
    must look like the shot; where a flow went wrong, or something came into view, no blur does that, and the
    shot stays.
    """
    here, there = to_luma(shot), to_luma(reference)
    nearest = cv2.GaussianBlur(np.abs(there - here), (0, 0), COMPARE_SIGMA)
    for soft in blurs(there):
        nearest = np.minimum(nearest, cv2.GaussianBlur(np.abs(soft - here), (0, 0), COMPARE_SIGMA))
    trust = 1 / (1 + (nearest / TRUST) ** 4)
    sharp_here, sharp_there = (sharpness(one, SHARP_SIGMA) for one in (here, there))
    wanted = 1 / (1 + (SHARPER * (sharp_here + 1e-3) / (sharp_there + 1e-3)) ** 8)
    weight = cv2.GaussianBlur((trust * wanted).astype(np.float32), (0, 0), 0.7)
    weight = weight[..., None] if shot.ndim == 3 else weight
    joined = shot + weight * (reference.astype(np.float32) - shot)
    return joined.astype(shot.dtype) if shot.dtype.kind == "f" else np.rint(joined).astype(shot.dtype)
