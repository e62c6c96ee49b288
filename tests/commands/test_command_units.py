"""Focus positions on their way through the commands: metres, micrometres, or unknown."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from told import FOCUS, strict

from dff.cli import main
from dff.commands import telling
from dff.formats.depth_files import read_depth


def test_the_order_of_the_pictures_does_not_matter(stairs: Path) -> None:
    (stairs / "stack.toml").write_text("focus_m = [3, 2, 1.5, 1.2, 1, 0.8]\n")
    Path("turned").mkdir()
    for k in range(6):
        shutil.copy(stairs / f"img{k}.jpg", f"turned/img{5 - k}.jpg")
    Path("turned", "stack.toml").write_text("focus_m = [0.8, 1, 1.2, 1.5, 2, 3]\n")
    for name in (str(stairs), "turned"):
        assert main(["predict", name, "--out", f"{name}.npz", "--report", f"{name}.json"]) == 0
    with np.load("stairs.npz") as one, np.load("turned.npz") as other:
        for key in ("index", "dioptre", "confidence", "valid"):
            assert np.array_equal(one[key], other[key], equal_nan=True)
    rows, turned = (strict(Path(f"{name}.json").read_text())["slices"] for name in ("stairs", "turned"))
    assert [row["focus_m"] for row in turned] == pytest.approx([3, 2, 1.5, 1.2, 1, 0.8])
    assert [row["zoom"] for row in turned] == [row["zoom"] for row in rows]


def test_the_report_has_metres(stairs: Path) -> None:
    focus = "inf,2m,150cm,1200mm,1D,0.8"
    assert main(["predict", str(stairs), "--focus", focus, "--report", "r.json", "--out", "d.png"]) == 0
    rows = strict(Path("r.json").read_text())["slices"]
    assert rows[0]["focus_m"] is None  # infinity is no number of JSON
    assert rows[0]["position"] == 0
    assert [row["focus_m"] for row in rows[1:]] == pytest.approx([2, 1.5, 1.2, 1, 0.8])
    assert [row["position"] for row in rows[1:]] == pytest.approx([1 / row["focus_m"] for row in rows[1:]])


def test_a_microscope_stack_in_micrometres(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = np.stack([np.asarray(Image.open(stairs / f"img{k}.jpg").convert("L")) for k in range(6)])
    about = {"axes": "ZYX", "PhysicalSizeZ": 2.5, "PhysicalSizeZUnit": "µm"}
    tifffile.imwrite("cells.ome.tif", pages, metadata=about, compression="lzw")
    command = ["predict", "cells.ome.tif", "--out", "h.tif", "--report", "r.json", "--aif", "a.png"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "height: most of it from" in out
    assert " um" in out
    report = strict(Path("r.json").read_text())
    assert report["unit"] == "um"
    assert [row["position"] for row in report["slices"]] == pytest.approx([0, 2.5, 5, 7.5, 10, 12.5])
    assert "focus_m" not in report["slices"][0]
    height = read_depth("h.tif")
    assert height.unit == "um"
    assert np.nanmin(height.value[height.valid]) >= -0.01
    assert np.nanmax(height.value[height.valid]) <= 12.51


def test_focus_from_names(stairs: Path) -> None:
    for k, metres in enumerate(FOCUS.split(",")):
        (stairs / f"img{k}.jpg").rename(stairs / f"img_{metres}m.jpg")
    assert main(["predict", str(stairs), "--focus-from-names", "--report", "r.json", "--out", "d.png"]) == 0
    rows = strict(Path("r.json").read_text())["slices"]
    assert [row["focus_m"] for row in rows] == pytest.approx([3, 2, 1.5, 1.2, 1, 0.8])


def test_unknown_focus_is_said_everywhere(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(stairs), "--out", "d.png", "--report", "r.json"]) == 0
    assert telling.INDEX_NOTE in capsys.readouterr().out
    report = strict(Path("r.json").read_text())
    assert report["unit"] == "index"
    assert report["note"] == telling.INDEX_NOTE
    assert "focus distances unknown" in strict(Path("d.json").read_text())["unit_words"]
