import cv2
import numpy as np
import pytest

from dff.eval.baselines.laplacian import fuse_argmax
from dff.eval.baselines.sml import (
    laplacian_volume,
    largest_index,
    modified_laplacian,
    parabola_index,
    summed,
)
from dff.stack import FocalStack


def test_modified_laplacian_of_a_point():
    point = np.zeros((5, 5), np.float32)
    point[2, 2] = 1
    expected = np.zeros((5, 5))
    expected[2] += [0, 1, 2, 1, 0]
    expected[:, 2] += [0, 1, 2, 1, 0]
    assert np.array_equal(modified_laplacian(point), expected)


def test_modified_laplacian_of_a_saddle_does_not_cancel():
    x, y = np.meshgrid(np.arange(7, dtype=np.float32), np.arange(7, dtype=np.float32))
    assert np.allclose(modified_laplacian(x**2 - y**2)[2:-2, 2:-2], 4)


def test_window_keeps_the_sum():
    volume = np.zeros((2, 41, 41), np.float32)
    volume[1, 20, 20] = 1
    out = summed(volume, 2.0)
    assert out[0].max() == 0
    assert out[1].sum() == pytest.approx(1, abs=1e-3)
    assert out[1, 20, 20] == pytest.approx(1 / (2 * np.pi * 2.0**2), rel=0.01)


def test_peaks():
    ladder = np.arange(5.0)[:, None]
    peaks = np.array([1.8, 0.0, 4.0, 2.5])
    volume = (10 - (ladder - peaks) ** 2)[:, None, :].astype(np.float32)
    volume[:, 0, 3] = 7  # a plateau
    assert np.array_equal(largest_index(volume), [[2, 0, 4, 0]])
    assert np.allclose(parabola_index(volume), [[1.8, 0, 4, 0]], atol=1e-5)


def test_two_slices_have_no_parabola():
    volume = np.array([[[1.0, 0.0]], [[0.0, 1.0]]], np.float32)
    assert np.array_equal(parabola_index(volume), [[0, 1]])


def test_depth_of_a_half_sharp_pair(half_sharp):
    index = largest_index(summed(laplacian_volume(FocalStack(half_sharp[0])), 2.0))
    assert not index[:, :70].any()
    assert index[:, 90:].all()


def test_fusion_takes_the_sharper_half(half_sharp):
    slices, sharp = half_sharp
    fused = fuse_argmax(iter(slices), 5)
    assert fused.dtype == np.uint8
    away_from_seam = np.r_[0:70, 90:160]
    assert np.array_equal(fused[:, away_from_seam], sharp[:, away_from_seam])


def test_fusion_of_grey_16_bit(half_sharp):
    grey = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.uint16) * 257 for one in half_sharp[0]]
    fused = fuse_argmax(grey, 5)
    assert (fused.dtype, fused.shape) == (np.uint16, (120, 160))
    with pytest.raises(ValueError, match="no slices"):
        fuse_argmax([], 5)
