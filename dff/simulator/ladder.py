"""The focus ladder: which focus distances a sweep goes through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dff.stack import check_positions


@dataclass(frozen=True)
class Ladder:
    """Focus of every slice, far first. Either listed, or evenly spaced between two ends.

    Args:
        focus_mm: object distances in focus, in millimetres, in any order; empty: take the ends below.
        far_dioptre, near_dioptre: ends of the sweep; 0 is infinity.
        n_slices: slices between (and at) the ends.
        spacing: even in dioptres (as lens travel nearly is) or in metres (as some published stacks).
    """

    focus_mm: tuple[float, ...] = ()
    far_dioptre: float = 0.25
    near_dioptre: float = 5.0
    n_slices: int = 10
    spacing: Literal["dioptre", "metre"] = "dioptre"

    def __post_init__(self) -> None:
        if self.focus_mm:
            if min(self.focus_mm) <= 0:
                raise ValueError("Ladder: focus_mm must be above 0; leave infinity to far_dioptre = 0")
            check_positions(1000 / np.asarray(self.focus_mm), len(self.focus_mm), "Ladder: focus_mm")
            return
        if not 0 <= self.far_dioptre < self.near_dioptre:
            raise ValueError(
                f"Ladder: far_dioptre {self.far_dioptre} must be >= 0 and below near_dioptre "
                f"{self.near_dioptre}"
            )
        if self.n_slices < 2:
            raise ValueError(f"Ladder: {self.n_slices} slices; a focal stack has at least 2")
        if self.spacing == "metre" and self.far_dioptre == 0:
            raise ValueError("Ladder: even steps in metres cannot reach infinity; give far_dioptre > 0")

    def focus(self, n_slices: int | None = None) -> np.ndarray:
        """(N,) dioptres, rising; ``n_slices`` takes that many instead, as evenly as the ladder allows.

        Raises:
            ValueError: fewer than 2, or more than a listed ladder has.
        """
        count = self.n_slices if n_slices is None else n_slices
        if self.focus_mm:
            listed = np.sort(1000 / np.asarray(self.focus_mm, dtype=np.float64))
            count = listed.size if n_slices is None else n_slices
            if not 2 <= count <= listed.size:
                raise ValueError(
                    f"Ladder: {count} slices asked of a ladder of {listed.size} steps; "
                    f"give 2 to {listed.size}"
                )
            return listed[np.rint(np.linspace(0, listed.size - 1, count)).astype(int)]
        if count < 2:
            raise ValueError(f"Ladder: {count} slices; a focal stack has at least 2")
        if self.spacing == "metre":
            return 1 / np.linspace(1 / self.far_dioptre, 1 / self.near_dioptre, count)
        return np.linspace(self.far_dioptre, self.near_dioptre, count)
