"""What one stack tells: simulated with known breathing and drift, and `dff calibrate` on it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from dff.calibration.stack import calibrate_stack
from dff.camera import Lens
from dff.cli import main
from dff.optics import magnification
from dff.simulator.camera_model import CameraModel
from dff.simulator.camera_prior import load_camera
from dff.stack import FocalStack

FOCUS = np.linspace(0.5, 4.5, 7)
LENS = Lens(0.006, 2.0, 9e-6)
BREATHING, DRIFT = 2.0, np.array([0.8, -0.5])  # px per dioptre


def slices(jump: int | None = None) -> list[np.ndarray]:
    """A texture that grows and moves with focus, and is blurred away from the middle slice."""
    random = np.random.default_rng(1)
    wide = cv2.resize(random.random((60, 80)).astype(np.float32), (320, 240), interpolation=cv2.INTER_CUBIC)
    size = magnification(LENS.focal_length_m, FOCUS, BREATHING)
    made = []
    for k, at in enumerate(FOCUS):
        zoom = size[k] / size[0] * (1.01 if k == jump else 1.0)
        shift = DRIFT * (at - FOCUS[0])
        middle = np.array([119.5, 89.5])
        matrix = np.array([[zoom, 0, 0], [0, zoom, 0]], float)
        matrix[:, 2] = middle + shift - zoom * np.array([159.5, 119.5])
        seen = cv2.warpAffine(wide, matrix, (240, 180), flags=cv2.INTER_CUBIC)
        made.append(np.clip(cv2.GaussianBlur(seen, (0, 0), 0.6 + 0.3 * abs(k - 3)), 0, 1))
    return made


def test_breathing_and_drift_are_found() -> None:
    found = calibrate_stack(FocalStack(slices(), FOCUS, LENS), breathing=BREATHING, target=FOCUS[3] + 0.2)
    assert found.breathing == pytest.approx(BREATHING, rel=0.03)
    assert found.drift_px_per_dioptre == pytest.approx(tuple(DRIFT), abs=0.05)
    assert found.gain == pytest.approx(1.0, abs=0.03)
    assert found.offset is not None
    assert found.offset + (found.gain or 1) * FOCUS[3] == pytest.approx(FOCUS[3] + 0.2, abs=0.15)
    assert found.step_error is not None
    assert np.abs(found.step_error).max() < 0.1


def test_gain_is_growth_over_known_breathing_and_unknown_without() -> None:
    stack = FocalStack(slices(), FOCUS / 1.25, LENS)  # it moves a quarter farther than it says
    found = calibrate_stack(stack, breathing=BREATHING)
    assert found.gain == pytest.approx(1.25, rel=0.05)
    alone = calibrate_stack(stack)
    assert (alone.gain, alone.offset) == (None, None)
    assert alone.breathing == pytest.approx(BREATHING * 1.25, rel=0.05)


def test_a_slice_that_jumps_is_left_out() -> None:
    found = calibrate_stack(FocalStack(slices(jump=2), FOCUS, LENS))
    assert not found.used[2]
    assert found.breathing == pytest.approx(BREATHING, rel=0.05)


def test_what_is_missing_is_said() -> None:
    pictures = slices()
    with pytest.raises(ValueError, match="give it with --focus"):
        calibrate_stack(FocalStack(pictures))
    with pytest.raises(ValueError, match="needs the lens's focal length"):
        calibrate_stack(FocalStack(pictures, FOCUS), breathing=2.0)
    with pytest.raises(ValueError, match="three slices"):
        calibrate_stack(FocalStack(pictures[:2], FOCUS[:2], LENS))


def test_the_command_tells_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s").mkdir()
    for k, one in enumerate(slices()):
        cv2.imwrite(f"s/{k}.png", np.round(255 * one).astype(np.uint8))
    Path("s/stack.toml").write_text("[lens]\nfocal_length_mm = 6.0\nf_number = 2.0\npixel_pitch_um = 9.0\n")
    focus = ",".join(f"{one:.4f}D" for one in FOCUS)
    asked = ["calibrate", "s", "--focus", focus, "--camera", "c.toml", "--report", "r.json"]
    assert main(asked) == 0
    out = capsys.readouterr().out
    assert "times a thin lens" in out
    assert "gain unknown without --breathing" in out
    report = json.loads(Path("r.json").read_text())
    assert report["breathing_over_thin_lens"] == pytest.approx(BREATHING, rel=0.05)
    camera = load_camera("c.toml")
    assert isinstance(camera, CameraModel)
    assert camera.lens.breathing == pytest.approx(BREATHING, rel=0.05)
    assert main(asked) == 2
    assert "exists: pass --overwrite" in capsys.readouterr().err
    assert main(["calibrate", "s", "--focus", focus, "--target", "3um"]) == 2
    assert "give a distance" in capsys.readouterr().err
