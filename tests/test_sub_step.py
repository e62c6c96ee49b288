"""Depth between the slices of dense stacks, by the summit of the focus measure."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dff.sub_step import between_slices, focus_curves, summit


def test_the_summit_of_a_parabola_is_found_exactly() -> None:
    truth = np.linspace(5.0, 7.0, 12, dtype=np.float32).reshape(3, 4)
    numbers = np.arange(14, dtype=np.float32)[:, None, None]
    curves = (3 - 0.2 * (numbers - truth) ** 2).astype(np.float32)
    start = np.full((3, 4), 6.0, np.float32)
    offset, variance = summit(curves, start, 2)
    np.testing.assert_allclose(start + offset, truth, atol=1e-3)
    assert variance.max() <= 2e-3


@pytest.mark.parametrize("curve", [np.zeros(9), np.arange(9.0), (np.arange(9.0) - 4) ** 2])
def test_no_summit_nearby_is_said_so(curve: np.ndarray) -> None:
    curves = np.broadcast_to(curve.astype(np.float32)[:, None, None], (9, 2, 2))
    offset, variance = summit(np.ascontiguousarray(curves), np.full((2, 2), 4.0, np.float32), 2)
    assert not offset.any()
    assert variance.min() > 1e5


def dense_slices(truth: np.ndarray, count: int) -> list[np.ndarray]:
    """A textured surface, blurred by how far each pixel is from being in focus."""
    noise = np.random.default_rng(0).uniform(0.1, 0.9, (*truth.shape, 3)).astype(np.float32)
    sigmas = np.linspace(0, 8, 81)
    levels = np.stack([noise] + [cv2.GaussianBlur(noise, (0, 0), s) for s in sigmas[1:]])
    rows, columns = np.indices(truth.shape)
    slices = []
    for k in range(count):
        near = np.rint(10 * np.sqrt(0.25 + (0.3 * (truth - k)) ** 2)).astype(int)
        slices.append(levels[np.clip(near, 0, 80), rows, columns])
    return slices


def test_dense_texture_corrects_a_depth_that_is_a_little_off() -> None:
    truth = np.broadcast_to(np.linspace(12, 18, 96, dtype=np.float32), (64, 96))
    wrong = truth + np.float32(0.6)
    scale = np.full_like(truth, 0.8)
    slices = dense_slices(truth, 30)
    assert focus_curves(slices).shape == (30, 64, 96)
    off = np.abs(between_slices(wrong, scale, slices) - truth)
    assert off.mean() < 0.2
    sure = between_slices(wrong, np.full_like(truth, 0.01), slices)  # a sure network is left as it is
    np.testing.assert_allclose(sure, wrong, atol=0.01)


def test_what_has_no_texture_stays() -> None:
    flat = [np.full((32, 40, 3), 120, np.uint8)] * 30
    index = np.random.default_rng(1).uniform(5, 25, (32, 40)).astype(np.float32)
    np.testing.assert_array_equal(between_slices(index, np.ones_like(index), flat), index)
