"""Motion of a slice as a 2x3 matrix: reference pixel (x, y, 1) -> pixel of the slice to sample.

The rows are those of `dff.flow`; this is their small-motion form for numpy and OpenCV, with coefficients
in pixels at the picture's corner, so that all rows are of one scale for the solver.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

ROWS = ("zoom", "x", "y", "rotation")
IDENTITY = np.eye(2, 3)


def homogeneous(matrix: np.ndarray) -> np.ndarray:
    """(2,3) -> (3,3)."""
    return np.vstack([matrix, [0.0, 0.0, 1.0]])


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The motion "``inner`` first, then ``outer``", (2,3)."""
    return np.asarray((homogeneous(outer) @ homogeneous(inner))[:2])


def invert(matrix: np.ndarray) -> np.ndarray:
    """The opposite motion, (2,3)."""
    return np.asarray(np.linalg.inv(homogeneous(matrix))[:2])


def rescale(matrix: np.ndarray, scale: float) -> np.ndarray:
    """The same motion of pictures resized by ``scale``, with pixel centres at integers in both."""
    offset = 0.5 * scale - 0.5
    resize = np.array([[scale, 0.0, offset], [0.0, scale, offset], [0.0, 0.0, 1.0]])
    return np.asarray((resize @ homogeneous(matrix) @ np.linalg.inv(resize))[:2])


def about_centre(
    zoom: float, rotation_rad: float, shift_px: Sequence[float], size: tuple[int, int]
) -> np.ndarray:
    """Matrix that scales and rotates about the centre of a (height, width) picture, then shifts."""
    height, width = size
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    cos, sin = zoom * np.cos(rotation_rad), zoom * np.sin(rotation_rad)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, centre + np.asarray(shift_px) - linear @ centre])


def from_coefficients(values: np.ndarray, rows: Sequence[str], size: tuple[int, int]) -> np.ndarray:
    """Matrix of small coefficients [px at the corner] of ``rows``."""
    value = dict.fromkeys(ROWS, 0.0) | dict(zip(rows, map(float, values), strict=True))
    corner = corner_distance(size)
    return about_centre(
        1 + value["zoom"] / corner, value["rotation"] / corner, (value["x"], value["y"]), size
    )


def to_coefficients(matrix: np.ndarray, rows: Sequence[str], size: tuple[int, int]) -> np.ndarray:
    """Coefficients [px at the corner] of a matrix: the inverse of `from_coefficients` for its rows."""
    zoom, rotation, shift = decompose(matrix, size)
    corner = corner_distance(size)
    value = {"zoom": (zoom - 1) * corner, "rotation": rotation * corner, "x": shift[0], "y": shift[1]}
    return np.array([value[row] for row in rows])


def corner_distance(size: tuple[int, int]) -> float:
    """Distance [px] from the centre to a corner of a (height, width) picture."""
    return 0.5 * float(np.hypot(*size))


def decompose(matrix: np.ndarray, size: tuple[int, int]) -> tuple[float, float, np.ndarray]:
    """Zoom (scale of the slice over the reference), rotation [rad] and shift of the centre [px]."""
    linear = matrix[:, :2]
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    zoom = float(np.sqrt(abs(np.linalg.det(linear))))
    rotation = float(np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    return zoom, rotation, linear @ centre + matrix[:, 2] - centre


def basis(rows: Sequence[str], size: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(x, y) displacement fields of one corner pixel of each row, broadcastable to (H,W) float32."""
    height, width = size
    corner = corner_distance(size)
    x = ((np.arange(width, dtype=np.float32) - (width - 1) / 2) / corner)[None, :]
    y = ((np.arange(height, dtype=np.float32) - (height - 1) / 2) / corner)[:, None]
    one, zero = np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    fields = {"zoom": (x, y), "x": (one, zero), "y": (zero, one), "rotation": (-y, x)}
    return [fields[row] for row in rows]


def corners_moved(a: np.ndarray, b: np.ndarray, size: tuple[int, int]) -> float:
    """Root mean square distance [px] between where two motions put the four corners."""
    height, width = size
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]]).T
    return float(np.sqrt((((a - b) @ corners) ** 2).sum(axis=0).mean()))


def warp(image: np.ndarray, matrix: np.ndarray, *, linear: bool = False) -> np.ndarray:
    """Sample ``image`` at ``matrix`` of every pixel: bicubic, edges repeated, dtype and range kept.

    uint8, uint16, or floating point in [0,1] (float64 with the precision of float32).

    Bilinear sampling blurs by an amount that depends on the sub-pixel phase, a false sharpness cue, so it
    is only for work that never reads sharpness.
    """
    height, width = image.shape[:2]
    if np.array_equal(matrix, IDENTITY):
        return image
    if image.dtype.kind == "f" and image.dtype != np.float32:
        # OpenCV 5.0 returns nonsense for bicubic float64, and neither version knows float16.
        return warp(image.astype(np.float32), matrix, linear=linear).astype(image.dtype)
    mode = cv2.INTER_LINEAR if linear else cv2.INTER_CUBIC
    out = cv2.warpAffine(
        image, matrix, (width, height), flags=mode | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    if not linear and out.dtype.kind == "f":
        np.clip(out, 0, 1, out=out)
    return out


def inside(matrix: np.ndarray, size: tuple[int, int], margin: float = 0.0) -> np.ndarray:
    """(H,W) bool: the sampled position lies in the picture, ``margin`` px from its edge."""
    height, width = size
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]
    # Without rotation each coordinate depends on one axis only: rows and columns, not pixels, are tested.
    at_x = matrix[0, 0] * x + matrix[0, 2] + (matrix[0, 1] * y if matrix[0, 1] else 0)
    at_y = matrix[1, 1] * y + matrix[1, 2] + (matrix[1, 0] * x if matrix[1, 0] else 0)
    in_x = (at_x >= margin) & (at_x <= width - 1 - margin)
    in_y = (at_y >= margin) & (at_y <= height - 1 - margin)
    return np.asarray(in_x & in_y)
