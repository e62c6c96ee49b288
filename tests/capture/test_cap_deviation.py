"""Deviation matrices, signs, histograms and activation, by hand and by property."""

import numpy as np
import pytest

from dff.capture.activation import Activation
from dff.capture.deviation import Deviation, gains, in_focus, merged, signs, within


def test_exact_magnitudes_recover_every_sign():
    """The reading of Eq. 6 that gives the move that is needed, for every pixel and every move but none."""
    random = np.random.default_rng(0)
    before, now, target = random.uniform(0, 5, (3, 20_000))
    p_before, p = target - before, target - now
    for step in (0.3, -0.3, 2.0, -4.0):
        here = before + step
        p = target - here
        found = signs(np.abs(p), np.abs(p_before), step)
        assert found * np.abs(p) == pytest.approx(p)
    one = [
        signs(np.abs(p), np.abs(q), n - b)
        for p, q, n, b in zip(target - now, p_before, now, before, strict=True)
    ]
    assert (np.array(one) == np.sign(target - now)).all()


def test_without_a_move_signs_stay():
    magnitude = np.array([[1.0, 2.0]])
    assert (signs(magnitude, magnitude, 0.0) == 1).all()
    assert signs(magnitude, magnitude, 0.0, np.array([[-1.0, 2.0]])).tolist() == [[-1.0, 1.0]]


def test_in_focus_reaches_to_the_depth_of_field():
    assert in_focus(np.array([[-0.5, 0.5, 0.51, 0.0]]), 0.5).tolist() == [[True, True, False, True]]


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        Deviation(np.zeros((2, 2)), np.ones((2, 3)), True)


def test_spans_are_joined():
    assert merged([(3, 4), (0, 1), (0.5, 2), (4, 5)]) == [(0, 2), (3, 5)]
    assert merged([]) == []


def test_probability_within_spans():
    targets = np.array([1.0, 2.0, 9.0])
    assert within(targets, None, [(0, 1), (1.5, 2.5)]).tolist() == [1, 1, 0]
    scale = np.full(3, 0.5)
    sure = within(targets, scale, [(0, 2)])
    assert sure[0] == pytest.approx(1 - np.exp(-2))  # 1 either way, Laplace of scale 0.5
    assert sure[1] == pytest.approx(0.5 - 0.5 * np.exp(-4))
    assert sure[2] < 1e-5
    overlapping = within(targets, scale, [(0, 1.5), (1, 2)])
    np.testing.assert_allclose(overlapping, sure)


def test_the_histogram_counts_what_is_left():
    targets = np.array([0.0] * 5 + [1.0] * 3 + [2.0] * 2)
    weight = np.ones(10)
    bins = [(-0.5, 0.5), (0.5, 1.5), (1.5, 2.5), (0.9, 2.1)]
    np.testing.assert_allclose(gains(targets, None, weight, [], bins), [0.5, 0.3, 0.2, 0.5])
    np.testing.assert_allclose(gains(targets, None, weight, [(-1, 0.6)], bins), [0, 0.3, 0.2, 0.5])
    weight[5:8] = 0
    np.testing.assert_allclose(gains(targets, None, weight, [], bins), np.array([5, 0, 2, 2]) / 7)


def test_activation_of_still_and_of_moving_scenes():
    masks = [np.array([[k == column for column in range(4)]]) for k in range(4)]
    still, greedy, one = Activation(), Activation(0), Activation(1)
    for mask in masks:
        for each in (still, greedy, one):
            each.add(mask)
    assert still.matrix.tolist() == [[True] * 4]
    assert greedy.matrix.tolist() == [[False, False, False, True]]
    assert one.matrix.tolist() == [[False, False, True, True]]
    with pytest.raises(ValueError, match="memory -1"):
        Activation(-1)
    with pytest.raises(ValueError, match="no mask"):
        _ = Activation().matrix
