"""Carrying pictures from one time step to the next: optical flow, and what of a carried picture to trust."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from dff.capture.scene import Shot
from dff.stack import to_luma

BLUR_SIGMAS = (0.8, 1.6, 2.6, 4.0, 6.5, 10.0)  # px, by which a sharp picture is made like a blurred shot
SOFTEN, SMOOTH = 0.03, 0.075  # of the shorter side: sigma of pictures before, and of the flow after
COMPARE_SIGMA = 1.5  # px of the window of that comparison
TRUST = 0.03  # of the tone range: a difference that halves the trust in a carried pixel
SHARPER = 1.15  # how much sharper than the shot a carried pixel must be to be taken
SHARP_SIGMA = 3.0  # px of the window in which sharpness is told for the flow
SURE, SHARP = 0.15, 0.01  # share of sharpness, and Laplacian of luma, from which a flow is rather trusted


def flow_between(shot: np.ndarray, before: np.ndarray, course: np.ndarray | None = None) -> np.ndarray:
    """(H,W,2) float32 flow: pixel p of ``shot`` shows what ``before`` shows at p + flow(p).

    DIS optical flow (Kroeger et al. 2016) between a picture that is sharp in part and one that is sharp all
    over: both are softened first, so that what differs in focus only does not look moved. Blur still misleads
    it: it is smoothed with more weight where the shot is as sharp as ``before``, and where nothing nearby is,
    things are taken to go on as they did.

    Args:
        shot, before: (H,W[,3]).
        course: (H,W,2) flow of the time step before, if there was one.
    """
    side = min(shot.shape[:2])
    a, b = (cv2.GaussianBlur(_bytes(to_luma(one)), (0, 0), SOFTEN * side) for one in (shot, before))
    raw = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM).calc(a, b, None)  # type: ignore
    smooth = partial(cv2.GaussianBlur, ksize=(0, 0), sigmaX=SMOOTH * side)
    plain = np.asarray(smooth(raw))
    if course is None:
        return plain
    here, there = (_sharpness(to_luma(one), SHARP_SIGMA) for one in (shot, moved(before, plain)))
    weight = np.clip(here / (there + 1e-4), 0, 1) ** 4 * here / (here + SHARP)
    near = np.asarray(smooth(weight))
    seen = smooth(raw * weight[..., None]) / (near + 1e-3)[..., None]
    trust = (near / (near + SURE))[..., None]
    return np.asarray(trust * seen + (1 - trust) * _read(course, plain), np.float32)


def _sharpness(luma: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(np.abs(cv2.Laplacian(luma, cv2.CV_32F, ksize=3)), (0, 0), sigma)


def _bytes(luma: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(luma, 0, 1) * 255).astype(np.uint8)


def moved(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """``image`` (H,W[,3]) read at p + flow(p), bicubic, edges repeated, dtype and range kept."""
    out = _read(image, flow)
    return np.clip(out, 0, 1) if out.dtype.kind == "f" else out


def _read(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(
        values, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


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
        return Carried(self.shot, flow + _read(self.flow, flow))

    def seen(self) -> Shot:
        """The shot as it would look now."""
        return replace(self.shot, picture=moved(self.shot.picture, self.flow))


def transfer(shot: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The shot, with what is sharper in a carried reference put in where both show the same thing.

    Agreement: the reference, blurred by the Gaussian of `BLUR_SIGMAS` that brings it nearest, must look like
    the shot; where a flow went wrong, or something came into view, no blur does that, and the shot stays.
    """
    here, there = to_luma(shot), to_luma(reference)
    nearest = cv2.GaussianBlur(np.abs(there - here), (0, 0), COMPARE_SIGMA)
    for sigma in BLUR_SIGMAS:
        soft = cv2.GaussianBlur(there, (0, 0), sigma)
        nearest = np.minimum(nearest, cv2.GaussianBlur(np.abs(soft - here), (0, 0), COMPARE_SIGMA))
    trust = 1 / (1 + (nearest / TRUST) ** 4)
    sharp_here, sharp_there = (_sharpness(one, 2.0) for one in (here, there))
    wanted = 1 / (1 + (SHARPER * (sharp_here + 1e-3) / (sharp_there + 1e-3)) ** 8)
    weight = cv2.GaussianBlur((trust * wanted).astype(np.float32), (0, 0), 0.7)
    weight = weight[..., None] if shot.ndim == 3 else weight
    joined = shot + weight * (reference.astype(np.float32) - shot)
    return joined.astype(shot.dtype) if shot.dtype.kind == "f" else np.rint(joined).astype(shot.dtype)
