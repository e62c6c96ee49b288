"""Focus positions as people write them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dff.formats.units import check_unit, convert, parse_quantity, split_numbers


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("0.35", 0.35, "m"), ("35cm", 35, "cm"), ("350 mm", 350, "mm"), ("2.5D", 2.5, "dioptre"),
        ("2.5dpt", 2.5, "dioptre"), ("2.5 1/m", 2.5, "dioptre"), ("inf", math.inf, "m"), ("∞", math.inf, "m"),
        ("-12um", -12, "um"), ("3µm", 3, "um"), ("1e-1m", 0.1, "m"), (".5", 0.5, "m"),
    ],
)  # fmt: skip
def test_parse(text, value, unit):
    assert parse_quantity(text, "m", "focus") == (value, unit)


@pytest.mark.parametrize("text", ["", "abc", "1km", "1.2.3", "m"])
def test_parse_refuses(text):
    with pytest.raises(ValueError, match="no focus position"):
        parse_quantity(text, "m", "focus")


def test_split():
    assert split_numbers("0.3, 0.5;1.2\n10 cm  # near\n\n# all\ninf") == ["0.3", "0.5", "1.2", "10cm", "inf"]


def test_check_unit():
    assert check_unit("D") == check_unit("diopter") == "dioptre"
    with pytest.raises(ValueError, match="use m, cm, mm, dioptre or um"):
        check_unit("feet")


def test_convert():
    kind, values = convert([(0.5, "m"), (25, "cm"), (3, "dioptre"), (math.inf, "m")], 4, "focus")
    assert kind == "dioptre"
    np.testing.assert_allclose(values, [2, 4, 3, 0])
    kind, values = convert([(-1, "um"), (0, "um")], 2, "focus")
    assert kind == "um"
    np.testing.assert_allclose(values, [-1, 0])


@pytest.mark.parametrize(
    ("quantities", "message"),
    [
        ([(1, "m")], "1 values for 2 slices"),
        ([(1, "m"), (-2, "m")], "negative"),
        ([(1, "m"), (math.nan, "m")], "NaN"),
        ([(1, "m"), (0, "m")], "inside the lens"),
        ([(1, "m"), (1, "dioptre")], "slices 0 and 1 have the same value"),
        ([(1, "m"), (1, "um")], "mixes stage heights"),
        ([(1, "dioptre"), (math.inf, "dioptre")], "NaN or infinite"),
        ([(1, "dioptre"), (-1, "dioptre")], "negative"),
        ([(1, "um"), (math.nan, "um")], "NaN or infinite"),
    ],
)
def test_convert_refuses(quantities, message):
    with pytest.raises(ValueError, match=f"d.toml.*{message}"):
        convert(quantities, 2, "d.toml")
