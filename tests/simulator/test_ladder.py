import numpy as np
import pytest

from dff.simulator.ladder import Ladder


def test_even_ladders():
    assert Ladder(far_dioptre=0.0, near_dioptre=4.0, n_slices=5).focus().tolist() == [0, 1, 2, 3, 4]
    metres = 1 / Ladder(far_dioptre=0.5, near_dioptre=2.0, n_slices=4, spacing="metre").focus()
    assert np.allclose(metres, [2.0, 1.5, 1.0, 0.5])
    assert Ladder(n_slices=10).focus(3).size == 3


def test_a_listed_ladder_is_sorted_far_first_and_thinned_evenly():
    ladder = Ladder(focus_mm=(100, 1000, 200, 500, 250))
    assert ladder.focus().tolist() == [1, 2, 4, 5, 10]
    assert ladder.focus(3).tolist() == [1, 4, 10]
    assert ladder.focus(5).tolist() == ladder.focus().tolist()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"focus_mm": (100, 0)}, "above 0"),
        ({"focus_mm": (100, 100)}, "focus_mm"),
        ({"far_dioptre": 3.0, "near_dioptre": 3.0}, "below near_dioptre"),
        ({"far_dioptre": -1.0}, ">= 0"),
        ({"n_slices": 1}, "at least 2"),
        ({"spacing": "metre", "far_dioptre": 0.0}, "infinity"),
    ],
)
def test_bad_ladders_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Ladder(**settings)


@pytest.mark.parametrize("count", [1, 4])
def test_no_more_slices_than_listed(count):
    with pytest.raises(ValueError, match="2 to 3"):
        Ladder(focus_mm=(100, 200, 300)).focus(count)
