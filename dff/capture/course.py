"""Where things go from shot to shot of a moving scene, when each shot is focused elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dff.stack import DISPLAY_GAMMA, to_luma

BLUR_SIGMAS = (0.8, 1.6, 2.6, 4.0, 6.5, 10.0)  # px, by which a sharp picture is made like a blurred shot
MOST_SHOT_SIGMA = 4.0  # px, by which the shot is blurred in turn, where it is the sharper one
COARSEST = 32  # px of the shorter side at the coarsest level
LIKE_SIGMA = 4.0  # px of the window in which it is told how much blur makes both alike
NEAR_SIGMA = 9.0  # px, of the window of the equations
FAR_SIGMA, FAR_SHARE = 20.0, 0.1  # px of a wider one, and its share
OUTLIERS = (0.3, 0.1, 0.03)  # of the tone range: a difference that counts half, per turn of Gauss-Newton
SMOOTH_SIGMA = 2.0  # px, of the change
MOST_CHANGE = 3.0  # px in one turn
DOUBT = 2e-5  # information that it is worth that things stand still, before anything was seen
KEPT = 0.4  # share of the information that is kept to the next step
FIRM = 1e-4  # information that a chain of steps is worth where a shot is matched once more
CHAIN_MATCHED = 360  # px of the shorter side at most, at which that is done
_EDGE = cv2.BORDER_REPLICATE


@dataclass(frozen=True, eq=False)
class Course:
    """Motion of one time step, and how well it is known.

    Args:
        flow: (H,W,2) pixel p of now shows what the picture before shows at p + flow(p).
        information: (H,W) gradient energy [tone range^2 / px^2] that told it.
    """

    flow: np.ndarray
    information: np.ndarray


def course_between(shot: np.ndarray, before: np.ndarray, course: Course | None = None) -> Course:
    """How things moved from the all-in-focus picture ``before`` to the ``shot``.

    What is blurred in the shot has no detail to follow. So the picture before is blurred, in linear light and
    at each place by the Gaussian of `BLUR_SIGMAS` that makes it most like the shot (or the shot, where it is
    the sharper one), and both are brought together by Gauss-Newton over Gaussian windows (Lucas and Kanade
    1981), coarse to fine. Things are expected to go on as they did, the more firmly the more was seen of
    them: a Kalman filter for every pixel.

    Args:
        shot, before: (H,W[,3]) of the same size.
        course: of the time step before, if there was one.
    """
    here, there = (np.ascontiguousarray(to_luma(one)) for one in (shot, before))
    if course is None:
        expected = np.zeros((*here.shape, 2), np.float32)
        information = np.full(here.shape, DOUBT, np.float32)
    else:
        expected = read(course.flow, course.flow)
        information = DOUBT + KEPT * np.maximum(read(course.information, course.flow), 0)
    flow, told = expected, information
    for size in _levels(here.shape):
        flow, told = _refined(here, there, flow, Course(expected, information), size)
    return Course(flow, told)


def matched(shot: np.ndarray, earlier: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A flow (H,W,2) chained over time steps, made better between its two ends: steps add their errors up.

    Args:
        shot, earlier: (H,W[,3]) of the same size, focused anywhere.
        flow: pixel p of the shot shows what ``earlier`` shows at p + flow(p), within a few pixels.
    """
    here, there = (np.ascontiguousarray(to_luma(one)) for one in (shot, earlier))
    size = next(one for one in reversed(_levels(here.shape)) if min(one) <= CHAIN_MATCHED)
    return _refined(here, there, flow, Course(flow, np.full(here.shape, FIRM, np.float32)), size)[0]


def _refined(
    here: np.ndarray, there: np.ndarray, flow: np.ndarray, expected: Course, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """``flow`` made better at a size, and the information there."""
    a, b = _resized(here, size), _resized(there, size)
    scale = np.array([size[1] / here.shape[1], size[0] / here.shape[0]], np.float32)
    start, prior, known = (_resized(one, size) for one in (flow, expected.flow, expected.information))
    near, told = _matched(a, b, start * scale, prior * scale, known)
    return flow + _resized(near / scale - start, here.shape), told


def _levels(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Sizes from coarse to fine, each half of the next; the last is the whole picture."""
    height, width = shape[:2]
    out = [(height, width)]
    while min(out[0]) >= 2 * COARSEST:
        out.insert(0, (round(out[0][0] / 2), round(out[0][1] / 2)))
    return out


def _resized(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    if values.shape[:2] == tuple(size[:2]):
        return values
    smaller = size[0] < values.shape[0]
    mode = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (size[1], size[0]), interpolation=mode), np.float32)


def _matched(
    a: np.ndarray, b: np.ndarray, flow: np.ndarray, prior: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Flow (H,W,2) at which b looks like a but for blur, and its information (H,W)."""
    blurred_a = blurs(a, MOST_SHOT_SIGMA)
    for outlier in OUTLIERS:
        left, right = _alike(a, blurred_a, read(b, flow))
        middle = (left + right) / 2
        gx, gy = (
            cv2.Sobel(middle, -1, *way, ksize=1, scale=0.5, borderType=_EDGE) for way in ((1, 0), (0, 1))
        )
        away, miss = flow - prior, left - right
        # against the prior, so that each turn weighs it anew
        wanted = miss + gx * away[..., 0] + gy * away[..., 1]
        trust = 1 / (1 + (miss / outlier) ** 2)
        xx, xy, yy, xw, yw = (
            _windowed(trust * one) for one in (gx * gx, gx * gy, gy * gy, gx * wanted, gy * wanted)
        )
        fx, fy = xx + known, yy + known
        determinant = fx * fy - xy * xy
        change = np.stack([(fy * xw - xy * yw) / determinant, (fx * yw - xy * xw) / determinant], -1)
        change = cv2.GaussianBlur(change.astype(np.float32), (0, 0), SMOOTH_SIGMA)
        flow = flow + np.clip(prior + change - flow, -MOST_CHANGE, MOST_CHANGE)
    return flow, (known + (xx + yy) / 2).astype(np.float32)


def _alike(a: np.ndarray, blurred_a: list[np.ndarray], b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both pictures, at each place one of them blurred so that they differ least."""
    pairs = [(a, b), *((a, soft) for soft in blurs(b)), *((soft, b) for soft in blurred_a)]
    least = np.full(a.shape, np.inf, np.float32)
    left, right = a.copy(), b.copy()
    for one, other in pairs:
        cost = cv2.GaussianBlur(np.abs(one - other), (0, 0), LIKE_SIGMA)
        better = cost < least
        for kept, new in ((least, cost), (left, one), (right, other)):
            kept[better] = new[better]
    return left, right


def blurs(luma: np.ndarray, most: float = np.inf) -> list[np.ndarray]:
    """Display values (H,W) in [0,1], blurred in linear light by each of `BLUR_SIGMAS` up to ``most`` px."""
    light = np.clip(luma, 0, 1) ** np.float32(DISPLAY_GAMMA)
    soft = (cv2.GaussianBlur(light, (0, 0), sigma) for sigma in BLUR_SIGMAS if sigma <= most)
    return [np.asarray(one ** np.float32(1 / DISPLAY_GAMMA)) for one in soft]


def _windowed(values: np.ndarray) -> np.ndarray:
    near, far = (cv2.GaussianBlur(values, (0, 0), sigma) for sigma in (NEAR_SIGMA, FAR_SIGMA))
    return np.asarray(near + FAR_SHARE * far)


def read(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """``values`` (H,W[,C]) at p + flow(p): bicubic, edges repeated."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(values, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=_EDGE)
