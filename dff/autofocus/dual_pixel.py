"""How alike the two pictures of a dual-pixel sensor are: alike means in focus. Eight ways, by name.

All take left and right (...,H,W) float, 0 = black level, 1 = white, and return (...,), larger = more alike.
Herrmann et al. 2020, Table 1, rows D*; the definitions are the usual ones of stereo matching.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dff.autofocus.patches import LEVEL, as_patches, mean, variance

_REACH = 2  # census and rank look at 5 x 5 pixels


def pair(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both halves, checked.

    Raises:
        ValueError: unlike shapes, or not patches.
    """
    left, right = as_patches(left), as_patches(right)
    if left.shape != right.shape:
        raise ValueError(f"left {left.shape} and right {right.shape}: the halves must be of one shape")
    return left, right


def normalised(image: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 of every patch, whatever its exposure; a flat one stays 0."""
    deviation = np.maximum(np.sqrt(variance(image)), 0.1 * LEVEL)
    return ((image - mean(image)[..., None, None]) / deviation[..., None, None]).astype(np.float32)


def normalised_sad(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Minus the mean absolute difference of the normalised halves."""
    left, right = pair(left, right)
    return -mean(np.abs(normalised(left) - normalised(right)))


def ncc(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Normalised cross-correlation, in [-1,1]."""
    left, right = pair(left, right)
    return mean(normalised(left) * normalised(right))


def _neighbours(image: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The pixels with a whole 5 x 5 neighbourhood, and their 24 neighbours in turn."""
    height, width = image.shape[-2:]
    size = range(2 * _REACH + 1)

    def shifted(y: int, x: int) -> np.ndarray:
        return image[..., y : height - 2 * _REACH + y, x : width - 2 * _REACH + x]

    around = [shifted(y, x) for y in size for x in size if (y, x) != (_REACH, _REACH)]
    return shifted(_REACH, _REACH), around


def _rank(image: np.ndarray) -> np.ndarray:
    centre, around = _neighbours(image)
    return np.asarray(np.sum([other < centre for other in around], axis=0, dtype=np.int8))


def rank_transform(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Minus the mean difference of ranks in 5 x 5 pixels (Zabih & Woodfill 1994)."""
    left, right = pair(left, right)
    return -mean(np.abs(_rank(left) - _rank(right)))


def _ternary(centre: np.ndarray, other: np.ndarray, threshold: float) -> np.ndarray:
    """-1, 0, 1: darker than the centre, about the same, brighter."""
    step = other - centre
    return (step > threshold).astype(np.int8) - (step < -threshold).astype(np.int8)


def census(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Minus the share of neighbours, of 24, that are darker than their centre in one half only."""
    (centre_l, around_l), (centre_r, around_r) = map(_neighbours, pair(left, right))
    unlike = [mean((a < centre_l) != (b < centre_r)) for a, b in zip(around_l, around_r, strict=True)]
    return -np.mean(unlike, axis=0)


def ternary_census(left: np.ndarray, right: np.ndarray, levels: float) -> np.ndarray:
    """Minus the mean difference of ternary signs; ``levels`` (of 10 bits) count as about the same."""
    (centre_l, around_l), (centre_r, around_r) = map(_neighbours, pair(left, right))
    unlike = [
        mean(np.abs(_ternary(centre_l, a, levels * LEVEL) - _ternary(centre_r, b, levels * LEVEL)))
        for a, b in zip(around_l, around_r, strict=True)
    ]
    return -np.mean(unlike, axis=0)


def _envelope(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest value (...,H,W-2) within half a pixel to either side."""
    middle = image[..., 1:-1]
    before, after = (image[..., :-2] + middle) / 2, (image[..., 2:] + middle) / 2
    low = np.minimum(np.minimum(before, after), middle)
    return low, np.maximum(np.maximum(before, after), middle)


def normalised_envelope(left: np.ndarray, right: np.ndarray, power: int) -> np.ndarray:
    """Minus the mean ``power`` of how far one half lies outside the other's envelope (Birchfield & Tomasi
    1998), whichever way is nearer, after normalisation. Insensitive to half a pixel of disparity.
    """
    left, right = map(normalised, pair(left, right))

    def outside(image: np.ndarray, other: np.ndarray) -> np.ndarray:
        low, high = _envelope(other)
        middle = image[..., 1:-1]
        return np.maximum(0, np.maximum(middle - high, low - middle))

    return -mean(np.minimum(outside(left, right), outside(right, left)) ** power)


Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]

SIMILARITIES: dict[str, Similarity] = {
    "normalised-sad": normalised_sad,
    "ncc": ncc,
    "rank-transform": rank_transform,
    "census": census,
    "ternary-census-10": partial(ternary_census, levels=10),
    "ternary-census-30": partial(ternary_census, levels=30),
    "normalised-envelope-l1": partial(normalised_envelope, power=1),
    "normalised-envelope-l2": partial(normalised_envelope, power=2),
}


def similarity(name: str) -> Similarity:
    """The similarity of that name.

    Raises:
        ValueError: unknown name.
    """
    if name not in SIMILARITIES:
        raise ValueError(f"dual-pixel similarity {name!r}; choose from {', '.join(SIMILARITIES)}")
    return SIMILARITIES[name]
