import json

import numpy as np
import pytest

from dff.eval import depth
from dff.eval.__main__ import main
from dff.eval.depth_protocol import Protocol, Sml
from dff.eval.depth_rendered import find_offset, score_fitted
from dff.eval.depth_simulated import Score, dioptres, mean_score, score_dioptre
from dff.eval.inputs import Seeds
from dff.recipes import load_recipe

TINY = """
rendered = ["rendered"]
scene = "{scene}"
mae_ratio = 9.0
seeds = {{ first = 0, count = 2 }}
[sml]
sigmas_px = [2.0, 4.0]
tuning = {{ first = 100, count = 1 }}
"""


def test_protocol_of_the_project_is_read():
    assert load_recipe("eval", depth.NAME, depth.Protocol).mae_ratio == 0.75


def test_the_rival_is_not_tuned_on_the_test():
    with pytest.raises(ValueError, match="tune the rival on other stacks"):
        Protocol((), "depth_simple", Seeds(0, 8), Sml((2.0,), Seeds(7, 2)), 0.75)
    with pytest.raises(ValueError, match="sigmas_px"):
        Sml((), Seeds(0, 1))


def test_index_to_dioptres():
    assert np.array_equal(dioptres(np.array([[0, 0.5, 2]]), np.array([1.0, 2.0, 4.0])), [[1, 1.5, 4]])


def test_scores_in_dioptres():
    truth = np.array([[1.0, 2.0, 2.0, 4.0]])
    found = np.array([[1.0, 1.0, 2.0, 4.0]])
    valid = np.array([[True, False, True, True]])
    assert score_dioptre(found, truth, valid, 2.0) == Score(0.125, 0.25, 0.75, 0.0, 0.75)
    nothing = score_dioptre(found, truth, valid & False, 2.0)
    assert np.isnan(nothing.mae_valid)
    assert nothing.coverage == 0


def test_mean_leaves_out_what_was_not_measured():
    nan = float("nan")
    first, second = Score(1, 2, 3, nan, 0), Score(3, 2, 1, 5, 1)
    assert mean_score([first, second]) == Score(2, 2, 2, 5, 0.5)
    assert np.isnan(mean_score([first]).mae_valid)


@pytest.mark.parametrize("sign", [1, -1])
def test_offset_of_the_truth(sign):
    random = np.random.default_rng(0)
    depth_map = random.integers(0, 9, (40, 50)).astype(np.float32)
    truth = sign * 3 * depth_map[6:36, 4:44] - 30
    assert find_offset(depth_map, truth) == (6, 4)
    with pytest.raises(ValueError, match="larger than the pictures"):
        find_offset(depth_map, np.zeros((41, 10)))


def test_fit_is_not_pulled_by_gross_errors():
    index = np.tile(np.arange(10, dtype=np.float32), (10, 1))
    truth = -2 * index + 7
    index[0, 0] = 9  # wrong by 9, 18 in the unit of the truth
    valid = np.ones(index.shape, bool)
    valid[0, 0] = False
    found = score_fitted(index, truth, valid)
    assert found.mae == pytest.approx(0.18, abs=1e-3)
    assert found.rmse == pytest.approx(1.8, abs=1e-3)
    assert found.mae_valid == pytest.approx(0, abs=1e-3)


def test_end_to_end(tmp_path, write_slices, half_sharp, capsys):
    slices, _ = half_sharp
    write_slices(tmp_path / "data" / "rendered", slices)
    truth = np.zeros((120, 160), np.float32)
    truth[:, 80:] = 5
    np.save(tmp_path / "data" / "rendered" / "depth_truth.npy", truth[10:110, 12:148])
    scene, protocol = tmp_path / "small.toml", tmp_path / "tiny.toml"
    scene.write_text("size = [96, 96]\n[camera]\nn_slices = [5, 5]\nmax_coc_px = [6.0, 8.0]\n")
    protocol.write_text(TINY.format(scene=scene.as_posix()))
    common = ["--json", "--out", str(tmp_path / "out"), "--protocol", str(protocol)]

    assert main(["depth", "--data", str(tmp_path / "data"), *common]) == 0
    rendered, simulated = json.loads(capsys.readouterr().out)["tables"]
    errors = {row["method"]: row["MAE"] for row in rendered["rows"]}
    rivals = ["SML argmax", "SML + parabola", "SML argmax, best sigma here"]
    assert list(errors) == [*rivals, "ours (classical)", "ours (base)"]
    assert errors["SML argmax"] < 0.5
    assert errors["SML argmax, best sigma here"] <= errors["SML argmax"]
    assert "truth at (x 12, y " in rendered["note"]
    for row in simulated["rows"]:
        assert 0 < row["MAE"] < 0.5
        assert row["MAE"] < row["RMSE"]

    assert main(["depth", "--simulated-only", "--limit", "1", *common]) == 0
    (only,) = json.loads(capsys.readouterr().out)["tables"]
    assert only["title"] == "Simulated stacks"
    assert "seeds 0 to 0" in only["note"]
