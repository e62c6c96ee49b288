"""Calibrations of libcamera and Android, and what in them is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dff.calibration.imports import android_calibration, libcamera_calibration

TUNING = {"version": 2.0, "algorithms": [{"rpi.awb": {}}, {"rpi.af": {"map": [0.0, 445, 15.0, 925]}}]}


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_a_tuning_file_gives_codes_of_dioptres(tmp_path: Path) -> None:
    found = libcamera_calibration(written(tmp_path / "imx708.json", TUNING))
    assert float(found.code_of_focus(5.0)) == pytest.approx(605.0)  # 32 codes a dioptre
    assert float(found.focus_of_code(925)) == 15.0
    assert found.camera == "imx708"
    old = {"rpi.af": {"map": [0.0, 0, 15.0, 1023]}}
    assert float(libcamera_calibration(written(tmp_path / "o.json", old), "x").code_of_focus(15)) == 1023


def test_android_focus_is_told_in_dioptres(tmp_path: Path) -> None:
    keys = {"android.lens.info.minimumFocusDistance": 10.0, "android.lens.info.focusDistanceCalibration": 2}
    found = android_calibration(written(tmp_path / "p.json", {"characteristics": keys}), positions=21)
    assert found.focus.size == 21
    assert float(found.code_of_focus(2.5)) == pytest.approx(2.5)
    named = {"LENS_INFO_MINIMUM_FOCUS_DISTANCE": 8.0, "LENS_INFO_FOCUS_DISTANCE_CALIBRATION": "APPROXIMATE"}
    assert android_calibration(written(tmp_path / "n.json", named)).focus[-1] == 8.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"algorithms": [{"rpi.awb": {}}]}, "no map of rpi.af"),
        ({"algorithms": [{"rpi.af": {"map": [0, 445, 15]}}]}, "no map of rpi.af"),
        ({"algorithms": [{"rpi.af": {"map": [5, 445, 1, 925]}}]}, "cannot be used"),
        ([1, 2], "no map of rpi.af"),
    ],
)
def test_tuning_files_without_a_map_are_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        libcamera_calibration(written(tmp_path / "t.json", content))


def test_android_lenses_without_dioptres_are_refused(tmp_path: Path) -> None:
    key = "LENS_INFO_MINIMUM_FOCUS_DISTANCE"
    with pytest.raises(ValueError, match="fixed focus"):
        android_calibration(written(tmp_path / "a.json", {key: 0}))
    with pytest.raises(ValueError, match="no dioptres"):
        android_calibration(
            written(tmp_path / "b.json", {key: 10, "LENS_INFO_FOCUS_DISTANCE_CALIBRATION": "UNCALIBRATED"})
        )
    with pytest.raises(ValueError, match=f"no {key}"):
        android_calibration(written(tmp_path / "c.json", {}))
    with pytest.raises(FileNotFoundError, match="no such file"):
        android_calibration(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        libcamera_calibration(tmp_path / "bad.json")
