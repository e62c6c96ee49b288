"""`dff focus` on the staircase: which slice each step is sharp in."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from told import FOCUS, files_in, strict

from dff.camera import LensCalibration
from dff.cli import main
from dff.pipeline import Prediction, predict

STEPS = (
    "2,20,16,50",
    "23,20,16,50",
    "66,20,16,50",
    "108,20,30,50",
)  # steps 0, 1, 3 and 5; the last hangs out


def asked(*more: str) -> list[str]:
    regions = [part for roi in STEPS for part in ("--roi", roi)]
    return ["focus", "stairs", "--align", "none", "--reference", "first", *regions, *more]


def test_each_step_is_found_in_its_slice(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LensCalibration([0.0, 2.0], [100, 300], "twin").save("lens.json")
    files = ["--csv", "t.csv", "--picture", "p.png", "--report", "r.json", "--calibration", "lens.json"]
    assert main(asked("--focus", FOCUS, *files)) == 0
    report = strict(Path("r.json").read_text())
    regions = report["regions"]
    assert [row["index"] for row in regions] == [row["sharpest_index"] for row in regions] == [0, 1, 3, 5]
    assert [row["slice"] for row in regions] == [f"img{k}.jpg" for k in (0, 1, 3, 5)]
    focus_m = np.array([float(x) for x in FOCUS.split(",")])[[0, 1, 3, 5]]
    assert [row["focus_m"] for row in regions] == pytest.approx(focus_m, rel=0.06)
    for row in regions:
        assert row["motor_code"] == pytest.approx(100 + 100 * row["dioptre"], abs=0.5)
        assert len(row["curve"]) == 6
    assert regions[3]["w"] == 20
    assert regions[3]["note"] == "partly outside the picture"
    assert report["calibration"] == "twin"
    with open("t.csv", newline="") as sheet:
        rows = list(csv.DictReader(sheet))
    assert [row["index"] for row in rows] == ["0", "1", "3", "5"]
    with Image.open("p.png") as picture:
        assert picture.size == (880, 660 + 150)
    out = capsys.readouterr().out
    assert "partly outside" in out
    assert "code" in out


def test_the_table_alone_writes_nothing(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_in(".")
    assert main(["focus", "stairs", "--align", "none", "--grid", "1x6"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines[lines.index("") + 1 :] if line]
    assert [row[2] for row in table[1:7]] == list("012345")
    assert files_in(".") == before
    assert main(["focus", "stairs", "--align", "none", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [told["regions"][0][key] for key in "xywh"] == [32, 32, 64, 32]
    assert told["regions"][0]["mixed"] is False


def test_microscope_stacks_answer_in_micrometres(stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = np.stack([np.asarray(Image.open(stairs / f"img{k}.jpg").convert("L")) for k in range(6)])
    about = {"axes": "ZYX", "PhysicalSizeZ": 2.5, "PhysicalSizeZUnit": "µm"}
    tifffile.imwrite("cells.ome.tif", pages, metadata=about, compression="lzw")
    assert main(["focus", "cells.ome.tif", "--align", "none", "--roi", "66,20,16,50"]) == 0
    out = capsys.readouterr().out
    assert "height" in out
    assert " um" in out
    assert main(["focus", "cells.ome.tif", "--align", "none", "--roi", "66,20,16,50", "--json"]) == 0
    row = strict(capsys.readouterr().out)["regions"][0]
    assert row["height_um"] == pytest.approx(7.5, abs=0.6)
    assert row["dioptre"] is None


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--roi", "1,2,3"], "region '1,2,3': give x,y,w,h in whole pixels"),
        (["--roi", "1,2,3,0"], "region 1,2,3,0: empty"),
        (["--roi", "128,0,5,5"], "region 128,0,5,5: outside the picture, which is 128x96 px"),
        (["--grid", "six"], "grid 'six': give rows x columns"),
        (["--measure", "acutance"], "contrast measure 'acutance'; choose from dct"),
        (["--calibration", "none.json"], "none.json: no such calibration file"),
        (["--calibration", "two.json"], "the calibration has 2 focal indices"),
        (["--calibration", "bent.json"], "must rise or fall strictly"),
        (["--csv", "t.txt"], "t.txt"),
    ],
)
def test_bad_input(more: list[str], complaint: str, stairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LensCalibration([0.0, 2.0], [100, 300]).save("two.json")
    Path("bent.json").write_text('{"focus_dioptre": [0, 1, 2], "motor_code": [1, 3, 2]}')
    before = files_in(".")
    assert main(["focus", str(stairs), *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith("dff: error: ")
    assert error.count("\n") == 1
    assert complaint in error
    assert files_in(".") == before


def test_contrast_answers_where_the_network_contradicts_it(
    stairs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = []

    def predicted(*args: object, model: str, **rest: object) -> Prediction:
        models.append(model)
        assert rest["aif"] is False  # no picture before it is clear whose depth counts
        result: Prediction = predict(*args, model="classical", **rest)  # type: ignore[arg-type]
        result.depth.info["contradicted"] = 0.8
        result.model = model
        return result

    monkeypatch.setattr("dff.pipeline.predict", predicted)
    assert main([*asked(), "--report", "r.json"]) == 0
    assert models == ["base"]
    assert json.loads(Path("r.json").read_text())["model"] == "classical"
    assert "classical instead" in capsys.readouterr().err
