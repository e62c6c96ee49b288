"""Thin-lens optics. Focus and object distance are dioptres (1/m), lengths metres, blur a diameter in pixels.

Every function is pure and takes floats, numpy arrays or torch tensors, and broadcasts.
"""

from __future__ import annotations

from typing import Any

# A float, a numpy array or a torch tensor: the formulas below are plain arithmetic on any of them.
Real = Any


def sensor_distance_m(focal_length_m: Real, focus: Real) -> Real:
    """Lens-to-sensor distance [m] that brings ``focus`` [dioptre, 0 = infinity] into focus (thin lens)."""
    return focal_length_m / (1 - focal_length_m * focus)


def magnification(focal_length_m: Real, focus: Real, breathing: Real = 1.0) -> Real:
    """Image scale at ``focus`` relative to focus at infinity; 1 at infinity, larger when nearer.

    A thin lens moves away from the sensor as it focuses nearer, so the image grows by f D / (1 - f D).
    ``breathing`` multiplies that growth: 1 is the thin lens, measured phones and tablets show 1.2 to 3.
    """
    return 1 + breathing * focal_length_m * focus / (1 - focal_length_m * focus)


def coc_px(dioptre: Real, focus: Real, *, focal_length_m: Real, f_number: Real, pixel_pitch_m: Real) -> Real:
    """Signed circle of confusion: diameter in pixels of an object at ``dioptre`` when focused at ``focus``.

    Positive for objects nearer than the focus. Linear in the dioptre difference: the physical aperture
    f/N times the lens-to-sensor distance times (dioptre - focus).
    """
    aperture_m = focal_length_m / f_number
    return aperture_m * sensor_distance_m(focal_length_m, focus) * (dioptre - focus) / pixel_pitch_m


def dioptre_of_coc(
    coc: Real, focus: Real, *, focal_length_m: Real, f_number: Real, pixel_pitch_m: Real
) -> Real:
    """Object distance [dioptre] whose signed circle of confusion is ``coc`` px: the inverse of `coc_px`."""
    aperture_m = focal_length_m / f_number
    return focus + coc * pixel_pitch_m / (aperture_m * sensor_distance_m(focal_length_m, focus))


def depth_of_field(
    focus: Real, *, focal_length_m: Real, f_number: Real, pixel_pitch_m: Real, max_coc_px: Real = 1.0
) -> tuple[Real, Real]:
    """Far and near limit [dioptre] between which the blur diameter stays within ``max_coc_px`` pixels.

    A far limit below 0 means "beyond infinity": everything behind the near limit is acceptably sharp.
    """
    lens = {"focal_length_m": focal_length_m, "f_number": f_number, "pixel_pitch_m": pixel_pitch_m}
    return dioptre_of_coc(-max_coc_px, focus, **lens), dioptre_of_coc(max_coc_px, focus, **lens)


def hyperfocal(*, focal_length_m: Real, f_number: Real, pixel_pitch_m: Real, max_coc_px: Real = 1.0) -> Real:
    """Focus [dioptre] at which infinity is just blurred by ``max_coc_px`` pixels.

    Solves aperture * v(D) * D = max_coc_px * pitch for D, the textbook H = f^2 / (N c) + f in dioptres.
    """
    coc_m = max_coc_px * pixel_pitch_m
    return coc_m / (focal_length_m * (focal_length_m / f_number + coc_m))
