"""`dff align`, `fuse`, `info` and `demo` on small stacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from told import files_in, strict

from dff.cli import main
from dff.commands import telling


def test_align_writes_slices_and_a_table(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["align", str(stairs), "--out", "done", "--report", "r.json", "--align", "none"]) == 0
    assert files_in("done") == [f"img{k}.jpg" for k in range(6)]
    report = strict(Path("r.json").read_text())
    assert [row["zoom"] for row in report["slices"]] == [1.0] * 6
    assert report["alignment"] == "none"
    out = capsys.readouterr().out
    assert "residual" in out
    assert sum(line.startswith("img") for line in out.splitlines()) == 6
    assert main(["align", str(stairs), "--quiet"]) == 0
    assert len(files_in("stairs_aligned")) == 6


def test_fuse_keeps_the_sharp_parts(stairs: Path) -> None:
    assert main(["fuse", str(stairs), "--align", "none"]) == 0
    with Image.open("stairs_aif.png") as picture:
        fused = np.asarray(picture, dtype=float)
    slices = [np.asarray(Image.open(stairs / f"img{k}.jpg"), dtype=float) for k in range(6)]
    assert fused.std() > 1.2 * max(picture.std() for picture in slices)


def test_info_tells_focus_and_lens(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stairs / "stack.toml").write_text(
        "focus_m = [inf, 2, 1.5, 1.2, 1, 0.8]\n"
        "[lens]\nfocal_length_mm = 50\nf_number = 2\npixel_pitch_um = 40\n"
    )
    assert main(["info", str(stairs)]) == 0
    out = capsys.readouterr().out
    assert "6 slices, 128x96 px, 8 bit RGB, with EXIF and ICC" in out
    assert "stack.toml" in out
    assert "50 mm f/2" in out
    assert "field of view changes by" in out
    assert main(["info", str(stairs), "--json"]) == 0
    told = strict(capsys.readouterr().out)
    assert told["focus_m"] == [None, 2, 1.5, 1.2, 1, 0.8]
    assert told["breathing"] == pytest.approx((1 / 0.05) / (1 / 0.05 - 1 / 0.8))
    assert told["lens"]["focal_length_m"] == pytest.approx(0.05)


def test_info_without_focus(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(stairs)]) == 0
    assert telling.INDEX_NOTE in capsys.readouterr().out
    heights = "0um,2um,4um,6um,8um,10um"
    assert main(["info", str(stairs), "--focus", heights, "--json"]) == 0
    assert strict(capsys.readouterr().out)["unit"] == "um"
    assert files_in(".") == [f"stairs/img{k}.jpg" for k in range(6)]


@pytest.mark.parametrize("method", ["auto", "direct", "ecc", "metadata", "none"])
def test_each_way_to_align(method: str, stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stairs / "stack.toml").write_text(
        "focus_m = [3, 2, 1.5, 1.2, 1, 0.8]\n"
        "[lens]\nfocal_length_mm = 50\nf_number = 2\npixel_pitch_um = 40\n"
    )
    assert main(["align", str(stairs), "--align", method, "--reference", "first", "--json"]) == 0
    told = strict(capsys.readouterr().out)
    assert told["alignment"] == ("direct" if method == "auto" else method)
    assert told["reference"] == "img0.jpg"
    zoom = [row["zoom"] for row in told["slices"]]
    if method == "metadata":  # a thin lens magnifies what is near
        assert zoom == sorted(zoom)
        assert zoom[-1] == pytest.approx((1 / 0.05 - 1 / 3) / (1 / 0.05 - 1 / 0.8), abs=1e-5)
    else:
        assert zoom == pytest.approx([1] * 6, abs=0.03)


@pytest.mark.parametrize(("word", "name"), [("first", 0), ("middle", 3), ("last", 5), ("1", 1)])
def test_the_reference_is_left_as_it_is(word: str, name: int, stairs: Path) -> None:
    assert main(["align", str(stairs), "--reference", word, "--out", "done", "--report", "r.json"]) == 0
    report = strict(Path("r.json").read_text())
    assert report["reference"] == f"img{name}.jpg"
    row = report["slices"][name]
    assert (row["flag"], row["zoom"], row["shift_px"], row["rotation_deg"]) == ("reference", 1, [0, 0], 0)
    before, after = (np.asarray(Image.open(f"{place}/img{name}.jpg"), float) for place in (stairs, "done"))
    assert np.abs(before - after).mean() < 2  # saved as JPEG once more


def test_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], snapshot: Callable
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert "slice_09.jpg" in out
    assert "dioptres (" in out
    assert "depth_vis.png" in out
    made = files_in("demo")
    wanted = ("depth.png", "depth.json", "all_in_focus.png", "confidence.png", "depth_vis.png", "mesh.glb")
    assert {*wanted, "report.json", "stack/truth/depth.npz", "aligned/slice_00.jpg"} <= set(made)
    before = snapshot()
    assert main(["demo"]) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert snapshot() == before
    assert main(["demo", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert files_in("demo") == made
