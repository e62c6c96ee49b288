"""Thin-lens identities, and the blur diameter against rays drawn through the lens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dff import optics

CAMERA = {"focal_length_m": 0.05, "f_number": 2.0, "pixel_pitch_m": 5e-6}
PHONE = {"focal_length_m": 0.00443, "f_number": 1.8, "pixel_pitch_m": 1.4e-6}


@pytest.mark.parametrize("focus", [0.0, 0.5, 2.0, 10.0])
def test_sensor_distance_solves_the_lens_equation(focus: float) -> None:
    v = optics.sensor_distance_m(0.05, focus)
    assert 1 / v + focus == pytest.approx(1 / 0.05)
    if focus == 0:
        assert v == 0.05


def blur_by_rays(dioptre: float, focus: float, *, focal_length_m: float, f_number: float) -> float:
    """Distance on the sensor [m] between the rays through the two ends of the aperture."""
    edge = focal_length_m / f_number / 2
    sensor = 1 / (1 / focal_length_m - focus)
    hits = []
    for height in (edge, -edge):
        # a point on the axis sends a ray to height h on the lens, which bends it by h / f
        slope = height * dioptre - height / focal_length_m
        hits.append(height + slope * sensor)
    return hits[0] - hits[1]


@pytest.mark.parametrize("lens", [CAMERA, PHONE])
@pytest.mark.parametrize(("dioptre", "focus"), [(0.0, 2.0), (0.2, 1.0), (5.0, 0.0), (3.0, 2.5), (1.0, 1.0)])
def test_coc_is_the_diameter_of_the_ray_cone_on_the_sensor(lens: dict, dioptre: float, focus: float) -> None:
    optical = {name: lens[name] for name in ("focal_length_m", "f_number")}
    expected = blur_by_rays(dioptre, focus, **optical) / lens["pixel_pitch_m"]
    assert optics.coc_px(dioptre, focus, **lens) == pytest.approx(expected, abs=1e-9)


def test_coc_is_the_textbook_diameter_in_metres() -> None:
    # A |s - d| / s * f / (d - f) for an object at s, focus at d
    s, d, f, aperture = 3.0, 1.5, CAMERA["focal_length_m"], 0.025
    textbook = aperture * abs(s - d) / s * f / (d - f) / CAMERA["pixel_pitch_m"]
    assert abs(optics.coc_px(1 / s, 1 / d, **CAMERA)) == pytest.approx(textbook)


def test_coc_is_linear_in_dioptres_and_positive_for_nearer_objects() -> None:
    dioptre = np.linspace(0, 8, 9)
    blur = optics.coc_px(dioptre, 3.0, **PHONE)
    assert np.allclose(np.diff(blur), blur[1] - blur[0])
    assert np.array_equal(np.sign(blur), np.sign(dioptre - 3))
    doubled = optics.coc_px(dioptre, 3.0, **{**PHONE, "pixel_pitch_m": PHONE["pixel_pitch_m"] / 2})
    assert np.allclose(doubled, 2 * blur)
    stopped_down = optics.coc_px(dioptre, 3.0, **{**PHONE, "f_number": 3.6})
    assert np.allclose(stopped_down, blur / 2)


def test_dioptre_of_coc_inverts_coc() -> None:
    dioptre = np.linspace(0, 12, 25)
    blur = optics.coc_px(dioptre, 4.0, **PHONE)
    assert np.allclose(optics.dioptre_of_coc(blur, 4.0, **PHONE), dioptre)


@pytest.mark.parametrize("max_coc_px", [0.5, 1.0, 3.0])
def test_depth_of_field_ends_where_the_blur_reaches_the_limit(max_coc_px: float) -> None:
    far, near = optics.depth_of_field(2.0, **CAMERA, max_coc_px=max_coc_px)
    assert far < 2.0 < near
    assert optics.coc_px(near, 2.0, **CAMERA) == pytest.approx(max_coc_px)
    assert optics.coc_px(far, 2.0, **CAMERA) == pytest.approx(-max_coc_px)


def test_depth_of_field_far_limit_below_zero_means_beyond_infinity() -> None:
    far, near = optics.depth_of_field(0.1, **PHONE, max_coc_px=2.0)
    assert far < 0 < near


@pytest.mark.parametrize("lens", [CAMERA, PHONE])
def test_hyperfocal_is_the_textbook_distance(lens: dict) -> None:
    focus = optics.hyperfocal(**lens, max_coc_px=2.0)
    f, coc_m = lens["focal_length_m"], 2.0 * lens["pixel_pitch_m"]
    assert 1 / focus == pytest.approx(f**2 / (lens["f_number"] * coc_m) + f)
    assert optics.coc_px(0.0, focus, **lens) == pytest.approx(-2.0)
    far, near = optics.depth_of_field(focus, **lens, max_coc_px=2.0)
    assert far == pytest.approx(0, abs=1e-12)
    assert 1 / near == pytest.approx(1 / (2 * focus), rel=0.01)  # sharp from half the hyperfocal distance


def test_magnification_is_the_ratio_of_sensor_distances() -> None:
    assert optics.magnification(0.05, 0.0) == 1
    expected = optics.sensor_distance_m(0.05, 4.0) / 0.05
    assert optics.magnification(0.05, 4.0) == pytest.approx(expected)
    growth = optics.magnification(0.05, 4.0, breathing=3.0) - 1
    assert growth == pytest.approx(3 * (expected - 1))
    assert optics.magnification(0.05, 4.0, breathing=0.0) == 1


def test_formulas_take_tensors_and_broadcast() -> None:
    dioptre = torch.linspace(0, 4, 5, dtype=torch.float64)[:, None].requires_grad_()
    focus = torch.tensor([0.5, 2.0], dtype=torch.float64)
    blur = optics.coc_px(dioptre, focus, **CAMERA)
    assert blur.shape == (5, 2)
    plain = optics.coc_px(dioptre.detach().numpy(), focus.numpy(), **CAMERA)
    assert np.allclose(blur.detach().numpy(), plain)
    blur.sum().backward()
    assert dioptre.grad is not None
    assert (dioptre.grad > 0).all()
