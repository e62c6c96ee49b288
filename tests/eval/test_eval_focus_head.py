"""The benchmark of the autofocus head: cases, answers from all starts, tables, the sheet of real stacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from dff.data.af_patches import FORMAT, SimulatedPatches, coded
from dff.eval import focus_head, focus_head_sheet
from dff.eval.__main__ import main
from dff.eval.focus_head_patches import few_part, patches_part, sweep_blur
from dff.eval.focus_head_stacks import (
    contrast_answers,
    from_all_starts,
    head_answers,
    make_case,
    start_sets,
)
from dff.learned_focus import load_learned_focus
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig

SCENE = """
base = "focus_easy"
size = [32, 32]
camera = "few"
"""
CAMERA = """
base = "pixel3"
[ladder]
focus_mm = [3910.92, 800.0, 400.0, 250.0, 170.0, 120.0]
"""
PROTOCOL = """
base = "focus-head"
scenes = ["scene.toml"]
regions = 2
region_px = [16, 24]
frames = [1, 5]
start_stacks = 1
depth_models = ["classical"]
"""


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulationConfig:
    """Stacks of six slices of 32 x 32 px, as a recipe in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("few.toml").write_text(CAMERA)
    Path("scene.toml").write_text(SCENE.replace("few", str(tmp_path / "few.toml")))
    return load_recipe("simulator/scenes", "scene.toml", SimulationConfig)


def test_protocols_of_the_project_are_read() -> None:
    protocol = load_recipe("eval", focus_head.NAME, focus_head.Protocol)
    assert protocol.scenes[-1] == "focus_hard"
    for name in protocol.scenes:
        assert load_recipe("simulator/scenes", name, SimulationConfig).dual_pixel
    assert load_recipe("eval", focus_head_sheet.NAME, focus_head_sheet.Protocol).stacks


def test_answers_have_their_shapes(scene: SimulationConfig, untrained_head: Path) -> None:
    case = make_case(scene, 3, 2, (16, 24), 0.3, None)
    assert case.light.shape == (6, 32, 32)
    assert all(0 <= k < 6 for k in case.truth)
    contrast = contrast_answers(case)
    assert len(contrast) == 37
    head = load_learned_focus(str(untrained_head), "cpu")
    found = from_all_starts(head, case, 3)
    assert found[True].index.shape == found[False].confidence.shape == (2, 6)
    assert found[True].share.shape == (2, 6, 6)
    alone = head_answers(head, case, start_sets(6, 3)[4:5], dual_pixel=True)
    assert alone.index[:, 0].tolist() == found[True].index[:, 4].tolist()
    with pytest.raises(ValueError, match="raw green"):
        make_case(load_recipe("simulator/scenes", "depth_simple", SimulationConfig), 0, 1, (8, 9), 0, None)


def test_the_benchmark_writes_its_tables(
    scene: SimulationConfig, untrained_head: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("p.toml").write_text(PROTOCOL)
    torch.set_num_threads(1)
    arguments = ["--head", str(untrained_head), "--protocol", "p.toml", "--out", ".", "--limit", "1"]
    assert main(["focus-head", *arguments]) == 0
    told = Path("focus-head.md").read_text()
    for words in (
        "Whole stack",
        "A few slices",
        "Confidence",
        "Two depths",
        "head, D*",
        "depth rule, classical",
    ):
        assert words in told
    assert "share of starts that hunt, D5" in told


def test_patches_of_a_file(untrained_head: Path, tmp_path: Path) -> None:
    """Two patches of noise, sharp in slices 1 and 3 of 5; the true motion is none."""
    random = np.random.default_rng(0)
    light = np.empty((2, 5, 32, 32))
    for patch, sharp in enumerate((1, 3)):
        grain = random.random((32, 32))
        light[patch] = [cv2.GaussianBlur(grain, (0, 0), 0.5 + 1.5 * abs(k - sharp)) for k in range(5)]
    path = tmp_path / "patches.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(format=FORMAT, split="test", frame=(756, 1008), reference=2)
        file.attrs["settings"] = json.dumps({"patches": {"camera": "pixel3"}})
        values = {
            "left": coded(light), "right": coded(light), "index": np.array([1, 3], np.int16),
            "ladder_index": np.array([1, 3], np.int16), "corner": np.zeros((2, 2), np.int16),
            "hard": np.array([True, False]), "scene": np.zeros(2, np.int32),
            "dioptre": np.ones(2, np.float32),
            "spread": np.zeros(2, np.float32), "light": np.ones(2, np.float32), "snr": np.ones(2, np.float32),
            "true_focus": np.tile(np.arange(1, 6), (2, 1)).astype(np.float32), "focus": np.arange(1.0, 6.0),
            "matrices": np.tile(np.eye(2, 3, dtype=np.float32), (2, 5, 1, 1)),
            "depth": np.ones((2, 32, 32), np.float16),
        }  # fmt: skip
        for name, value in values.items():
            file.create_dataset(name, data=value)
    assert sweep_blur(SimulatedPatches(path)) == pytest.approx(4 * 1.96, rel=0.01)  # px per dioptre
    head = load_learned_focus(str(untrained_head), "cpu")
    few, started = few_part(head, path, 5, [1, 3], lambda _: None)
    assert [row[1] for row in few.rows] == ["D1", "D3", "I1", "I3"]
    assert started.starts["D3"].shape == (2, 5)
    assert started.until_sure["I1"].shape == started.starts["I1"].shape

    table, targets = patches_part(head, path, None, (1.0, 0.75), lambda _: None)
    found = {(row[0], row[1]): row[6] for row in table.rows}
    assert found["all", "head, I*"] <= 0.5
    assert min(value for (kind, name), value in found.items() if name.startswith("contrast")) == 0
    assert {kind for kind, _ in found} == {"all", "hard"}
    assert [target.value for target in targets[:2]] == [found["all", "head, I*"], found["all", "head, D*"]]
    assert targets[2].what.startswith("hard patches: MAE, head, I* over contrast")


def test_the_sheet_shows_the_slices_round_the_choice(
    write_slices: Callable[[Path, list[np.ndarray]], Path], tmp_path: Path, untrained_head: Path, stairs: Path
) -> None:
    slices = [np.asarray(Image.open(path)) for path in sorted(stairs.glob("*.jpg"))]
    write_slices(tmp_path / "data" / "steps", slices)
    protocol = focus_head_sheet.Protocol(("steps",), shown=3, crop_px=40)
    report = focus_head_sheet.run(
        protocol,
        tmp_path / "data",
        str(untrained_head),
        tmp_path / "out",
        limit=None,
        options="",
        say=lambda _: None,
    )
    assert [row[2] for row in report.tables[0].rows] == ["rule", "head"] * 3
    with Image.open(tmp_path / "out" / "steps.jpg") as sheet:
        assert sheet.size == (2 * 3 * 42, 3 * (40 + 14 + 2))
