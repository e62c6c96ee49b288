import json

import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image

from dff.simulator.rgbd_depth import (
    DepthScale,
    calibrated_scale,
    read_depth_numbers,
    stated_scale,
    stretched,
)

DEPTH = np.array([[0.5, 1.0, 2.0], [4.0, 0.25, 1.5]], dtype=np.float32)


def write_pfm(path, values, order="<"):
    scale = -1.0 if order == "<" else 1.0
    height, width = values.shape
    path.write_bytes(
        b"Pf\n%d %d\n%g\n" % (width, height, scale) + values[::-1].astype(f"{order}f4").tobytes()
    )


def write_exr(path, values, channel="Z"):
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {channel: values}).write(str(path))


WRITERS = {
    "a.pfm": write_pfm,
    "big_endian.pfm": lambda path, values: write_pfm(path, values, ">"),
    "a.exr": write_exr,
    "view.exr": lambda path, values: write_exr(path, values, "ViewLayer.Depth.Z"),
    "a.npy": np.save,
    "a.npz": lambda path, values: np.savez(path, values),
    "named.npz": lambda path, values: np.savez(path, depth=values, confidence=DEPTH),
    "a.tif": tifffile.imwrite,
}


@pytest.mark.parametrize("name", WRITERS)
def test_floating_point_files_come_back_with_their_holes(tmp_path, name):
    values = DEPTH.copy()
    values[0, 2], values[1, 0] = np.nan, np.inf
    WRITERS[name](tmp_path / name, values)
    numbers = read_depth_numbers(tmp_path / name)
    assert np.array_equal(numbers, values, equal_nan=True)
    dioptre, valid = DepthScale("m").dioptres(numbers, tmp_path / name)
    assert dioptre.dtype == np.float32
    assert valid.tolist() == [[True, True, False], [False, True, True]]
    assert np.allclose(dioptre[valid], 1 / values[valid])
    assert (dioptre[~valid] == 0).all()


