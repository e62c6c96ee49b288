"""The pictures that alignment works on: reduced linear-light luminance in a pyramid."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from dff.stack import to_luma

WORK_SIZE = 256, 512  # longest side [px] of the finest level: a third of the slice's, within these
COARSEST = 40  # shortest side [px] of the coarsest level


class Level:
    """One pyramid level of one picture: its blurred versions and their gradients, made when asked for."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self._blurred: dict[float, np.ndarray] = {}
        self._gradient: dict[float, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    def blurred(self, sigma: float) -> np.ndarray:
        if sigma not in self._blurred:
            self._blurred[sigma] = cv2.GaussianBlur(self.image, (0, 0), sigma)
        return self._blurred[sigma]

    def gradient(self, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        if sigma not in self._gradient:
            source = self.blurred(sigma)
            self._gradient[sigma] = (
                cv2.Scharr(source, cv2.CV_32F, 1, 0, scale=1 / 32),
                cv2.Scharr(source, cv2.CV_32F, 0, 1, scale=1 / 32),
            )
        return self._gradient[sigma]

    def forget(self) -> None:
        """Free what can be made again."""
        self._blurred.clear()
        self._gradient.clear()


@dataclass(eq=False)
class WorkPicture:
    """Linear-light luminance of one slice, reduced to ``scale``; finest level first."""

    finest: np.ndarray
    scale: float
    levels: list[Level] = field(init=False)

    def __post_init__(self) -> None:
        images = [self.finest]
        while min(images[-1].shape) >= 2 * COARSEST:
            images.append(cv2.pyrDown(images[-1]))
        self.levels = [Level(image) for image in images]

    def forget(self) -> None:
        """Free all that can be made again from the levels, so that long stacks fit."""
        for level in self.levels:
            level.forget()

    @property
    def thumbnail(self) -> np.ndarray:
        """The coarsest level of at least 2 x `COARSEST`, for a first guess of the shift."""
        return self.levels[max(0, len(self.levels) - 2)].image


def work_scale(size: tuple[int, int]) -> float:
    """Scale from a (height, width) slice to the finest level."""
    longest = max(size)
    return min(1.0, min(max(longest / 3, WORK_SIZE[0]), WORK_SIZE[1]) / longest)


def work_picture(image: np.ndarray, scale: float, gamma: float) -> WorkPicture:
    """Luminance of an (H,W[,3]) slice at ``scale``, in linear light, float32."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)  # first: one channel is quicker to reduce than three
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    luma = to_luma(image)
    return WorkPicture(np.power(luma, np.float32(gamma)) if gamma != 1 else luma, scale)
