"""What focal stacks look like, in numbers that need no truth: for comparing real ones with simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dff.classical.focus_measure import laplacian_energy
from dff.stack import to_float, to_luma

ENERGY_SIGMA_PX = 2.0  # window of the focus measure
TEXTURED_SHARE = 0.1  # of the pixels: those whose largest focus measure is largest
REACH = 6  # slices to either side of the peak
MOST_PIXELS = 20_000
BLOCK_PX = 16  # of the noise measure
FLAT_QUANTILE = 0.1  # of the blocks of one brightness: those without texture
LEAST_BLOCKS = 50
BINS = 16  # of brightness
STRONG_SHARE = 0.02  # of the pixels: the strongest edges
GRADIENT_SIGMA_PX = 1.0
REACH_PX = 12  # of the profile across an edge, to either side
CENTRE_PX = 2  # how far the steepest place may be from where the all-in-focus picture has it
LEAST_STEP = 0.1  # display value; a lower edge is lost
WIDEST_PX = 6.0
RISE_SIGMAS = 1.683  # from 20 % to 80 % of a step blurred by a Gaussian
PATCH_PX = 256  # of the power spectrum
SLOPE_BAND = (0.02, 0.2)  # cycles per pixel
GRADIENT_BINS = np.arange(-64.5, 65) / 255

_HIGH_PASS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6  # of unit noise gain


@dataclass(frozen=True, eq=False)
class Portrait:
    """Measures of one camera's stacks, pooled.

    Args:
        curves: (n,2*REACH+1) focus measure over slices of n textured pixels, as a share of the peak in the
            middle; NaN beyond the sweep.
        brightness, noise: (BINS,) middle of each bin of display values [0,1], and the deviation in flat
            blocks of it [of 255]; NaN where too few blocks are.
        sharpest_px: (m,) width of strong edges in the slice that shows each steepest, as the deviation of a
            Gaussian that blurs a step.
        blur_px: (m*N,) the same in every slice; NaN where the edge is lost.
        frequency, power: (F,) cycles per pixel, and power of the all-in-focus picture over its power at 0.05.
        gradient: density of horizontal differences in it over GRADIENT_BINS.
    """

    curves: np.ndarray
    brightness: np.ndarray
    noise: np.ndarray
    sharpest_px: np.ndarray
    blur_px: np.ndarray
    frequency: np.ndarray
    power: np.ndarray
    gradient: np.ndarray

    @property
    def curve(self) -> np.ndarray:
        """(3,2*REACH+1) quartiles of ``curves``; NaN where fewer than a tenth of the pixels have a value."""
        known = np.isfinite(self.curves).mean(axis=0) >= 0.1
        quartiles = np.full((3, self.curves.shape[1]), np.nan)
        quartiles[:, known] = np.nanquantile(self.curves[:, known], (0.25, 0.5, 0.75), axis=0)
        return quartiles

    @property
    def half_width(self) -> float:
        """Full width at half maximum of the median curve [slices]; NaN if a side does not fall that far."""
        middle = self.curve[1]
        sides = []
        for side in (middle[REACH:], middle[REACH::-1]):
            below = np.flatnonzero(side < 0.5)
            if not below.size:
                return float("nan")
            k = int(below[0])
            sides.append(k - 1 + (side[k - 1] - 0.5) / (side[k - 1] - side[k]))
        return float(sum(sides))

    @property
    def floor(self) -> float:
        """Median over pixels of the least focus measure within reach, as a share of the peak."""
        return float(np.median(np.nanmin(self.curves, axis=1)))

    @property
    def slope(self) -> float:
        """Exponent of the power spectrum within SLOPE_BAND."""
        band = (self.frequency >= SLOPE_BAND[0]) & (self.frequency <= SLOPE_BAND[1])
        return float(np.polyfit(np.log(self.frequency[band]), np.log(self.power[band]), 1)[0])

    @property
    def flat_share(self) -> float:
        """Share of horizontal differences of the all-in-focus picture of at most 1/255."""
        return float(self.gradient[np.abs(middles(GRADIENT_BINS)) < 1.5 / 255].sum() / 255)

    @property
    def kurtosis(self) -> float:
        """Of those differences: 3 is a Gaussian; photographs have more, being flat here and sharp there."""
        x, share = middles(GRADIENT_BINS), self.gradient / self.gradient.sum()
        return float((share * x**4).sum() / (share * x**2).sum() ** 2)


def middles(edges: np.ndarray) -> np.ndarray:
    """Middle of every bin."""
    return (edges[:-1] + edges[1:]) / 2


# --- (a) focus measure over slices -----------------------------------------------------------------------


def focus_curves(lumas: Sequence[np.ndarray], shown: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(n,2*REACH+1) focus measure over slices, shifted so that the peak, 1, stands in the middle.

    Of textured pixels that ``shown`` (H,W) allows and that have their peak inside the sweep.
    """
    energy = np.stack([cv2.GaussianBlur(laplacian_energy(luma), (0, 0), ENERGY_SIGMA_PX) for luma in lumas])
    peak, best = energy.max(axis=0), energy.argmax(axis=0)
    textured = shown & (peak > np.quantile(peak[shown], 1 - TEXTURED_SHARE))
    rows, columns = np.nonzero(textured & (best > 0) & (best < len(lumas) - 1))
    if rows.size > MOST_PIXELS:
        some = random.choice(rows.size, MOST_PIXELS, replace=False)
        rows, columns = rows[some], columns[some]
    curves = np.full((rows.size, 2 * REACH + 1), np.nan)
    for offset in range(-REACH, REACH + 1):
        k = best[rows, columns] + offset
        inside = (k >= 0) & (k < len(lumas))
        values = energy[k[inside], rows[inside], columns[inside]] / peak[rows[inside], columns[inside]]
        curves[inside, offset + REACH] = values
    return curves


