"""Dual-pixel similarities, disparities, and the calibrated single-slice rivals."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dff.autofocus.disparity import parabola_peak, ssd_disparity, zncc_disparity
from dff.autofocus.dual_pixel import SIMILARITIES, similarity
from dff.autofocus.single_slice import SINGLE_SLICE, fit_slice

SIDE = 64


def halves(disparity: float, patches: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(P,64,64) left and right with left(x) = right(x + disparity)."""
    grain = np.random.default_rng(seed).random((patches, SIDE + 32, SIDE + 32), dtype=np.float32)
    pictures = [0.5 + 2 * (cv2.GaussianBlur(one, (0, 0), 2) - 0.5) for one in grain]
    move = np.float32([[1, 0, disparity], [0, 1, 0]])
    size = (SIDE + 32, SIDE + 32)
    moved = [cv2.warpAffine(one, move, size, flags=cv2.INTER_CUBIC) for one in pictures]
    return np.stack(pictures)[:, 16:-16, 16:-16], np.stack(moved)[:, 16:-16, 16:-16]


@pytest.mark.parametrize("name", SIMILARITIES)
def test_halves_are_most_alike_in_focus(name: str) -> None:
    shifts = (-4, -2, -1, 0, 1, 3)
    pairs = [halves(d, 2) for d in shifts]
    left, right = (np.stack([pair[side] for pair in pairs], axis=1) for side in (0, 1))
    score = similarity(name)(left, right)
    assert score.shape == (2, len(shifts))
    assert score.argmax(axis=1).tolist() == [3, 3]
    assert np.all(np.diff(score[:, :4]) > 0)
    best = 1 if name == "ncc" else 0
    np.testing.assert_allclose(score[:, 3], best, atol=1e-5)
    np.testing.assert_allclose(similarity(name)(right, left), score, atol=0.02)


@pytest.mark.parametrize(
    "name", ["normalised-sad", "ncc", "rank-transform", "census", "normalised-envelope-l1"]
)
def test_shading_of_one_half_does_not_matter(name: str) -> None:
    left, right = halves(2)
    np.testing.assert_allclose(similarity(name)(left, 0.6 * right), similarity(name)(left, right), rtol=1e-3)


def test_bad_halves() -> None:
    with pytest.raises(ValueError, match="choose from normalised-sad"):
        similarity("sad")
    with pytest.raises(ValueError, match="one shape"):
        similarity("ncc")(np.zeros((8, 8)), np.zeros((8, 9)))
    with pytest.raises(ValueError, match="16 px wide cannot be searched over \\+-12"):
        zncc_disparity(np.zeros((16, 16)), np.zeros((16, 16)))


@pytest.mark.parametrize("method", [zncc_disparity, ssd_disparity])
@pytest.mark.parametrize("disparity", [-3.0, -0.5, 0.0, 2.25])
def test_disparity_below_a_pixel(method: object, disparity: float) -> None:
    found = method(*halves(disparity, 2), reach=6)  # type: ignore[operator]
    np.testing.assert_allclose(found, disparity, atol=0.1)


def test_a_parabola_by_hand() -> None:
    place, curvature = parabola_peak(np.array([[0, 3, 4, 3, 0], [0, 2, 4, 3, 0], [5, 4, 3, 2, 1]], float))
    assert place.tolist() == pytest.approx([2, 2 + 1 / 6, 0])
    assert curvature.tolist() == [2, 3, 0]


def test_a_calibration_finds_the_optics_back_despite_outliers() -> None:
    rng = np.random.default_rng(0)
    ladder = np.linspace(0.25, 9.8, 49)
    centre = rng.uniform(-1, 1, (400, 2))
    start, goal = rng.integers(0, 49, (2, 400))
    x, y = centre.T
    cue = (ladder[goal] - ladder[start] - 0.05 * y) / (0.8 + 0.2 * x * x)
    cue[:40] = rng.uniform(-5, 5, 40)
    fitted = fit_slice(cue, centre, ladder[start], ladder[goal])
    np.testing.assert_allclose(fitted.factor, [0.8, 0, 0, 0.2, 0, 0], atol=1e-3)
    found = fitted.index(cue, centre, start, ladder)
    assert np.array_equal(found[40:], goal[40:])
    with pytest.raises(ValueError, match="11 patches do not settle"):
        fit_slice(cue[:11], centre[:11], ladder[start[:11]], ladder[goal[:11]])
    with pytest.raises(ValueError, match="NaN"):
        fit_slice(cue * np.nan, centre, ladder[start], ladder[goal])


def test_two_rivals_are_judged_in_the_middle_only() -> None:
    centre = np.array([[0, 0], [0.6, -0.6], [0.7, 0]])
    judged = {name: rival.inside(centre).tolist() for name, rival in SINGLE_SLICE.items()}
    assert judged["zncc-disparity"] == [True, True, True]
    assert judged["ssd-disparity"] == judged["learned-depth"] == [True, True, False]
    assert SINGLE_SLICE["learned-depth"].cue is None
