"""A Micro-Manager stage and camera in the loop, through pymmcore (or anything with its core's methods).

pymmcore is not needed to import this. Positions are stage heights in micrometres.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dff.closedloop.loop import DeviceGoneError
from dff.closedloop.policy import Track


class StageLens:
    """The focus stage of a Micro-Manager core, between two heights.

    Args:
        core: a pymmcore.CMMCore with its devices loaded and initialised.
        range_um: lowest and highest height to be used; the stage's own limits are not told by all drivers.
        positions: number of heights in that range.
        stage: its label; None: the core's focus device.

    Raises:
        ValueError: no stage, a range that does not rise, or one that the stage does not reach.
    """

    def __init__(
        self,
        core: Any,
        range_um: tuple[float, float],
        positions: int = 49,
        stage: str | None = None,
    ) -> None:
        label = stage or core.getFocusDevice()
        if not label:
            raise ValueError("this Micro-Manager core has no focus stage; load one, or name it")
        if not range_um[0] < range_um[1] or positions < 2:
            raise ValueError(
                f"stage range {range_um} um, {positions} positions: give low < high, and 2 or more"
            )
        self._core, self._stage = core, label
        self.track = Track(np.linspace(*range_um, positions), "um")
        try:
            before = float(core.getPosition(label))
            for end in range_um:  # a stage that cannot go there says so now, not in the middle of a run
                self._go(end)
            self._go(before)
        except RuntimeError as error:
            raise ValueError(
                f"stage {label}: does not go from {range_um[0]:g} to {range_um[1]:g} um ({_first(error)})"
            ) from None

    def _go(self, height_um: float) -> None:
        self._core.setPosition(self._stage, height_um)
        self._core.waitForDevice(self._stage)

    def command(self, index: float) -> None:
        """Send the stage to an index and wait for it.

        Raises:
            DeviceGoneError: it does not go.
        """
        height = self.track.position(index)
        try:
            self._go(height)
        except RuntimeError as error:
            raise DeviceGoneError(
                f"stage {self._stage}: does not go to {height:.4g} um ({_first(error)})"
            ) from None

    @property
    def height_um(self) -> float:
        """Where the stage says it stands.

        Raises:
            DeviceGoneError: it says nothing.
        """
        try:
            return float(self._core.getPosition(self._stage))
        except RuntimeError as error:
            raise DeviceGoneError(f"stage {self._stage}: tells no position ({_first(error)})") from None

    def picture(self) -> np.ndarray:
        """A frame of the core's camera, (H,W) or (H,W,3), its full range spread over 8 or 16 bit.

        Raises:
            DeviceGoneError: none comes.
        """
        try:
            self._core.snapImage()
            image = np.asarray(self._core.getImage())
            bits = int(self._core.getImageBitDepth())
        except RuntimeError as error:
            raise DeviceGoneError(f"the camera gives no frame ({_first(error)})") from None
        if image.dtype == np.uint32:  # RGBA in one number
            image = np.ascontiguousarray(image).view(np.uint8).reshape(*image.shape, 4)[..., 2::-1]
        depth = 8 * image.dtype.itemsize
        if image.dtype.kind == "u" and image.ndim == 2 and 0 < bits < depth:
            image = image << (depth - bits)
        return image


def _first(error: Exception) -> str:
    """The first line of what Micro-Manager says."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
