"""Measures of depth maps and all-in-focus pictures. numpy, summed in float64; every result is a float.

Depth measures take ``prediction`` and ``truth`` (H,W) in one unit, of the caller's choosing, and an
optional ``mask`` (H,W) bool; without a mask all pixels of finite truth count.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray

_LUMA = np.array([[0.299, 0.587, 0.114]], dtype=np.float32)


def _picked(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array]:
    """The measured pixels of both, flat float64."""
    p, t = np.asarray(prediction, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if p.shape != t.shape:
        raise ValueError(f"metrics: prediction {p.shape} and truth {t.shape} must be of one shape")
    chosen = np.isfinite(t) if mask is None else np.asarray(mask, dtype=bool)
    if chosen.shape != t.shape:
        raise ValueError(f"metrics: mask {chosen.shape} does not fit the truth {t.shape}")
    if not chosen.any():
        raise ValueError("metrics: no pixel to measure; the mask is empty")
    p, t = p[chosen], t[chosen]
    if np.isnan(p).any() or not np.isfinite(t).all():
        raise ValueError("metrics: NaN in the prediction, or no finite truth, inside the mask")
    return p, t


def _picked_positive(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None) -> tuple[Array, Array]:
    p, t = _picked(prediction, truth, mask)
    if (t <= 0).any():
        raise ValueError("metrics: a truth of 0 or less has no relative error; leave it out of the mask")
    return p, t


def mae(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean absolute error."""
    p, t = _picked(prediction, truth, mask)
    return float(np.mean(np.abs(p - t)))


