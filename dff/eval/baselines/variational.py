"""Variational depth from focus: the focus volume itself as the data term, total variation as the prior.

The energy is that of Moeller et al. (Variational Depth From Focus Reconstruction, TIP 2015), solved in the
way of DTAM (Newcombe et al., ICCV 2011): a second field searches all slices at every pixel, and is tied to
the smooth one ever more firmly. Ties are absolute differences, so that each turn is a TV-L1 problem; they
count by how far a pixel's sharpest slice stands out, or noise would hold blank pixels where it is loudest.
"""

from __future__ import annotations

import numpy as np

from dff.eval.baselines.total_variation import tv_l1

COUPLINGS = (0.1, 0.2, 0.4, 0.8)
"""Weight of the tie, turn by turn [per sweep]."""


def variational_share(
    volume: np.ndarray,
    shares: np.ndarray,
    edge_weight: np.ndarray,
    *,
    data: float = 0.1,
    iterations: int = 40,
) -> np.ndarray:
    """(H,W) float32 focus coordinate, 0 = farthest slice, 1 = nearest.

    Args:
        volume: (N,H,W) >= 0, larger where a slice is sharper.
        shares: (N,) focus coordinate of the slices.
        edge_weight: (H,W) of the total variation.
        data: weight of the volume: cost of the least sharp slice at the median pixel; the sharpest costs 0.
        iterations: of `tv_l1` in each turn.
    """
    highest = np.maximum(volume.max(axis=0), np.float32(1e-9))
    cost = 1 - volume / highest
    # noise lowers all contrasts alike: their median is the measure of what stands out
    cost *= np.float32(data) / max(float(np.median(cost.max(axis=0))), 1e-6)
    places = shares.astype(np.float32)
    trust = 1 - volume.mean(axis=0) / highest
    smooth = places[cost.argmin(axis=0)]
    for coupling in COUPLINGS:
        tie = np.float32(coupling) * np.abs(places[:, None, None] - smooth)
        searched = places[(cost + tie).argmin(axis=0)]
        smooth = tv_l1(searched, coupling * trust, edge_weight, iterations)
    return np.clip(smooth, 0, 1)
