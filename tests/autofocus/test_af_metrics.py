"""Metrics of autofocus, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dff.autofocus import metrics


def test_accuracy_over_all_starts() -> None:
    answers = np.array([[3, 3, 4, 8], [0, 2, 5, 3]])
    told = metrics.accuracy(answers, np.array([3, 3]))
    assert [told[f"within_{t}"] for t in (0, 1, 2, 4)] == [3 / 8, 5 / 8, 6 / 8, 7 / 8]
    assert told["mae"] == pytest.approx((1 + 5 + 3 + 1 + 2) / 8)
    assert told["rmse"] == pytest.approx(np.sqrt((1 + 25 + 9 + 1 + 4) / 8))
    assert metrics.accuracy(np.array([1, 5]), np.array([1, 3]))["mae"] == 1
    with pytest.raises(ValueError, match="give"):
        metrics.accuracy(answers, np.array([3]))


def test_steadiness() -> None:
    answers = np.array([[0, 2, 0, 2], [1, 1, 1, 1]])
    assert metrics.msd_star(answers) == 0.5
    assert metrics.total_variation(answers) == {"tv_mean": 1.0, "tv_sum": 3.0}


def test_cycles_of_a_map() -> None:
    # 0 -> 1 -> 3 -> 1: a cycle of two; 2 rests; 4 -> 2
    assert metrics.cycles(np.array([1, 3, 2, 1, 2])) == [(2,), (1, 3)]
    assert metrics.cycles(np.array([1, 2, 0])) == [(0, 1, 2)]


def test_hunting_from_every_start() -> None:
    walk = metrics.hunting(np.array([[1, 3, 2, 1, 2]]))
    assert walk.settled.tolist() == [[-1, -1, 2, -1, 2]]
    assert walk.moves.tolist() == [[3, 2, 0, 2, 1]]
    assert walk.reversals.tolist() == [[1, 1, 0, 1, 0]]
    assert walk.travel.tolist() == [[5, 4, 0, 4, 2]]
    told = walk.summary(np.array([2]))
    assert told["hunting_share"] == pytest.approx(3 / 5)
    assert told["hunting_patches"] == 1
    assert told["travel_ratio"] == pytest.approx(15 / 6)


def test_every_start_agrees_with_the_cycles_of_its_map() -> None:
    maps = np.random.default_rng(0).integers(0, 12, (20, 12))
    walk = metrics.hunting(maps)
    for one, settled in zip(maps, walk.settled, strict=True):
        rings = metrics.cycles(one)
        assert {int(k) for k in settled if k >= 0} == {ring[0] for ring in rings if len(ring) == 1}
        assert bool((settled < 0).any()) == any(len(ring) > 1 for ring in rings)


def test_a_perfect_model_goes_straight() -> None:
    truth = np.array([3, 7])
    told = metrics.report(np.repeat(truth[:, None], 9, axis=1), truth)
    assert told["mae"] == told["msd_star"] == told["tv_sum"] == told["hunting_share"] == 0
    assert told["travel_ratio"] == told["within_0"] == 1
    assert told["reversals"] == 0


@pytest.mark.parametrize("answers", [[[0, 3, 1]], [[0, 1.5, 1]], [[-1, 0, 1]]])
def test_answers_that_are_no_map(answers: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="whole focal indices 0 to 2"):
        metrics.hunting(np.array(answers))
