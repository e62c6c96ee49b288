"""`dff focus --head`: the learned head answers, from all slices or from those observed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from told import FOCUS, strict

from dff.autofocus.regions import Roi
from dff.classical.alignment import Alignment
from dff.cli import main
from dff.formats.pictures import write_picture
from dff.learned_focus import LearnedFocus, Looked, check_observed, decide, load_learned_focus
from dff.stack import FocalStack
from dff.weights import FORMAT


@pytest.fixture
def head(untrained_head: Path) -> str:
    return str(untrained_head)


def identity(stack: FocalStack) -> Alignment:
    count = len(stack)
    eye = np.tile(np.eye(2, 3), (count, 1, 1))
    flags = ("reference", *("ok",) * (count - 1))
    return Alignment(eye, 0, (stack.height, stack.width), "none", flags, np.zeros(count))


def asked(*more: str) -> list[str]:
    return ["focus", "stairs", "--align", "none", "--roi", "2,20,16,50", "--roi", "66,20,16,50", *more]


def test_the_head_answers_from_the_whole_stack(
    stairs: Path, head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked("--focus", FOCUS, "--head", head, "--json", "--csv", "t.csv")) == 0
    report = strict(capsys.readouterr().out)
    regions = report["regions"]
    assert [abs(row["index"] - want) <= 1 for row, want in zip(regions, (0, 3), strict=True)] == [True, True]
    assert all(0 < row["confidence"] <= 1 and row["dioptre"] is not None for row in regions)
    assert report["head"] == head
    assert report["observed"] is None


def test_from_one_slice_it_answers_too(stairs: Path, head: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asked("--head", head, "--observed", "4", "--json")) == 0
    report = strict(capsys.readouterr().out)
    assert report["observed"] == [4]
    assert all(0 <= row["index"] < 6 for row in report["regions"])
    # of the likeliest slice of an untrained head; of the median it is half sure, as three slices of six
    assert main(asked("--head", head, "--observed", "4", "--rule", "mode", "--json")) == 0
    likeliest = strict(capsys.readouterr().out)
    assert all("unsure" in row["note"] for row in likeliest["regions"])


def test_halves_are_looked_at_in_the_order_of_the_stack(
    stairs: Path, head: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a stack that comes near first, the halves are turned like its slices."""
    seen: list[tuple[FocalStack, FocalStack]] = []
    look = LearnedFocus.look

    def noted(self: LearnedFocus, stack: FocalStack, *more: Any, halves: Any, **options: Any) -> Looked:
        seen.append((stack, halves[0]))
        return look(self, stack, *more, halves=halves, **options)

    monkeypatch.setattr(LearnedFocus, "look", noted)
    nearest_first = ",".join(f"{value}D" for value in (6, 5, 4, 3, 2, 1))
    for focus in (FOCUS, nearest_first):
        halves = ["--halves", "stairs", "stairs"]
        assert main(asked("--focus", focus, "--head", head, "--json", *halves)) == 0
        assert strict(capsys.readouterr().out)["halves"] == ["stairs", "stairs"]
        stack, left = seen.pop()
        assert all(np.array_equal(a, b) for a, b in zip(stack.slices, left.slices, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--observed", "1"], "--observed: depth needs all slices; give --head"),
        (["--head", "HEAD", "--observed", "1,x"], "give slices such as 12 or 12,13,14"),
        (["--head", "HEAD", "--observed", "6"], "observed: no slice 6; the stack has slices 0 to 5"),
        (
            ["--head", "HEAD", "--observed", "0,1,2,3,4,5,6"],
            "7 frames of a stack of 6 slices; give 6 at most",
        ),
        (["--head", "HEAD", "--observed", "2,2"], "names a slice twice"),
        (["--halves", "stairs", "stairs"], "--halves: depth does not read them; give --head"),
        (["--head", "HEAD", "--halves", "stairs", "gone"], "gone"),
        (
            ["--head", "HEAD", "--halves", "stairs", "few"],
            "--halves few: 2 pictures of 8x8 px, and the stack",
        ),
        (["--head", "nothing"], "head nothing: no such head; known: "),
        (["--head", "HEAD", "--roi", "500,0,9,9"], "region 500,0,9,9: outside the picture"),
        (["--head", "HEAD", "--roi", "5,0,0,9"], "empty"),
    ],
)
def test_bad_input_is_one_line(
    stairs: Path, head: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("few").mkdir()
    for k in range(2):
        write_picture(np.full((8, 8), 99 * k, np.uint8), Path("few") / f"{k}.png")
    assert main(asked(*(head if word == "HEAD" else word for word in options))) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not said.out


@pytest.mark.parametrize("by_head", [False, True])
def test_signed_heights_keep_their_order(
    stairs: Path, head: str, capsys: pytest.CaptureFixture[str], by_head: bool
) -> None:
    """Rising and falling heights of the same slices: the same slices answer, at the same heights."""
    more = ["--head", head] if by_head else []
    found = []
    for heights in ("-5,-3,-1,1,3,5", "5,3,1,-1,-3,-5"):
        signed = ",".join(f"{height}um" for height in heights.split(","))
        assert main(asked(f"--focus={signed}", "--json", *more)) == 0
        report = strict(capsys.readouterr().out)
        assert report["unit"] == "um"
        found.append([(row["slice"], row["index"], row["height_um"]) for row in report["regions"]])
    for (name, index, height), (other, mirrored, turned) in zip(*found, strict=True):
        assert name == other
        assert index == 5 - mirrored
        assert height == pytest.approx(-turned, abs=0.7)


def test_weights_of_another_network_are_refused(
    stairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = {"format": FORMAT, "network": "depth", "config": "{}", "info": "{}"}
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, path, header)
    assert main(asked("--head", str(path))) == 2
    assert "weights of a network for depth, not for focus_head" in capsys.readouterr().err


def test_two_depths_take_the_heavier_side_and_say_so() -> None:
    depth = np.zeros(9)
    depth[1], depth[6] = 0.6, 0.4
    logits = np.full(9, -9.0)
    logits[1], logits[6] = 1.0, 2.0
    share, index, other = decide(logits, depth)
    assert (index, other) == (1, 6)
    assert share.sum() == pytest.approx(1)
    assert decide(logits, depth, "median")[1:] == (6, 6)
    assert decide(logits, np.zeros(9))[1:] == (6, None)
    assert decide(np.array([1.0, 1.1, 1.0, 0.9, 1.2]), np.zeros(5))[1:] == (2, None)  # the median
    assert decide(np.array([1.0, 1.1, 1.0, 0.9, 1.2]), np.zeros(5), "mode")[1:] == (4, None)


def test_observed_slices_are_checked() -> None:
    assert check_observed(None, 3) == (0, 1, 2)
    assert check_observed([2, 0], 3) == (0, 2)
    with pytest.raises(ValueError, match="no slice given"):
        check_observed([], 3)


def test_units_and_reduction(head: str) -> None:
    """A microscope's stack answers in micrometres, and a large picture is reduced, its regions with it."""
    rng = np.random.default_rng(0)
    slices = [rng.random((90, 120, 3)).astype(np.float32) for _ in range(4)]
    stack = FocalStack(slices, z_um=[-3.0, -1.0, 1.0, 3.0])
    loaded = load_learned_focus(head, "cpu")
    small = LearnedFocus("small", loaded.network, work_pixels=90 * 120 // 4)
    looked = small.look(stack, identity(stack))
    assert looked.factor == 2
    assert looked.encoded.size == (45, 60)
    found = small.focus(looked, Roi(118, 88, 9, 9))
    assert found.clipped
    assert found.unit == "um"
    assert found.height_um is not None
    assert -3 <= found.height_um <= 3
