"""Focal stacks blurred from a picture and its depth, as HybridDepth does it for NYUv2 and ARKitScenes.

A published recipe, kept as it is so that its figures can be repeated: display values are blurred, every pixel
gathers from its neighbours within 3 px with their own Gaussian, and the focus distances span the true depth
of the picture (so the truth's range is known to whoever is given the stack). For stacks to learn from use
`dff simulate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from dff.formats.slices import LazySlices

_RADIUS = 3  # of the window of neighbours [px]


@dataclass(frozen=True)
class RecipeCamera:
    """A thin lens: ``focal_length_m``, ``f_number``, and ``pixel_pitch_m`` of the blurred picture."""

    focal_length_m: float
    f_number: float
    pixel_pitch_m: float

    def coc_radius_px(self, depth_m: np.ndarray, focus_m: float) -> np.ndarray:
        """(H,W) radius of the circle of confusion [px] of metres focused at ``focus_m``."""
        sensor = focus_m * self.focal_length_m / (focus_m - self.focal_length_m)
        vergence = 1 / self.focal_length_m - 1 / sensor - 1 / (depth_m + 1e-8)
        return self.focal_length_m / self.f_number * sensor * np.abs(vergence) / 2 / self.pixel_pitch_m


def gathered(picture: np.ndarray, radius_px: np.ndarray) -> np.ndarray:
    """(H,W,3) float32 blurred by a Gaussian exp(-2 r^2/c^2)/c^2 of each neighbour's own radius c.

    Pixels with c of 1 px and less stay sharp, and lend nothing to others.
    """
    height, width = radius_px.shape
    blurred = radius_px > 1
    c2 = np.where(blurred, radius_px, 1.0).astype(np.float32) ** 2
    share = np.where(blurred, 1 / c2, 0).astype(np.float32)
    far2 = {down * down + right * right for down in range(_RADIUS + 1) for right in range(_RADIUS + 1)}
    weights = {r2: (share * np.exp(-2 * r2 / c2))[..., None] for r2 in far2}
    light, total = np.zeros_like(picture, np.float32), np.zeros((height, width, 1), np.float32)
    for down in range(-_RADIUS, _RADIUS + 1):
        for right in range(-_RADIUS, _RADIUS + 1):
            here = (slice(max(0, -down), height - max(0, down)), slice(max(0, -right), width - max(0, right)))
            there = (slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right)))
            weight = weights[down * down + right * right][there]
            light[here] += weight * picture[there]
            total[here] += weight
    return np.where(blurred[..., None], light / np.maximum(total, 1e-12), picture)


def _slice(
    load: Callable[[], tuple[np.ndarray, np.ndarray]], camera: RecipeCamera, focus_m: float
) -> np.ndarray:
    picture, depth_m = load()
    sharp = picture.astype(np.float32) / np.float32(255)
    return np.clip(gathered(sharp, camera.coc_radius_px(depth_m, focus_m)), 0, 1)


def rendered_slices(
    load: Callable[[], tuple[np.ndarray, np.ndarray]], camera: RecipeCamera, focus_m: np.ndarray
) -> LazySlices:
    """Slices (H,W,3) float32 in [0,1], each blurred when asked for.

    Args:
        load: gives the picture (H,W,3) uint8 and its depth (H,W) in metres, 0 where unknown.
        focus_m: (N,) focus distances.
    """
    return LazySlices([partial(_slice, load, camera, float(at)) for at in focus_m])


def spanning_focus(depth_m: np.ndarray, valid: np.ndarray, n: int, what: object) -> np.ndarray:
    """(n,) focus distances [m] evenly from the farthest to the nearest valid depth.

    Raises:
        ValueError: nothing is valid, or all of it is at one distance; ``what`` is named.
    """
    if not valid.any():
        raise ValueError(f"{what}: holds no depth: every pixel is 0, NaN or out of range; leave it out")
    nearest, farthest = float(depth_m[valid].min()), float(depth_m[valid].max())
    if farthest <= nearest:
        raise ValueError(f"{what}: all depth is {nearest:g} m; no focus sweep can span it")
    return np.linspace(farthest, nearest, n)
