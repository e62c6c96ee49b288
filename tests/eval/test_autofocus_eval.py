"""Benchmarks of autofocus on a handful of patches, and what they are made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dff.autofocus.models import AutofocusConfig, AutofocusNet, answers, two_steps
from dff.data.af_patches import SimulatedPatches
from dff.eval.__main__ import main
from dff.eval.autofocus_classical import rank_correlation, ranks
from dff.eval.autofocus_defocus import DefocusTest, defocus_table, disc, gaussian, gradient_norm, point
from dff.eval.autofocus_figures import middling
from dff.eval.autofocus_maps import logits_of, two_answers
from dff.eval.autofocus_protocol import Protocol, Variant
from dff.eval.autofocus_registration import about_centre, registered
from dff.recipes import load_recipe, recipe_names
from dff.train.autofocus_patches import main as make
from dff.train.autofocus_source import stack_batch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("patches")
    for split in ("train", "val", "test"):
        told = ["--split", split, "--scenes", "2", "--size", "48", "--region", "96"]
        assert make([str(place / f"{split}.h5"), *told]) == 0
    return place


def network(problem: str, steps: int = 1) -> AutofocusNet:
    torch.manual_seed(1)
    return AutofocusNet(AutofocusConfig(problem=problem, width=0.1, steps=steps)).eval()


@pytest.mark.parametrize("problem", ["D1", "I3", "D*"])
def test_logits_are_those_of_the_plain_way(problem: str, folder: Path) -> None:
    patches, net = SimulatedPatches(folder / "test.h5"), network(problem)
    found = logits_of(net, patches, np.arange(2))
    batch = stack_batch(patches, np.arange(2), net.problem.dual)
    wanted = answers(net, batch["stack"], batch["place"]).numpy()
    np.testing.assert_array_equal(found.argmax(axis=-1), wanted)


def test_logits_of_two_steps(folder: Path) -> None:
    patches, first, second = SimulatedPatches(folder / "test.h5"), network("D1"), network("D1", steps=2)
    found = logits_of(first, patches, np.arange(1), second)
    batch = stack_batch(patches, np.arange(1), True)
    with torch.no_grad():
        wanted = two_steps(first, second, batch["stack"], torch.tensor([7]), batch["place"])[1]
    np.testing.assert_allclose(found[0, 7], wanted[0].numpy(), atol=1e-4)


def test_ranks_and_their_correlation() -> None:
    np.testing.assert_array_equal(ranks(np.array([3.0, 1.0, 3.0, 9.0])), [2.5, 1, 2.5, 4])
    assert rank_correlation(np.array([1, 2, 3.0]), np.array([10, 20, 30.0])) == pytest.approx(1)
    assert rank_correlation(np.array([1, 2, 3.0]), np.array([9, 2, -1.0])) == pytest.approx(-1)


def test_two_peaks_are_counted_where_near_and_far_can_be_mixed_up() -> None:
    logits = np.full((1, 49, 49), -20.0, np.float32)
    logits[:, :, 24] = 0
    assert two_answers(logits, np.array([24])) == 0
    for start in range(49):
        mirror = 2 * start - 24
        if 0 <= mirror < 49:
            logits[0, start, mirror] = 0
    assert two_answers(logits, np.array([24])) == 1
    assert np.isnan(two_answers(logits[:0], np.array([])))


def test_a_saturated_point_under_a_disc_and_a_gaussian() -> None:
    test = DefocusTest(measures=("laplacian-energy",), diameters=(8.0,))
    sharp = gradient_norm(point(test, disc(1.0)))
    assert gradient_norm(point(test, disc(8.0))) > 1.5 * sharp
    faint = DefocusTest(measures=(), light=1.0)
    assert gradient_norm(point(faint, disc(8.0))) < gradient_norm(point(faint, disc(1.0)))
    assert gaussian(8.0).sum() == pytest.approx(1, abs=1e-5)
    deviation = np.sqrt((np.square(np.arange(gaussian(8.0).shape[0]) - 8) * gaussian(8.0).sum(0)).sum())
    assert deviation == pytest.approx(2, abs=0.02)
    assert len(defocus_table(test).rows) == 2


def test_registration_undoes_a_zoom(folder: Path) -> None:
    patches = SimulatedPatches(folder / "test.h5")
    y, x = np.mgrid[:48, :48].astype(np.float32)
    middle = (np.array(patches.frame[::-1]) - 1) / 2 - patches.corner[0]
    zoom = 1.01
    scene = np.sin(x / 5) + np.cos(y / 7)
    at = middle + (np.stack([x, y], -1) - middle) / zoom  # what the zoomed slice shows at each pixel
    slices = np.stack([scene, np.sin(at[..., 0] / 5) + np.cos(at[..., 1] / 7)]).astype(np.float32)
    motions = np.stack([np.eye(2, 3), about_centre(zoom, patches, 0)])
    shift = np.abs(motions[1] @ np.array([24, 24, 1]) - 24).max()
    if shift < 16:
        still, back = registered(slices, motions, 16)
        np.testing.assert_allclose(back, still, atol=0.02)


def test_figures_show_patches_in_the_middle() -> None:
    truth = np.array([0, 20, 48, 30, 25])
    assert set(middling(truth, 49, 2)) <= {1, 3, 4}
    assert len(middling(np.array([0, 48]), 49, 5)) == 2


def test_classical_rivals_end_to_end(folder: Path, tmp_path: Path) -> None:
    large = [str(folder / "large.h5"), "--split", "test", "--scenes", "1"]
    assert make([*large, "--size", "96", "--region", "96"]) == 0
    protocol = tmp_path / "quick.toml"
    protocol.write_text('base = "af_classical"\n[registration]\nsize = 48\nzooms = 3\n')
    options = ["--data", str(folder), "--out", str(tmp_path), "--limit", "2", "--protocol", str(protocol)]
    assert main(["af-classical", *options]) == 0
    told = json.loads((tmp_path / "af-classical.json").read_text())
    contrast, pairs, single, registration, points = told["tables"]
    assert len(contrast["rows"]) == 39
    assert "Rank correlation" in contrast["note"]
    assert len(pairs["rows"]) == 8
    assert [row["rival"] for row in single["rows"]] == ["zncc-disparity", "ssd-disparity", "learned-depth"]
    assert len(registration["rows"]) == 7
    assert points["rows"][0]["measure"] == "gradient norm"


STUDY = """
recipe = "af_debug"
order = ["D1"]
variants = [
  { name = "D1", published = [1.0, 2.0, 3.0], change = { loss = { msd_weight = 0.0 } } },
  { name = "D1+FCL" },
  { name = "two", after = "D1" },
]
gains = [{ row = "D1+FCL", over = "D1", msd_star = 0.1, tv = 0.1, mae = 0.01 }]
[[plots]]
title = "A plot"
x_label = "x"
score = "MAE"
lines = [{ name = "n", x = [1.0], rows = ["two"] }]
"""


def test_study_shares_halves_and_keeps_what_is_done(folder: Path, tmp_path: Path) -> None:
    protocol = tmp_path / "af_quick.toml"
    protocol.write_text(STUDY)
    options = ["--data", str(folder), "--out", str(tmp_path), "--pictures", str(tmp_path / "pictures")]
    options += ["--work", str(tmp_path / "work"), "--protocol", str(protocol)]
    assert main(["af-study", *options]) == 0
    folders = sorted(path.name for path in (tmp_path / "work").iterdir())
    assert sum(name.startswith("half-") for name in folders) == 2  # one for both rows of D1
    assert sum(name.startswith("D1+FCL-0") for name in folders) == 1
    told = json.loads((tmp_path / "af-quick.json").read_text())
    assert told["command"].startswith("python -m dff.eval af-study")
    assert len(told["targets"]) == 3
    assert (tmp_path / "pictures" / "a-plot.png").is_file()
    weights = list((tmp_path / "work").glob("two-0-*/network.safetensors"))
    before = weights[0].stat().st_mtime_ns
    assert main(["af-study", *options]) == 0
    assert weights[0].stat().st_mtime_ns == before
    assert json.loads((tmp_path / "af-quick.json").read_text())["tables"] == told["tables"]


def test_models_end_to_end(folder: Path, tmp_path: Path) -> None:
    from dff.recipes import load_recipe
    from dff.train import checkpoint
    from dff.train.autofocus_config import AutofocusTrainConfig
    from dff.train.autofocus_source import at_patches
    from dff.train.distributed import World
    from dff.train.export import Arguments, export
    from dff.train.loop import RunOptions, train

    config = at_patches(load_recipe("train", "af_debug", AutofocusTrainConfig), folder)
    (tmp_path / "run").mkdir()
    here = World(0, 1, torch.device("cpu"))
    train(config, RunOptions(out=tmp_path / "run", steps=1), here, None, lambda line: None)
    weights = tmp_path / "mine.safetensors"
    export(Arguments(tmp_path / "run" / checkpoint.NAME, weights))
    protocol = tmp_path / "quick.toml"
    protocol.write_text(f'base = "af_models"\nmodels = ["{weights}"]\npanels = 2\n')
    options = ["--data", str(folder), "--out", str(tmp_path), "--pictures", str(tmp_path / "pictures")]
    assert main(["af-models", *options, "--limit", "3", "--protocol", str(protocol)]) == 0
    told = json.loads((tmp_path / "af-models.json").read_text())
    assert told["tables"][0]["rows"][0]["method"] == "mine"
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        "answers.png",
        "outputs.png",
        "patches.png",
    }


def test_protocols_are_checked() -> None:
    one = Variant("D1")
    with pytest.raises(ValueError, match="no earlier one"):
        Protocol("af_debug", (Variant("two", after="D1"), one))
    with pytest.raises(ValueError, match="no variant 'D9'"):
        Protocol("af_debug", (one,), order=("D9",))
    with pytest.raises(ValueError, match="names of their own"):
        Protocol("af_debug", (one, one))


@pytest.mark.parametrize("name", [name for name in recipe_names("eval") if name.startswith("af_")])
def test_recipes_of_studies_are_sound(name: str) -> None:
    text = load_recipe("eval", name)
    if "variants" in text:
        load_recipe("eval", name, Protocol)
