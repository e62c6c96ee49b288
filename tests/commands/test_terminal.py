"""Progress, warnings, tables and names of files."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from told import strict

from dff.cli import main
from dff.commands.outputs import aligned_names, json_text
from dff.commands.terminal import Terminal, table
from dff.stack import FocalStack


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_for_terminals(stairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(stairs / "img2.jpg", stairs / "expected.jpg")
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert main(["predict", str(stairs), "--out", "d.png"]) == 0
    assert "aligning" in screen.getvalue()
    assert "dff: warning: stairs: left out" in screen.getvalue()
    quiet = Screen()
    monkeypatch.setattr(sys, "stderr", quiet)
    assert main(["predict", str(stairs), "--out", "d.png", "--quiet", "--overwrite"]) == 0
    assert quiet.getvalue().count("\n") == 1


def test_a_warning_does_not_break_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with Terminal(quiet=False, json=False).working() as terminal:
        terminal.progress("align", 1, 2)
        terminal.warn("two\nlines [red]")
        terminal.warn("two lines [red]")
    assert screen.getvalue().count("dff: warning: two lines [red]") == 1
    assert terminal.warnings == ["two lines [red]"]


def test_the_small_picture_needs_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = np.zeros((40, 60, 3), dtype=np.uint8)
    picture[:, 30:] = (255, 0, 0)
    Terminal(quiet=False, json=False).picture(picture)
    assert capsys.readouterr().out == ""
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    Terminal(quiet=False, json=False).picture(picture, columns=30)
    assert screen.getvalue().count("▀") == 30 * 10
    assert "255;0;0" in screen.getvalue()


def test_table() -> None:
    assert table(("slice", "zoom"), [("a.jpg", "1"), ("b", "0.95")]) == [
        "slice  zoom",
        "a.jpg     1",
        "b      0.95",
    ]


def test_json_is_strict() -> None:
    odd = {"a": np.array([1.0, np.nan]), "b": (np.float32(np.inf), np.int64(3)), "c": Path("x"), "d": None}
    assert strict(json_text(odd)) == {"a": [1.0, None], "b": [None, 3], "c": "x", "d": None}


def test_names_of_aligned_slices() -> None:
    def named(names: list[str], dtype: type = np.uint8) -> list[str]:
        slices = [np.full((8, 8), k, dtype=dtype) for k in range(len(names))]
        return aligned_names(FocalStack(slices, names=names))

    assert named(["a.jpg", "b.JPG", "c.tiff"]) == ["a.jpg", "b.JPG", "c.tiff"]
    assert named(["a.bmp", "frame_001"]) == ["a.png", "frame_001.png"]
    assert named(["a.dng", "b.dng"], np.uint16) == ["a.tif", "b.tif"]
    assert named(["far/a.jpg", "near/a.jpg"]) == ["far_a.jpg", "near_a.jpg"]
    assert named(["a.png", "a.bmp"]) == ["000_a.png", "001_a.png"]
