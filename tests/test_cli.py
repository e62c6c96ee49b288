"""The commands, run in this process on a small stack: what they write, what they say, how they end."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dff
from dff.cli import main
from dff.commands import telling, verbs
from dff.commands.outputs import aligned_names, json_text
from dff.commands.terminal import Terminal, table
from dff.formats.depth_files import read_depth
from dff.stack import FocalStack

FOCUS = "3,2,1.5,1.2,1,0.8"  # metres, far first


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def strict(text: str) -> Any:
    """JSON without NaN and Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def files_in(folder: str | Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


# --- help and version --------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [["--help"], [], ["predict", "--help"]])
def test_help_loads_nothing_heavy(argv: list[str]) -> None:
    script = (
        "import sys\nfrom dff.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'cv2', 'torch', 'PIL', 'rich'} & set(sys.modules)\nprint('heavy:', *heavy)"
    )
    run = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True)
    assert run.stdout.rstrip().endswith("heavy:")
    assert ("--focus" if argv[:1] == ["predict"] else "predict") in run.stdout


def test_help_is_quick() -> None:
    def cpu_s() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "dff", "--help"], capture_output=True, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    # 0.2 s when the machine has nothing else to do
    assert min(cpu_s() for _ in range(3)) < 0.5


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dff {dff.__version__}\n"


# --- predict -----------------------------------------------------------------------------------------------


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
    assert report["model"] == "classical"
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


def test_unknown_focus_is_said_everywhere(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(stairs), "--out", "d.png", "--report", "r.json"]) == 0
    assert telling.INDEX_NOTE in capsys.readouterr().out
    report = strict(Path("r.json").read_text())
    assert report["unit"] == "index"
    assert report["note"] == telling.INDEX_NOTE
    assert "focus distances unknown" in strict(Path("d.json").read_text())["unit_in_words"]


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


# --- align, fuse, info -------------------------------------------------------------------------------------


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


def test_python_m_dff(stairs: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "dff", "info", "stairs"], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert "6 slices" in run.stdout


# --- demo --------------------------------------------------------------------------------------------------


def test_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], snapshot: Callable
) -> None:
    from dff.simulator import demo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "write_demo", partial(demo.write_demo, size=(120, 160)))
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert "slice_09.jpg" in out
    assert "dioptres (" in out
    assert "depth_vis.png" in out
    made = files_in("demo")
    wanted = ("depth.png", "depth.json", "all_in_focus.png", "confidence.png", "depth_vis.png", "mesh.glb")
    assert {*wanted, "report.json", "stack/stack.toml", "aligned/slice_00.jpg"} <= set(made)
    before = snapshot()
    assert main(["demo"]) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    assert snapshot() == before
    assert main(["demo", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert files_in("demo") == made


# --- how things end ----------------------------------------------------------------------------------------


def _raising(error: BaseException) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        raise error

    return run


def test_ctrl_c_is_one_line_and_leaves_nothing(
    stairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], snapshot: Callable
) -> None:
    before = snapshot()
    with monkeypatch.context() as patch:
        patch.setattr(verbs, "run_predict", _raising(KeyboardInterrupt()))
        assert main(["predict", str(stairs), "--out", "d.png", "--save-steps", "steps"]) == 130
    assert capsys.readouterr() == ("", "dff: interrupted\n")
    assert snapshot() == before
    monkeypatch.setattr("dff.formats.depth_files.encode_png", _raising(KeyboardInterrupt()))
    assert main(["predict", str(stairs), "--out", "d.png"]) == 130
    assert snapshot() == before


def test_what_is_finished_stays_when_a_later_output_fails(
    stairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = OSError(28, "No space left on device", "m.glb")
    monkeypatch.setattr("dff.formats.mesh._glb_bytes", _raising(full))
    assert main(["predict", str(stairs), "--out", "d.npz", "--mesh", "m.glb", "--report", "r.json"]) == 2
    assert capsys.readouterr().err == "dff: error: m.glb: No space left on device\n"
    assert [name for name in files_in(".") if not name.startswith("stairs/")] == ["d.npz"]


def test_lack_of_memory_is_one_line(
    stairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verbs, "run_predict", _raising(MemoryError()))
    assert main(["predict", str(stairs)]) == 1
    assert capsys.readouterr().err == "dff: error: not enough memory; use fewer or smaller pictures\n"


@pytest.mark.parametrize("error", [KeyError("x"), np.linalg.LinAlgError("singular"), AssertionError()])
def test_faults_of_dff_surface(error: Exception, stairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "run_predict", _raising(error))
    with pytest.raises(type(error)):
        main(["predict", str(stairs)])


def test_a_user_error_surfaces_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFF_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        main(["info", "nowhere"])


def test_a_typo_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "stairs", "--alignd", "x"]) == 2
    err = capsys.readouterr().err
    assert "perhaps you meant --align" in err
    assert "see dff predict --help" in err


def test_cuda(
    stairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], snapshot: Callable
) -> None:
    import torch

    before = snapshot()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["predict", str(stairs), "--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert snapshot() == before
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert main(["predict", str(stairs), "--device", "cuda", "--quiet"]) == 0
    assert "--device cuda is ignored" in capsys.readouterr().err


# --- small parts -------------------------------------------------------------------------------------------


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
