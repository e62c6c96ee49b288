"""Defocus tables measured from pictures, and the cameras that they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dff import optics
from dff.calibration.search import Found, Limits, coarse_to_fine
from dff.calibration.table import DefocusTable
from dff.camera import Lens
from dff.formats.safe_write import atomic_path

Search = Callable[[np.ndarray, np.ndarray, float, Limits], Found]


def measure_table(
    pictures: Callable[[int, int], np.ndarray],
    positions: Sequence[float],
    *,
    picture_width: int,
    gamma: float = 2.4,
    limits: Limits | None = None,
    search: Search = coarse_to_fine,
    depth_of_field: float = 20.0,
    camera: str = "",
    told: Callable[[int, int, Found], None] | None = None,
) -> DefocusTable:
    """Radius and scale for every pair of positions.

    Args:
        pictures: (a, b) -> (H,W) display values of a thing in focus at position a, taken from position b.
        positions: rising.
        search: `brute_force` or `coarse_to_fine`.
        told: called with every pair and what was found.

    Raises:
        ValueError: pictures that the search cannot use, or fewer than two positions.
    """
    limits = limits or Limits()
    count = len(positions)
    radius, scale = np.zeros((count, count)), np.ones((count, count))
    for a in range(count):
        sharp = pictures(a, a)
        for b in range(count):
            if a == b:
                continue
            found = search(sharp, pictures(a, b), gamma, limits)
            radius[a, b], scale[a, b] = found.radius_px, found.scale
            if told is not None:
                told(a, b, found)
    return DefocusTable.of(
        positions,
        radius,
        scale,
        picture_width=picture_width,
        gamma=gamma,
        kernel=limits.kernel,
        depth_of_field=depth_of_field,
        camera=camera,
    )


def fitted_lens(table: DefocusTable, focus: np.ndarray, focal_length_m: float, pixel_pitch_m: float) -> Lens:
    """The thin lens nearest to a table of discs: its f-number from the radii, its breathing from the scales.

    Neither can be told from pictures without the other two lengths, so these are given.

    Args:
        focus: (P,) dioptres in focus at the table's positions, rising.

    Raises:
        ValueError: a table of Gaussians, or focus that does not fit the table.
    """
    focus = np.asarray(focus, np.float64)
    if table.kernel != "disc":
        raise ValueError("a lens is fitted to discs; measure the table with kernel disc")
    if focus.shape != (len(table.positions),) or np.any(np.diff(focus) <= 0):
        raise ValueError(f"focus: give {len(table.positions)} rising dioptres, one per position of the table")
    distance = optics.sensor_distance_m(focal_length_m, focus)
    # radius = f / N * distance * |difference| / pitch / 2, linear in 1 / N
    unit = focal_length_m * distance[None, :] * np.abs(focus[:, None] - focus[None, :]) / pixel_pitch_m / 2
    radius = np.asarray(table.radius_px)
    f_number = float((unit * unit).sum() / (unit * radius).sum())
    grown = optics.magnification(focal_length_m, focus) - 1
    # scale = (1 + b g_lens) / (1 + b g_object)  ->  scale - 1 = b (g_lens - scale g_object)
    scale = np.asarray(table.scale)
    slope = grown[None, :] - scale * grown[:, None]
    breathing = float((slope * (scale - 1)).sum() / max((slope * slope).sum(), 1e-30))
    return Lens(focal_length_m, f_number, pixel_pitch_m, breathing)


def save_camera(
    path: str | Path,
    lens: Lens,
    focus: np.ndarray,
    size: tuple[int, int],
    *,
    drift_px: tuple[float, float] = (0.0, 0.0),
    name: str = "",
) -> None:
    """Write a camera that the simulator reads (simulator/cameras).

    Args:
        focus: (N,) rising dioptres, its ladder.
        size: (height, width) of its pictures, which the pixel pitch of ``lens`` belongs to.
        drift_px: way of the picture's centre from the far to the near end.
        name: a remark at the top.
    """
    lines = [
        f"# {name or 'A camera'}, measured",
        f"picture_width = {size[1]}",
        f"picture_height = {size[0]}",
        "",
        "[lens]",
        f"focal_length_m = {lens.focal_length_m:.9g}",
        f"f_number = {lens.f_number:.6g}",
        f"pixel_pitch_m = {lens.pixel_pitch_m:.9g}",
        f"breathing = {lens.breathing:.6g}",
        "",
        "[ladder]",
        f"far_dioptre = {float(focus[0]):.6g}",
        f"near_dioptre = {float(focus[-1]):.6g}",
        f"n_slices = {len(focus)}",
        "",
        "[motion]",
        f"drift_px = [{drift_px[0]:.4f}, {drift_px[1]:.4f}]",
    ]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def differences(a: DefocusTable, b: DefocusTable) -> tuple[float, float]:
    """Largest difference of radius [px] and of scale between two tables of the same positions."""
    if a.positions != b.positions:
        b = replace(
            b,
            positions=a.positions,
            radius_px=_resampled(b.radius, a.positions),
            scale=_resampled(b.scale_at, a.positions),
        )
    radius = np.abs(np.asarray(a.radius_px) - np.asarray(b.radius_px)).max()
    scale = np.abs(np.asarray(a.scale) - np.asarray(b.scale)).max()
    return float(radius), float(scale)


def _resampled(
    of: Callable[[np.ndarray, np.ndarray], np.ndarray], positions: Sequence[float]
) -> tuple[tuple[float, ...], ...]:
    at = np.asarray(positions)
    return tuple(map(tuple, of(at[:, None], at[None, :]).tolist()))
