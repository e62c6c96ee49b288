"""What one focal stack tells of its camera: breathing, drift of the picture's centre, and true focus.

Breathing is the growth of the picture with focus. A thin lens grows by focal length times dioptre, nearly;
what is measured over that is the lens's own factor (`dff.camera.Lens.breathing`). True focus cannot be read
off the pictures alone: a lens that moves twice as far as it reports looks like one that breathes twice as
much. Where the factor is known beforehand, growth tells the gain of reported focus; an object at a known
distance tells its offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dff import optics
from dff.autofocus.curves import DEFAULT_MEASURE
from dff.autofocus.measures import measure
from dff.autofocus.regions import Roi, middle
from dff.classical.align import align_stack
from dff.stack import FocalStack, Progress, to_luma

_OUTLIER = 4.0  # robust deviations from a line


@dataclass(frozen=True, eq=False)
class StackCalibration:
    """What was found. Lines are fitted to slices that alignment trusts; None is what cannot be told.

    Args:
        focus: (N,) reported dioptres.
        zoom: (N,) size of the picture over that of the slice focused farthest.
        breathing_per_dioptre: slope of ``zoom`` [1/dioptre].
        breathing_rms: what zoom is off its line.
        breathing: over that of a thin lens; needs the focal length.
        centre_px: (N,2) where the picture's centre went.
        drift_px_per_dioptre: (x, y) slope of that, and
        drift_rms_px: what it is off its line.
        gain, offset: true focus = gain * reported + offset [dioptre].
        step_error: (N,) dioptres by which each slice is off the line of growth: an uneven motor, or a jump.
        used: (N,) bool, the slices in the lines.
    """

    focus: np.ndarray
    zoom: np.ndarray
    breathing_per_dioptre: float
    breathing_rms: float
    breathing: float | None
    centre_px: np.ndarray
    drift_px_per_dioptre: tuple[float, float]
    drift_rms_px: float
    gain: float | None
    offset: float | None
    step_error: np.ndarray | None
    used: np.ndarray

    def report(self) -> dict[str, Any]:
        """Plain values by name."""

        def listed(values: np.ndarray | None, digits: int) -> list[float] | None:
            return None if values is None else np.round(values, digits).tolist()

        return {
            "focus_dioptre": listed(self.focus, 6),
            "zoom": listed(self.zoom, 6),
            "breathing_per_dioptre": round(self.breathing_per_dioptre, 7),
            "breathing_rms": round(self.breathing_rms, 7),
            "breathing_over_thin_lens": None if self.breathing is None else round(self.breathing, 4),
            "centre_px": listed(self.centre_px, 3),
            "drift_px_per_dioptre": [round(one, 4) for one in self.drift_px_per_dioptre],
            "drift_rms_px": round(self.drift_rms_px, 4),
            "true_focus": {
                "gain": None if self.gain is None else round(self.gain, 5),
                "offset_dioptre": None if self.offset is None else round(self.offset, 5),
                "step_error_dioptre": listed(self.step_error, 5),
            },
            "used": self.used.tolist(),
        }


def calibrate_stack(
    stack: FocalStack,
    *,
    breathing: float | None = None,
    target: float | None = None,
    roi: Roi | None = None,
    progress: Progress | None = None,
) -> StackCalibration:
    """Align a stack and fit its camera.

    Args:
        stack: with reported focus; the camera on a stand, the scene at rest.
        breathing: factor over a thin lens, where it is known (from a stack of true focus, or the maker);
            tells the gain of reported focus. Needs the focal length.
        target: true dioptres of what ``roi`` shows; tells the offset.
        roi: the region, in px of the slices; None: the middle.

    Raises:
        ValueError: focus unknown or all the same, fewer than three slices that align, or a breathing
            without a focal length.
    """
    if stack.focus is None:
        raise ValueError("calibration needs the reported focus of every slice; give it with --focus")
    focus = np.asarray(stack.focus, np.float64)
    if breathing is not None and (stack.lens is None or not breathing > 0):
        raise ValueError("a known breathing is a factor above 0, and needs the lens's focal length")
    if np.ptp(focus) <= 0 or len(focus) < 3:
        raise ValueError("calibration needs three slices or more, at more than one focus")
    alignment = align_stack(stack, progress=progress)
    used = np.array([flag in ("ok", "reference") for flag in alignment.flags])
    zoom = alignment.zoom / alignment.zoom[int(np.argmin(focus))]
    used, line = _robust_line(focus, zoom, used)
    zoom = zoom / np.polyval(line, focus.min())
    slope = float(line[0] / np.polyval(line, focus.min()))
    off = zoom - (1 + slope * (focus - focus.min()))
    centre = alignment.shift_px - alignment.shift_px[int(np.argmin(focus))]
    drift = [np.polyfit(focus[used], centre[used, axis], 1) for axis in (0, 1)]
    left = np.stack([centre[:, axis] - np.polyval(drift[axis], focus) for axis in (0, 1)], axis=1)
    thin = None if stack.lens is None else _thin_slope(stack.lens.focal_length_m, focus)
    gain = None if breathing is None or thin is None else slope / (breathing * thin)
    offset = None
    if target is not None:
        seen = _sharpest(stack, roi)
        offset = float(target - (1.0 if gain is None else gain) * seen)
    return StackCalibration(
        focus,
        zoom,
        slope,
        _rms(off[used]),
        None if thin is None else slope / thin,
        centre,
        (float(drift[0][0]), float(drift[1][0])),
        _rms(left[used]),
        gain,
        offset,
        None if abs(slope) < 1e-9 else off / slope * (1.0 if gain is None else gain),
        used,
    )


def _thin_slope(focal_length_m: float, focus: np.ndarray) -> float:
    """Growth of a thin lens per dioptre over a sweep, relative to its far end."""
    ends = np.array([focus.min(), focus.max()])
    size = optics.magnification(focal_length_m, ends)
    return float((size[1] / size[0] - 1) / (ends[1] - ends[0]))


def _robust_line(x: np.ndarray, y: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slices on a line, and the line: those off it by several robust deviations are left out."""
    used = used.copy()
    for _ in range(3):
        if used.sum() < 3:
            raise ValueError(
                "calibration: fewer than three slices fit together; is it one scene on a stand, with texture?"
            )
        line = np.polyfit(x[used], y[used], 1)
        off = np.abs(y - np.polyval(line, x))
        spread = 1.48 * float(np.median(off[used]))
        used &= off <= max(_OUTLIER * spread, 1e-5)
    return used, np.asarray(line)


def _sharpest(stack: FocalStack, roi: Roi | None) -> float:
    """Reported focus at which a region is sharpest, between slices by a parabola in dioptres."""
    inside = (roi or middle(stack.height, stack.width)).clipped(stack.height, stack.width)
    sharpness = measure(DEFAULT_MEASURE)
    curve = [float(sharpness(to_luma(inside.crop(stack.slices[k])))) for k in range(len(stack))]
    focus = np.asarray(stack.focus)
    best = int(np.argmax(curve))
    if not 0 < best < len(curve) - 1:
        return float(focus[best])
    near = slice(best - 1, best + 2)
    bend, tilt, _ = np.polyfit(focus[near] - focus[best], np.log(np.maximum(curve[near], 1e-12)), 2)
    top = focus[best] - tilt / (2 * bend) if bend < 0 else focus[best]
    return float(np.clip(top, focus[near].min(), focus[near].max()))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
