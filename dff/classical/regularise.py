"""Edge-aware smoothing of volumes and maps: guided filter, pull-push filling, weighted total variation."""

from __future__ import annotations

import cv2
import numpy as np

FILL_WEIGHT = 0.02  # confidence at which a pixel's own value and its surroundings count alike


class GuidedFilter:
    """Guided filter (He et al. 2010) with the guide's statistics kept, for many inputs.

    Args:
        guide: (H,W) float32.
        radius: half the window [px].
        epsilon: variance of the guide below which it counts as flat.
    """

    def __init__(self, guide: np.ndarray, radius: int, epsilon: float) -> None:
        self.guide, self.window = guide, (2 * radius + 1, 2 * radius + 1)
        self.mean = cv2.blur(guide, self.window)
        self.scale = 1 / (cv2.blur(guide * guide, self.window) - self.mean * self.mean + np.float32(epsilon))

    def coefficients(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slope and offset (a, b), each (H,W), so that a * guide + b is the filtered image."""
        mean = cv2.blur(image, self.window)
        slope = (cv2.blur(self.guide * image, self.window) - self.mean * mean) * self.scale
        offset = mean - slope * self.mean
        return cv2.blur(slope, self.window), cv2.blur(offset, self.window)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        slope, offset = self.coefficients(image)
        return np.asarray(slope * self.guide + offset)


def fill(value: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Values where confidence is high, a smooth continuation of their surroundings where it is low."""
    weighted, weight = [value * confidence], [confidence]
    while min(weight[-1].shape) >= 4:
        weighted.append(cv2.pyrDown(weighted[-1]))
        weight.append(cv2.pyrDown(weight[-1]))
    out = weighted[-1] / (weight[-1] + 1e-9)
    for fine, fine_weight in zip(weighted[-2::-1], weight[-2::-1], strict=True):
        out = cv2.resize(out, fine.shape[::-1], interpolation=cv2.INTER_LINEAR)
        out = (fine + FILL_WEIGHT * out) / (fine_weight + FILL_WEIGHT)
    return np.asarray(out)


def edge_weights(guide: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights in (0,1] of the steps to the right and down neighbour: small across edges of ``guide``."""
    smooth = cv2.GaussianBlur(guide, (0, 0), 0.7)
    right, down = np.zeros_like(smooth), np.zeros_like(smooth)
    right[:, :-1] = np.abs(np.diff(smooth, axis=1))
    down[:-1] = np.abs(np.diff(smooth, axis=0))
    floor = np.float32(0.02)
    return np.exp(-right / np.float32(scale)) + floor, np.exp(-down / np.float32(scale)) + floor


def total_variation(
    value: np.ndarray,
    confidence: np.ndarray,
    weights: tuple[np.ndarray, np.ndarray],
    *,
    strength: float,
    start: np.ndarray,
    iterations: int = 100,
    huber: float = 0.002,
) -> np.ndarray:
    """Minimise sum confidence |u - value| + strength * sum weights * huber(step of u), by primal-dual steps.

    Args:
        value: (H,W) float32 data in [0,1].
        confidence: (H,W) float32 in [0,1].
        weights: `edge_weights`.
        strength: weight of the smoothness.
        start: (H,W) first guess; `fill` reaches far into pixels without data at once.
        huber: steps below this are smoothed quadratically, so that slopes do not become stairs.
    """
    tau, sigma = np.float32(0.25), np.float32(0.5)  # tau * sigma * 8 = 1: the method's stability limit
    reach_x, reach_y = weights[0] * np.float32(strength), weights[1] * np.float32(strength)
    shrink_x, shrink_y = (
        1 / (1 + sigma * np.float32(huber) / reach_x),
        1 / (1 + sigma * np.float32(huber) / reach_y),
    )
    reach = tau * confidence
    u = start.astype(np.float32)
    ahead = u.copy()
    p, q = np.zeros_like(u), np.zeros_like(u)
    flow = np.empty_like(u)
    for _ in range(iterations):
        p[:, :-1] += sigma * (ahead[:, 1:] - ahead[:, :-1])
        q[:-1] += sigma * (ahead[1:] - ahead[:-1])
        p *= shrink_x
        q *= shrink_y
        np.clip(p, -reach_x, reach_x, out=p)
        np.clip(q, -reach_y, reach_y, out=q)
        np.add(p, q, out=flow)
        flow[:, 1:] -= p[:, :-1]
        flow[1:] -= q[:-1]
        pulled = u + tau * flow
        offset = np.clip(pulled - value, -reach, reach)
        pulled -= offset
        np.subtract(2 * pulled, u, out=ahead)
        u = pulled
    return u
