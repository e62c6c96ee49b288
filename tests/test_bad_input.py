"""What a user can get wrong: one line on stderr, exit code 2, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from dff.cli import main

FOCUS = "3,2,1.5,1.2,1,0.8"


def _nothing(stairs: Path) -> None:
    pass


def _emptied(stairs: Path) -> None:
    for file in stairs.iterdir():
        file.unlink()


def _one_left(stairs: Path) -> None:
    for k in range(1, 6):
        (stairs / f"img{k}.jpg").unlink()


def _truncated(stairs: Path) -> None:
    whole = (stairs / "img3.jpg").read_bytes()
    (stairs / "img3.jpg").write_bytes(whole[: len(whole) // 2])


def _not_a_picture(stairs: Path) -> None:
    (stairs / "img3.jpg").write_text("no picture")


def _smaller(stairs: Path) -> None:
    with Image.open(stairs / "img3.jpg") as image:
        image.crop((0, 0, 128, 90)).save(stairs / "img3.jpg")


def _alike(stairs: Path) -> None:
    for k in range(1, 6):
        (stairs / f"img{k}.jpg").write_bytes((stairs / "img0.jpg").read_bytes())


def _toml_too_short(stairs: Path) -> None:
    (stairs / "stack.toml").write_text("focus_m = [1, 2]\n")


def _toml_with_typo(stairs: Path) -> None:
    (stairs / "stack.toml").write_text("focus_metres = [1, 2, 3, 4, 5, 6]\n")


def _there_already(stairs: Path) -> None:
    Path("depth.png").write_bytes(b"mine")
    Path("depth.json").write_bytes(b"mine")


def _full_folder(stairs: Path) -> None:
    Path("aligned").mkdir()
    Path("aligned", "mine.txt").write_text("mine")


STACK = [
    (_nothing, "nowhere", "nowhere: no such file or folder"),
    (_nothing, "stairs/*.png", "no picture or video matches"),
    (_nothing, "stairs/img0.jpg gone.jpg", "gone.jpg: no such file"),
    (_nothing, "", "no stack given"),
    (_emptied, "stairs", "no picture or video in this folder"),
    (_one_left, "stairs", "only one picture"),
    (_nothing, "stairs/img0.jpg", "only one picture"),
    (_truncated, "stairs", "img3.jpg: cannot be read"),
    (_not_a_picture, "stairs", "img3.jpg: cannot be read"),
    (_smaller, "stairs", "img3.jpg is 128x90"),
    (_alike, "stairs", "same picture"),
    (_toml_too_short, "stairs", "2 values for 6 slices"),
    (_toml_with_typo, "stairs", "focus_metres"),
    (_nothing, "stairs --focus 1,2,3", "3 values for 6 slices"),
    (_nothing, "stairs --focus -3,2,1.5,1.2,1,0.8", "negative value -3"),
    (_nothing, "stairs --focus 3,nan,1.5,1.2,1,0.8", "NaN"),
    (_nothing, "stairs --focus 3,2,2,1.2,1,0.8", "slices 1 and 2 have the same value"),
    (_nothing, "stairs --focus 3,2,0,1.2,1,0.8", "inside the lens"),
    (_nothing, "stairs --focus 3,2,two,1.2,1,0.8", "'two' is no focus position"),
    (_nothing, "stairs --every 2", "every=2 is for videos"),
]

OUTPUT = [
    (_nothing, "--out depth.xyz", "unknown suffix '.xyz'"),
    (_nothing, "--out depth", "unknown suffix ''"),
    (_nothing, "--out depth.jpg", "unknown suffix '.jpg'"),
    (_nothing, "--aif a.exr", "unknown suffix '.exr'"),
    (_nothing, "--vis v.npz", "unknown suffix"),
    (_nothing, "--confidence c.txt", "unknown suffix"),
    (_nothing, "--mesh m.obj", "unknown suffix"),
    (_nothing, "--report r.txt", "unknown suffix"),
    (_nothing, "--out stairs", "is a folder"),
    (_nothing, "--out missing/depth.png", "the folder missing does not exist"),
    (_nothing, "--aligned missing/aligned", "the folder missing does not exist"),
    (_there_already, "--save-steps depth.json", "is a file, a folder is needed"),
    (_there_already, "--out depth.png", "depth.png: exists: pass --overwrite"),
    (_there_already, "--vis depth.json/v.png", "is a file, not a folder"),
    (_there_already, "--out other.png --report depth.json", "depth.json: exists"),
    (_full_folder, "--aligned aligned", "exists and is not empty: pass --overwrite"),
    (_nothing, "--vis a.png --aif a.png", "--aif and --vis would both write it"),
    (_nothing, "--vis a.png --aif ./stairs/../a.png", "--aif and --vis would both write it"),
    (_nothing, "--out a.png --report a.json", "a.json: --out and --report would both write it"),
    (_nothing, "--aligned x --save-steps x", "--aligned and --save-steps would both write it"),
    (
        _full_folder,
        "--overwrite --save-steps aligned --aif aligned/a.png",
        "lies in the folder of --save-steps",
    ),
    (_full_folder, "--overwrite --aligned aligned --aif aligned/img2.jpg", "would both write it"),
    (_nothing, "--overwrite --aif stairs/img2.jpg", "belongs to the stack itself"),
    (_nothing, "--overwrite --aligned stairs", "holds the stack itself"),
    (_nothing, "--overwrite --save-steps stairs/../stairs", "holds the stack itself"),
]

CHOICE = [
    ("--align best", "--align: no choice 'best'"),
    ("--reference 6", "slice number from 0 to 5"),
    ("--reference best", "--reference best: give auto"),
    ("--focus 1 2 3", "not understood: 2, 3"),
    ("--align metadata", "needs the lens and the focus distances"),
    ("--focus-unit feet", "--focus-unit: no choice 'feet'"),
    ("--model learned", "no such model; give classical"),
    ("--ouput a.png", "not understood: --ouput"),
    ("--out", "--out needs a value"),
    ("--every many", "--every: 'many' is no whole number"),
]


Refused = Callable[[list[str], str], None]


@pytest.fixture
def refused(stairs: Path, snapshot: Callable[[], dict], capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be refused for the reason given, and leave everything as it was."""

    def run(argv: list[str], needle: str) -> None:
        before = snapshot()
        assert main(argv) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("dff: error: ")
        assert err.count("\n") == 1
        assert needle in err
        assert snapshot() == before

    return run


