from itertools import pairwise

import cv2
import numpy as np
import pytest

from dff.classical import focus_measure
from dff.classical.focus_measure import MEASURES

NAMES = tuple(MEASURES)


def spot(value=0.5, size=21):
    picture = np.zeros((size, size), np.float32)
    picture[size // 2, size // 2] = value
    return picture


def test_modified_laplacian_of_a_spot():
    out = focus_measure.modified_laplacian(spot(0.5))
    assert out[10, 10] == pytest.approx(4 * 0.5)
    assert out[10, 9] == out[9, 10] == pytest.approx(0.5)
    assert out[9, 9] == 0


def test_modified_laplacian_with_a_longer_step():
    out = focus_measure.modified_laplacian(spot(0.5), step=3)
    assert out[10, 10] == pytest.approx(4 * 0.5)
    assert out[10, 7] == pytest.approx(0.5)
    assert out[10, 9] == 0


def test_laplacian_energy_of_a_spot():
    assert focus_measure.laplacian_energy(spot(0.5))[10, 10] == pytest.approx((8 * 0.5) ** 2)


def test_tenengrad_of_a_ramp_is_its_squared_slope():
    y, x = np.mgrid[:20, :30].astype(np.float32)
    out = focus_measure.tenengrad(0.01 * x + 0.02 * y)
    assert np.allclose(out[1:-1, 1:-1], 0.01**2 + 0.02**2, rtol=1e-3)


def test_local_variance_of_a_checkerboard():
    board = (np.indices((20, 20)).sum(axis=0) % 2).astype(np.float32)
    p = 13 / 25  # a 5 x 5 window holds 12 of one and 13 of the other
    assert np.allclose(focus_measure.local_variance(board), p * (1 - p), atol=1e-5)


def test_difference_of_gaussians_is_a_band_pass():
    x = np.arange(256, dtype=np.float32)
    swing = {}
    for period in (2, 6, 64):
        wave = np.tile(0.5 + 0.4 * np.cos(2 * np.pi * x / period), (16, 1)).astype(np.float32)
        swing[period] = focus_measure.difference_of_gaussians(wave)[:, 8:-8].max()
    assert swing[6] > 2 * swing[2]
    assert swing[6] > 10 * swing[64]


@pytest.mark.parametrize("name", NAMES)
class TestEvery:
    def test_shape_type_and_sign(self, name):
        luma = np.random.default_rng(0).random((17, 23)).astype(np.float32)
        out = focus_measure.focus_measure(name)(luma)
        assert out.shape == luma.shape
        assert out.dtype == np.float32
        assert (out >= 0).all()

    def test_nothing_to_see_on_plain_ground(self, name):
        assert np.allclose(
            focus_measure.focus_measure(name)(np.full((20, 20), 0.7, np.float32)), 0, atol=1e-6
        )

    def test_falls_as_blur_grows(self, name):
        sharp = np.random.default_rng(1).random((96, 96)).astype(np.float32)
        blurred = [sharp, *(cv2.GaussianBlur(sharp, (0, 0), s) for s in (0.5, 0.8, 1.2, 2, 4))]
        mean = [float(focus_measure.focus_measure(name)(picture)[8:-8, 8:-8].mean()) for picture in blurred]
        assert all(b < a for a, b in pairwise(mean))

    def test_does_not_mind_brightness(self, name):
        luma = 0.5 * np.random.default_rng(2).random((24, 24)).astype(np.float32)
        measure = focus_measure.focus_measure(name)
        assert np.allclose(measure(luma), measure(luma + np.float32(0.3)), atol=1e-5)


def test_unknown_name_is_refused_and_the_known_are_told():
    with pytest.raises(ValueError, match=r"'sharpness'; choose from modified-laplacian, .*variance"):
        focus_measure.focus_measure("sharpness")
