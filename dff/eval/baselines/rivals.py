"""Rivals without learning: each a function of an aligned stack and a few settings.

All give the focal index (H,W) of every pixel, and a confidence (H,W) float32 in [0,1]: how far the largest
value of the focus volume stands out over its mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product

import numpy as np

from dff.eval.baselines import sml
from dff.eval.baselines.directional import directional_volume
from dff.eval.baselines.guided import guided_filter
from dff.eval.baselines.total_variation import tv_l1
from dff.eval.baselines.variational import variational_share
from dff.eval.depth_models_rivals import Peaks, edge_weights, peaks
from dff.stack import FocalStack

Answer = tuple[np.ndarray, np.ndarray]
Settings = Mapping[str, float]
Values = Mapping[str, Sequence[float]]
"""Values to try of each setting."""


def standing_out(volume: np.ndarray) -> np.ndarray:
    """(H,W) float32 of a focus volume (N,H,W) >= 0: 1 - mean / largest, 0 where it is flat."""
    highest = volume.max(axis=0)
    return np.asarray(1 - volume.mean(axis=0) / np.maximum(highest, 1e-9), np.float32) * (highest > 0)


def _ladder(stack: FocalStack) -> np.ndarray:
    """(N,) focus coordinate of the slices, 0 = farthest, 1 = nearest."""
    positions = stack.positions
    return np.asarray((positions - positions[0]) / (positions[-1] - positions[0]))


def _index(share: np.ndarray, stack: FocalStack) -> np.ndarray:
    return np.interp(share, _ladder(stack), np.arange(len(stack)))


def _peaks(stack: FocalStack, step_px: float, sigma_px: float) -> Peaks:
    return peaks(stack, sml.laplacian_volume(stack, int(step_px)), sigma_px)


def sml_largest(stack: FocalStack, *, step_px: float, sigma_px: float) -> Answer:
    """Sum-modified-Laplacian, the sharpest slice."""
    volume = sml.summed(sml.laplacian_volume(stack, int(step_px)), sigma_px)
    return sml.largest_index(volume), standing_out(volume)


def sml_parabola(stack: FocalStack, *, step_px: float, sigma_px: float) -> Answer:
    """The same with a parabola through the peak."""
    found = _peaks(stack, step_px, sigma_px)
    return _index(found.u, stack), found.trust


def sml_guided(stack: FocalStack, *, step_px: float, sigma_px: float, radius_px: float, eps: float) -> Answer:
    """That, smoothed by a guided filter."""
    found = _peaks(stack, step_px, sigma_px)
    smooth = guided_filter(found.u, found.guide, int(radius_px), eps, found.trust)
    return _index(np.clip(smooth, 0, 1), stack), found.trust


def sml_tv(stack: FocalStack, *, step_px: float, sigma_px: float, fidelity: float, edge: float) -> Answer:
    """That, smoothed by edge-weighted TV-L1."""
    found = _peaks(stack, step_px, sigma_px)
    smooth = tv_l1(found.u, fidelity * found.trust, edge_weights(found.guide, edge))
    return _index(smooth, stack), found.trust


def directional(stack: FocalStack, *, window_px: float) -> Answer:
    """Directional dilated Laplacians, the sharpest slice."""
    volume = directional_volume(stack, window_px=int(window_px))
    return sml.largest_index(volume), standing_out(volume)


def variational(stack: FocalStack, *, step_px: float, sigma_px: float, data: float, edge: float) -> Answer:
    """Total variation on the depth, the sum-modified-Laplacian's volume as its data."""
    laplacian = sml.laplacian_volume(stack, int(step_px))
    volume = sml.summed(laplacian, sigma_px)
    weights = edge_weights(peaks(stack, laplacian, sigma_px).guide, edge)
    share = variational_share(volume, _ladder(stack), weights, data=data)
    return _index(share, stack), standing_out(volume)


FINDERS: Mapping[str, Callable[..., Answer]] = {
    "sml": sml_largest,
    "sml-parabola": sml_parabola,
    "sml-guided": sml_guided,
    "sml-tv": sml_tv,
    "ddl": directional,
    "variational": variational,
}
RIVALS: Mapping[str, Settings] = {
    "sml": {"step_px": 1, "sigma_px": 2.5},
    "sml-parabola": {"step_px": 1, "sigma_px": 2.5},
    "sml-guided": {"step_px": 1, "sigma_px": 2.5, "radius_px": 8, "eps": 1e-3},
    "sml-tv": {"step_px": 1, "sigma_px": 2.5, "fidelity": 0.4, "edge": 10.0},
    "ddl": {"window_px": 9},
    "variational": {"step_px": 1, "sigma_px": 2.5, "data": 0.1, "edge": 3.0},
}
"""By name, with fixed settings, chosen by hand on a few simulated stacks: no data set tunes them."""


def words(settings: Settings) -> str:
    """Settings for people."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())


def combinations(rival: str, values: Values) -> Iterator[Settings]:
    """Every combination of the values of a rival's settings.

    Raises:
        ValueError: no such rival, or not just its settings, or one without values.
    """
    if rival not in RIVALS:
        raise ValueError(f"no rival {rival!r}; choose from {', '.join(RIVALS)}")
    if set(values) != set(RIVALS[rival]) or not all(values.values()):
        raise ValueError(f"{rival}: give at least one value of each of {', '.join(RIVALS[rival])}")
    for chosen in product(*values.values()):
        yield dict(zip(values, chosen, strict=True))
