"""Carrying pictures from one time step to the next: optical flow, and what of a carried picture to trust."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from dff.capture.scene import Shot
from dff.stack import to_luma

BLUR_SIGMAS = (0.8, 1.6, 2.6, 4.0, 6.5, 10.0)  # px, by which a sharp picture is made like a blurred shot
SOFTEN, SMOOTH = 0.03, 0.075  # of the shorter side: sigma of pictures before, and of the flow after
COMPARE_SIGMA = 1.5  # px of the window of that comparison
TRUST = 0.03  # of the tone range: a difference that halves the trust in a carried pixel
SHARPER = 1.15  # how much sharper than the shot a carried pixel must be to be taken


def flow_between(shot: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(H,W,2) float32 flow: pixel p of ``shot`` shows what ``before`` shows at p + flow(p).

    DIS optical flow (Kroeger et al. 2016) between a picture that is sharp in part and one that is sharp all
    over: both are softened first, so that what differs in focus only does not look moved, and the flow after,
    since it knows little where the shot is blurred.
    """
    side = min(shot.shape[:2])
    a, b = (cv2.GaussianBlur(_bytes(to_luma(one)), (0, 0), SOFTEN * side) for one in (shot, before))
    flow = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM).calc(a, b, None)  # type: ignore
    return np.asarray(cv2.GaussianBlur(flow, (0, 0), SMOOTH * side))


def _bytes(luma: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(luma, 0, 1) * 255).astype(np.uint8)


def moved(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """``image`` (H,W[,3]) read at p + flow(p), bicubic, edges repeated, dtype and range kept."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    out = cv2.remap(
        image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.clip(out, 0, 1) if out.dtype.kind == "f" else out


def carried(shot: Shot, flow: np.ndarray) -> Shot:
    """An earlier shot as it would look now."""
    return replace(shot, picture=moved(shot.picture, flow))


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
    sharp_here, sharp_there = (
        cv2.GaussianBlur(np.abs(cv2.Laplacian(one, cv2.CV_32F, ksize=3)), (0, 0), 2.0)
        for one in (here, there)
    )
    wanted = 1 / (1 + (SHARPER * (sharp_here + 1e-3) / (sharp_there + 1e-3)) ** 8)
    weight = cv2.GaussianBlur((trust * wanted).astype(np.float32), (0, 0), 0.7)
    weight = weight[..., None] if shot.ndim == 3 else weight
    joined = shot + weight * (reference.astype(np.float32) - shot)
    return joined.astype(shot.dtype) if shot.dtype.kind == "f" else np.rint(joined).astype(shot.dtype)
