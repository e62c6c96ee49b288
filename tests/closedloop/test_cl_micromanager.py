"""The Micro-Manager adapter: on the demo camera where pymmcore is installed, and on a stand-in."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
import pytest

from dff.closedloop.controller import State
from dff.closedloop.devices import DeviceCamera
from dff.closedloop.loop import DeviceGoneError, run
from dff.closedloop.micromanager import StageLens
from dff.closedloop.policies import make_policy

TEXTURE = np.random.default_rng(0).integers(100, 900, (60, 80), np.uint16)


class Core:
    """What is used of pymmcore.CMMCore; sharpest at 30 um, a 10 bit camera, a stage of +-100 um."""

    def __init__(self) -> None:
        self.height, self.left = 0.0, float("inf")

    def getFocusDevice(self) -> str:  # noqa: N802
        return "Z"

    def getPosition(self, label: str) -> float:  # noqa: N802
        return self.height

    def setPosition(self, label: str, height: float) -> None:  # noqa: N802
        self.left -= 1
        if self.left < 0 or abs(height) > 100:
            raise RuntimeError('Error in device "Z": Position out of range (103)\nmore')
        self.height = height

    def waitForDevice(self, label: str) -> None:  # noqa: N802
        pass

    def snapImage(self) -> None:  # noqa: N802
        if self.left < -1:
            raise RuntimeError("Camera gone")

    def getImage(self) -> np.ndarray:  # noqa: N802
        return cv2.GaussianBlur(TEXTURE, (0, 0), 0.4 + abs(self.height - 30) / 10)

    def getImageBitDepth(self) -> int:  # noqa: N802
        return 10


def looking_through(lens: StageLens) -> DeviceCamera:
    ticks = itertools.count()
    return DeviceCamera(lens, lens.picture, clock=lambda: 0.05 * next(ticks), sleep=lambda _: None)


def test_a_stage_is_focused_in_micrometres() -> None:
    core = Core()
    lens = StageLens(core, (-50.0, 50.0), 41)
    assert (lens.track.unit, len(lens.track), core.height) == ("um", 41, 0.0)
    found = run(make_policy("golden"), looking_through(lens), 0.0)
    assert found.state is State.FOCUSED
    assert core.height == pytest.approx(30.0, abs=2.5)
    assert lens.picture().dtype == np.uint16
    assert lens.picture().max() > 2**15  # 10 bit spread over 16


def test_what_a_stage_cannot_do_is_told_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"does not go from -500 to 500 um .*out of range"):
        StageLens(Core(), (-500.0, 500.0))
    with pytest.raises(ValueError, match="low < high"):
        StageLens(Core(), (5.0, 5.0))
    core = Core()
    lens = StageLens(core, (-50.0, 50.0))
    core.left = 3
    gone = run(make_policy("golden"), looking_through(lens), 0.0)
    assert gone.state is State.FAILED
    assert "does not go to" in gone.reason
    assert "\n" not in gone.reason
    core.left = -5
    with pytest.raises(DeviceGoneError, match="no frame"):
        lens.picture()


def demo_core() -> Any:
    """Micro-Manager's demo camera and stage; skips where they are not installed."""
    pymmcore = pytest.importorskip("pymmcore", reason="pymmcore is not installed")
    adapters = pytest.importorskip("mm_test_adapters", reason="mm-test-adapters is not installed")
    core = pymmcore.CMMCore()
    core.setDeviceAdapterSearchPaths([str(adapters.device_adapter_path())])
    core.loadDevice("Camera", "DemoCamera", "DCam")
    core.loadDevice("Z", "DemoCamera", "DStage")
    core.initializeAllDevices()
    core.setCameraDevice("Camera")
    core.setFocusDevice("Z")
    return core


def test_the_demo_camera_of_micro_manager_runs_in_the_loop() -> None:
    core = demo_core()
    lens = StageLens(core, (-20.0, 20.0), 21)
    assert lens.height_um == pytest.approx(0.0)
    found = run(make_policy("fibonacci"), looking_through(lens), 3.0)
    assert found.state in (State.FOCUSED, State.FAILED)
    rest = found.sights[-1]
    assert core.getPosition("Z") == pytest.approx(lens.track.position(rest.told), abs=0.05)
    assert len(found.sights) > 3
    with pytest.raises(ValueError, match="does not go"):
        StageLens(core, (-1e6, 1e6))
