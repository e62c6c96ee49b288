"""The 37 contrast measures: where they peak, what they do not see, a few values by hand."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest

from dff.autofocus import measures_local as local
from dff.autofocus import measures_statistics as statistics
from dff.autofocus import measures_transform as transform
from dff.autofocus import measures_wavelet as wavelet
from dff.autofocus.measures import ARTEFACTS, MEASURES, measure, sharpest
from dff.autofocus.measures_gradient import gradient_count, laplacian_energy
from dff.autofocus.patches import LEVEL

SHARP, SLICES, SIDE = 3, 8, 64
# published as blind to exposure by their form: quotients of the patch by itself
EXPOSURE_FREE = [
    name
    for name in MEASURES
    if name.startswith(("mean-local-", "dct-", "wavelet-ratio", "mean-wavelet-log", "coefficient"))
]
# constant light added: differences do not see it
OFFSET_FREE = [
    name
    for name in MEASURES
    if not name.startswith(
        ("mean-local-", "dct-", "wavelet-ratio", "mean-wavelet-log", "coefficient", "histogram")
    )
]


@lru_cache(maxsize=1)
def sweep() -> np.ndarray:
    """(2,8,64,64) two textures through focus; slice 3 is sharp."""
    grain = np.random.default_rng(0).random((2, SIDE + 64, SIDE + 64), dtype=np.float32)
    stack = np.empty((2, SLICES, SIDE, SIDE), np.float32)
    for patch, texture in enumerate(grain):
        large = 0.5 + 0.35 * cv2.GaussianBlur(texture - 0.5, (0, 0), 2) * 8 + 0.2 * (texture - 0.5)
        for k in range(SLICES):
            blurred = cv2.GaussianBlur(large, (0, 0), 0.8 * abs(k - SHARP)) if k != SHARP else large
            stack[patch, k] = blurred[32:-32, 32:-32]
    return np.clip(stack, 0.02, 1)


def test_there_are_37_of_them() -> None:
    assert len(MEASURES) == 37
    assert len({m.title for m in MEASURES.values()}) == 37
    assert set(ARTEFACTS) < set(MEASURES)
    with pytest.raises(ValueError, match="contrast measure 'sharpness'; choose from dct"):
        measure("sharpness")


@pytest.mark.parametrize("name", MEASURES)
def test_it_peaks_at_the_sharp_slice(name: str) -> None:
    curve = measure(name)(sweep())
    assert curve.shape == (2, SLICES)
    assert np.all(np.isfinite(curve))
    assert curve.argmax(axis=1).tolist() == [SHARP, SHARP]
    one_by_one = [[float(measure(name)(image)) for image in patch] for patch in sweep()[:, :2]]
    np.testing.assert_allclose(curve[:, :2], one_by_one, rtol=1e-4)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_signed_means_do_not_know_focus(name: str) -> None:
    signed = ARTEFACTS[name](sweep())
    assert np.abs(signed).max() < 0.1 * measure(name)(sweep()).max()


@pytest.mark.parametrize("name", EXPOSURE_FREE)
def test_blind_to_exposure(name: str) -> None:
    image = 0.4 + 0.3 * sweep()[0, SHARP]
    np.testing.assert_allclose(measure(name)(0.8 * image), measure(name)(image), rtol=2e-3)


@pytest.mark.parametrize("name", OFFSET_FREE)
def test_blind_to_added_light(name: str) -> None:
    image = sweep()[0, SHARP].astype(np.float64)
    np.testing.assert_allclose(measure(name)(image + 0.125), measure(name)(image), rtol=2e-3)


@pytest.mark.parametrize("name", MEASURES)
def test_a_flat_patch_is_the_least_sharp(name: str) -> None:
    flat = np.full((16, 16), 0.5, np.float32)
    value = float(measure(name)(flat))
    assert np.isfinite(value)
    assert value < float(measure(name)(sweep()[0, -1]))


def test_values_by_hand() -> None:
    step = np.zeros((8, 8), np.float32)
    step[:, 4:] = 1
    assert measure("total-variation-l1")(step) == pytest.approx(1 / 7)
    assert measure("total-variation-l2")(step) == pytest.approx(1 / 7)
    assert measure("sum-of-modified-laplacian")(step) == pytest.approx(2 / 6)
    assert measure("diagonal-laplacian")(step) == pytest.approx((2 + 4 / np.sqrt(2)) / 6)
    assert laplacian_energy(step) == pytest.approx(2 / 6)
    assert measure("laplacian-variance")(step) == pytest.approx(2 / 6)
    assert measure("mean-gradient-magnitude")(step) == pytest.approx(1 / 6)  # 1/2 in two of six columns
    assert gradient_count(step, 511) == pytest.approx(2 / 6)
    assert gradient_count(step, 512) == 0
    assert measure("histogram-entropy")(step) == pytest.approx(1)
    assert measure("intensity-variance")(step) == pytest.approx(0.25)
    assert measure("eigenvalue-trace")(step) == pytest.approx(0.25 * 64 / 7)
    assert measure("coefficient-of-variation")(step) == pytest.approx(1)
    ramp = np.linspace(0, 1, 101 * 10, dtype=np.float32).reshape(101, 10)
    assert statistics.percentile_range(ramp, 3) == pytest.approx(0.94)


def test_transforms_by_hand() -> None:
    x = np.arange(16)
    wave = np.cos(np.pi * (2 * x + 1) / 16)
    image = np.tile(0.5 + 0.2 * wave, (16, 1))  # only frequency (0, 1) beside the constant one
    squares = transform.block_dct_squared(image)
    assert squares.sum() == pytest.approx((image**2).sum(), rel=1e-5)
    ratio = 0.2**2 / 2 / 0.5**2
    assert transform.dct_energy_ratio(image) == pytest.approx(ratio, rel=1e-4)
    assert transform.dct_reduced_energy_ratio(image) == pytest.approx(ratio, rel=1e-4)
    quadrants = np.kron([[1, -1], [-1, 1]], np.ones((4, 4)))
    assert transform.modified_dct(quadrants) == pytest.approx(
        np.mean(np.outer([0, 2, 4, 2, 0], [0, 2, 4, 2, 0]))
    )


def test_local_ratios_by_hand() -> None:
    flat = np.full((12, 12), 0.3)
    assert local.mean_local_ratio(flat, 2) == pytest.approx(1)
    assert local.mean_local_log_ratio(flat, 2) == pytest.approx(0, abs=1e-6)
    assert local.mean_local_norm_dist_sq(np.zeros((12, 12)), 4) == pytest.approx(0, abs=1e-9)
    image, mu = local.with_surroundings(sweep()[0], 2)
    blurred = [cv2.GaussianBlur(one, (17, 17), 2, borderType=cv2.BORDER_REFLECT_101) for one in image]
    np.testing.assert_allclose(mu, blurred, atol=1e-5)


def test_wavelets_are_orthonormal_and_blind_to_polynomials() -> None:
    taps = wavelet.daubechies(6)
    assert taps.sum() == pytest.approx(np.sqrt(2))
    assert taps[:2] == pytest.approx([0.11154074, 0.49462389])  # db6
    for shift in range(6):
        overlap = taps[2 * shift :] @ taps[: taps.size - 2 * shift]
        assert overlap == pytest.approx(float(shift == 0), abs=1e-9)
    root = np.sqrt(3)
    db2 = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4 * np.sqrt(2))
    assert wavelet.daubechies(2) == pytest.approx(db2)
    y, x = np.mgrid[0:64, 0:64] / 64
    low, high = wavelet.bands(x**2 * y, 1)
    assert low.shape == (37, 37)  # (64 + 12 - 1) // 2
    assert max(float(np.abs(band[8:-8, 8:-8]).max()) for band in high) < 1e-5


def test_equal_slices_and_bad_patches() -> None:
    assert sharpest("intensity-variance", sweep()).tolist() == [SHARP, SHARP]
    assert sharpest("intensity-variance", np.full((4, 8, 8), LEVEL)).tolist() == 0
    for bad, word in (
        (np.zeros((4, 4)), "at least 8 x 8"),
        (np.zeros((8, 8), np.uint8), "give float"),
        (np.full((8, 8), np.nan), "NaN"),
    ):
        with pytest.raises(ValueError, match=word):
            measure("intensity-variance")(bad)
