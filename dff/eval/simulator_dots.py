"""A grid of dots before a simulated camera: where every slice puts them tells its motion beyond doubt."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from dff.simulator.camera_model import Frame
from dff.simulator.camera_prior import Camera
from dff.simulator.capture import capture
from dff.simulator.layers import Layer
from dff.simulator.psf import PSF
from dff.simulator.sensor import Sensor
from dff.simulator.simulated import Simulated

SPACING_PX = 56
PUT_OFF_PX = 6.0
WINDOW_PX = 20  # to either side: no dot's blur reaches into another's window
DOT_SIGMA_PX = 1.5
GROUND, RISE = 0.2, 0.6  # linear light: on black, the undershoot of bicubic sampling would be cut off
STEPS = 4  # of a window that follows its centroid
NOISELESS = Sensor(bit_depth=0, shot=(0.0, 0.0))


def places(size: tuple[int, int]) -> np.ndarray:
    """(n,2) x, y of dots in a picture, from its middle out: a grid whose points are put off at random.

    A regular grid would meet the pixels of a zoomed picture everywhere at the same phase, and with it one and
    the same error of interpolation.
    """
    counts = [side // (2 * SPACING_PX) for side in size[::-1]]
    columns, rows = (SPACING_PX * np.arange(-count, count + 1) for count in counts)
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    return grid + np.random.default_rng(0).uniform(-PUT_OFF_PX, PUT_OFF_PX, grid.shape)


def dots(size: tuple[int, int], centres: np.ndarray) -> torch.Tensor:
    """(3,H,W) linear light: Gaussian dots at ``centres`` (n,2) [px from the middle] on darker ground."""
    light = np.zeros(size, dtype=np.float32)
    middle = (np.array(size[::-1]) - 1) / 2
    reach = math.ceil(6 * DOT_SIGMA_PX)
    for centre in centres + middle:
        left, top = np.rint(centre).astype(int) - reach
        x, y = (np.arange(2 * reach + 1) + start for start in (left, top))
        x, y = x[(x >= 0) & (x < size[1])], y[(y >= 0) & (y < size[0])]
        spread = (x - centre[0]) ** 2 + (y[:, None] - centre[1]) ** 2
        light[np.ix_(y, x)] += np.exp(-0.5 * spread / DOT_SIGMA_PX**2)
    return torch.from_numpy(GROUND + RISE * light).expand(3, *size)


def take_dots(camera: Camera, size: tuple[int, int], seed: int, n_slices: int | None = None) -> Simulated:
    """The stack of a flat field of dots in the middle of the camera's sweep, free of noise."""
    crop = Frame(size)
    sweep = camera.sweep(1, crop, np.random.default_rng(seed), n_slices)
    sweep = replace(sweep, sensor=NOISELESS, psf=PSF())  # a lopsided kernel would move the centroids
    margin = sweep.margin(size)
    height, width = (side + 2 * margin for side in size)
    middle = float(sweep.true_focus.mean())
    picture = dots((height, width), places(size))
    flat = Layer(picture[None], torch.ones(1, height, width), torch.full((1, height, width), middle))
    generator = torch.Generator().manual_seed(seed)
    return capture([flat], sweep, size, crop.index(sweep.focus.shape[1]), generator).stack(0)


def _centroids(light: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Centroids (n,2) x, y of windows that begin round ``start``; NaN once a window leaves the picture."""
    found = start.copy()
    height, width = light.shape
    reach = WINDOW_PX
    offset = np.arange(-reach, reach + 1)
    for i, place in enumerate(start):
        for _ in range(STEPS):
            x, y = np.rint(place).astype(int)
            if not (reach <= x < width - reach and reach <= y < height - reach):
                place = np.array([np.nan, np.nan])
                break
            window = light[y - reach : y + reach + 1, x - reach : x + reach + 1]
            total = window.sum()
            place = np.array([x + (window.sum(0) @ offset) / total, y + (window.sum(1) @ offset) / total])
        found[i] = place
    return found


def _similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Matrix (2,3) of the scale, rotation and shift that bring (n,2) closest to (n,2)."""
    x, y = source.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate([np.column_stack([x, -y, one, zero]), np.column_stack([y, x, zero, one])])
    a, b, right, down = np.linalg.lstsq(rows, np.concatenate(target.T), rcond=None)[0]
    return np.array([[a, -b, right], [b, a, down]])


def dot_matrices(known: Simulated) -> np.ndarray:
    """(N,2,3) reference pixel -> slice pixel, from the places of the dots alone.

    Dots are followed from slice to slice, beginning at the reference.

    Raises:
        ValueError: fewer than 4 dots stay in the picture.
    """
    lights = [known.stack[k][..., 1].astype(np.float64) ** 2.2 - GROUND for k in range(len(known.stack))]
    height, width = lights[0].shape
    grid = places((height, width)) + (np.array([width, height]) - 1) / 2
    count = len(lights)
    seen_at = np.full((count, len(grid), 2), np.nan)
    here = _centroids(lights[known.reference], grid)
    seen_at[known.reference] = here
    for order in (range(known.reference + 1, count), range(known.reference - 1, -1, -1)):
        last = here
        for k in order:
            seen = np.isfinite(last[:, 0])
            seen_at[k, seen] = _centroids(lights[k], last[seen])
            last = seen_at[k]
    matrices = []
    for k in range(count):
        both = np.isfinite(seen_at[k, :, 0]) & np.isfinite(here[:, 0])
        if both.sum() < 4:
            raise ValueError(f"slice {k} shows {int(both.sum())} dots; give the camera a larger picture")
        matrices.append(_similarity(here[both], seen_at[k, both]))
    return np.array(matrices)
