"""Where a lens goes, given what is likely."""

from __future__ import annotations

import numpy as np
import pytest

from dff.autofocus.answer import middle, resting, shares

LEANING = np.array([0.0, 0.1, 0.2, 0.1, 0.6, 0.0])


def test_the_median_has_the_least_mean_error() -> None:
    random = np.random.default_rng(0)
    share = shares(3 * random.standard_normal((50, 9)))
    at = np.arange(9)
    error = np.abs(at[:, None] - at) @ share[..., None]
    assert np.array_equal(
        np.take_along_axis(error[..., 0], middle(share)[:, None], 1)[:, 0], error[..., 0].min(1)
    )


def test_shares_are_those_of_a_softmax() -> None:
    assert shares(np.log(LEANING[1:5]) + 7) == pytest.approx(LEANING[1:5])
    assert np.isfinite(shares(np.array([1e4, 0.0]))).all()


@pytest.mark.parametrize(("current", "goes"), [(0, 4), (2, 2), (3, 3), (4, 4), (5, 4)])
def test_a_lens_leaves_its_place_only_for_a_side_that_is_likely_enough(current: int, goes: int) -> None:
    assert resting(LEANING, np.array(current), sure=0.75) == goes


def test_from_many_places_at_once() -> None:
    there = resting(np.tile(LEANING, (3, 6, 1)), np.arange(6))
    assert there.tolist() == [[4, 4, 2, 3, 4, 4]] * 3
    assert resting(LEANING, np.array(2), sure=0.5) == 4


def test_a_share_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sure 0\.2: give 0\.5 to 1"):
        resting(LEANING, np.array(0), sure=0.2)
