"""The weights in the repository: whole, small, and better than no learning on a stack never trained on."""

from __future__ import annotations

import numpy as np
import pytest

from dff.metrics import mae
from dff.models import DEFAULT
from dff.pipeline import predict
from dff.recipes import find_recipe
from dff.simulator.demo import demo_stack
from dff.weights import known_weights, load_weights


@pytest.mark.parametrize("name", sorted(known_weights()))
def test_files_are_what_the_index_says_and_have_a_card(name: str) -> None:
    weights = load_weights(name)  # checks the sha256
    assert weights.network == known_weights()[name].network
    assert weights.path.stat().st_size < 8e6
    card = find_recipe("weights", "index").parent / f"{name}.md"
    assert "Licence" in card.read_text(encoding="utf-8")


def test_the_default_beats_the_classical_engine_on_a_path_traced_stack() -> None:
    sample = demo_stack()
    learned, classical = (predict(sample.stack, model=model, aif=False) for model in (DEFAULT, "classical"))
    error, rival = (mae(one.depth.value, sample.dioptre, sample.valid) for one in (learned, classical))
    assert error < 0.8 * rival
    sure = learned.depth.confidence > np.median(learned.depth.confidence)
    assert mae(learned.depth.value, sample.dioptre, sample.valid & sure) < 0.85 * error
