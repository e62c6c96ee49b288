"""Small simulated stacks, whose motion and depth are known."""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import pytest
import torch

from dff.simulator.capture import Simulated, SimulationConfig, Sweep, capture, simulate
from dff.simulator.layers import Layer

Simulate = Callable[[SimulationConfig, int], Simulated]


@pytest.fixture(scope="session")
def simulated() -> Simulate:
    """`simulate`, once per config and seed; what it returns is shared, so do not change it."""
    return lru_cache(maxsize=None)(simulate)


def _texture(height: int, width: int, seed: int) -> torch.Tensor:
    """(3,H,W) float32 grain with spots of 1 and of 2 px, linear light around 0.4."""
    random = np.random.default_rng(seed)
    fine, coarse = (cv2.GaussianBlur(random.normal(size=(height, width)), (0, 0), s) for s in (0.6, 2))
    grain = 0.4 + 0.1 * (fine / fine.std() + coarse / coarse.std())
    return torch.from_numpy(np.clip(grain, 0.02, 0.98).astype(np.float32)).expand(3, -1, -1)


@pytest.fixture(scope="session")
def surface() -> Callable[..., Simulated]:
    """``surface(dioptre, focus)``: a stack of one textured surface, aligned, almost free of noise.

    ``dioptre`` (H,W), ``focus`` (N,) rising; ``coc`` px per dioptre; ``flat`` (H,W) bool where it is plain.
    """

    def take(
        dioptre: np.ndarray,
        focus: np.ndarray,
        coc: float = 4.0,
        flat: np.ndarray | None = None,
        seed: int = 0,
    ) -> Simulated:
        height, width = dioptre.shape
        colour = _texture(height, width, seed).clone()
        if flat is not None:
            colour[:, torch.from_numpy(flat)] = 0.4
        layer = Layer(colour, torch.ones(height, width), torch.from_numpy(dioptre.astype(np.float32)))
        config = SimulationConfig(
            size=(height, width),
            n_slices=len(focus),
            far_dioptre=float(focus[0]),
            near_dioptre=float(focus[-1]),
            noise=(5e-5, 5e-5),
        )
        still = np.repeat(np.eye(2, 3)[None], len(focus), axis=0)
        sweep = Sweep(np.asarray(focus, dtype=np.float64), np.full(len(focus), coc), still)
        return capture([layer], config, sweep, torch.Generator().manual_seed(seed))

    return take
