"""Registration of two slices of different focus: robust Gauss-Newton between blur-equalised pictures.

Neighbouring slices differ in blur, and by another amount in every part of the picture. Three measures keep
that from being read as motion:

* linear light: blur mixes light, so a blurred bright edge grows in gamma-coded values but not in linear ones;
* blur equalisation: where the template is the sharper one it is blurred by the Gaussian that makes it most
  like the other picture, and the other way round, pixel by pixel;
* all pixels count, not only strong edges: the two flanks of a blurred edge pull in opposite directions.

Per pair a gain and an offset of brightness are solved along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from dff.classical import motion
from dff.classical.pyramid import Level, WorkPicture

LADDER = (0.7, 1.6, 3.2)  # Gaussian sigmas [px] to equalise with; the first is the common smoothing
FAR_LADDER = (0.7, 1.8, 4.0)  # for slices further apart in focus
EQUAL_BONUS = 0.95  # a different blur must explain the pair at least 5 % better
CAUCHY_SCALE = 3.0  # in standard deviations of the residual where the picture has texture
TEXTURED = 0.75  # quantile of the gradient above which that deviation is read
MAX_STEP_PX = 2.0
CONVERGED_PX = 0.02  # a step this small ends the iteration
PRIOR_SHARE = 0.03  # motions are expected within this share of the picture's size ...
PRIOR_WEIGHT = 100.0  # ... residuals of neighbouring pixels being correlated over about that many


@lru_cache(maxsize=32)
def _basis(rows: tuple[str, ...], size: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    return motion.basis(rows, size)


@dataclass(frozen=True, eq=False)
class PairMotion:
    """Motion from a template to another picture, in px of the finest level.

    Args:
        matrix: (2,3) template pixel -> pixel of the other picture.
        information: inverse covariance of the row coefficients [1/px^2].
        correlation: correlation of the two pictures once aligned and equalised, -1..1.
        residual_px: median local motion left over where there is texture, px of the finest level; NaN
            where it was not measured.
    """

    matrix: np.ndarray
    information: np.ndarray
    correlation: float
    residual_px: float


class _Matcher:
    """Gauss-Newton on one level."""

    def __init__(
        self, template: Level, other: Level, rows: tuple[str, ...], ladder: Sequence[float], box: int
    ) -> None:
        self.template, self.other, self.rows, self.box = template, other, rows, box
        self.ladder = ladder
        self.basis = _basis(rows, template.size)
        self.choice: np.ndarray | None = None
        self.gain, self.offset = 1.0, 0.0

    def _seen(self, matrix: np.ndarray) -> np.ndarray:
        margin = 2 + 0.02 * min(self.template.size)
        seen = motion.inside(matrix, self.template.size, margin)
        edge = round(margin)
        seen[:edge], seen[-edge:], seen[:, :edge], seen[:, -edge:] = False, False, False, False
        return seen

    def _match_brightness(self, target: np.ndarray, weight: np.ndarray) -> None:
        """First gain and offset from mean and deviation: unlike least squares not pulled down by noise."""
        template = self.template.blurred(self.ladder[0])
        total = max(1.0, float(weight.sum()))
        mean_t = float((template * weight).sum()) / total
        mean_o = float((target * weight).sum()) / total
        var_t = float((((template - mean_t) ** 2) * weight).sum()) / total
        var_o = float((((target - mean_o) ** 2) * weight).sum()) / total
        self.gain = float(np.clip(np.sqrt((var_o + 1e-12) / (var_t + 1e-12)), 0.8, 1.25))
        self.offset = mean_o - self.gain * mean_t

    def _equalise(self, targets: list[np.ndarray]) -> None:
        """Choose, pixel by pixel, which of the two to blur and how much."""
        height, width = self.template.size
        small = (max(1, width // 2), max(1, height // 2))  # the choice is smooth: half size is enough
        plain = self.template.blurred(self.ladder[0])
        pairs = [(plain, targets[0])]
        pairs += [(self.template.blurred(sigma), targets[0]) for sigma in self.ladder[1:]]
        pairs += [(plain, target) for target in targets[1:]]
        least, choice = None, np.zeros(small[::-1], np.uint8)
        for j, (template, target) in enumerate(pairs):
            misfit = cv2.absdiff(target, template * np.float32(self.gain) + np.float32(self.offset))
            misfit = cv2.resize(misfit, small, interpolation=cv2.INTER_AREA)
            cost = cv2.blur(misfit, (self.box, self.box))
            if least is None:
                least = cost * np.float32(EQUAL_BONUS)
            else:
                choice[cost < least] = j
                np.minimum(least, cost, out=least)
        self.choice = cv2.resize(choice, (width, height), interpolation=cv2.INTER_NEAREST)

    def _chosen(self, targets: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Template, its gradient and the target, each in the blur chosen for the pixel."""
        first = self.ladder[0]
        template, target = self.template.blurred(first), targets[0]
        gradient_x, gradient_y = self.template.gradient(first)
        if self.choice is None:
            return template, gradient_x, gradient_y, target
        template, target = template.copy(), target.copy()
        gradient_x, gradient_y = gradient_x.copy(), gradient_y.copy()
        for j, sigma in enumerate(self.ladder[1:], start=1):
            mask = self.choice == j
            np.copyto(template, self.template.blurred(sigma), where=mask)
            np.copyto(gradient_x, self.template.gradient(sigma)[0], where=mask)
            np.copyto(gradient_y, self.template.gradient(sigma)[1], where=mask)
            np.copyto(target, targets[j], where=self.choice == len(self.ladder) - 1 + j)
        return template, gradient_x, gradient_y, target

    def run(
        self, matrix: np.ndarray, iterations: int, equalise_at: Sequence[int], *, measured: bool = False
    ) -> PairMotion:
        """Refine ``matrix`` (2,3) on this level; ``measured``: look for the motion that is left over."""
        size, n_rows = self.template.size, len(self.rows)
        sigmas = self.ladder if equalise_at else self.ladder[:1]
        prior = 1 / (PRIOR_SHARE * max(size)) ** 2
        information = np.zeros((n_rows, n_rows))
        jacobian = np.full((n_rows + 2, *size), -1, np.float32)  # rows, gain, offset
        weighted, spare = np.empty_like(jacobian), np.empty(size, np.float32)
        for step_index in range(iterations):
            targets = [motion.warp(self.other.blurred(s), matrix, linear=True) for s in sigmas]
            if step_index == 0:
                seen = self._seen(matrix).astype(np.float32)
                self._match_brightness(targets[0], seen)
            if step_index in equalise_at:
                self._equalise(targets)
            template, gradient_x, gradient_y, target = self._chosen(targets)
            residual = target - np.float32(self.gain) * template - np.float32(self.offset)
            deviation = _textured_deviation(residual, gradient_x, gradient_y, seen)
            weight = seen / (1 + (residual / (CAUCHY_SCALE * deviation)) ** 2)
            for row, (along_x, along_y) in enumerate(self.basis):
                np.multiply(gradient_x, along_x, out=jacobian[row])
                np.multiply(gradient_y, along_y, out=spare)
                jacobian[row] += spare
            np.negative(template, out=jacobian[n_rows])
            np.multiply(jacobian, weight, out=weighted)
            flat = weighted.reshape(n_rows + 2, -1)
            hessian = (flat @ jacobian.reshape(n_rows + 2, -1).T).astype(np.float64)
            slope = (flat @ residual.ravel()).astype(np.float64)
            information = _marginal(hessian, n_rows) / (deviation**2 * PRIOR_WEIGHT)

            so_far = motion.to_coefficients(matrix, self.rows, size)
            pull = prior * PRIOR_WEIGHT * deviation**2
            slope[:n_rows] += pull * so_far
            hessian[np.diag_indices(n_rows)] += pull
            hessian[np.diag_indices(n_rows + 2)] += 1e-9 * np.trace(hessian)
            step = -np.linalg.solve(hessian, slope)
            largest = float(np.abs(step[:n_rows]).max())
            if largest > MAX_STEP_PX:
                step *= MAX_STEP_PX / largest
            matrix = motion.compose(matrix, motion.from_coefficients(step[:n_rows], self.rows, size))
            self.gain += float(step[n_rows])
            self.offset += float(step[n_rows + 1])
            if largest < CONVERGED_PX and step_index >= max(equalise_at, default=0):
                break
        left_over = float("nan")
        if measured:
            left_over = _local_motion_px(residual, gradient_x, gradient_y, seen)
        return PairMotion(matrix, information, _correlation(template, target, seen), left_over)


