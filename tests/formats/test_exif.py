"""EXIF: subject distance in metres or dioptres, and the lens."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from dff.formats.exif import distance_unit, lens_parts, read_exif
from dff.formats.read import read_stack

FOUR = [f"s{k}.jpg" for k in range(4)]
INFINITY = IFDRational(0xFFFFFFFF, 1)


def _stack(save_stack, exif_of, distances, **details):
    return save_stack(FOUR, exif=[exif_of(distance=d, **details) for d in distances])


def _quiet(source):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_stack(source)


def test_metres_as_the_standard_says(save_stack, exif_of):
    stack = _quiet(_stack(save_stack, exif_of, [2.0, 1.0, 0.5, 0.2]))
    np.testing.assert_allclose(stack.focus, [0.5, 1, 2, 5])
    assert stack.origin == "EXIF SubjectDistance, as metres (the unit of the EXIF standard)"


def test_infinity(save_stack, exif_of):
    stack = _quiet(
        _stack(save_stack, exif_of, [INFINITY, IFDRational(2, 1), IFDRational(1, 2), IFDRational(1, 4)])
    )
    np.testing.assert_allclose(stack.focus, [0, 0.5, 2, 4])


@pytest.mark.parametrize(
    ("values", "details", "evidence"),
    [
        ([0.0, 1.0, 2.5, 6.0], {}, "one is 0"),
        ([1.0, 2.0, 3.0, 4.0], {}, "steps are equal"),
        ([0.05, 0.8, 3.0, 9.0], {"focal_mm": 60.0}, "inside the 60 mm lens"),
    ],
)
def test_dioptres_are_found_out_and_said(save_stack, exif_of, values, details, evidence):
    with pytest.warns(UserWarning, match=f"read as dioptres, not metres: .*{evidence}"):
        stack = read_stack(_stack(save_stack, exif_of, values, **details))
    np.testing.assert_allclose(stack.focus, values)
    assert stack.origin.startswith("EXIF SubjectDistance, as dioptres")


@pytest.mark.parametrize(
    ("values", "maker", "focal", "unit"),
    [
        ([1, 2, 3, 4], "RaspberryPi", None, "m"),
        ([math.inf, 2, 1, 0.5], "", None, "m"),
        ([30, 10, 3], "", 0.05, "m"),
        ([0.25, 1 / 3, 0.5, 1], "", None, "m"),
        ([0.1, 0.15, 0.3, 0.7, 1.5], "", 0.0029, "m"),
        ([4, 3, 2, 1], "", None, "dioptre"),
        ([2, 1], "", None, "m"),
    ],
)
def test_evidence_for_the_unit(values, maker, focal, unit):
    assert distance_unit(values, maker, focal)[0] == unit


@pytest.mark.parametrize("value", [0.0, 0.35, INFINITY])
def test_a_constant_is_ignored_quietly(save_stack, exif_of, value):
    assert _quiet(_stack(save_stack, exif_of, [value] * 4)).unit == "index"


@pytest.mark.parametrize(
    ("values", "make", "message"),
    [
        ([2.0, 1.0, 1.0, 0.5], "", r"s1\.jpg and s2\.jpg have the same value 1"),
        ([2.0, None, 1.0, 0.5], "", r"only 3 of 4 slices have it \(s1\.jpg has none\)"),
        ([2.0, 0.0, 1.0, 0.5], "RaspberryPi", "0 m stands for unknown"),
    ],
)
def test_what_makes_no_sense_is_ignored_with_a_reason(save_stack, exif_of, values, make, message):
    with pytest.warns(UserWarning, match=f"EXIF SubjectDistance is ignored: {message}"):
        assert read_stack(_stack(save_stack, exif_of, values, make=make)).unit == "index"


def test_lens_from_focal_plane_resolution(save_stack, exif_of):
    # 4000 px wide as taken, 32 px now: pixels are 125 times as large.
    exif = exif_of(focal_mm=50.0, f_number=2.8, plane_x=2500.0, plane_unit=3, image_width=4000)
    lens = read_stack(save_stack(FOUR, exif=[exif] * 4)).lens
    assert lens.focal_length_m == pytest.approx(0.05)
    assert lens.f_number == pytest.approx(2.8)
    assert lens.pixel_pitch_m == pytest.approx(4e-6 * 125)


def test_lens_from_the_35_mm_equivalent(exif_of):
    exif = Image.Exif()
    exif.load(exif_of(focal_mm=4.38, f_number=1.8, film_mm=27).tobytes())
    parts = lens_parts(exif, 4032, 3024)
    assert parts["pixel_pitch_m"] == pytest.approx(1.39e-6, rel=0.01)  # a 7 mm sensor diagonal


def test_part_of_a_lens_is_no_lens_until_stack_toml_completes_it(save_stack, exif_of):
    folder = save_stack(FOUR, exif=[exif_of(focal_mm=4.0)] * 4)
    assert _quiet(folder).lens is None
    (folder / "stack.toml").write_text("[lens]\nf_number = 2\npixel_pitch_um = 1.4")
    assert _quiet(folder).lens.focal_length_m == pytest.approx(4e-3)


def test_zero_and_broken_fields_are_unknown(exif_of):
    exif = Image.Exif()
    exif.load(exif_of(focal_mm=0.0, f_number=IFDRational(1, 0), plane_x=100.0, plane_unit=99).tobytes())
    assert lens_parts(exif, 40, 30) == {}


def test_tiff_and_png_carry_exif_too(tmp_path, exif_of, picture):
    for suffix in ("tif", "png", "webp"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(picture(0)).save(path, exif=exif_of(focal_mm=4.38, make="ACME").tobytes())
        exif = read_exif(path)
        assert exif[271] == "ACME"
        assert exif.get_ifd(0x8769)[37386] == pytest.approx(4.38)


def test_damaged_exif_does_not_stop_reading(save_stack):
    folder = save_stack(FOUR, exif=[b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01"] * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_stack(folder).exif is None
