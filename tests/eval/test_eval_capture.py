"""Benchmarks of capture and fusion: their measures by hand, and short runs on small scenes."""

import json

import cv2
import numpy as np
import torch

from dff.capture.simulated import SimulatedScene
from dff.eval import capture, capture_moving, fusion
from dff.eval.__main__ import main
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig

SMALL = 'base = "capture_tabletop"\nsize = [48, 48]\n[camera]\nmax_coc_px = [12.0, 12.0]\n'


def test_protocols_of_the_project_are_read():
    assert load_recipe("eval", "capture", capture.Protocol).covered == 0.95
    assert load_recipe("eval", "capture-moving", capture_moving.Protocol).memory == 1
    assert load_recipe("eval", "fusion", fusion.Protocol).default == "depth"


def test_measures():
    sharp = np.zeros((60, 80, 3), np.float32) + 0.5
    sharp[20:40, 30:50] = np.random.default_rng(0).random((20, 20, 1)).astype(np.float32)
    mask = capture.detailed(sharp)
    assert mask[25:35, 35:45].all()
    assert not mask[:, :15].any()
    same, similar, kept = capture.likeness(sharp, sharp)
    assert (same, kept) == (float("inf"), 1.0)
    assert similar > 0.999
    assert capture.likeness(cv2.GaussianBlur(sharp, (0, 0), 3), sharp)[2] < 0.5


def test_the_fewest_captures_reach_what_was_asked(tmp_path):
    recipe = tmp_path / "small.toml"
    recipe.write_text(SMALL)
    scene = SimulatedScene(load_recipe("simulator/scenes", str(recipe), SimulationConfig), 1)
    places = capture.fewest(scene, 0.9)
    assert scene.covered(places)[::2, ::2].mean() >= 0.9
    assert scene.covered(places[:-1])[::2, ::2].mean() < 0.9


def test_short_runs(tmp_path, capsys):
    torch.set_num_threads(1)
    recipe = tmp_path / "small.toml"
    recipe.write_text(SMALL)
    still = tmp_path / "c.toml"
    still.write_text(f'base = "capture"\nscenes = ["{recipe}"]\nmodel = "classical"\n')
    out = ["--out", str(tmp_path / "out"), "--json", "--limit", "1"]
    assert main(["capture", "--protocol", str(still), *out]) == 0
    rows = json.loads(capsys.readouterr().out)["tables"][0]["rows"]
    assert [row["policy"] for row in rows] == [
        "uniform sweep", "uniform, as many", "two sweeps", "ours", "fewest (truth known)",
    ]  # fmt: skip
    assert rows[0]["in focus [%]"] > 99
    moving = tmp_path / "m.toml"
    changes = 'model = "classical"\nsteps = 5\nsettle = 4\nsingles = 2\n'
    moving.write_text(f'base = "capture-moving"\nscene = "{recipe}"\n{changes}')
    assert main(["capture-moving", "--protocol", str(moving), *out]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["tables"][0]["rows"]) == 6
    assert len(found["targets"]) == 8
    methods = tmp_path / "f.toml"
    methods.write_text('base = "fusion"\nmodel = "classical"\nscenes = ["depth_parts"]\n')
    assert main(["fusion", "--simulated-only", "--protocol", str(methods), *out]) == 0
    rows = json.loads(capsys.readouterr().out)["tables"][0]["rows"]
    assert {row["picture"] for row in rows} >= {"depth", "guided", "pyramid"}
