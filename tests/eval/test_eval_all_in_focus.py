import json

import numpy as np
import pytest

from dff.eval import all_in_focus
from dff.eval.__main__ import main
from dff.recipes import load_recipe


@pytest.fixture
def protocol():
    return load_recipe("eval", all_in_focus.NAME, all_in_focus.Protocol)


def test_protocol_of_the_project_is_read(protocol):
    assert (protocol.targets.gradients_kept, protocol.targets.outside_range) == (0.72, 0.002)


def test_scores_of_known_pictures(half_sharp, protocol):
    slices, sharp = half_sharp
    lumas = [all_in_focus.luma(one) for one in slices]
    everywhere = np.ones(sharp.shape[:2], bool)
    perfect = all_in_focus.score_picture(sharp, lumas, everywhere, protocol)
    assert perfect.gradients_kept > 0.98
    assert perfect.outside_range == 0
    bright = all_in_focus.score_picture(np.full_like(sharp, 255), lumas, everywhere, protocol)
    assert bright.gradients_kept == 0
    assert bright.outside_range > 0.5
    left = np.zeros_like(everywhere)
    left[:, :70] = True
    assert all_in_focus.best_slice(lumas, left, 0.05) == 0
    assert all_in_focus.best_slice(lumas, ~left, 0.05) == 1


def test_end_to_end(tmp_path, write_slices, half_sharp, capsys):
    write_slices(tmp_path / "data" / "half", half_sharp[0])
    recipe = tmp_path / "half.toml"
    recipe.write_text(
        'stacks = ["half", "missing"]\nmodels = ["classical"]\n'
        "[targets]\ngradients_kept = 0.7\noutside_range = 0.01\n"
    )
    common = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--protocol", str(recipe)]
    assert main(["all-in-focus", "--json", "--limit", "1", *common]) == 0
    found = json.loads(capsys.readouterr().out)
    best, argmax, ours = found["tables"][0]["rows"]
    assert best["picture"].startswith("single best slice (")
    assert (argmax["picture"], ours["picture"]) == ("Laplacian argmax", "ours (classical)")
    assert best["gradients kept"] < argmax["gradients kept"]
    assert best["outside range [%]"] == 0
    assert 0 < ours["gradients kept"] <= 1
    assert len(found["targets"]) == 2

    assert main(["all-in-focus", *common]) == 2
    assert "missing: no such stack" in capsys.readouterr().err
