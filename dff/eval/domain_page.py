"""One page that shows what real and simulated stacks have in common and what not."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from dff.eval.domain_measures import GRADIENT_BINS, REACH, WIDEST_PX, Portrait, middles
from dff.formats.pictures import to_levels
from dff.formats.plot import COLOURS, OTHER_COLOURS, PAPER, Colour, Line, Plot, draw, legend

PLOT_HEIGHT, PLOT_WIDTH = 250, 350
SAMPLE_PX = 192  # at most
LIVELY = 0.9  # of all squares, by their detail: the liveliest may be all texture
BLUR_BINS = np.linspace(0, WIDEST_PX - 0.1, 31)


def _style(names: list[str]) -> dict[str, tuple[Colour, bool]]:
    """Colour and dashes: real ones warm and solid, simulated ones cold and dashed."""
    real, simulated = iter(COLOURS * 3), iter(OTHER_COLOURS * 3)
    return {n: (next(real), False) if n.endswith("(real)") else (next(simulated), True) for n in names}


def _plots(portraits: Mapping[str, Portrait], style: Mapping[str, tuple[Colour, bool]]) -> list[Plot]:
    offsets = np.arange(-REACH, REACH + 1)
    blur_px = middles(BLUR_BINS)
    gradient = middles(GRADIENT_BINS)

    def share(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.histogram(values, BLUR_BINS)[0] / max(values.size, 1))

    curves, noise, sharpest, every, spectra, gradients = ([] for _ in range(6))
    for name, one in portraits.items():
        look = style[name]
        low, middle, high = one.curve
        curves.append(Line(offsets, middle, *look, band=np.stack([low, high])))
        noise.append(Line(one.brightness, one.noise, *look))
        sharpest.append(Line(blur_px, share(one.sharpest_px), *look))
        every.append(Line(blur_px, share(one.blur_px), *look))
        spectra.append(Line(one.frequency, one.power, *look))
        gradients.append(Line(gradient, one.gradient, *look))
    loudest = max((float(np.nanmax(p.noise, initial=0.0)) for p in portraits.values()), default=0.0)
    peak = max((float(line.y.max()) for line in sharpest), default=0.0)
    broad = max((float(line.y.max()) for line in every), default=0.0)
    return [
        Plot(
            "Focus measure over slices (median, quartiles)",
            "slices from the peak",
            (-REACH, REACH),
            (0, 1),
            curves,
        ),
        Plot("Noise in flat blocks [of 255]", "brightness", (0, 1), (0, max(1.0, 1.1 * loudest)), noise),
        Plot(
            "Edge blur, sharpest slice (share)",
            "Gaussian sigma [px]",
            (0, 3),
            (0, max(0.05, 1.1 * peak)),
            sharpest,
        ),
        Plot(
            "Edge blur, all slices (share)",
            "Gaussian sigma [px]",
            (0, WIDEST_PX),
            (0, max(0.02, 1.1 * broad)),
            every,
        ),
        Plot(
            "Power of the all-in-focus picture",
            "cycles per pixel",
            (0.01, 0.5),
            (1e-4, 1e2),
            spectra,
            True,
            True,
        ),
        Plot(
            "Its horizontal differences (density)",
            "display value",
            (-0.25, 0.25),
            (1e-3, 1e2),
            gradients,
            False,
            True,
        ),
    ]


def _sample(picture: np.ndarray, size: int) -> np.ndarray:
    """A lively square of a slice, pixel for pixel, (size,size,3) uint8."""
    levels = to_levels(picture, 255)
    if levels.ndim == 2:
        levels = np.repeat(levels[..., None], 3, axis=2)
    side = min(size, *levels.shape[:2])
    soft = cv2.GaussianBlur(cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY), (0, 0), 2)  # detail, not noise
    detail = cv2.Laplacian(soft, cv2.CV_32F) ** 2
    total = cv2.boxFilter(detail, -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_ISOLATED)
    room = total[: levels.shape[0] - side + 1, : levels.shape[1] - side + 1]
    wanted = np.quantile(room, LIVELY)
    top, left = np.unravel_index(int(np.abs(room - wanted).argmin()), room.shape)
    square = np.full((size, size, 3), 255, np.uint8)
    square[:side, :side] = levels[top : top + side, left : left + side]
    return square


def page(portraits: Mapping[str, Portrait], samples: Mapping[str, np.ndarray]) -> np.ndarray:
    """The page, (H,W,3) uint8: samples pixel for pixel, the legend, and six plots.

    Args:
        portraits, samples: measures and one slice of each kind of stack; names end in "(real)" or not.
    """
    style = _style(list(portraits))
    width = 3 * PLOT_WIDTH
    size = min(SAMPLE_PX, (width - 8) // len(samples) - 8)
    strip = np.full((size + 8, width, 3), PAPER, np.uint8)
    for i, (name, picture) in enumerate(samples.items()):
        left = 8 + i * (size + 8)
        strip[8:, left : left + size] = _sample(picture, size)
        cv2.rectangle(strip, (left - 3, 5), (left + size + 2, size + 7), style[name][0], 3)
    names = legend([(name, *style[name]) for name in portraits], width)
    drawn = [draw(plot, PLOT_HEIGHT, PLOT_WIDTH) for plot in _plots(portraits, style)]
    return np.concatenate([strip, names, np.hstack(drawn[:3]), np.hstack(drawn[3:])])
