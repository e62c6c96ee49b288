"""`dff predict` on a small stack: what it writes and what it says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from told import FOCUS, files_in, strict

import dff
from dff.cli import main
from dff.formats.depth_files import read_depth
from dff.stack import DepthMap


def test_predict_writes_everything(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = (
        "--out d.npz --aif a.png --confidence c.png --vis v.png --mesh m.glb --aligned aligned "
        "--save-steps steps --report r.json"
    )
    assert main(["predict", str(stairs), *outputs.split(), "--focus", FOCUS, "--reference", "last"]) == 0
    depth = read_depth("d.npz")
    assert depth.unit == "dioptre"
    assert depth.valid.mean() > 0.7
    step = np.repeat(np.arange(6), 16)  # the middle 16 columns of each step of the stairs
    columns = np.concatenate([np.arange(16) + round(21.33 * s + 2.6) for s in range(6)])
    error = np.abs(depth.index[8:-8][:, columns] - step)[depth.valid[8:-8][:, columns]]
    assert np.median(error) < 0.5
    for name in ("a.png", "c.png"):
        with Image.open(name) as picture:
            assert picture.size == (128, 96)
    assert Path("v.png").is_file()
    assert Path("m.glb").read_bytes()[:4] == b"glTF"
    assert files_in("aligned") == [f"img{k}.jpg" for k in range(6)]
    assert any(name.endswith(".png") for name in files_in("steps"))

    report = strict(Path("r.json").read_text())
    assert report["model"] == "base"
    assert report["version"] == dff.__version__
    assert report["unit"] == "dioptre"
    assert report["reference"] == "img5.jpg"
    assert report["warnings"] == []
    assert {"read", "align", "depth", "write"} <= set(report["seconds"])
    assert report["files"]["aif"] == ["a.png"]
    rows = report["slices"]
    assert [row["name"] for row in rows] == [f"img{k}.jpg" for k in range(6)]
    assert all({"zoom", "shift_px", "rotation_deg", "residual_px", "flag"} <= set(row) for row in rows)
    assert rows[5]["flag"] == "reference"

    out, err = capsys.readouterr()
    assert err == ""
    assert "focus 3 m to 0.8 m" in out
    assert "known at" in out
    assert "d.npz" in out
    assert "aligned/ (6 files)" in out


def test_predict_without_outputs_names_them_after_the_stack(
    stairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(stairs)]) == 0
    made = [name for name in files_in(".") if not name.startswith("stairs/")]
    assert made == ["stairs_depth.json", "stairs_depth.png", "stairs_depth_vis.png"]
    out = capsys.readouterr().out
    assert all(name in out for name in made)
    assert main(["predict", str(stairs)]) == 2  # they exist now
    assert main(["predict", str(stairs), "--overwrite"]) == 0


@pytest.mark.parametrize("focus", [FOCUS, None])
def test_every_depth_file_holds_the_same_depth(
    focus: str | None, stairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--focus", focus] if focus else []

    def depth(path: str) -> DepthMap:
        assert main(["predict", str(stairs), "--out", path, *given]) == 0
        assert path in capsys.readouterr().out
        return read_depth(path)

    exact = depth("d.npz")
    span = float(np.ptp(exact.positions))
    for path, close in (("d.exr", 0.0), ("d.tif", 1e-6), ("d.png", 0.5001 / 65534)):
        again = depth(path)
        assert again.unit == exact.unit == ("dioptre" if focus else "index")
        assert np.array_equal(again.valid, exact.valid)
        np.testing.assert_allclose(again.positions, exact.positions, rtol=1e-6)
        error = np.abs(again.value - exact.value)[exact.valid]
        assert error.max() <= close * span + 1e-6
    with np.load("d.npz") as arrays:
        assert ("metres" in arrays) == bool(focus)


def test_json_is_all_of_stdout(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(stairs), "--json", "--out", "d.png", "--report", "r.json"]) == 0
    told = strict(capsys.readouterr().out)
    assert told["files"]["report"] == ["r.json"]
    assert told["slices"] == strict(Path("r.json").read_text())["slices"]


def test_quiet_keeps_warnings_and_tells_each_once(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(stairs / "img2.jpg", stairs / "expected.jpg")
    assert main(["predict", str(stairs), "--quiet", "--out", "d.png", "--report", "r.json"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dff: warning: stairs: left out")
    assert err.count("\n") == 1
    assert strict(Path("r.json").read_text())["warnings"] == [
        err.removeprefix("dff: warning: ").removesuffix("\n")
    ]


def test_files_and_globs_make_the_same_stack(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = [str(stairs / f"img{k}.jpg") for k in range(6)]
    for source in (["stairs/*.jpg"], listed):
        assert main(["predict", *source, "--out", "d.png", "--overwrite", "--json"]) == 0
        assert len(strict(capsys.readouterr().out)["slices"]) == 6


def test_a_slice_of_another_scene_is_dropped_or_kept(
    stairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(9).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((128, 96)).save(stairs / "img3.jpg")
    assert main(["predict", str(stairs), "--aligned", "aligned", "--report", "r.json"]) == 0
    assert "img3.jpg: dropped" in capsys.readouterr().out
    assert strict(Path("r.json").read_text())["slices"][3]["flag"] == "dropped"
    assert files_in("aligned") == [f"img{k}.jpg" for k in (0, 1, 2, 4, 5)]
    assert main(["fuse", str(stairs), "--poor", "keep", "--aligned", "kept"]) == 0
    assert "img3.jpg" in capsys.readouterr().err
    assert len(files_in("kept")) == 6


def test_exif_and_profile_are_kept(stairs: Path) -> None:
    assert main(["predict", str(stairs), "--aif", "a.jpg", "--aligned", "aligned"]) == 0
    with Image.open(stairs / "img3.jpg") as source:
        profile = source.info["icc_profile"]
    for name in ("a.jpg", "aligned/img0.jpg"):
        with Image.open(name) as picture:
            assert picture.getexif()[271] == "ACME"
            assert picture.info["icc_profile"] == profile