@pytest.mark.parametrize(("spoil", "words", "needle"), STACK)
def test_a_bad_stack(
    spoil: Callable[[Path], None],
    words: str,
    needle: str,
    stairs: Path,
    refused: Refused,
) -> None:
    spoil(stairs)
    refused(["predict", *words.split(), "--out", "depth.png", "--aligned", "aligned"], needle)


@pytest.mark.parametrize(("spoil", "words", "needle"), OUTPUT)
def test_a_bad_output(
    spoil: Callable[[Path], None],
    words: str,
    needle: str,
    stairs: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(stairs)
    # refused before any work
    monkeypatch.setattr("dff.commands.verbs.run_predict", None)
    refused(["predict", "stairs", *words.split()], needle)


@pytest.mark.parametrize(("words", "needle"), CHOICE)
def test_a_bad_choice(words: str, needle: str, refused: Refused) -> None:
    refused(["predict", "stairs", *words.split()], needle)


def test_no_such_command(refused: Refused) -> None:
    refused(["prdict", "stairs"], "no command 'prdict'; perhaps you meant predict")
    refused(["stairs", "--out", "d.png"], "perhaps you meant dff predict stairs")
    refused(["--quiet", "predict", "stairs"], "--quiet")


@pytest.mark.parametrize("verb", ["align", "fuse", "info"])
def test_every_command_refuses_alike(verb: str, stairs: Path, refused: Refused) -> None:
    refused([verb, "nowhere"], "nowhere: no such file or folder")
    _one_left(stairs)
    refused([verb, "stairs"], "only one picture")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that even root cannot write")
def test_a_folder_that_cannot_be_written(refused: Refused) -> None:
    refused(["predict", "stairs", "--out", "/proc/depth.png"], "cannot write in /proc")
    refused(["predict", "stairs", "--aligned", "/proc/aligned"], "cannot write in /proc")
    refused(["align", "stairs", "--out", "/proc/aligned"], "cannot write in /proc")
    refused(["fuse", "stairs", "--out", "/proc/aif.png"], "cannot write in /proc")
    refused(["demo", "--out", "/proc/demo"], "cannot write in /proc")
