"""The autofocus head in the repository: small, whole by itself, and better than contrast in the dark."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dff.autofocus.metrics import accuracy
from dff.eval.focus_head_stacks import contrast_answers, head_answers, make_case
from dff.learned_focus import known_heads, load_learned_focus
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig
from dff.weights import find_weights, load_weights

NAME = "af-tiny"


def test_it_is_small_and_holds_its_own_backbone() -> None:
    assert NAME in known_heads()
    assert find_weights(NAME)[0].stat().st_size < 3e6
    weights = load_weights(NAME)
    assert {name.split(".")[0] for name in weights.tensors} == {"depth", "head"}


@pytest.mark.parametrize("dual_pixel", [False, True])
def test_from_all_slices_of_dark_stacks_it_errs_less_than_the_usual_contrast(dual_pixel: bool) -> None:
    torch.set_num_threads(1)
    head = load_learned_focus(NAME, "cpu")
    scene = load_recipe("simulator/scenes", "focus_hard", SimulationConfig)
    everything = torch.arange(49)[None]
    ours, contrast, truth = [], [], []
    for seed in (9100, 9101, 9102):
        case = make_case(scene, seed, 8, (20, 64), 0.7, None)
        ours.append(head_answers(head, case, everything, dual_pixel=dual_pixel).index[:, 0])
        contrast.append(contrast_answers(case)["mean-local-norm-dist-sq-2"])
        truth.append(case.truth)
    errors = [accuracy(np.concatenate(answers), np.concatenate(truth))["mae"] for answers in (ours, contrast)]
    assert errors[0] < 0.75 * errors[1]
