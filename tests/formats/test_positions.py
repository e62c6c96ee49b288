"""Focus positions: the argument, precedence, focus_distance.txt, JSON, and file names."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from dff.formats.read import read_stack

THREE = ["s1.png", "s2.png", "s10.png"]


def _quiet(source, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_stack(source, **kwargs)


def _beside(folder, names, tables, end=".json"):
    for name, table in zip(names, tables, strict=True):
        (folder / (Path(name).stem + end)).write_text(json.dumps(table))


# --- the argument


@pytest.mark.parametrize(
    ("focus", "unit", "dioptres"),
    [
        ([2, 1, 0.5], "m", [0.5, 1, 2]),
        (np.array([2, 1, 0.5]), "m", [0.5, 1, 2]),
        ((math.inf, 200, 50), "cm", [0, 0.5, 2]),
        ([500, 250, 200], "mm", [2, 4, 5]),
        ([0, 1.5, 4], "dioptre", [0, 1.5, 4]),
        ("2,1,0.5", "m", [0.5, 1, 2]),
        ("30cm, 50cm, inf", "m", [1 / 0.3, 2, 0]),
        ("0 1.5 4", "dioptre", [0, 1.5, 4]),
        ("0D 1.5D 4D", "m", [0, 1.5, 4]),
        (["1m", "2D", 0.25], "m", [1, 2, 4]),
    ],
)
def test_argument(save_stack, focus, unit, dioptres):
    stack = _quiet(save_stack(THREE), focus=focus, focus_unit=unit)
    assert stack.unit == "dioptre"
    assert stack.origin == "given"
    np.testing.assert_allclose(stack.focus, dioptres)


def test_argument_of_stage_heights(save_stack):
    for focus, unit in (([-2, 0, 5], "um"), ("-2um,0um,5um", "m")):
        stack = _quiet(save_stack(THREE), focus=focus, focus_unit=unit)
        assert stack.unit == "um"
        np.testing.assert_allclose(stack.z_um, [-2, 0, 5])


@pytest.mark.parametrize("as_path", [str, Path])
def test_argument_names_a_text_file(save_stack, tmp_path, as_path):
    path = tmp_path / "distances.txt"
    path.write_text("# metres, far first\ninf\n2.0\n50 cm  # near\n")
    stack = _quiet(save_stack(THREE), focus=as_path(path))
    np.testing.assert_allclose(stack.focus, [0, 0.5, 2])
    assert stack.origin == f"given in {path}"


@pytest.mark.parametrize(
    ("focus", "message"),
    [
        ([1, 2], "focus: 2 values for 3 slices"),
        ("1,2,3,4", "focus: 4 values for 3 slices"),
        ([1, 2, -3], "focus: negative value"),
        ([1, 2, math.nan], "focus: NaN"),
        ("1,2,nan", "focus: NaN"),
        ([1, 2, 2], "slices 1 and 2 have the same value"),
        ([1, 2, 0], "focus at 0 m is inside the lens"),
        ("1,2,near", "'near' is no focus position"),
        ([1, 2, None], "None is not a number"),
        ("", "holds no numbers"),
    ],
)
def test_wrong_argument(save_stack, focus, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_stack(save_stack(THREE), focus=focus)
    assert "\n" not in str(caught.value)


def test_wrong_file_is_named(save_stack, tmp_path):
    folder = save_stack(THREE)
    (tmp_path / "d.txt").write_text("1\n2\n")
    with pytest.raises(ValueError, match=r"d\.txt: 2 values for 3 slices"):
        read_stack(folder, focus=tmp_path / "d.txt")
    with pytest.raises(FileNotFoundError, match=r"gone\.txt: no such file"):
        read_stack(folder, focus=str(tmp_path / "gone.txt"))
    with pytest.raises(ValueError, match="not a text file"):
        read_stack(folder, focus=folder / "s1.png")
    with pytest.raises(ValueError, match="focus unit 'feet'"):
        read_stack(folder, focus_unit="feet")


# --- precedence


def test_precedence(tmp_path, save_stack, exif_of):
    exifs = [exif_of(distance=d, make="RaspberryPi") for d in (4.0, 2.0, 1.0)]
    folder = save_stack(["i_1D.jpg", "i_2D.jpg", "i_3D.jpg"], exif=exifs)
    with pytest.warns(UserWarning, match="file names are not used for focus"):
        assert "EXIF" in read_stack(folder, focus_from_names=True).origin
    _beside(folder, ["i_1D", "i_2D", "i_3D"], [{"LensPosition": d} for d in (5.0, 6.0, 7.0)])
    assert "LensPosition" in _quiet(folder).origin
    (folder / "focus_distance.txt").write_text("3m\n2m\n1m\n")
    assert _quiet(folder).origin == "focus_distance.txt (units as written)"
    (folder / "stack.toml").write_text("focus_m = [8, 4, 2]")
    assert _quiet(folder).origin == "stack.toml: focus_m"
    stack = _quiet(folder, focus=[1, 2, 3])
    np.testing.assert_allclose(stack.focus, [1, 1 / 2, 1 / 3])


# --- focus_distance.txt


def _with_txt(folder, distances, focal=None):
    (folder / "focus_distance.txt").write_text("\n".join(map(str, distances)) + "\n")
    if focal is not None:
        (folder / "focal_length.txt").write_text(f"{focal}\n")
    return folder


@pytest.mark.parametrize(
    ("distances", "focal", "metres", "focal_m", "warns"),
    [
        ([7223525.79, 58.3, 10.0], 0.2, [72235.2579, 0.583, 0.1], 2e-3, "read as cm .could be m"),
        ([4, 1, 0.1], 0.00438, [4, 1, 0.1], 4.38e-3, ""),
        ([4000, 1000, 450], 50, [4, 1, 0.45], 0.05, "read as mm .could be cm"),
        ([400, 100, 45], 0.9, [4, 1, 0.45], 9e-3, ""),
        ([4, 1, 0.5], 4.38, [4, 1, 0.5], 4.38e-3, "read as metres, and focal_length.txt as mm"),
        ([4, 1, 0.5], None, [4, 1, 0.5], None, "no unit is written; read as metres"),
    ],
)
def test_unit_of_focus_distance_txt_is_guessed(save_stack, distances, focal, metres, focal_m, warns):
    folder = _with_txt(save_stack(THREE), distances, focal)
    (folder / "stack.toml").write_text("[lens]\nf_number = 2\npixel_pitch_um = 1.4\nfocal_length_mm = 7")
    if focal_m is not None:
        (folder / "stack.toml").write_text("[lens]\nf_number = 2\npixel_pitch_um = 1.4")
    if warns:
        with pytest.warns(UserWarning, match=warns):
            stack = read_stack(folder)
    else:
        stack = _quiet(folder)
    np.testing.assert_allclose(1 / stack.focus, metres)
    assert stack.lens.focal_length_m == pytest.approx(focal_m or 7e-3)
    assert "focus_distance.txt" in stack.origin


def test_units_in_focus_distance_txt_are_certain(save_stack):
    folder = _with_txt(save_stack(THREE), ["inf", "58.3 cm", "10cm"], "2mm")
    np.testing.assert_allclose(_quiet(folder).focus, [0, 1 / 0.583, 10])
    np.testing.assert_allclose(
        _quiet(_with_txt(folder, [0.5, 1, 2]), focus_unit="dioptre").focus, [0.5, 1, 2]
    )


@pytest.mark.parametrize(
    ("distances", "focal", "message"),
    [
        ([1, 2], None, "2 values for 3 slices"),
        ([1, 2, -1], None, "negative"),
        ([1, 2, "nan"], None, "NaN"),
        ([1, 2, 2], None, "same value"),
        ([1, 2, "x"], None, "'x' is no focus position"),
        ([1, 2, "3cm"], None, "some numbers have a unit and 1 has none"),
        ([], None, "holds no numbers"),
        ([3, 2, 1], 1e-5, "1e-05 is no focal length"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_wrong_focus_distance_txt(save_stack, distances, focal, message):
    with pytest.raises(ValueError, match=rf"(focus_distance|focal_length)\.txt.*{message}"):
        read_stack(_with_txt(save_stack(THREE), distances, focal))


def test_part_of_a_folder_with_focus_distance_txt(save_stack):
    folder = _with_txt(save_stack(THREE), ["1m", "2m", "4m"])
    stack = _quiet([folder / "s10.png", folder / "s1.png"])
    np.testing.assert_allclose(stack.focus, [0.25, 1])


# --- JSON


@pytest.mark.parametrize(
    ("table", "end"),
    [
        (lambda d: {"ExposureTime": 10, "LensPosition": d}, ".json"),
        (lambda d: {"LensPosition": d}, "_metadata.json"),
        (lambda d: {"LENS_FOCUS_DISTANCE": d, "LENS_INFO_FOCUS_DISTANCE_CALIBRATION": 1}, ".png.json"),
        (lambda d: {"result": {"android.lens.focusDistance": d}}, ".json"),
    ],
)
def test_json(save_stack, table, end):
    folder = save_stack(THREE)
    _beside(folder, THREE, [table(d) for d in (0.0, 1.5, 10)], end)
    stack = _quiet(folder)
    np.testing.assert_allclose(stack.focus, [0, 1.5, 10])
    assert "dioptres" in stack.origin


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1.0, 1.0, 1.0), "1 for all slices"),
        ((1.0, 2.0, 1.0), r"s1\.png and s10\.png have the same value 1"),
        ((1.0, None, 3.0), r"only 2 of 3 slices have it \(s2\.png has none\)"),
        ((1.0, -2.0, 3.0), "negative or NaN"),
        ((1.0, math.nan, 3.0), "negative or NaN"),
        ((1.0, math.inf, 3.0), "infinite"),
    ],
)
def test_json_that_makes_no_sense_is_ignored(save_stack, values, message):
    folder = save_stack(THREE)
    _beside(folder, THREE, [{"LensPosition": v} if v is not None else {} for v in values])
    with pytest.warns(UserWarning, match=f"LensPosition.*is ignored: .*{message}"):
        assert read_stack(folder).unit == "index"


@pytest.mark.filterwarnings("ignore:LensPosition")
def test_uncalibrated_and_broken_json(save_stack):
    folder = save_stack(THREE)
    uncalibrated = {"LENS_INFO_FOCUS_DISTANCE_CALIBRATION": "UNCALIBRATED"}
    _beside(folder, THREE, [{"LENS_FOCUS_DISTANCE": d, **uncalibrated} for d in (1, 2, 3)])
    with pytest.warns(UserWarning, match="UNCALIBRATED"):
        assert read_stack(folder).unit == "index"
    _beside(folder, THREE, [{"LensPosition": d} for d in (1, 2, 3)])
    (folder / "s2.json").write_text("{")
    with pytest.warns(UserWarning, match=r"s2\.json: not readable as JSON"):
        assert read_stack(folder).unit == "index"


def test_other_json_is_nothing_to_speak_of(save_stack):
    folder = save_stack(THREE)
    _beside(folder, THREE, [{"title": "x"}, [1, 2], {"LensPosition": "auto"}])
    assert _quiet(folder).unit == "index"


# --- file names


@pytest.mark.parametrize(
    ("names", "unit", "kind", "values"),
    [
        (["img_0.25m", "img_0.5m", "img_1m"], "m", "dioptre", [4, 2, 1]),
        (["focus_250mm", "focus_500mm", "focus_1000mm"], "m", "dioptre", [4, 2, 1]),
        (["a-10cm-x", "a-20cm-x", "a-50cm-x"], "m", "dioptre", [10, 5, 2]),
        (["IMG_001_0D", "IMG_002_1.5D", "IMG_003_3D"], "m", "dioptre", [0, 1.5, 3]),
        (["10.0", "16.43", "100.0"], "cm", "dioptre", [10, 1 / 0.1643, 1]),
        (["z-12um", "z-6um", "z0um"], "m", "um", [-12, -6, 0]),
        (["z_-12um", "z_0um", "z_12um"], "m", "um", [-12, 0, 12]),
        (["stack-2um", "stack-4um", "stack-8um"], "m", "um", [2, 4, 8]),
        (["run7_1", "run7_2", "run7_4"], "dioptre", "dioptre", [1, 2, 4]),
    ],
)
def test_file_names(save_stack, names, unit, kind, values):
    folder = save_stack([f"{name}.png" for name in names])
    order = [f"{name}.png" for name in names]
    stack = _quiet([folder / name for name in reversed(order)], focus_unit=unit, focus_from_names=True)
    found = dict(zip(stack.names, stack.positions, strict=True))
    assert stack.unit == kind
    np.testing.assert_allclose([found[name] for name in order], values)
    assert stack.origin == "numbers in the file names"
    assert _quiet(folder).unit == "index", "not unless asked"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b", "c"], "no single number changes"),
        (["s1_5", "s2_6", "s3_7"], "no single number changes"),
        (["s1_0.5m", "s2_1m", "s3"], "s3 does not have exactly one number with a unit"),
        (["s1_0.5m", "s2_0.5m", "s3_1m"], "same value"),
        (["s1_0m", "s2_0.5m", "s3_1m"], "inside the lens"),
    ],
)
def test_file_names_without_focus(save_stack, names, message):
    folder = save_stack([f"{name}.png" for name in names])
    with pytest.raises(ValueError, match=f"file names.*{message}"):
        read_stack(folder, focus_from_names=True, series=False)


def test_file_names_of_a_container(tmp_path):
    import tifffile

    tifffile.imwrite(
        tmp_path / "s.tif", np.arange(60, dtype=np.uint8).reshape(3, 4, 5), photometric="minisblack"
    )
    with pytest.raises(ValueError, match=r"s\.tif: focus_from_names needs one file per slice"):
        read_stack(tmp_path / "s.tif", focus_from_names=True)


def test_order_is_kept_and_far_first_sorts(save_stack):
    stack = _quiet(save_stack(THREE), focus=[0.5, 4, 1])
    assert stack.names == tuple(THREE)
    assert stack.far_first().names == ("s2.png", "s10.png", "s1.png")
