import json

import numpy as np
import pytest

from dff.eval import alignment_real, alignment_simulated
from dff.eval.__main__ import main
from dff.recipes import load_recipe

REAL = """
ecc_scale = 1.0
[zoom_last_over_first]
tiny = 1.0202
[targets]
residual_ratio = 1.0
cpu_ratio = 1.5
zoom_error = 0.003
"""
SIMULATED = """
scenes = ["{scene}"]
ecc_scales = [1.0]
[seeds]
first = 3
count = 5
[targets."{scene}"]
rms = 9.0
median = 9.0
p90 = 9.0
"""


@pytest.mark.parametrize("module", [alignment_real, alignment_simulated])
def test_protocols_of_the_project_are_read(module):
    assert load_recipe("eval", module.NAME, module.Protocol).targets


def test_zoom_between_the_ends():
    zooms = np.array([0.5, 3.0, 2.0])
    assert alignment_real.zoom_last_over_first(zooms[:, None, None] * np.eye(2, 3)) == pytest.approx(4.0)


def test_real_end_to_end(tmp_path, write_slices, breathing_slices, capsys):
    write_slices(tmp_path / "data" / "tiny", breathing_slices)
    protocol = tmp_path / "tiny.toml"
    protocol.write_text(REAL)
    out = tmp_path / "out"
    arguments = ["--data", str(tmp_path / "data"), "--out", str(out), "--protocol", str(protocol)]
    assert main(["alignment-real", *arguments]) == 0
    printed = capsys.readouterr().out
    assert printed == (out / "alignment-real.md").read_text()
    assert str(tmp_path) not in printed
    found = json.loads((out / "alignment-real.json").read_text())
    still, ecc, ours = found["tables"][0]["rows"]
    assert [row["method"] for row in (still, ecc, ours)] == ["unaligned", "ECC at 1", "direct (ours)"]
    assert still["median [px]"] > 1
    assert still["zoom last/first"] == 1
    for row in (ecc, ours):
        assert row["median [px]"] <= row["worst [px]"] < 0.3
        assert row["unscored"] == 0
        assert row["zoom last/first"] == pytest.approx(1.01 / 0.99, abs=0.002)
    assert len(found["targets"]) == 4


def test_a_stack_without_matches_cannot_be_scored(tmp_path, write_slices):
    protocol = load_recipe("eval", alignment_real.NAME, alignment_real.Protocol)
    flat = [np.full((64, 64), 100 + k, np.uint8) for k in range(3)]
    write_slices(tmp_path / "flat", flat)
    with pytest.raises(ValueError, match=r"flat: no slice has 20 SIFT matches"):
        alignment_real.score_stack(tmp_path, "flat", protocol)


def test_corner_errors():
    truth = np.repeat(np.eye(2, 3)[None], 3, axis=0)
    found = truth.copy()
    found[0, :, 2] = [3, 4]
    found[1, 0, 0] = 1.1  # x grows by 10 %: 0 at the left corners, 1 px at the right ones
    errors = alignment_simulated.corner_errors_px(found, truth, 2, (21, 11))
    assert np.allclose(errors, [5, np.sqrt(0.5)])
    summary = alignment_simulated.summary(np.array([0.0, 0, 3, 4]))
    assert (summary.rms, summary.median) == (2.5, 1.5)
    assert summary.p90 == pytest.approx(3.7)


def test_simulated_end_to_end(tmp_path, capsys):
    scene = tmp_path / "small.toml"
    scene.write_text(
        'size = [96, 96]\n[scene]\ntextures = ["noise"]\nplain_share = 0.0\ndark_share = 0.0\n'
        "[camera]\nn_slices = [3, 3]\nmax_coc_px = [3.0, 4.0]\n"
        "[camera.motion]\nzoom_px = 1.0\nshift_px = 1.0\n"
    )
    protocol = tmp_path / "sim.toml"
    protocol.write_text(SIMULATED.format(scene=scene.as_posix()))
    options = ["--limit", "2", "--json", "--out", str(tmp_path / "out"), "--protocol", str(protocol)]
    assert main(["alignment-simulated", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["command"] == "python -m dff.eval alignment-simulated --protocol sim.toml --limit 2"
    by_method = {row["method"]: row for row in found["tables"][0]["rows"]}
    assert list(by_method) == ["unaligned", "ECC at 1", "direct (ours)"]
    assert by_method["direct (ours)"]["rms [px]"] < by_method["unaligned"]["rms [px]"]
    assert "2 stacks per scene, seeds 3 to 4, no photographs" in found["tables"][0]["note"]
    assert all(target["met"] for target in found["targets"])
