"""Small simulated stacks, whose motion and depth are known."""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import pytest
import torch

from dff.simulator.camera_prior import CameraPrior
from dff.simulator.capture import SimulationConfig, capture, simulate
from dff.simulator.layers import Layer
from dff.simulator.psf import PSF
from dff.simulator.sensor import Sensor
from dff.simulator.simulated import Simulated
from dff.simulator.sweep import Sweep
from dff.stack import FocalStack

Simulate = Callable[[SimulationConfig, int], Simulated]


@pytest.fixture(scope="session")
def simulated() -> Simulate:
    """`simulate`, once per config and seed; what it returns is shared, so do not change it.

    Stacks of a `CameraPrior` come without their lens: nothing is known of the motion.
    """

    def make(config: SimulationConfig, seed: int) -> Simulated:
        known = simulate(config, seed)
        if isinstance(config.camera, CameraPrior):
            known.stack = FocalStack(known.stack.slices, known.stack.focus)
        return known

    return lru_cache(maxsize=None)(make)


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
        full = torch.ones(1, height, width)
        layer = Layer(colour[None], full, torch.from_numpy(dioptre.astype(np.float32))[None])
        ladder = np.asarray(focus, dtype=np.float64)[None]
        still = np.tile(np.eye(2, 3), (1, len(focus), 1, 1))
        sweep = Sweep(
            focus=ladder,
            true_focus=ladder,
            coc_px_per_dioptre=np.full(ladder.shape, coc),
            matrices=still,
            coefficients=np.tile([1.0, 0, 0, 0], (1, len(focus), 1)),
            lenses=(None,),
            psf=PSF(),
            sensor=Sensor(shot=(5e-5, 5e-5)),
            softness_px=np.zeros(1),
            frame=(height, width),
            notes=({},),
        )
        generator = torch.Generator().manual_seed(seed)
        return capture([layer], sweep, (height, width), len(focus) - 1, generator).stack(0)

    return take
