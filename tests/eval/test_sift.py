import cv2
import numpy as np
import pytest

from dff.eval.sift import Matches, SiftProtocol, chained_zoom, filtered, residuals_px, sift_matches
from dff.stack import FocalStack


def grid(count=6):
    x, y = np.meshgrid(np.linspace(10, 190, count), np.linspace(10, 140, count))
    return np.column_stack([x.ravel(), y.ravel()])


def test_residual_is_the_median_distance():
    points = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    matches = Matches(points, points + np.array([[3, 4], [0, 0], [0, 1]]))
    still, shift = np.eye(2, 3), np.array([[1.0, 0, 3], [0, 1, 4]])
    # distances: still 5, 0, 1; shifted by (3, 4): 0, 5, hypot(3, 3)
    assert np.allclose(residuals_px([matches, matches], np.array([still, shift]), 3), [1, np.hypot(3, 3)])


def test_slices_with_few_matches_are_not_scored():
    points = grid()[:5]
    few, none = Matches(points, points), Matches(points[:0], points[:0])
    found = residuals_px([few, none], np.repeat(np.eye(2, 3)[None], 2, axis=0), 6)
    assert np.isnan(found).all()
    assert np.isnan(residuals_px([none], np.eye(2, 3)[None], 0)).all()


def test_false_matches_are_left_out():
    points = grid()
    other = points + np.array([2.0, 1.0])
    other[3] += [0, 40]  # further than 8 % of the width
    other[7] += [12, 0]  # within it, but not where the others go
    kept = filtered(Matches(points, other), 200, SiftProtocol())
    assert len(kept) == len(points) - 2
    assert np.allclose(kept.slice_px - kept.reference_px, [2, 1])


def test_finds_a_shift(breathing_slices):
    picture = breathing_slices[1]
    shift = np.array([[1.0, 0, 3], [0, 1, -2]])
    other = cv2.warpAffine(picture, shift, (240, 200), borderMode=cv2.BORDER_REFLECT)
    blank = np.zeros_like(picture)
    none, found, dark = sift_matches(FocalStack([picture, other, blank]), 0, SiftProtocol())
    assert (len(none), len(dark)) == (0, 0)
    assert len(found) > 50
    assert np.allclose(np.median(found.slice_px - found.reference_px, axis=0), [3, -2], atol=0.05)
    assert residuals_px([none, found, dark], np.array([np.eye(2, 3), shift, shift]), 20)[1] < 0.1


def test_chained_zoom_multiplies_the_steps_between_neighbours(breathing_slices):
    stack = FocalStack(breathing_slices)
    assert chained_zoom(stack, SiftProtocol()) == pytest.approx(1.01 / 0.99, abs=5e-4)
    assert np.isnan(chained_zoom(stack, SiftProtocol(min_matches=100_000)))
