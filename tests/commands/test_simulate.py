"""`dff simulate`: what it writes, and everything it refuses, with nothing half-written."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from told import files_in, strict

from dff.cli import main
from dff.simulator.dataset import Dataset
from dff.simulator.manifest import simulated_folders
from dff.simulator.stack_files import read_simulated

SMALL = ["--size", "48x32", "--camera", "pixel4xl", "--slices", "4"]
CAMERA = """
picture_width = 640
picture_height = 480
[lens]
focal_length_m = {focal_length_m}
f_number = {f_number}
pixel_pitch_m = 5e-6
[ladder]
far_dioptre = 0.5
near_dioptre = 4.0
n_slices = 3
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


Refused = Callable[[str, str], None]


@pytest.fixture
def refused(snapshot: Callable[[], dict], capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run the command, which must be refused for the reason given and leave everything as it was."""

    def run(words: str, needle: str) -> None:
        before = snapshot()
        assert main(["simulate", *words.split()]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("dff: error: ")
        assert err.count("\n") == 1
        assert needle in err
        assert snapshot() == before

    return run


def camera(f_number: float = 2.0, focal_length_m: float = 0.004) -> str:
    Path("own.toml").write_text(CAMERA.format(f_number=f_number, focal_length_m=focal_length_m))
    return "own.toml"


# --- what it does ----------------------------------------------------------------------------------------


def test_stacks_for_everybody(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["simulate", "--n", "2", "--out", "data", "--dual-pixel", "--preview", "sheet.png", *SMALL]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("2 stacks of 48x32 px in data/ (made 2, ")
    assert out.endswith("look at sheet.png\n")
    slices = [f"slice_{k:02d}.png" for k in range(4)]
    one = [
        *(f"left/{name}" for name in slices),
        *(f"right/{name}" for name in slices),
        *slices,
        "stack.toml",
        *(f"truth/{name}" for name in ("all_in_focus.png", "depth.npz", "parameters.json")),
    ]
    assert files_in("data/000001") == one
    assert sorted(path.name for path in Path("data").iterdir()) == ["000000", "000001", "manifest.json"]
    assert len(simulated_folders("data")) == 2
    assert cv2.imread("sheet.png").shape[0] > 2 * 32

    assert main(["predict", "data/000001", "--out", "depth.npz", "--aif", "sharp.png"]) == 0
    assert "focus 0.9 m to 0.1 m (stack.toml: focus_m)" in capsys.readouterr().out
    assert np.load("depth.npz")["dioptre"].shape == read_simulated("data/000001").dioptre.shape == (32, 48)


def test_a_raw_green_channel_can_be_predicted_too() -> None:
    assert main(["simulate", "--n", "1", "--out", "d", "--camera", "pixel3", "--size", "32", "--quiet"]) == 0
    assert len(list(Path("d/000000").glob("slice_*.png"))) == 49
    assert main(["predict", "d/000000", "--out", "depth.npz", "--quiet"]) == 0


def test_only_a_sheet(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--preview", "sheet.jpg", "--n", "1", *SMALL]) == 0
    assert [path.name for path in Path().iterdir()] == ["sheet.jpg"]
    assert capsys.readouterr().out == "look at sheet.jpg\n"


def test_the_report_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["simulate", "--n", "3", "--out", "data", "--shard", "2/2", "--json", *SMALL]
    assert main(argv) == 0
    report = strict(capsys.readouterr().out)
    assert report.pop("seconds") > 0
    assert report == {"command": "simulate", "folder": "data", "stacks": 1, "made": 1, "preview": None}


def test_a_finished_folder_resumes_to_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["simulate", "--n", "1", "--out", "data", "--resume", *SMALL]
    assert main(argv) == 0
    assert main(argv) == 0
    assert "(made 0, all of them there already)" in capsys.readouterr().out


def test_patches_of_the_whole_frame() -> None:
    words = "simulate --n 2 --out data --camera pixel3 --size 32 --frame-width 2016 --slices 3 --quiet"
    assert main(words.split()) == 0
    parts = [read_simulated(folder).parameters for folder in simulated_folders("data")]
    assert [part["frame"] for part in parts] == [[1512, 2016]] * 2
    assert parts[0]["origin"] != parts[1]["origin"]


def test_limits_of_the_scene() -> None:
    words = ["simulate", "--n", "1", "--out", "data", "--near", "50cm", "--far", "inf", *SMALL]
    assert main(words) == 0
    manifest = json.loads(Path("data/manifest.json").read_text())
    assert (manifest["near_dioptre"], manifest["far_dioptre"]) == (2.0, 0.0)
    dioptre = read_simulated("data/000000").dioptre
    assert dioptre.min() >= 0
    assert dioptre.max() <= 2.0001


def test_ctrl_c_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Dataset.stack

    def interrupted(self: Dataset, index: int) -> object:
        if index == 2:
            raise KeyboardInterrupt
        return stack(self, index)

    argv = ["simulate", "--n", "4", "--out", "data", *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "stack", interrupted)
        assert main(argv) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        "stopped with 2 of 4 stacks, all of them whole; to go on, give the same command with --resume" in err
    )
    assert len(simulated_folders("data")) == 2
    assert main([*argv, "--resume"]) == 0
    assert len(simulated_folders("data")) == 4


# --- what it refuses -------------------------------------------------------------------------------------

WRONG = [
    ("", "nothing to write; give --out DIR, or --preview"),
    ("--out data", "say how many stacks"),
    ("--n 0 --out data", "0 stacks: give 1 or more"),
    ("--n -3 --out data", "-3 stacks: give 1 or more"),
    ("--n 2 --out no/data", "the folder no does not exist"),
    ("--n 2 --out data --camera pixel33", "did you mean 'pixel3'?"),
    ("--n 2 --out data --camera nowhere.toml", "no recipe 'nowhere.toml'"),
    ("--n 2 --out data --size 8", "size (8, 8) is too small"),
    ("--n 2 --out data --size 0x64", "size (64, 0) is too small"),
    ("--n 2 --out data --size 99999x64", "99999x64 px: at most 8192"),
    ("--n 2 --out data --size big", "--size big: give width and height in px"),
    ("--n 2 --out data --size 640x480 --frame-width 320", "smaller than the size (480, 640)"),
    ("--n 2 --out data --shard 5/3", "shard 5/3: the first number goes from 1 to the second"),
    ("--n 2 --out data --shard 0/3", "shard 0/3"),
    ("--n 2 --out data --shard half", "--shard half: give which part of how many"),
    ("--n 2 --out data --workers 0", "0 workers: give 1 or more"),
    ("--n 2 --out data --seed -1", "seed -1"),
    ("--n 2 --out data --slices 1", "1 slices; a focal stack has at least 2"),
    ("--n 2 --out data --slices 50 --camera pixel3", "50 slices asked of a ladder of 49 steps"),
    ("--n 2 --out data --near 5m --far 2m", "its far end must be farther than its near end"),
    ("--n 2 --out data --near -1m", "--near: negative value -1"),
    ("--n 2 --out data --near 0", "inside the lens"),
    ("--n 2 --out data --near 12um", "--near 12um: give a distance"),
    ("--n 2 --out data --near near", "'near' is no focus position"),
    ("--n 2 --out data --photos nowhere", "nowhere: no such photographs"),
    ("--n 2 --out data --data pairs", "--data is for --scene rgbd, not procedural"),
    ("--n 2 --out data --scene blender --photos x", "--photos is for --scene procedural, not blender"),
    ("--n 2 --out data --scene rgbd", "give --data DIR"),
    ("--n 2 --out data --scene rgbd --data nowhere", "nowhere"),
    ("--n 2 --out data --scene painted", "--scene: no choice 'painted'"),
    ("--n 2 --out data --scene blender --kind kitchen", "'kitchen' is unknown"),
    ("--n 2 --out data --scene blender --textures nowhere", "nowhere"),
    ("--n many --out data", "--n: 'many' is no whole number"),
    ("--n 13 --preview sheet.png", "without --out there is only a sheet, of 12 stacks at most"),
    ("--resume --preview sheet.png", "--resume goes with --out"),
    ("--n 2 --preview sheet.gif", "unknown suffix '.gif'"),
    ("--n 2 --out data --preview no/sheet.png", "the folder no does not exist"),
]


@pytest.mark.parametrize(("words", "needle"), WRONG)
def test_a_wrong_command(words: str, needle: str, refused: Refused) -> None:
    refused(words, needle)


def test_a_camera_that_cannot_be(refused: Refused) -> None:
    refused(
        f"--n 2 --out data --camera {camera(f_number=0)}", "own.toml: lens: Lens: f_number must be a positive"
    )
    refused(f"--n 2 --out data --camera {camera(f_number=-2)}", "f_number must be a positive")
    refused(f"--n 2 --out data --camera {camera(f_number=math.inf)}", "f_number must be a positive")
    needle = "own.toml: Lens: focus 4 dioptres is nearer than the focal length 300 mm"
    refused(f"--n 2 --out data --camera {camera(focal_length_m=0.3)}", needle)
    Path(camera()).write_text(Path("own.toml").read_text() + "steps = 3\n")
    refused("--n 2 --out data --camera own.toml", "own.toml: ladder.steps: unknown key")


def test_pairs_that_cannot_be(refused: Refused) -> None:
    rgbd = "--n 2 --out data --scene rgbd --data pairs"
    Path("pairs").mkdir()
    refused(rgbd, "pairs: no pictures with depth")
    picture, depth = np.zeros((40, 50, 3), dtype=np.uint8), np.ones((40, 50), dtype=np.float32)
    cv2.imwrite("pairs/a_rgb.png", picture)
    refused(rgbd, "pairs: no pictures with depth")
    np.save("pairs/a_depth.npy", depth)
    refused(rgbd, "pairs/a_depth.npy: the unit of its depth is not known; say it with --depth-unit")
    refused(f"{rgbd} --depth-unit feet", "--depth-unit feet: not known; use m, cm, mm")
    np.save("pairs/a_depth.npy", -depth)
    refused(f"{rgbd} --depth-unit m", "pairs/a_depth.npy: holds negative depth")
    np.save("pairs/a_depth.npy", 0 * depth)
    refused(f"{rgbd} --depth-unit m", "pairs/a_depth.npy: holds no depth")
    np.save("pairs/a_depth.npy", depth[:30])
    refused(f"{rgbd} --depth-unit m", "is 50x30 px, but a_rgb.png is 50x40")
    np.save("pairs/a_depth.npy", depth)
    words = f"simulate {rgbd} --depth-unit m --size 32 --slices 3 --camera pixel4xl --quiet"
    assert main(words.split()) == 0
    assert len(simulated_folders("data")) == 2


def test_what_is_there_stays(refused: Refused) -> None:
    Path("data").mkdir()
    Path("data", "mine.txt").write_text("mine")
    Path("sheet.png").write_bytes(b"mine")
    refused("--n 2 --out data", "data: exists and is not empty: pass --resume, or choose another folder")
    refused("--n 2 --out data --overwrite", "data: exists and is not empty")
    refused("--n 2 --out data --resume", "holds no manifest.json")
    refused("--n 2 --out sheet.png", "is a file, a folder is needed")
    refused("--preview sheet.png", "sheet.png: exists: pass --overwrite")


def test_other_settings_do_not_mix(refused: Refused, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--n", "1", "--out", "data", *SMALL]) == 0
    capsys.readouterr()
    small = " ".join(SMALL)
    refused(f"--n 1 --out data {small}", "exists and is not empty: pass --resume")
    refused(f"--n 1 --out data --resume {small} --seed 1", "another seed: 0 there, 1 now")
    refused(f"--n 1 --out data --resume {small} --size 32", "another size: [32, 48] there, [32, 32] now")


@pytest.mark.skipif(importlib.util.find_spec("bpy") is not None, reason="bpy is installed")
def test_blender_needs_bpy(refused: Refused) -> None:
    refused("--n 2 --out data --scene blender", 'pip install "dff[blender]" in an environment of Python 3.11')


def test_cuda(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    refused("--n 2 --out data --device cuda", "--device cuda: no CUDA device here")
