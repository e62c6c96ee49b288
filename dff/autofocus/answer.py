"""From probabilities over focal indices to where the lens goes."""

from __future__ import annotations

import numpy as np

SURE = 0.75
"""How sure a network must be of the side on which focus lies for a lens to leave its place; chosen on the
validation patches."""


def shares(logits: np.ndarray) -> np.ndarray:
    """(...,K) probabilities of the focal indices from logits (...,K)."""
    weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def middle(share: np.ndarray) -> np.ndarray:
    """(...) the median index of probabilities (...,K): of all answers the one with the least mean error.

    The papers take the likeliest (`numpy.argmax`), which is exactly right more often and further off where
    it is wrong.
    """
    half = share.sum(axis=-1, keepdims=True) / 2
    return np.asarray((share.cumsum(axis=-1) < half).sum(axis=-1))


def resting(share: np.ndarray, current: np.ndarray, sure: float = SURE) -> np.ndarray:
    """(...) where a lens goes that is asked again and again: the median, or it stays in its place.

    It stays unless focus lies on one side of it with a probability of ``sure``, so that it comes to rest
    where answers from neighbouring places contradict each other a little, instead of hunting.

    Args:
        share: (...,K) probabilities of the focal indices.
        current: (...) focal index where the lens is.
        sure: from 0.5, which never stays in a wrong place, to 1, which never moves.
    """
    if not 0.5 <= sure <= 1:
        raise ValueError(f"sure {sure:g}: give 0.5 to 1")
    at = np.arange(share.shape[-1])
    here = np.asarray(current)[..., None]
    before, after = (np.where(side, share, 0).sum(axis=-1) for side in (at < here, at > here))
    stays = np.maximum(before, after) < sure * share.sum(axis=-1)
    return np.where(stays, current, middle(share))