def test_integer_pictures_keep_their_numbers(tmp_path):
    millimetres = np.array([[0, 500], [1000, 65535]], dtype=np.uint16)
    Image.fromarray(millimetres).save(tmp_path / "depth.png")
    tifffile.imwrite(tmp_path / "depth.tif", millimetres)
    grey = np.repeat(np.array([[0, 40], [80, 255]], np.uint8)[..., None], 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    for name in ("depth.png", "depth.tif"):
        dioptre, valid = DepthScale("mm").dioptres(read_depth_numbers(tmp_path / name), tmp_path / name)
        assert valid.tolist() == [[False, True], [True, True]]
        assert dioptre[valid].tolist() == pytest.approx([2.0, 1.0, 1 / 65.535])
    assert read_depth_numbers(tmp_path / "grey.png").tolist() == [[0, 40], [80, 255]]


def test_units_and_scales(tmp_path):
    def of(scale):
        return scale.dioptres(DEPTH, tmp_path)[0]

    assert np.allclose(of(DepthScale("cm")), 100 / DEPTH)
    assert np.allclose(of(DepthScale("m", scale=0.5)), 2 / DEPTH)
    assert np.allclose(of(DepthScale("dioptre")), DEPTH)
    stereo = DepthScale("disparity", focal_px=1000, baseline_m=0.1, offset_px=3)
    assert np.allclose(of(stereo), (DEPTH + 3) / 100)
    free = of(DepthScale("disparity", dioptre_range=(0.5, 2.0)))
    assert (free.min(), free.max()) == (0.5, 2.0)
    assert np.allclose(np.polyfit(DEPTH.ravel(), free.ravel(), 1), [1.5 / 3.75, 0.4], atol=1e-5)


def test_zero_is_infinity_in_floating_dioptres_and_a_hole_elsewhere(tmp_path):
    values = np.array([[0.0, 2.0]], np.float32)
    assert DepthScale("dioptre").dioptres(values, tmp_path)[1].all()
    assert not DepthScale("dioptre").dioptres(values.astype(np.uint8), tmp_path)[1].all()
    assert not DepthScale("m").dioptres(values, tmp_path)[1].all()


def test_stretched_fills_the_range():
    valid = np.array([[True, True, False]])
    assert stretched(np.array([[1.0, 3.0, 99.0]]), valid, (0.5, 1.0))[0, :2].tolist() == [0.5, 1.0]
    assert stretched(np.array([[2.0, 2.0, 99.0]]), valid, (0.5, 1.0))[0, 0] == 0.75


def test_depth_that_cannot_be_is_refused_by_name(tmp_path):
    path = tmp_path / "bad.pfm"
    with pytest.raises(ValueError, match=r"bad\.pfm: holds negative depth \(-1 m\)"):
        DepthScale("m").dioptres(np.array([[-1.0, 2.0]]), path)
    with pytest.raises(ValueError, match=r"bad\.pfm: holds no depth"):
        DepthScale("m").dioptres(np.array([[0.0, np.nan]]), path)
    with pytest.raises(ValueError, match="3 px wide, its calibration is for 6 px"):
        DepthScale("disparity", focal_px=1, baseline_m=1, width_px=6).dioptres(DEPTH, path)


def test_files_that_hold_no_depth_are_refused_by_name(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 5, 3), np.uint8)).save(tmp_path / "jet.png")
    with pytest.raises(ValueError, match=r"jet\.png: holds uint8 \(4, 5, 3\), not one number per pixel"):
        read_depth_numbers(tmp_path / "jet.png")
    write_pfm(tmp_path / "cut.pfm", DEPTH)
    (tmp_path / "cut.pfm").write_bytes((tmp_path / "cut.pfm").read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"cut\.pfm: cannot be read"):
        read_depth_numbers(tmp_path / "cut.pfm")
    np.savez(tmp_path / "two.npz", a=DEPTH, b=DEPTH)
    with pytest.raises(ValueError, match=r"two\.npz.*name one of them depth"):
        read_depth_numbers(tmp_path / "two.npz")
    write_exr(tmp_path / "colour.exr", DEPTH, "ViewLayer.Mist")
    assert np.array_equal(read_depth_numbers(tmp_path / "colour.exr"), DEPTH)


CALIB = """cam0=[3997.684 0 1176.728; 0 3997.684 1011.728; 0 0 1]
cam1=[3997.684 0 1307.839; 0 3997.684 1011.728; 0 0 1]
doffs=131.111
baseline=193.001
width=2964
height=1988
"""


def test_middlebury_calibration(tmp_path):
    (tmp_path / "calib.txt").write_text(CALIB)
    scale = calibrated_scale(tmp_path / "calib.txt")
    disparity = np.full((2, 2964), 200.0, np.float32)
    metres = 0.193001 * 3997.684 / (200 + 131.111)
    assert scale.dioptres(disparity, tmp_path)[0][0, 0] == pytest.approx(1 / metres, rel=1e-6)
    (tmp_path / "calib.txt").write_text("P0: 1 0 0 0")
    assert calibrated_scale(tmp_path / "calib.txt") is None


def test_rgbd_toml(tmp_path):
    path = tmp_path / "rgbd.toml"
    path.write_text('unit = "m"\nscale = 0.0002\n')
    assert stated_scale(path) == DepthScale("m", 0.0002)
    for text, message in (
        ("scale = 2.0", "unit: missing"),
        ('unit = "inch"', "unit: expected"),
        ('unit = "m"\ndepth = 1', "depth: unknown key"),
        ('unit = "m"\nscale = 0', "scale 0.0 must be above 0"),
        ('unit = "m"\nfocal_px = 5', "belong together"),
        ('unit = "disparity"\ndioptre_range = [2, 1]', "far < near"),
        ('unit = "mm"\nfocal_px = 5\nbaseline_m = 1', "is for unit disparity"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as failure:
            stated_scale(path)
        assert str(failure.value).startswith(json.dumps(str(path))[1:-1])