# --- (b) noise over brightness ---------------------------------------------------------------------------


def block_noise(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean luma and deviation of its noise [both of 1] of every block without a clipped value.

    The noise is read off a second difference in both directions (Immerkaer 1996), which ramps do not reach.
    ``picture``: (H,W) or (H,W,3), uint8, uint16 or float.
    """
    luma, colours = to_luma(picture), to_float(picture)
    height, width = (side // BLOCK_PX * BLOCK_PX for side in luma.shape)
    high = np.abs(cv2.filter2D(luma, cv2.CV_32F, _HIGH_PASS, borderType=cv2.BORDER_REFLECT_101))

    def blocks(values: np.ndarray) -> np.ndarray:
        cut = values[:height, :width].reshape(height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX)
        return cut.swapaxes(1, 2).reshape(-1, BLOCK_PX * BLOCK_PX)

    low, most = blocks(colours.min(axis=2)), blocks(colours.max(axis=2))
    whole = (low.min(axis=1) > 1.5 / 255) & (most.max(axis=1) < 253.5 / 255)
    return blocks(luma)[whole].mean(axis=1), np.sqrt(np.pi / 2) * blocks(high)[whole].mean(axis=1)


def noise_curve(mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle of each bin of brightness, and deviation [of 255] of its flattest blocks."""
    edges = np.linspace(0, 1, BINS + 1)
    noise = np.full(BINS, np.nan)
    place = np.clip(np.digitize(mean, edges) - 1, 0, BINS - 1)
    for i in range(BINS):
        here = deviation[place == i]
        if here.size >= LEAST_BLOCKS:
            noise[i] = 255 * np.quantile(here, FLAT_QUANTILE)
    return middles(edges), noise


# --- (c) blur of edges -----------------------------------------------------------------------------------


def _gradient(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H,W) differences across and down of the picture blurred a little."""
    soft = cv2.GaussianBlur(luma, (0, 0), GRADIENT_SIGMA_PX, borderType=cv2.BORDER_REFLECT_101)
    kernel = np.array([[-0.5, 0, 0.5]], np.float32)
    across = cv2.filter2D(soft, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
    return across, cv2.filter2D(soft, cv2.CV_32F, kernel.T, borderType=cv2.BORDER_REFLECT_101)


def strong_edges(luma: np.ndarray, shown: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(n,4) x, y and direction (x, y) of dark to bright of the strongest edges, thinned to one pixel."""
    across, down = _gradient(luma)
    size = np.sqrt(across * across + down * down)
    ridge = np.where(
        np.abs(across) > np.abs(down),
        (size >= np.roll(size, 1, 1)) & (size >= np.roll(size, -1, 1)),
        (size >= np.roll(size, 1, 0)) & (size >= np.roll(size, -1, 0)),
    )
    around = np.ones((2 * REACH_PX + 1, 2 * REACH_PX + 1), np.uint8)
    inner = cv2.erode(shown.astype(np.uint8), around, borderValue=0) > 0
    y, x = np.nonzero(inner & ridge & (size > np.quantile(size[shown], 1 - STRONG_SHARE)))
    if not x.size:
        raise ValueError(
            f"domain: no edge in a sharp picture of {luma.shape[1]}x{luma.shape[0]} px; take larger ones"
        )
    if x.size > MOST_PIXELS:
        some = random.choice(x.size, MOST_PIXELS, replace=False)
        x, y = x[some], y[some]
    direction = np.stack([across[y, x], down[y, x]], axis=1) / size[y, x][:, None]
    return np.column_stack([x, y, direction])


def edge_blur_px(luma: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Width of each edge (n,4) and its steepness, the largest difference per px; both (n,).

    The width is that of the rise from 20 % to 80 % between the two extrema beside the edge, as the deviation
    [px] of the Gaussian that blurs a step to it; NaN where the step between the extrema is lost.
    """
    along = np.arange(-REACH_PX, REACH_PX + 1)
    x, y = (edges[:, i, None] + along * edges[:, i + 2, None] for i in (0, 1))
    profile = cv2.remap(luma, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    rise = np.diff(profile, axis=1)  # (n,2*REACH_PX)
    near = rise[:, REACH_PX - CENTRE_PX : REACH_PX + CENTRE_PX]
    start = near.argmax(axis=1) + REACH_PX - CENTRE_PX  # the edge lies between samples start and start + 1
    rows = np.arange(len(edges))
    steepest = rise[rows, start]
    index = np.arange(rise.shape[1])
    falling = rise <= 0
    first = np.where(falling & (index <= start[:, None]), index, -1).max(axis=1) + 1
    last = np.where(falling & (index >= start[:, None]), index, rise.shape[1]).min(axis=1)
    low, high = profile[rows, first], profile[rows, last]
    step = high - low

    def crossing(share: float) -> np.ndarray:
        level = (low + share * step)[:, None]
        inside = (index >= first[:, None]) & (index < last[:, None])
        k = (inside & (profile[:, 1:] >= level)).argmax(axis=1)
        return np.asarray(k + (level[:, 0] - profile[rows, k]) / np.maximum(rise[rows, k], 1e-6))

    kept = (step >= LEAST_STEP) & (steepest > 0)
    width = np.where(kept, crossing(0.8) - crossing(0.2), np.nan) / RISE_SIGMAS
    return width, steepest


# --- (d) texture -----------------------------------------------------------------------------------------


def power_spectrum(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radial mean of the power over windowed patches: cycles per pixel (F,), and power (F,)."""
    side = min(PATCH_PX, *luma.shape)
    window = np.outer(np.hanning(side), np.hanning(side))
    total = np.zeros((side, side))
    for top in range(0, luma.shape[0] - side + 1, side):
        for left in range(0, luma.shape[1] - side + 1, side):
            patch = luma[top : top + side, left : left + side].astype(np.float64)
            total += np.abs(np.fft.fft2((patch - patch.mean()) * window)) ** 2
    one = np.fft.fftfreq(side)
    radius = np.hypot(one[:, None], one)
    edges = np.geomspace(2 / side, 0.5, 33)
    place = np.digitize(radius, edges).ravel() - 1
    inside = (place >= 0) & (place < 32)
    count = np.bincount(place[inside], minlength=32)
    power = np.bincount(place[inside], weights=total.ravel()[inside], minlength=32) / np.maximum(count, 1)
    full = count > 0
    return np.sqrt(edges[:-1] * edges[1:])[full], power[full]


def gradient_density(luma: np.ndarray) -> np.ndarray:
    """Density of differences between horizontal neighbours over GRADIENT_BINS."""
    difference = np.diff(luma, axis=1)
    count = np.histogram(difference, GRADIENT_BINS)[0]
    return np.asarray(count / (difference.size * np.diff(GRADIENT_BINS)))
