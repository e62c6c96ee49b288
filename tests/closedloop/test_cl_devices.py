"""Adapters of real lenses, through stand-ins for the kernel and for picamera2."""

from __future__ import annotations

import errno
import itertools
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dff.camera import LensCalibration
from dff.closedloop.controller import State
from dff.closedloop.devices import DeviceCamera, DeviceLens, PicameraLens, V4l2Lens
from dff.closedloop.loop import DeviceGoneError, run
from dff.closedloop.policies import make_policy

TEXTURE = np.random.default_rng(0).integers(20, 230, (60, 80), np.uint8)


class Kernel:
    """What a driver does with the ioctls of a lens of codes 0 to 1020 in steps of 20, sharpest at 600."""

    def __init__(self, dies_after: float = float("inf"), focus: bool = True) -> None:
        self.code, self.auto, self.focus = 0, 1, focus
        self.left = dies_after

    def ioctl(self, file: int, request: int, data: bytearray) -> int:
        (control,) = struct.unpack_from("=I", data)
        if request == 0xC0445624:
            if not self.focus:
                raise OSError(errno.EINVAL, "Invalid argument")
            assert control == 0x009A090A
            struct.pack_into("=iiii", data, 40, 0, 1020, 20, 0)
            return 0
        assert request == 0xC008561C
        (value,) = struct.unpack_from("=i", data, 4)
        if control == 0x009A090C:
            self.auto = value
            return 0
        if self.left <= 0:
            raise OSError(errno.ENODEV, "No such device")
        self.left -= 1
        self.code = value
        return 0

    def picture(self) -> np.ndarray:
        return cv2.GaussianBlur(TEXTURE, (0, 0), 0.3 + abs(self.code - 600) / 100)


def camera(lens: DeviceLens, picture: Any) -> DeviceCamera:
    ticks = itertools.count()
    return DeviceCamera(lens, picture, clock=lambda: 0.05 * next(ticks), sleep=lambda _: None)


@pytest.fixture
def node(tmp_path: Path) -> str:
    (tmp_path / "video0").touch()
    return str(tmp_path / "video0")


def test_a_v4l2_lens_is_focused(node: str) -> None:
    kernel = Kernel()
    lens = V4l2Lens(node, ioctl=kernel.ioctl)
    assert (len(lens.track), lens.track.unit, kernel.auto) == (52, "index", 0)
    found = run(make_policy("golden"), camera(lens, kernel.picture), 5.0)
    assert found.state is State.FOCUSED
    assert kernel.code == 600
    times = [sight.time_s for sight in found.sights]
    assert times == sorted(times)
    lens.close()


def test_a_calibration_gives_dioptres_and_one_of_another_camera_is_refused(node: str) -> None:
    kernel = Kernel()
    lens = V4l2Lens(node, LensCalibration([0.0, 5.0, 10.0], [1000, 600, 200]), kernel.ioctl)
    lens.command(0.5)
    assert (kernel.code, lens.track.unit) == (800, "dioptre")
    with pytest.raises(ValueError, match="motor codes 0 to 4095, but the device takes 0 to 1020"):
        V4l2Lens(node, LensCalibration([0.0, 5.0], [0, 4095]), kernel.ioctl)
    with pytest.raises(ValueError, match="no control focus_absolute"):
        V4l2Lens(node, ioctl=Kernel(focus=False).ioctl)
    with pytest.raises(FileNotFoundError, match="no such video device"):
        V4l2Lens("nowhere/video0", ioctl=kernel.ioctl)
    with pytest.raises(ValueError, match="beyond the lens, 0 to 2"):
        camera(lens, kernel.picture).restart(3.0)


def test_a_device_that_goes_leaves_what_was_seen(node: str) -> None:
    kernel = Kernel(dies_after=4)
    lens = V4l2Lens(node, ioctl=kernel.ioctl)
    gone = run(make_policy("golden"), camera(lens, kernel.picture), 5.0)
    assert gone.state is State.FAILED
    assert "No such device" in gone.reason
    assert (gone.captures, gone.hunted) == (3, False)
    assert gone.sights[-1].told == gone.sights[-2].told  # where it was when last heard of
    with pytest.raises(DeviceGoneError, match="does not take focus"):
        run(make_policy("golden"), camera(lens, kernel.picture), 5.0)


class FakePicamera:
    """The part of picamera2.Picamera2 that is used; in focus at 4 dioptres."""

    def __init__(self, controls: dict[str, Any]) -> None:
        self.camera_controls, self.set = controls, {}

    def set_controls(self, controls: dict[str, Any]) -> None:
        self.set.update(controls)

    def capture_array(self) -> np.ndarray:
        if self.set["LensPosition"] > 14:
            raise RuntimeError("stopped")
        picture = cv2.GaussianBlur(TEXTURE, (0, 0), 1 + 0.3 * abs(self.set["LensPosition"] - 4))
        return np.dstack([picture] * 4)


def test_a_picamera2_lens_is_focused() -> None:
    fake = FakePicamera({"LensPosition": (0.0, 15.0, 1.0)})
    lens = PicameraLens(fake, positions=31)
    assert fake.set["AfMode"] == 0
    found = run(make_policy("contrast-scan"), camera(lens, lens.picture), 2.0)
    assert found.state is State.FOCUSED
    assert fake.set["LensPosition"] == pytest.approx(4.0, abs=0.3)
    with pytest.raises(DeviceGoneError, match="stopped"):
        run(make_policy("golden"), camera(lens, lens.picture), 30.0)
    with pytest.raises(ValueError, match="focus is fixed"):
        PicameraLens(FakePicamera({}))
