"""`dff capture` on a recorded stack and on simulated scenes."""

from __future__ import annotations

from pathlib import Path

import pytest
from told import files_in, strict

from dff.cli import main

SCENE = ["--scene", "capture_tabletop", "--side", "64", "--model", "classical", "--method", "guided"]


def test_recorded_stack(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "classical", "--align", "none", "--budget", "4", "--out", "done"]
    assert main(["capture", str(stairs), *words]) == 0
    out = capsys.readouterr().out
    assert "where a uniform sweep takes 6" in out
    report = strict(Path("done/report.json").read_text())
    assert 3 <= len(report["captures"]) <= 4
    assert set(report["names"]) <= {f"img{k}.jpg" for k in range(6)}
    assert report["names"][0] == "img0.jpg"
    files = files_in("done")
    assert {"captures.csv", "report.json", "sharp.png", "sheet.png", "capture_00.png"} <= set(files)
    lines = Path("done/captures.csv").read_text().splitlines()
    assert len(lines) == len(report["captures"]) + 1
    assert main(["capture", str(stairs), *words]) == 2
    assert "not empty" in capsys.readouterr().err


def test_simulated_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["capture", *SCENE, "--seed", "4", "--budget", "5", "--json"]) == 0
    told = strict(capsys.readouterr().out)
    assert len(told["captures"]) <= 5
    shares = [row["in_focus_by_now"] for row in told["captures"]]
    assert shares == sorted(shares)
    assert told["names"] is None
    assert told["psnr_db"] > 15
    assert files_in(".") == []
    assert main(["capture", *SCENE, "--estimator", "edges", "--budget", "4"]) == 0


def test_moving_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--steps", "4", "--pan", "1,0", "--out", "done", "--video", "sharp.mp4"]
    assert main(["capture", *SCENE, *words]) == 0
    assert "4 time steps" in capsys.readouterr().out
    assert Path("sharp.mp4").stat().st_size > 0
    names = files_in("done")
    assert "sharp_003.png" in names
    assert "capture_000.png" in names


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        ("", "give a stack to capture from, or --scene"),
        ("stairs --scene capture_tabletop", "and not both"),
        ("stairs --steps 3", "--steps is for a simulated scene"),
        ("stairs --video v.mp4", "--video is for a moving scene"),
        ("stairs --budget 0", "--budget 0"),
        ("stairs --depth-of-field -1", "--depth-of-field -1"),
        ("stairs --max-coc 2", "needs a known lens"),
        ("stairs --estimator edges", "--estimator edges needs a known lens"),
        ("stairs --model nothing", "model nothing: no such model"),
        ("nowhere", "nowhere: no such file or folder"),
        ("--scene nothing", "nothing"),
        ("--scene capture_tabletop --side 8", "--side 8"),
        ("--scene capture_tabletop --steps 2 --pan left", "--pan left"),
        ("--scene capture_tabletop --depth-of-field 1", "is for a stack"),
        ("--scene capture_tabletop --seed -1", "--seed -1"),
    ],
)
def test_bad_input(words: str, needle: str, stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", *words.split()]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("dff: error: ")
    assert needle in said
    assert files_in(".") == [f"stairs/img{k}.jpg" for k in range(6)]