def mse(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean squared error."""
    p, t = _picked(prediction, truth, mask)
    return float(np.mean((p - t) ** 2))


def rmse(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Root of the mean squared error (of one picture; benchmarks average it over pictures)."""
    return float(np.sqrt(mse(prediction, truth, mask)))


def _weights(weight: ArrayLike, truth: ArrayLike, mask: ArrayLike | None) -> Array:
    w, _ = _picked(weight, truth, mask)
    if (w < 0).any() or not w.any():
        raise ValueError("metrics: weights must not be negative, nor all 0 inside the mask")
    return w


def weighted_mae(
    prediction: ArrayLike, truth: ArrayLike, weight: ArrayLike, mask: ArrayLike | None = None
) -> float:
    """Sum of weight * |prediction - truth| over the sum of the weights (H,W), >= 0."""
    p, t = _picked(prediction, truth, mask)
    return float(np.average(np.abs(p - t), weights=_weights(weight, truth, mask)))


def weighted_mse(
    prediction: ArrayLike, truth: ArrayLike, weight: ArrayLike, mask: ArrayLike | None = None
) -> float:
    """Sum of weight * (prediction - truth)^2 over the sum of the weights (H,W), >= 0."""
    p, t = _picked(prediction, truth, mask)
    return float(np.average((p - t) ** 2, weights=_weights(weight, truth, mask)))


def edge_error(
    prediction: ArrayLike,
    truth: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    step: float,
    radius_px: int = 2,
) -> float:
    """Mean absolute error of the pixels near a jump of the true depth; NaN where it has none.

    A jump lies between two neighbours (to the right or below) that are both measured and differ by more than
    ``step``; near is within ``radius_px`` columns and rows of either.
    """
    _picked(prediction, truth, mask)
    t = np.asarray(truth, dtype=np.float64)
    known = np.isfinite(t) if mask is None else np.asarray(mask, dtype=bool)
    t = np.where(known, t, np.nan)  # a comparison with NaN is false
    edge = np.zeros(t.shape, dtype=bool)
    across, down = np.abs(t[:, 1:] - t[:, :-1]) > step, np.abs(t[1:] - t[:-1]) > step
    for part, jump in (
        (np.s_[:, 1:], across),
        (np.s_[:, :-1], across),
        (np.s_[1:], down),
        (np.s_[:-1], down),
    ):
        edge[part] |= jump
    around = np.ones((2 * radius_px + 1,) * 2, np.uint8)
    near = known & cv2.dilate(edge.astype(np.uint8), around).astype(bool)
    return mae(prediction, truth, near) if near.any() else float("nan")


def log_rms(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Root mean squared difference of natural logarithms.

    Raises:
        ValueError: a prediction or truth of 0 or less inside the mask.
    """
    p, t = _picked_positive(prediction, truth, mask)
    if (p <= 0).any():
        raise ValueError(
            f"metrics: log_rms of {int((p <= 0).sum())} predictions of 0 or less; clip them first"
        )
    return float(np.sqrt(np.mean((np.log(p) - np.log(t)) ** 2)))


def abs_rel(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean of |prediction - truth| / truth."""
    p, t = _picked_positive(prediction, truth, mask)
    return float(np.mean(np.abs(p - t) / t))


def sq_rel(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean of (prediction - truth)^2 / truth, in the unit of the depth."""
    p, t = _picked_positive(prediction, truth, mask)
    return float(np.mean((p - t) ** 2 / t))


def delta(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None, k: int = 1) -> float:
    """Share of pixels with max(prediction / truth, truth / prediction) < 1.25^k; a prediction <= 0 misses."""
    p, t = _picked_positive(prediction, truth, mask)
    limit = 1.25**k
    return float(np.mean((p < limit * t) & (t < limit * p)))


def bumpiness(prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None) -> float:
    """100 times the mean of min(0.05, |Hessian of (prediction - truth)|), Frobenius norm.

    As in the 4D light field benchmark (Honauer et al. 2016): Scharr filters twice, in the scale of
    scikit-image (a ramp of 1 per pixel gives 2) and with mirrored borders. It depends on the unit of depth.
    Pixels within 2 px of a truth that is not finite are left out.
    """
    _picked(prediction, truth, mask)
    gap = np.asarray(prediction, dtype=np.float64) - np.asarray(truth, dtype=np.float64)
    hole = ~np.isfinite(gap)
    gap = np.where(hole, 0.0, gap)
    near_hole = cv2.dilate(hole.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    chosen = ~near_hole if mask is None else np.asarray(mask, dtype=bool) & ~near_hole
    if not chosen.any():
        raise ValueError("metrics: no pixel to measure; every one is within 2 px of a hole in the truth")

    def scharr(field: Array, dx: int, dy: int) -> Array:
        return cv2.Scharr(field, cv2.CV_64F, dx, dy, scale=1 / 16, borderType=cv2.BORDER_REFLECT)

    total = np.zeros_like(gap)
    for first in ((1, 0), (0, 1)):
        slope = scharr(gap, *first)
        total += scharr(slope, 1, 0) ** 2 + scharr(slope, 0, 1) ** 2
    return float(100 * np.mean(np.minimum(np.sqrt(total[chosen]), 0.05)))


def psnr(image: ArrayLike, reference: ArrayLike, mask: ArrayLike | None = None, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio [dB] of values up to ``peak``; infinite for equal pictures.

    Pictures (H,W) or (H,W,C); the mask, if any, has the pictures' shape.
    """
    error = mse(image, reference, mask)
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def sparsification(
    error: ArrayLike, confidence: ArrayLike, mask: ArrayLike | None = None, steps: int = 100
) -> Array:
    """Mean error that remains when the least confident pixels are left out (Ilg et al. 2018).

    Args:
        error: (H,W) error of every pixel, >= 0.
        confidence: (H,W); only its order matters. Equal confidences count with their mean error.
        steps: number of points; point i leaves out the share i / steps.

    Returns:
        (steps,) float64; the first is the mean error of all pixels.
    """
    c, e = _picked(confidence, error, mask)
    _, group, size = np.unique(-c, return_inverse=True, return_counts=True)
    mean_of_group = np.bincount(group, weights=e) / size
    total = np.cumsum(np.repeat(mean_of_group, size))  # most confident first
    left = np.ceil(e.size * (1 - np.arange(steps) / steps) - 1e-9).astype(int).clip(1)
    return total[left - 1] / left


def ause(error: ArrayLike, confidence: ArrayLike, mask: ArrayLike | None = None, steps: int = 100) -> float:
    """Area between the sparsification curve and that of the perfect order, over the mean error.

    0 is a perfect order of confidence; an uninformative one gives the area under 1 - oracle.
    """
    curve = sparsification(error, confidence, mask, steps)
    oracle = sparsification(error, -np.asarray(error, dtype=np.float64), mask, steps)
    return float(np.mean(curve - oracle) / curve[0]) if curve[0] > 0 else 0.0


def affine_fit(
    prediction: ArrayLike, truth: ArrayLike, mask: ArrayLike | None = None, *, robust: bool = False
) -> tuple[float, float]:
    """(a, b) that bring a * prediction + b closest to the truth.

    Least squares; ``robust`` minimises the sum of absolute differences instead, so that gross errors in a
    minority of pixels do not pull the fit (iteratively reweighted least squares).

    Raises:
        ValueError: the prediction is constant inside the mask.
    """
    p, t = _picked(prediction, truth, mask)
    weight = np.ones_like(p)
    slope, offset = 0.0, 0.0
    floor = 1e-6 * (np.ptp(t) or 1.0)
    for _ in range(50 if robust else 1):
        mean_p, mean_t = np.average(p, weights=weight), np.average(t, weights=weight)
        spread = np.sum(weight * (p - mean_p) ** 2)
        if not spread > 1e-20 * np.sum(weight) * max(1.0, mean_p**2):
            raise ValueError("metrics: affine_fit needs a prediction that is not constant inside the mask")
        before = slope, offset
        slope = float(np.sum(weight * (p - mean_p) * (t - mean_t)) / spread)
        offset = float(mean_t - slope * mean_p)
        if np.allclose((slope, offset), before, rtol=1e-9, atol=1e-12):
            break
        weight = 1 / np.maximum(np.abs(slope * p + offset - t), floor)
    return slope, offset


def _luma(image: Array) -> Array:
    """(H,W) float32 in [0,1], Rec. 601, of an (H,W) or (H,W,3) RGB picture: uint8, uint16 or float [0,1]."""
    image = np.asarray(image)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(f"metrics: a picture must be (H,W) or (H,W,3), got {image.shape}")
    full = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(image.dtype, 1)
    image = image.astype(np.float32)
    if image.ndim == 3:
        image = cv2.transform(image, _LUMA)
    return image * np.float32(1 / full)


def gradient_size(luma: Array) -> Array:
    """(H,W) magnitude of the Sobel gradient, per pixel."""
    dx = cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.sqrt(dx * dx + dy * dy)  # cv2.magnitude rounds by where its pictures lie in memory


def _lumas(slices: Iterable[Array], shape: tuple[int, ...]) -> Iterable[Array]:
    """Luma of each slice in turn, so that one is held at a time."""
    count = 0
    for image in slices:
        luma = _luma(image)
        if luma.shape != shape:
            raise ValueError(f"metrics: slice {count} is {luma.shape}, the fused picture {shape}")
        count += 1
        yield luma
    if not count:
        raise ValueError("metrics: no slices to compare the fused picture with")


def gradients_kept(
    fused: Array, slices: Iterable[Array], mask: ArrayLike | None = None, strongest: float = 0.05
) -> float:
    """Share of the strongest gradients of the slices that a fused picture keeps, 0 to 1.

    The Sobel magnitude of the luma of every (aligned) slice is taken, and of those the maximum per pixel.
    Over the ``strongest`` share of pixels of that map, the result is the mean of
    min(1, |gradient of fused| / maximum). Needs no truth; noise and wrong alignment lower it.

    Args:
        fused: (H,W) or (H,W,3) RGB, uint8, uint16 or float in [0,1].
        slices: pictures of the same size, read once, one at a time.
        mask: (H,W) bool, pixels to measure; all by default.

    Raises:
        ValueError: sizes that disagree, no slices, an empty mask, or slices without any gradient.
    """
    luma = _luma(fused)
    best = np.zeros_like(luma)
    for one in _lumas(slices, luma.shape):
        np.maximum(best, gradient_size(one), out=best)
    kept, best = _picked(gradient_size(luma), best, mask)
    limit = np.quantile(best, 1 - strongest)
    strong = (best >= limit) & (best > 0)
    if not strong.any():
        raise ValueError("metrics: gradients_kept of slices without any gradient")
    return float(np.mean(np.minimum(1.0, kept[strong] / best[strong])))


def outside_range(
    fused: Array,
    slices: Iterable[Array],
    window: int = 5,
    mask: ArrayLike | None = None,
    tolerance: float = 1 / 255,
) -> float:
    """Share of pixels, 0 to 1, whose luma no slice has nearby: halos and changes of tone.

    A pixel counts when its luma lies more than ``tolerance`` (of the full range) below the least or above
    the greatest luma of any slice within the ``window`` x ``window`` pixels around it.

    Args and errors as in `gradients_kept`.
    """
    luma = _luma(fused)
    low, high = np.full_like(luma, np.inf), np.full_like(luma, -np.inf)
    around = np.ones((window, window), np.uint8)
    for one in _lumas(slices, luma.shape):
        np.minimum(low, cv2.erode(one, around), out=low)
        np.maximum(high, cv2.dilate(one, around), out=high)
    # float32 lumas: 1e-6 of slack keeps a difference of exactly the tolerance inside
    excess = np.maximum(low - luma, luma - high) - (tolerance + 1e-6)
    chosen, _ = _picked(excess, np.zeros_like(excess), mask)
    return float(np.mean(chosen > 0))
