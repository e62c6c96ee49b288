"""Real lenses in the loop: V4L2's focus_absolute and picamera2's LensPosition. Neither is needed at import.

`DeviceCamera` joins a lens and whatever takes pictures into a camera for `dff.closedloop.loop.run`.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from dff.autofocus.curves import DEFAULT_MEASURE
from dff.autofocus.measures import measure
from dff.autofocus.regions import Roi
from dff.camera import LensCalibration
from dff.closedloop.drive import region
from dff.closedloop.loop import DeviceGoneError
from dff.closedloop.policy import Frame, Track
from dff.stack import to_luma

# linux/videodev2.h and linux/v4l2-controls.h
_S_CTRL, _QUERYCTRL = 0xC008561C, 0xC0445624
_FOCUS_ABSOLUTE, _FOCUS_AUTO = 0x009A090A, 0x009A090C
_CONTROL, _QUERY = struct.Struct("=Ii"), struct.Struct("=II32siiiiI2I")
_DISABLED = 1
_AF_MANUAL = 0  # libcamera's AfMode


class DeviceLens(Protocol):
    """A lens that takes commands: its track, and ``command`` to one of its indices."""

    track: Track

    def command(self, index: float) -> None: ...


def _code_ladder(codes: np.ndarray, calibration: LensCalibration | None) -> tuple[Track, np.ndarray]:
    """Track of a lens of these codes, and the code of each of its indices."""
    if calibration is None:
        return Track(np.arange(codes.size), "index"), codes
    wanted = calibration.motor_code
    if wanted.min() < codes[0] or wanted.max() > codes[-1]:
        raise ValueError(
            f"the calibration {calibration.camera or 'given'} has motor codes {wanted.min():g} to "
            f"{wanted.max():g}, but the device takes {codes[0]} to {codes[-1]}: is it another camera's?"
        )
    return Track(calibration.focus), wanted


class V4l2Lens:
    """A video device with V4L2_CID_FOCUS_ABSOLUTE; its own autofocus is switched off where it has one.

    Args:
        path: of the device, such as /dev/video0 or /dev/v4l-subdev1.
        calibration: gives positions in dioptres; None: every step of the control, the lowest farthest.
        ioctl: called as fcntl.ioctl; None: that.

    Raises:
        FileNotFoundError, ValueError: no such device, no such control, or a calibration it cannot follow.
    """

    def __init__(
        self,
        path: str,
        calibration: LensCalibration | None = None,
        ioctl: Callable[[int, int, bytearray], Any] | None = None,
    ) -> None:
        if ioctl is None:
            import fcntl

            ioctl = fcntl.ioctl
        if not os.path.exists(path):
            raise FileNotFoundError(f"{path}: no such video device")
        self._path, self._ioctl = path, ioctl
        self._file = os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))
        try:
            query = bytearray(_QUERY.pack(_FOCUS_ABSOLUTE, 0, b"", 0, 0, 0, 0, 0, 0, 0))
            try:
                ioctl(self._file, _QUERYCTRL, query)
            except OSError as error:
                raise ValueError(f"{path}: has no control focus_absolute ({error.strerror})") from None
            _, _, _, low, high, step, _, flags, *_ = _QUERY.unpack(query)
            if flags & _DISABLED or high <= low:
                raise ValueError(f"{path}: its control focus_absolute is disabled or has no range")
            self.track, self._codes = _code_ladder(np.arange(low, high + 1, max(step, 1)), calibration)
            self._manual()
        except BaseException:
            os.close(self._file)
            raise

    def _manual(self) -> None:
        with contextlib.suppress(OSError):  # most lenses have no autofocus of their own
            self._ioctl(self._file, _S_CTRL, bytearray(_CONTROL.pack(_FOCUS_AUTO, 0)))

    def command(self, index: float) -> None:
        """Send the lens to an index.

        Raises:
            DeviceGoneError: it does not take the command.
        """
        code = round(float(np.interp(index, np.arange(len(self.track)), self._codes)))
        try:
            self._ioctl(self._file, _S_CTRL, bytearray(_CONTROL.pack(_FOCUS_ABSOLUTE, code)))
        except OSError as error:
            raise DeviceGoneError(f"{self._path}: does not take focus {code} ({error.strerror})") from None

    def close(self) -> None:
        """Let go of the device."""
        os.close(self._file)


class PicameraLens:
    """The lens of a picamera2 camera, in dioptres.

    Args:
        camera: a picamera2.Picamera2, configured and started.
        positions: number of lens positions over its range.

    Raises:
        ValueError: a camera of fixed focus.
    """

    def __init__(self, camera: Any, positions: int = 49) -> None:
        if "LensPosition" not in camera.camera_controls:
            raise ValueError("this camera has no control LensPosition: its focus is fixed")
        low, high, _ = camera.camera_controls["LensPosition"]
        self.track = Track(np.linspace(low, high, positions))
        self._camera = camera
        self._set({"AfMode": _AF_MANUAL})

    def command(self, index: float) -> None:
        """Send the lens to an index; a DeviceGoneError where the camera does not take it."""
        self._set({"LensPosition": self.track.position(index)})

    def picture(self) -> np.ndarray:
        """The next frame, (H,W,3) uint8; a DeviceGoneError where none comes."""
        try:
            return np.asarray(self._camera.capture_array())[..., :3]
        except (OSError, RuntimeError) as error:
            raise DeviceGoneError(f"the camera gives no frame ({error})") from None

    def _set(self, controls: dict[str, Any]) -> None:
        try:
            self._camera.set_controls(controls)
        except (OSError, RuntimeError) as error:
            raise DeviceGoneError(f"the camera does not take {', '.join(controls)} ({error})") from None


class DeviceCamera:
    """A real camera for `dff.closedloop.loop.run`. Where its lens stands is what it was told.

    Args:
        lens: takes the commands.
        picture: takes a picture, (H,W) or (H,W,3), exposed after the call; an OSError is a device gone.
        roi: the region; None: the middle.
        settle_s: wait after a move.
        contrast: name of the measure of sharpness.
        clock, sleep: of the time module, or stand-ins.
    """

    halves = False

    def __init__(
        self,
        lens: DeviceLens,
        picture: Callable[[], np.ndarray],
        *,
        roi: Roi | None = None,
        settle_s: float = 0.1,
        contrast: str = DEFAULT_MEASURE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.track, self._lens, self._picture = lens.track, lens, picture
        self._roi, self._settle_s, self._measure = roi, settle_s, measure(contrast)
        self._clock, self._sleep = clock, sleep
        self._told: float | None = None
        self._begun, self.time_s, self.exposed_at = clock(), 0.0, float("nan")

    @property
    def position(self) -> float:
        """Where the lens was told to stand, in the track's unit."""
        return float("nan") if self._told is None else self.track.position(self._told)

    def restart(self, index: float, repeat: int = 0) -> None:
        """Send the lens to ``index`` and let it settle; the clock begins after that."""
        self._told = None
        self.move(index)
        self._begun = self._clock()
        self.time_s = 0.0

    def move(self, index: float) -> None:
        """Send the lens to ``index`` and let it settle, unless it is there.

        Raises:
            ValueError: beyond the range of the lens.
        """
        if not 0 <= index <= self.track.last:
            raise ValueError(f"focus position {index:.6g}: beyond the lens, 0 to {self.track.last}")
        if index != self._told:
            self._lens.command(index)
            self._told = index
            self._sleep(self._settle_s)
        self.time_s = self._clock() - self._begun

    def frame(self) -> Frame:
        """Take one frame."""
        assert self._told is not None, "restart comes first"
        try:
            whole = self._picture()
        except DeviceGoneError:
            raise
        except OSError as error:
            raise DeviceGoneError(f"the camera gives no frame ({error})") from None
        inside = region(self._roi, *whole.shape[:2])
        luma = to_luma(np.ascontiguousarray(inside.crop(whole)))
        self.time_s, self.exposed_at = self._clock() - self._begun, self.position
        return Frame(self._told, float(self._measure(luma)), luma, None, self.time_s)
