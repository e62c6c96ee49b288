"""`dff focus-run`: the comparison, its files, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dff.cli import main

FOCUS = "3,2,1.5,1.2,1,0.8"  # metres, far first


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["focus-run", *argv]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_all_policies_on_a_recorded_stack(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--csv", "t.csv", "--picture", "p.png", "--report", "r.json"]
    asked = ["focus-run", str(stairs), "--focus", FOCUS, "--roi", "66,20,16,50", "--policy", "all", *files]
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert "in focus at position 3.0, 1.2 m" in out
    report = json.loads(Path("r.json").read_text())
    sums = {one["policy"]: one for one in report["policies"]}
    assert "phase-loop" not in sums
    assert sums["global"]["cycles"] == [[3]]
    assert sums["global"]["in_focus"] == 1.0
    with open("t.csv", newline="") as sheet:
        rows = list(csv.DictReader(sheet))
    assert len(rows) == len(report["runs"]) == 8 * 6
    assert [row["final"] for row in rows if row["policy"] == "global"] == ["3.0"] * 6
    with Image.open("p.png") as picture:
        assert picture.size == (960, 660)
    assert main([*asked, "--overwrite", "--quiet"]) == 0
    assert json.loads(Path("r.json").read_text()) == report


def test_a_policy_on_a_scene_with_a_motor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = tmp_path / "a.gif"
    scene = ["--scene", "depth_simple", "--side", "64", "--positions", "9", "--motor", "imx708", "--json"]
    asked = ["focus-run", *scene, "--policy", "golden", "--start", "0,8", "--repeat", "2", "--seed", "5"]
    asked += ["--animation", str(film), "--overwrite"]
    assert main(asked) == 0
    once = capsys.readouterr().out
    report = json.loads(once)
    with Image.open(film) as picture:
        assert picture.size == (600, 240)
        assert picture.n_frames >= 4 * 4
    assert [(run["start"], run["repeat"]) for run in report["runs"]] == [(0, 0), (8, 0), (0, 1), (8, 1)]
    assert report["policies"][0]["cycles"] is None
    assert main(asked) == 0
    assert capsys.readouterr().out == once


def test_what_cannot_be_is_refused_in_one_line(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = str(stairs)
    assert "give a stack to focus on, or --scene" in complaint(capsys)
    assert "and not both" in complaint(capsys, stack, "--scene", "depth_simple")
    assert "policy 'foo'; choose from vote, global" in complaint(capsys, stack, "--policy", "foo")
    assert "dual-pixel" in complaint(capsys, stack, "--policy", "phase-loop")
    assert "dual-pixel" in complaint(capsys, stack, "--policy", "until-sure")
    assert "--step-networks is for --policy step-search, all" in complaint(
        capsys, stack, "--step-networks", "step-spectrum"
    )
    assert "--autofocus is for" in complaint(capsys, stack, "--autofocus", "afpe-d1")
    assert "--start 6: the lens has positions 0 to 5" in complaint(capsys, stack, "--start", "6")
    assert "such as 0,5,9" in complaint(capsys, stack, "--start", "near")
    assert "slices 0 to 5" in complaint(capsys, stack, "--truth", "6")
    assert "no recipe 'nowhere'" in complaint(capsys, "--scene", "nowhere")
    assert "has no motor" in complaint(capsys, stack, "--motor", "random_camera")
    assert "--repeat 0" in complaint(capsys, stack, "--repeat", "0")
    assert "--side 8" in complaint(capsys, "--scene", "depth_simple", "--side", "8")
    assert "--truth is for a stack" in complaint(capsys, "--scene", "depth_simple", "--truth", "3")
    Path("one").mkdir()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save("one/a.png")
    assert "one" in (told := complaint(capsys, "one"))
    assert "slice" in told or "picture" in told