def _textured_deviation(r: np.ndarray, gx: np.ndarray, gy: np.ndarray, seen: np.ndarray) -> float:
    """Robust deviation of the residual where the picture has texture: blank ground would make it tiny."""
    every = (slice(None, None, 3), slice(None, None, 3))
    strength = np.abs(gx[every]) + np.abs(gy[every])
    textured = (strength >= np.quantile(strength, TEXTURED)) & (seen[every] > 0)
    values = np.abs(r[every][textured])
    return 1.4826 * float(np.median(values)) + 1e-6 if values.size else 1.0


def _marginal(hessian: np.ndarray, n_rows: int) -> np.ndarray:
    """Information on the motion once gain and offset are free."""
    cross, rest = hessian[:n_rows, n_rows:], hessian[n_rows:, n_rows:]
    return np.asarray(hessian[:n_rows, :n_rows] - cross @ np.linalg.pinv(rest) @ cross.T)


def _correlation(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    total = max(1.0, float(weight.sum()))
    da = (a - float((a * weight).sum(dtype=np.float64)) / total) * weight
    db = (b - float((b * weight).sum(dtype=np.float64)) / total) * weight
    rounding = total * 1e-12  # plain pictures differ from their mean by float32's rounding alone
    return float((da * db).sum() / np.sqrt(((da * da).sum() + rounding) * ((db * db).sum() + rounding)))


def _local_motion_px(r: np.ndarray, gx: np.ndarray, gy: np.ndarray, seen: np.ndarray) -> float:
    """Median length of the motion that windows of a sixth of the picture would still make."""
    cell = max(3, min(r.shape) // 18)
    grid = (max(1, r.shape[1] // cell), max(1, r.shape[0] // cell))
    gx, gy = gx * seen, gy * seen
    products = (gx * gx, gx * gy, gy * gy, gx * r, gy * r)
    xx, xy, yy, xr, yr = (
        cv2.blur(cv2.resize(p, grid, interpolation=cv2.INTER_AREA), (3, 3)) for p in products
    )
    determinant = xx * yy - xy * xy
    trace = xx + yy
    firm = (determinant > 0.02 * trace**2) & (trace > 0.2 * trace.mean())
    if not firm.any():
        return float("nan")
    x = (yy * xr - xy * yr)[firm] / determinant[firm]
    y = (xx * yr - xy * xr)[firm] / determinant[firm]
    return float(np.median(np.hypot(x, y)))


def _first_guess(template: WorkPicture, other: WorkPicture, start: np.ndarray) -> np.ndarray:
    """Shift by phase correlation on a small picture, taken where it correlates better than ``start``."""
    a, b = template.thumbnail, other.thumbnail
    if min(a.shape) < 2:
        return start  # a single row or column has no spectrum
    scale = a.shape[1] / template.finest.shape[1]
    begin = motion.rescale(start, scale)
    window = cv2.createHanningWindow((a.shape[1], a.shape[0]), cv2.CV_32F)
    # Windowed here: phaseCorrelate multiplies the window into pictures that it need not pad.
    (dx, dy), _ = cv2.phaseCorrelate(a * window, motion.warp(b, begin, linear=True) * window)
    moved = motion.compose(begin, np.array([[1, 0, dx], [0, 1, dy]], dtype=np.float64))
    if max(abs(dx), abs(dy)) > 0.3 * min(a.shape):
        return start

    def fit(matrix: np.ndarray) -> float:
        seen = motion.inside(matrix, (a.shape[0], a.shape[1])).astype(np.float32)
        return _correlation(a, motion.warp(b, matrix, linear=True), seen)

    return motion.rescale(moved, 1 / scale) if fit(moved) > fit(begin) + 0.05 else start


def register_pair(
    template: WorkPicture, other: WorkPicture, rows: tuple[str, ...], start: np.ndarray = motion.IDENTITY
) -> PairMotion:
    """Motion between neighbouring slices, coarse to fine from ``start`` [px of the finest level]."""
    matrix = _first_guess(template, other, start)
    result = None
    for index in range(len(template.levels) - 1, -1, -1):
        # The coarsest levels are too small to tell blurs apart; there the pictures are alike anyway.
        equalise = (0,) if index <= 1 else ()
        matcher = _Matcher(template.levels[index], other.levels[index], rows, LADDER, box=5)
        iterations = (4, 6, 8, 10)[min(index, 3)]
        result = matcher.run(motion.rescale(matrix, 0.5**index), iterations, equalise)
        matrix = motion.rescale(result.matrix, 2.0**index)
    assert result is not None
    return result


def refine_pair(
    template: WorkPicture, other: WorkPicture, rows: tuple[str, ...], start: np.ndarray, *, far: bool
) -> PairMotion:
    """Refine a known motion on the finest level; ``far``: slices that may differ much in blur."""
    ladder, box = (FAR_LADDER, 7) if far else (LADDER, 5)
    matcher = _Matcher(template.levels[0], other.levels[0], rows, ladder, box)
    return matcher.run(start, 3, (0,), measured=far)
