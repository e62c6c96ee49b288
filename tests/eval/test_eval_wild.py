"""The package's own benchmark: levels, held-out seeds, means, and the same numbers from the same command."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dff.data.sample import DepthSample
from dff.eval import wild
from dff.eval.__main__ import main
from dff.eval.baselines.methods import Estimate
from dff.eval.baselines.rivals import RIVALS, combinations
from dff.eval.depth_models_cycles import ThinLensStack
from dff.eval.depth_models_protocol import Protocol as DepthModels
from dff.eval.depth_models_sets import Case
from dff.eval.inputs import Seeds
from dff.eval.wild_plots import COLUMNS, HEIGHT, WIDTH, write_plots
from dff.eval.wild_protocol import Level, Protocol
from dff.eval.wild_score import (
    COVERAGES,
    MEASURES,
    Scored,
    as_sample,
    by_seed,
    mean_of,
    score,
    standard_error,
)
from dff.eval.wild_tuning import tune
from dff.recipes import load_recipe
from dff.stack import FocalStack
from dff.train import source
from dff.train.render_scenes import FIRST_SEED
from dff.train.render_scenes import main as render
from dff.train.source import HELD_OUT_SEEDS, stream_seed

SMALL = """
base = "wild"
seeds = { first = 70000, count = 2 }
tuning = { first = 60000, count = 1 }
axes = [
  { name = "noise", label = "shot", log = true, levels = [{ at = 2e-4 }, { at = 0.01, shot = 0.01 }] },
  { name = "slices", label = "slices", levels = [{ at = 4, slices = 4 }, { at = 10 }] },
]
[stacks]
size = [40, 48]
[rivals]
ddl = { window_px = [5, 9] }
sml = { step_px = [1], sigma_px = [2.5] }
"""


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return load_recipe("eval", "wild", Protocol)


def test_the_levels_that_ship(protocol: Protocol) -> None:
    names = [axis.name for axis in protocol.axes]
    assert names == [
        *("slices", "blur", "noise", "misalignment", "texture", "thin structures", "wrong metadata"),
    ]
    base = protocol.base_setup
    for axis in protocol.axes:
        setups = [protocol.setup(level) for level in axis.levels]
        assert len(set(setups)) == len(setups)
        assert base in setups
    assert len(wild.setups(protocol)) == 1 + sum(len(axis.levels) - 1 for axis in protocol.axes)
    assert set(protocol.rivals) == set(RIVALS)


def test_what_a_level_changes(protocol: Protocol) -> None:
    level = Level(
        at=1,
        slices=4,
        max_coc_px=7.0,
        shot=0.5,
        misalignment_px=2.0,
        bare_share=0.9,
        thin_share=0.5,
        focus_error_steps=0.7,
    )
    setup = protocol.setup(level)
    camera, scene = setup.simulation.camera, setup.simulation.scene
    assert (setup.slices, setup.misalignment_px, scene.plain_share) == (4, 2.0, 0.9)
    assert (camera.max_coc_px, camera.focus_error_steps) == ((7.0, 7.0), 0.7)
    assert [sensor.shot for sensor in camera.sensors] == [(0.5, 0.5)]
    thin = [name in protocol.thin for name in scene.shapes]
    assert sum(thin) == len(thin) / 2


def test_training_cannot_draw_a_held_out_seed(protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    for seeds in (protocol.seeds, protocol.tuning):
        assert seeds.take(None).stop <= HELD_OUT_SEEDS
    assert min(stream_seed(0, stream, k) for stream in range(6) for k in range(500)) >= HELD_OUT_SEEDS

    class Low(np.random.SeedSequence):
        def generate_state(self, n_words: int, dtype: type = np.uint64) -> np.ndarray:
            return np.full(
                n_words, 2 * 70003, dtype
            )  # the seed of a stack of the benchmark, before its shift

    monkeypatch.setattr(source.np.random, "SeedSequence", Low)
    assert stream_seed(1, 2) == 70003 + HELD_OUT_SEEDS


def test_rendered_scenes_of_the_benchmarks_cannot_be_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = load_recipe("eval", "depth-models", DepthModels).cycles.scenes
    assert max(scene.seed for scene in held_out) < FIRST_SEED
    assert render([str(tmp_path / "scenes.safetensors"), "--seed", "901", "--count", "1"]) == 2
    assert "--seed 901: scenes of seeds below 5000 are for benchmarks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": Seeds(HELD_OUT_SEEDS - 1, 2)}, "seeds that training cannot draw are 0 to 1048575"),
        ({"tuning": Seeds(70003, 1)}, "some are also in tuning"),
        ({"thin": ("wyre",)}, "wyre; choose from ellipse"),
        ({"thin_share": 1.5}, r"thin_share 1.5: must lie in \[0,1\]"),
        ({"rivals": {"sml": {"step_px": (1,)}}}, "sml: give at least one value of each of step_px, sigma_px"),
        ({"rivals": {"smul": {}}}, "no rival 'smul'"),
        ({"axes": ()}, "give at least one, each of another name"),
    ],
)
def test_unsound_protocols(protocol: Protocol, change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(protocol, **change)


def test_levels_rise(protocol: Protocol) -> None:
    with pytest.raises(ValueError, match=r"noise: levels at \[2, 1\]; give at least 2, rising"):
        replace(protocol.axes[2], levels=(Level(at=2), Level(at=1)))
    with pytest.raises(ValueError, match="levels above 0"):
        replace(protocol.axes[2], levels=(Level(at=0), Level(at=1)))


class Flat:
    """The same depth everywhere, surer to the left."""

    name, fingerprint, parameters = "flat", "", 0

    def estimate(self, sample: DepthSample) -> Estimate:
        shape = sample.images[0].shape[:2]
        sure = np.broadcast_to(np.arange(shape[1])[::-1], shape)
        return Estimate(np.full(shape, 2.0), sure)


def ramp_case() -> Case:
    """Focus at 1, 2, 3 dioptres; depth rises along a row from 1 to 3."""
    truth = np.broadcast_to(np.linspace(1, 3, 21, dtype=np.float32), (20, 21))
    stack = FocalStack([np.zeros((20, 21, 3), np.uint8)] * 3, np.array([1.0, 2.0, 3.0]))
    return Case.of("ramp", stack, truth)


def test_a_score_by_hand() -> None:
    case = ramp_case()
    found = score(Flat(), as_sample(case), case, 0.1)
    error = np.abs(np.linspace(0, 1, 21) - 0.5)
    assert found.values["mae"] == pytest.approx(error.mean(), abs=1e-6)
    assert found.values["rmse"] == pytest.approx(np.sqrt((error**2).mean()), abs=1e-6)
    assert math.isnan(found.values["edge_error"])
    assert found.risk is not None
    # the surest 21 of 420 pixels: the first column, and one of the second
    assert found.risk[[0, -1]] == pytest.approx([error.mean(), (20 * 0.5 + 0.45) / 21], abs=1e-6)
    assert len(found.risk) == len(COVERAGES)


def test_means_and_their_errors_by_hand() -> None:
    def scored(mae: float, ause: float = math.nan) -> Scored:
        values = dict.fromkeys(("rmse", "delta1", "edge_error", "bumpiness"), 0.0)
        return Scored({"mae": mae, "ause": ause, **values}, 2.0, None)

    levels = [{0: scored(1.0, 0.5), 1: scored(2.0)}, {0: scored(3.0), 1: scored(6.0)}]
    assert by_seed(levels) == [2.0, 4.0]
    mean = mean_of(levels)
    assert (mean.values["mae"], mean.values["ause"], mean.cpu_s) == (3.0, 0.5, 2.0)
    # of 2 and 4: deviation sqrt(2), over sqrt(2)
    assert mean.mae_error == pytest.approx(1.0)
    assert math.isnan(standard_error([1.0]))


def test_plots_of_methods_that_tell_no_confidence(protocol: Protocol, tmp_path: Path) -> None:
    axis = protocol.axes[2]
    scored = Scored(dict.fromkeys(MEASURES, 0.1), 1.0, None)
    scores = {"net": {0: scored, 1: scored}, "sml": {0: scored, 1: scored}}
    path = write_plots(tmp_path / "plots", [axis], {axis.name: [scores] * len(axis.levels)}, [scores])
    with Image.open(path) as sheet:
        assert sheet.size == (COLUMNS * WIDTH, HEIGHT + 2 * 28)


def test_tuning_takes_the_best() -> None:
    rng = np.random.default_rng(0)
    texture = rng.random((48, 64, 3)).astype(np.float32)
    images = [texture if k == 1 else np.full_like(texture, 0.5) for k in range(3)]
    stack = FocalStack(images, np.array([1.0, 2.0, 3.0]))
    case = Case.of("middle", stack, np.full((48, 64), 2.0, np.float32))
    found = tune(["ddl", "sml"], {"ddl": {"window_px": [3, 9]}}, [case])
    assert found["ddl"].error == pytest.approx(0, abs=1e-6)
    assert found["sml"].settings == RIVALS["sml"]
    assert list(combinations("ddl", {"window_px": [3, 9]})) == [{"window_px": 3}, {"window_px": 9}]


def without_seconds(path: Path) -> list[dict]:
    tables = json.loads(path.read_text())["tables"]
    for table in tables:
        for row in table["rows"]:
            row.pop("CPU [s]", None)
    return tables


def test_the_same_command_gives_the_same_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    (tmp_path / "small.toml").write_text(SMALL)
    traced = tmp_path / "cycles"
    traced.mkdir()
    case = ramp_case()
    pictures = np.random.default_rng(0).integers(0, 256, (3, 20, 21, 3), dtype=np.uint8)
    ThinLensStack("plain_1", pictures, np.array([1.0, 2.0, 3.0]), 1 + 2 * case.u, 4.0).save(
        traced / "plain_1.npz"
    )
    words = ["wild", "--protocol", tmp_path / "small.toml", "--models", "ddl,classical,sml"]
    for out in ("one", "two"):
        more = ["--out", tmp_path / out, "--pictures", tmp_path / out, "--cycles", traced]
        assert main([str(word) for word in (*words, *more)]) == 0
    told = capsys.readouterr()
    assert "wild: 1 of 3, base: 2 stacks" in told.err
    one, two = (without_seconds(tmp_path / out / "wild.json") for out in ("one", "two"))
    assert one == two
    titles = [table["title"] for table in one]
    assert titles == [
        *("All levels", "Base", "Axis: noise", "Axis: slices", "Risk at coverage", "Path-traced", "Rivals")
    ]
    assert [row["method"] for row in one[0]["rows"]] == ["ddl", "classical", "sml"]
    # the level that both axes share was measured once, and is in both
    assert one[2]["rows"][0]["sml"] == one[3]["rows"][1]["sml"]
    assert one[0]["note"].startswith("3 levels of 2 stacks, seeds 70000 to 70001.")
    assert (tmp_path / "one" / "wild.png").read_bytes() == (tmp_path / "two" / "wild.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", "tiney"], "no such model"),
        (["--models", ","], "names no model"),
        (["--models", "sml,sml"], "two are called sml"),
        (["--cycles", "."], ".: holds no rendered stacks (.npz)"),
        (["--limit", "0"], "--limit 0: give 1 or more"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["wild", "--out", "out", *words]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
    assert not Path("out").exists()
