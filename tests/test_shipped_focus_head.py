"""The autofocus head in the repository: small, whole by itself, and at work on any slices of a stack."""

from __future__ import annotations

import pytest
import torch

from dff.eval.focus_head_stacks import Case, head_answers, make_case
from dff.learned_focus import known_heads, load_learned_focus
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig
from dff.weights import find_weights, load_weights

NAME = "af-tiny"


@pytest.fixture(scope="module")
def case() -> Case:
    torch.set_num_threads(1)
    return make_case(
        load_recipe("simulator/scenes", "focus_easy", SimulationConfig), 9100, 4, (20, 64), 0, None
    )


def test_it_is_small_and_holds_its_own_backbone() -> None:
    assert NAME in known_heads()
    assert find_weights(NAME)[0].stat().st_size < 3e6
    weights = load_weights(NAME)
    assert {name.split(".")[0] for name in weights.tensors} == {"depth", "head", "halves"}


@pytest.mark.parametrize("seen", [[20], [10, 11, 12], list(range(49))])
def test_it_answers_from_any_slices(case: Case, seen: list[int]) -> None:
    head = load_learned_focus(NAME, "cpu")
    for dual_pixel in (False, True):
        found = head_answers(head, case, torch.tensor([seen]), dual_pixel=dual_pixel)
        assert found.index.shape == (4, 1)
        assert ((found.index >= 0) & (found.index < 49)).all()
        assert ((found.confidence > 0) & (found.confidence <= 1)).all()
