"""Alignment: where every slice of a stack lies, seen from its reference slice."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dff.classical import motion


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where every slice of a stack lies, seen from the reference slice.

    Args:
        matrices: (N,2,3) float64, reference pixel (x, y, 1) -> pixel of slice n to sample there.
        reference: index of the reference slice; its matrix is the identity.
        size: (height, width) of the slices.
        method: what found it: "direct", "ecc", "metadata" or "none".
        flags: per slice "reference", "ok", "jump" (fits, but off its neighbours' course) or "poor" (does
            not fit: another scene, or too blurred to tell).
        residual_px: (N,) median local motion left over against the slice that alignment began from, the
            middle one [px of the slice]; NaN where it was not measured.
    """

    matrices: np.ndarray
    reference: int
    size: tuple[int, int]
    method: str
    flags: tuple[str, ...]
    residual_px: np.ndarray

    def __len__(self) -> int:
        return len(self.matrices)

    @property
    def zoom(self) -> np.ndarray:
        """(N,) image scale of each slice over the reference."""
        return np.array([motion.decompose(m, self.size)[0] for m in self.matrices])

    @property
    def rotation_deg(self) -> np.ndarray:
        """(N,) rotation of each slice against the reference [degree]."""
        return np.array([math.degrees(motion.decompose(m, self.size)[1]) for m in self.matrices])

    @property
    def shift_px(self) -> np.ndarray:
        """(N,2) shift (x, y) of the picture's centre [px]."""
        return np.array([motion.decompose(m, self.size)[2] for m in self.matrices])

    def warp(self, image: np.ndarray, k: int) -> np.ndarray:
        """Slice ``k`` brought onto the reference: one bicubic warp, dtype kept."""
        return motion.warp(image, self.matrices[k])

    def valid_mask(self, k: int) -> np.ndarray:
        """(H,W) bool: reference pixels that slice ``k`` really shows."""
        return motion.inside(self.matrices[k], self.size)

    def seen_from(self, reference: int) -> Alignment:
        """The same alignment with another reference slice."""
        back = motion.invert(self.matrices[reference])
        matrices = np.array([motion.compose(m, back) for m in self.matrices])
        matrices[reference] = motion.IDENTITY
        flags = ["ok" if flag == "reference" else flag for flag in self.flags]
        flags[reference] = "reference"
        return Alignment(matrices, reference, self.size, self.method, tuple(flags), self.residual_px)

    def subset(self, keep: Sequence[int]) -> Alignment:
        """The alignment of slices ``keep``, which must include the reference."""
        return Alignment(
            self.matrices[list(keep)],
            list(keep).index(self.reference),
            self.size,
            self.method,
            tuple(self.flags[k] for k in keep),
            self.residual_px[list(keep)],
        )

    def report(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """One JSON-able row per slice."""
        zoom, shift, rotation = self.zoom, self.shift_px, self.rotation_deg
        return [
            {
                "name": name,
                "zoom": round(float(zoom[k]), 6),
                "shift_px": [round(float(v), 3) for v in shift[k]],
                "rotation_deg": round(float(rotation[k]), 4),
                "residual_px": None
                if math.isnan(self.residual_px[k])
                else round(float(self.residual_px[k]), 3),
                "flag": self.flags[k],
            }
            for k, name in enumerate(names)
        ]


def resolve_reference(reference: str | int, matrices: np.ndarray, flags: Sequence[str]) -> int:
    """Index of "auto" (smallest field of view: every slice covers it), "first", "middle", "last" or k."""
    count = len(matrices)
    if reference == "auto":
        area = np.array([np.linalg.det(m[:, :2]) for m in matrices])
        area[[flag == "poor" for flag in flags]] = -np.inf
        # Zooms within 0.1 % are one field of view; then the middle slice is the best known.
        best = np.flatnonzero(area >= area.max() * 0.998)
        return int(best[np.argmin(np.abs(best - (count - 1) / 2))])
    named = {"first": 0, "middle": count // 2, "last": count - 1}
    try:
        index = named[reference] if reference in named else int(reference)
    except (TypeError, ValueError):
        raise ValueError(
            f"reference {reference!r}; choose auto, first, middle, last or a slice number"
        ) from None
    if not 0 <= index < count:
        raise ValueError(f"reference {index}: the stack has slices 0 to {count - 1}")
    if flags[index] == "poor":
        warnings.warn(
            f"reference {reference}: this slice does not fit its neighbours; choose another", stacklevel=2
        )
    return index
