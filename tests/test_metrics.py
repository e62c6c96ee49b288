"""Measures: numbers worked by hand, and a second plain implementation of the longer ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from dff import metrics

TRUTH = np.array([[1.0, 2.0], [4.0, 5.0]])
GUESS = np.array([[1.5, 2.0], [3.0, 10.0]])
FIRST_THREE = np.array([[True, True], [True, False]])


@pytest.mark.parametrize(
    ("measure", "everywhere", "masked"),
    [
        (metrics.mae, 6.5 / 4, 0.5),
        (metrics.mse, 26.25 / 4, 1.25 / 3),
        (metrics.rmse, math.sqrt(26.25 / 4), math.sqrt(1.25 / 3)),
        (metrics.abs_rel, (0.5 + 0 + 0.25 + 1) / 4, 0.25),
        (metrics.sq_rel, (0.25 + 0 + 0.25 + 5) / 4, 0.5 / 3),
        (
            metrics.log_rms,
            math.sqrt((math.log(1.5) ** 2 + math.log(0.75) ** 2 + math.log(2) ** 2) / 4),
            math.sqrt((math.log(1.5) ** 2 + math.log(0.75) ** 2) / 3),
        ),
        (metrics.delta, 0.25, 1 / 3),
        (lambda p, t, m=None: metrics.delta(p, t, m, k=2), 0.75, 1.0),
        (lambda p, t, m=None: metrics.delta(p, t, m, k=4), 1.0, 1.0),
    ],
)
def test_known_values(measure, everywhere: float, masked: float) -> None:
    assert measure(GUESS, TRUTH) == pytest.approx(everywhere)
    assert measure(GUESS, TRUTH, FIRST_THREE) == pytest.approx(masked)
    assert isinstance(measure(GUESS, TRUTH), float)
    holes = TRUTH.copy()
    holes[1, 1] = np.nan
    assert measure(GUESS, holes) == pytest.approx(masked)


def test_delta_limit_is_strict_and_non_positive_predictions_miss() -> None:
    assert metrics.delta(np.array([1.25, 1.2499, 0.0, -1.0]), np.ones(4)) == 0.25


def test_sums_in_float64() -> None:
    truth = np.full((1000, 1000), 1000.0, np.float32)
    assert metrics.mae(truth + np.float32(0.125), truth) == 0.125


def test_bad_masks_and_values_are_refused() -> None:
    with pytest.raises(ValueError, match="the mask is empty"):
        metrics.mae(GUESS, TRUTH, np.zeros((2, 2), bool))
    with pytest.raises(ValueError, match="must be of one shape"):
        metrics.mae(GUESS, TRUTH[:1])
    with pytest.raises(ValueError, match="does not fit"):
        metrics.mae(GUESS, TRUTH, np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="NaN in the prediction"):
        metrics.mse(np.full((2, 2), np.nan), TRUTH)
    with pytest.raises(ValueError, match="no finite truth"):
        metrics.mse(GUESS, np.array([[np.inf, 1], [1, 1]]), np.ones((2, 2), bool))
    with pytest.raises(ValueError, match="no relative error"):
        metrics.abs_rel(GUESS, TRUTH - 1)
    with pytest.raises(ValueError, match="log_rms of 1 predictions of 0 or less"):
        metrics.log_rms(GUESS - 1.5, TRUTH)


def test_weighted_errors_by_hand_and_by_a_second_implementation() -> None:
    weight = np.array([[1.0, 0.0], [3.0, 0.0]])
    assert metrics.weighted_mae(GUESS, TRUTH, weight) == pytest.approx((0.5 + 3 * 1) / 4)
    assert metrics.weighted_mse(GUESS, TRUTH, weight) == pytest.approx((0.25 + 3 * 1) / 4)
    assert metrics.weighted_mae(GUESS, TRUTH, np.full((2, 2), 0.3)) == pytest.approx(
        metrics.mae(GUESS, TRUTH)
    )
    rng = np.random.default_rng(0)
    p, t, w = rng.random((3, 15, 11))
    mask = rng.random((15, 11)) < 0.6
    for measure, power in ((metrics.weighted_mae, 1), (metrics.weighted_mse, 2)):
        total = sum(w[i] * abs(p[i] - t[i]) ** power for i in np.ndindex(p.shape) if mask[i])
        assert measure(p, t, w, mask) == pytest.approx(total / w[mask].sum(), abs=1e-6)
    for bad in (np.zeros((2, 2)), np.full((2, 2), -1.0)):
        with pytest.raises(ValueError, match="weights must not be negative, nor all 0"):
            metrics.weighted_mae(GUESS, TRUTH, bad)


def test_edge_error_by_hand() -> None:
    truth = np.ones((8, 12))
    truth[:, 6:] = 2.0
    guess = truth.copy()
    guess[:, 4] += 0.4  # within 2 px of the jump between columns 5 and 6
    guess[:, 0] += 9.0  # not
    assert metrics.edge_error(guess, truth, step=0.5) == pytest.approx(0.4 / 6)
    assert metrics.edge_error(guess, truth, step=0.5, radius_px=0) == 0
    assert math.isnan(metrics.edge_error(guess, truth, step=1.5))
    assert metrics.edge_error(guess.T, truth.T, step=0.5) == pytest.approx(0.4 / 6)
    left = np.zeros(truth.shape, bool)
    left[:, :6] = True
    assert math.isnan(metrics.edge_error(guess, truth, left, step=0.5))  # its other side is not measured


def test_edge_error_agrees_with_a_second_implementation() -> None:
    rng = np.random.default_rng(1)
    p, t = rng.random((2, 14, 17))
    mask = rng.random(t.shape) < 0.8
    jumps = [
        place
        for y, x in np.ndindex(t.shape)
        for other in ((y, x + 1), (y + 1, x))
        if other[0] < 14 and other[1] < 17 and mask[y, x] and mask[other] and abs(t[y, x] - t[other]) > 0.9
        for place in ((y, x), other)
    ]
    near = [
        i
        for i in np.ndindex(t.shape)
        if mask[i] and any(max(abs(i[0] - y), abs(i[1] - x)) <= 1 for y, x in jumps)
    ]
    expected = np.mean([abs(p[i] - t[i]) for i in near])
    assert 10 < len(near) < 200
    assert metrics.edge_error(p, t, mask, step=0.9, radius_px=1) == pytest.approx(expected, abs=1e-6)


def test_measures_agree_with_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional")
    p, t = torch.rand(2, 900, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    pairs = (
        (metrics.mae, functional.mean_absolute_error(p, t)),
        (metrics.mse, functional.mean_squared_error(p, t)),
        (metrics.rmse, functional.mean_squared_error(p, t, squared=False)),
        (metrics.abs_rel, functional.mean_absolute_percentage_error(p, t)),
        (metrics.log_rms, functional.mean_squared_error(p.log(), t.log(), squared=False)),
    )
    for measure, expected in pairs:
        assert measure(p.numpy(), t.numpy()) == pytest.approx(float(expected), abs=1e-6)


def plain_bumpiness(gap: np.ndarray) -> np.ndarray:
    smooth, edge = np.array([3, 10, 3]) / 16, np.array([1.0, 0, -1])

    def along(field: np.ndarray, axis: int) -> np.ndarray:
        return ndimage.convolve1d(ndimage.convolve1d(field, edge, axis), smooth, 1 - axis)

    hessian = [along(along(gap, a), b) for a in (0, 1) for b in (0, 1)]
    return np.minimum(np.sqrt(sum(h**2 for h in hessian)), 0.05)


def test_bumpiness_of_known_surfaces() -> None:
    y, x = np.mgrid[:40, :40].astype(float)
    inside = np.zeros((40, 40), bool)
    inside[4:-4, 4:-4] = True
    truth = np.ones((40, 40))
    assert metrics.bumpiness(truth + 0.3 * x - 0.1 * y, truth, inside) == pytest.approx(0, abs=1e-9)
    # d2/dx2 = 0.01, and the filter doubles each derivative
    assert metrics.bumpiness(truth + 0.005 * x**2, truth, inside) == pytest.approx(100 * 0.04)
    assert metrics.bumpiness(truth + x**2, truth, inside) == pytest.approx(5.0)  # the cap


def test_bumpiness_agrees_with_a_second_implementation() -> None:
    gap = np.random.default_rng(0).normal(size=(31, 23)) * 0.01
    truth = np.full(gap.shape, 2.0)
    mask = np.random.default_rng(1).random(gap.shape) < 0.5
    expected = plain_bumpiness(gap)
    assert metrics.bumpiness(truth + gap, truth) == pytest.approx(100 * expected.mean())
    assert metrics.bumpiness(truth + gap, truth, mask) == pytest.approx(100 * expected[mask].mean())


def test_bumpiness_does_not_see_holes_of_the_truth() -> None:
    truth = np.ones((20, 20))
    truth[10, 10] = np.nan
    assert metrics.bumpiness(np.full((20, 20), 1.5), truth) == 0
    with pytest.raises(ValueError, match="within 2 px of a hole"):
        metrics.bumpiness(np.ones((3, 3)), np.array([[1, 1, 1], [1, np.nan, 1], [1, 1, 1]]))


def test_psnr() -> None:
    reference = np.full((4, 4, 3), 0.5)
    assert metrics.psnr(reference + 0.1, reference) == pytest.approx(20)
    assert metrics.psnr(reference * 255 + 25.5, reference * 255, peak=255) == pytest.approx(20)
    assert metrics.psnr(reference, reference) == math.inf


def test_sparsification_by_hand() -> None:
    error, confidence = np.array([4.0, 3.0, 2.0, 1.0]), np.array([0.1, 0.2, 0.3, 0.4])
    assert metrics.sparsification(error, confidence, steps=4).tolist() == [2.5, 2.0, 1.5, 1.0]
    assert metrics.sparsification(error, -confidence, steps=4).tolist() == [2.5, 3.0, 3.5, 4.0]
    assert metrics.sparsification(error, np.ones(4), steps=4).tolist() == [2.5] * 4
    half = np.array([True, True, False, False])
    assert metrics.sparsification(error, confidence, half, steps=2).tolist() == [3.5, 3.0]


def test_ause_by_hand() -> None:
    error, confidence = np.array([4.0, 3.0, 2.0, 1.0]), np.array([0.1, 0.2, 0.3, 0.4])
    assert metrics.ause(error, confidence, steps=4) == 0
    assert metrics.ause(error, -confidence, steps=4) == pytest.approx((0 + 1 + 2 + 3) / 4 / 2.5)
    assert metrics.ause(error, np.ones(4), steps=4) == pytest.approx((0 + 0.5 + 1 + 1.5) / 4 / 2.5)
    assert metrics.ause(np.zeros(4), confidence) == 0


def test_sparsification_agrees_with_sorting_and_cutting() -> None:
    rng = np.random.default_rng(3)
    error, confidence = rng.random((17, 19)), rng.random((17, 19))
    order = np.argsort(-confidence.ravel())
    ranked = error.ravel()[order]
    curve = metrics.sparsification(error, confidence, steps=10)
    for i, value in enumerate(curve):
        assert value == pytest.approx(ranked[: math.ceil(ranked.size * (10 - i) / 10)].mean())


def test_affine_fit_finds_scale_and_offset() -> None:
    rng = np.random.default_rng(0)
    prediction = rng.random((30, 40))
    truth = -2.5 * prediction + 7
    assert metrics.affine_fit(prediction, truth) == pytest.approx((-2.5, 7))
    noisy = truth + rng.normal(size=truth.shape)
    fitted = metrics.affine_fit(prediction, noisy)
    assert fitted == pytest.approx(tuple(np.polyfit(prediction.ravel(), noisy.ravel(), 1)))


def test_robust_affine_fit_is_not_pulled_by_gross_errors() -> None:
    rng = np.random.default_rng(0)
    prediction = rng.random((30, 40))
    truth = 3 * prediction + 1
    truth[:6] = 50.0
    assert metrics.affine_fit(prediction, truth, robust=True) == pytest.approx((3, 1), abs=1e-3)
    assert metrics.affine_fit(prediction, truth)[1] > 5
    mask = np.zeros(truth.shape, bool)
    mask[6:] = True
    assert metrics.affine_fit(prediction, truth, mask) == pytest.approx((3, 1))


@pytest.mark.parametrize("value", [0.0, 1.0, 1e5])
def test_affine_fit_of_a_constant_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not constant"):
        metrics.affine_fit(np.full((4, 4), value), np.arange(16.0).reshape(4, 4))


def step_picture(left: int, right: int, dtype: type = np.uint8) -> np.ndarray:
    image = np.full((20, 20), left, dtype)
    image[:, 10:] = right
    return image


def test_gradients_kept_by_hand() -> None:
    sharp, soft, flat = step_picture(50, 150), step_picture(80, 120), step_picture(100, 100)
    # the edge fills 2 of 20 columns; its best slope is 100, the soft picture keeps 40 of it
    assert metrics.gradients_kept(sharp, [soft, sharp], strongest=0.1) == 1
    assert metrics.gradients_kept(soft, [soft, sharp, flat]) == pytest.approx(0.4)
    assert metrics.gradients_kept(flat, [sharp]) == 0
    stronger = step_picture(0, 255)
    assert metrics.gradients_kept(stronger, [sharp]) == 1  # more than the slices have earns nothing
    left = np.zeros((20, 20), bool)
    left[:, :10] = True
    assert metrics.gradients_kept(soft, [sharp], left) == pytest.approx(0.4)
    with pytest.raises(ValueError, match="without any gradient"):
        metrics.gradients_kept(sharp, [flat, flat])


def noisy_pictures(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        ndimage.gaussian_filter(rng.random((40, 50, 3)), (1, 1, 0)).astype(np.float32) for _ in range(count)
    ]


def grey(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float64) @ [0.299, 0.587, 0.114]


def test_fusion_measures_agree_with_a_second_implementation() -> None:
    fused, *slices = noisy_pictures(0, 4)

    def slope(image: np.ndarray) -> np.ndarray:
        dy, dx = (ndimage.sobel(grey(image), axis, mode="mirror") / 8 for axis in (0, 1))
        return np.hypot(dx, dy)

    best = np.max([slope(image) for image in slices], axis=0)
    strong = best >= np.quantile(best, 0.95)
    kept = np.minimum(1, slope(fused)[strong] / best[strong]).mean()
    assert metrics.gradients_kept(fused, slices) == pytest.approx(kept, abs=1e-4)
    low = np.min([ndimage.minimum_filter(grey(image), 5, mode="nearest") for image in slices], axis=0)
    high = np.max([ndimage.maximum_filter(grey(image), 5, mode="nearest") for image in slices], axis=0)
    wide = fused * 2 - 0.5
    outside = ((grey(wide) < low - 1 / 255) | (grey(wide) > high + 1 / 255)).mean()
    assert 0.05 < outside < 0.95
    assert metrics.outside_range(wide, slices) == pytest.approx(outside, abs=1e-3)


def test_outside_range_by_hand() -> None:
    slices = [np.full((10, 10), 100, np.uint8), np.full((10, 10), 120, np.uint8)]
    fused = np.full((10, 10), 110, np.uint8)
    fused[0, :4] = [99, 98, 121, 122]  # one grey level beyond is allowed, two are not
    assert metrics.outside_range(fused, slices) == pytest.approx(0.02)
    slices[0][2, 3] = 98  # now 98 is seen within 5x5 of (0, 1)
    assert metrics.outside_range(fused, slices) == pytest.approx(0.01)
    assert metrics.outside_range(fused, slices, window=3) == pytest.approx(0.02)
    lower = np.zeros((10, 10), bool)
    lower[5:] = True
    assert metrics.outside_range(fused, slices, mask=lower) == 0


@pytest.mark.parametrize("measure", [metrics.gradients_kept, metrics.outside_range])
def test_fusion_measures_read_slices_once_and_of_any_depth(measure) -> None:
    slices = [step_picture(10, 200), step_picture(60, 90)]
    fused = step_picture(5, 100)
    eight = measure(fused, (image for image in slices))
    sixteen = measure(fused.astype(np.uint16) * 257, [image.astype(np.uint16) * 257 for image in slices])
    colour = [np.repeat(image[..., None] / 255.0, 3, axis=2) for image in slices]
    assert sixteen == pytest.approx(eight, abs=1e-5)
    assert measure(fused, colour) == pytest.approx(eight, abs=1e-5)
    with pytest.raises(ValueError, match="no slices"):
        measure(fused, [])
    with pytest.raises(ValueError, match="slice 1 is"):
        measure(fused, [slices[0], slices[1][:5]])
    with pytest.raises(ValueError, match=r"\(H,W\) or \(H,W,3\)"):
        measure(np.zeros((4, 4, 4), np.uint8), slices)
