"""How blurred and how large a picture is, by where the lens stands and where it should: the defocus table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dff import optics
from dff.camera import Lens
from dff.formats.safe_write import atomic_path

Kernel = Literal["disc", "gaussian"]


@dataclass(frozen=True)
class DefocusTable:
    """The defocus model of Wang et al. 2021 (arXiv 2002.12389, section 3) on a grid of lens positions.

    Args:
        positions: (P,) rising lens positions, in motor steps.
        radius_px: (P,P) blur of a thing in focus at position a (row) seen from position b (column): the
            disc's radius, or the Gaussian's sigma, in px of pictures ``picture_width`` wide; 0 where a = b.
        scale: (P,P) size of the blurred picture over that of the sharp one.
        picture_width: of the camera [px].
        gamma: display values are light to the power of 1 / gamma.
        kernel: shape of the blur.
        depth_of_field: positions either way of focus that still count as sharp.
        camera: its name.

    Raises:
        ValueError: sizes that do not fit, positions that do not rise, negative radii or scales.
    """

    positions: tuple[float, ...]
    radius_px: tuple[tuple[float, ...], ...]
    scale: tuple[tuple[float, ...], ...]
    picture_width: int
    gamma: float = 2.4
    kernel: Kernel = "disc"
    depth_of_field: float = 20.0
    camera: str = ""

    def __post_init__(self) -> None:
        count = len(self.positions)
        radius, scale = np.asarray(self.radius_px), np.asarray(self.scale)
        if count < 2 or np.any(np.diff(self.positions) <= 0):
            raise ValueError("DefocusTable: positions must be two or more, rising")
        if radius.shape != (count, count) or scale.shape != (count, count):
            raise ValueError(
                f"DefocusTable: radius_px and scale must be {count}x{count}, one row per position"
            )
        if not np.all(np.isfinite(radius)) or np.any(radius < 0):
            raise ValueError("DefocusTable: radius_px must be finite and not negative")
        if not np.all(np.isfinite(scale)) or np.any(scale <= 0):
            raise ValueError("DefocusTable: scale must be above 0")
        if not self.gamma > 0 or not self.depth_of_field > 0 or self.picture_width < 16:
            raise ValueError("DefocusTable: gamma and depth_of_field must be above 0, picture_width >= 16")

    @classmethod
    def of(
        cls, positions: Sequence[float], radius_px: np.ndarray, scale: np.ndarray, **settings: Any
    ) -> DefocusTable:
        """The table of arrays: (P,) positions, (P,P) radius and scale; ``settings`` are its other fields."""
        return cls(
            tuple(map(float, positions)),
            tuple(map(tuple, radius_px.tolist())),
            tuple(map(tuple, scale.tolist())),
            **settings,
        )

    def radius(self, focus: Any, lens: Any) -> np.ndarray:
        """Blur radius [px] of things in focus at position ``focus`` with the lens at ``lens``.

        Between the grid's positions the signed radius is interpolated: it goes straight through zero, where
        its absolute value has a kink.
        """
        sign = np.sign(np.subtract.outer(np.asarray(self.positions), np.asarray(self.positions)))
        return np.abs(self._between(-sign * np.asarray(self.radius_px), focus, lens))

    def scale_at(self, focus: Any, lens: Any) -> np.ndarray:
        """Scale of things in focus at position ``focus`` with the lens at ``lens``, as ``scale``."""
        return self._between(np.asarray(self.scale), focus, lens)

    def _between(self, grid: np.ndarray, focus: Any, lens: Any) -> np.ndarray:
        last = len(self.positions) - 1
        focus, lens = np.broadcast_arrays(np.asarray(focus, np.float64), np.asarray(lens, np.float64))
        places = [np.interp(at, self.positions, np.arange(last + 1.0)) for at in (focus, lens)]
        low = [np.minimum(at.astype(int), last - 1) for at in places]
        part = [at - below for at, below in zip(places, low, strict=True)]
        rows = [
            (1 - part[1]) * grid[low[0] + k, low[1]] + part[1] * grid[low[0] + k, low[1] + 1] for k in (0, 1)
        ]
        return np.asarray((1 - part[0]) * rows[0] + part[0] * rows[1])

    @property
    def px_per_position(self) -> float:
        """Growth of the blur radius per position, over the table in the mean."""
        at = np.asarray(self.positions)
        away = np.abs(np.subtract.outer(at, at))
        return float(np.asarray(self.radius_px).sum() / away.sum())

    @property
    def largest_px(self) -> float:
        """Largest radius in the table."""
        return float(np.max(self.radius_px))

    def save(self, path: str | Path) -> None:
        """Write it as TOML, which `load_recipe("simulator/defocus", ...)` and the simulator read."""

        def row(values: Sequence[float], digits: int) -> str:
            return "[" + ", ".join(f"{value:.{digits}f}" for value in values) + "]"

        def grid(name: str, values: Sequence[Sequence[float]], digits: int) -> str:
            return f"{name} = [\n" + "".join(f"  {row(line, digits)},\n" for line in values) + "]\n"

        text = (
            f'camera = "{self.camera}"\npicture_width = {self.picture_width}\ngamma = {self.gamma:g}\n'
            f'kernel = "{self.kernel}"\ndepth_of_field = {self.depth_of_field:g}\n'
            f"positions = {row(self.positions, 1)}\n"
            f"# rows: position in focus; columns: position of the lens\n"
        )
        text += grid("radius_px", self.radius_px, 3) + grid("scale", self.scale, 5)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def table_of_lens(
    lens: Lens,
    focus: np.ndarray,
    positions: Sequence[float],
    *,
    picture_width: int,
    gamma: float = 2.4,
    depth_of_field: float = 20.0,
    camera: str = "",
) -> DefocusTable:
    """The table that a thin lens has; ``focus`` [dioptre] (P,) at each position."""
    focus = np.asarray(focus, np.float64)
    radius = np.abs(lens.coc_px(focus[:, None], focus[None, :])) / 2
    size = optics.magnification(lens.focal_length_m, focus, lens.breathing)
    scale = size[None, :] / size[:, None]
    return DefocusTable.of(
        positions,
        radius,
        scale,
        picture_width=picture_width,
        gamma=gamma,
        kernel="disc",
        depth_of_field=depth_of_field,
        camera=camera,
    )


def drive_focus(lens: Lens, positions: np.ndarray, far: float, near: float) -> np.ndarray:
    """Focus [dioptre] of positions of a drive that moves the sensor evenly, from ``far`` to ``near``."""
    at = np.asarray(positions, np.float64)
    ends = [optics.sensor_distance_m(lens.focal_length_m, end) for end in (far, near)]
    distance = ends[0] + (at - at[0]) / (at[-1] - at[0]) * (ends[1] - ends[0])
    return np.maximum(1 / lens.focal_length_m - 1 / distance, 0.0)
