import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dff.simulator.rgbd_pairs import cut, find_pairs, rescaled

SIZE = (24, 32)
COLOUR = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
MILLIMETRES = np.linspace(500, 4000, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint16)


def keep(folder, picture, depth, values=MILLIMETRES):
    """Write a picture and its depth under these names."""
    for name in (picture, depth):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(COLOUR).save(folder / picture)
    path = folder / depth
    np.save(path, values) if path.suffix == ".npy" else Image.fromarray(values).save(path)


@pytest.mark.parametrize(
    ("picture", "depth"),
    [
        ("image/00001.png", "depth/00001.png"),
        ("RGB/frame_01.jpg", "Depth/frame_01.png"),
        ("colour/img_7.png", "disparity/7.png"),
        ("a/left/0.png", "a/disp/0.png"),
        ("desk_rgb.png", "desk_depth.png"),
        ("desk-12.color.png", "desk-12.depth.png"),
        ("desk.jpg", "desk_depth.tif"),
        ("image_001.png", "image_001_depth.png"),
        ("red_rgb_tutorial_rgb.png", "red_rgb_tutorial_depth.png"),
        ("scene/im0.png", "scene/disp0.png"),
        ("scene/view1.png", "scene/disp1.png"),
        ("scene/rgb.png", "scene/depth.npy"),
        ("00001.jpg", "00001.npy"),
    ],
)
def test_pairs_are_found_as_people_keep_them(tmp_path, picture, depth):
    keep(tmp_path, picture, depth)
    (tmp_path / "readme.txt").write_text("about")
    (pair,) = find_pairs(tmp_path, "mm")
    assert (pair.picture, pair.depth) == (tmp_path / picture, tmp_path / depth)
    assert pair.name == picture.rsplit(".", 1)[0]
    colour, dioptre, valid = pair.read()
    assert colour.shape == (*SIZE, 3)
    assert colour.dtype == np.uint8
    assert np.allclose(dioptre, 1000 / MILLIMETRES)
    assert valid.all()


def test_many_pairs_in_natural_order_and_strangers_left_out(tmp_path):
    for i in (10, 9, 2):
        keep(tmp_path, f"view{i}_rgb.png", f"view{i}_depth_mm.png")
    keep(tmp_path, "pair_left.png", "pair_disp_mm.png")
    Image.fromarray(COLOUR).save(tmp_path / "pair_right.png")
    Image.fromarray(COLOUR).save(tmp_path / "view2_mask.png")
    Image.fromarray(COLOUR).save(tmp_path / "lonely.png")
    assert [pair.name for pair in find_pairs(tmp_path)] == [
        "pair_left",
        "view2_rgb",
        "view9_rgb",
        "view10_rgb",
    ]


def test_an_unknown_unit_is_asked_for_and_a_known_one_wins(tmp_path):
    keep(tmp_path, "a_rgb.png", "a_depth.png")
    with pytest.raises(ValueError, match=r"a_depth\.png: the unit of its depth is not known.*--depth-unit"):
        find_pairs(tmp_path)
    with pytest.raises(ValueError, match="--depth-unit inch: not known; use m, cm, mm, dioptre, disparity"):
        find_pairs(tmp_path, "inch")
    (tmp_path / "rgbd.toml").write_text('unit = "mm"\nscale = 2.0\n')
    (pair,) = find_pairs(tmp_path, "m")
    assert np.allclose(pair.read()[1], 500 / MILLIMETRES)
    keep(tmp_path / "named", "b_rgb.png", "b_depth_cm.png")
    (tmp_path / "rgbd.toml").unlink()
    pairs = {pair.name: pair.scale.unit for pair in find_pairs(tmp_path, "m")}
    assert pairs == {"a_rgb": "m", "named/b_rgb": "cm"}


def test_a_calibrated_disparity_needs_no_unit(tmp_path):
    keep(tmp_path, "im0.png", "disp0.png", np.full(SIZE, 40, np.uint8))
    (tmp_path / "calib.txt").write_text(
        f"cam0=[100 0 16; 0 100 12; 0 0 1]\ndoffs=10\nbaseline=250\nwidth={SIZE[1]}\n"
    )
    (pair,) = find_pairs(tmp_path)
    assert np.allclose(pair.read()[1], 50 / (100 * 0.25))


def test_a_disparity_without_calibration_fills_the_range_given(tmp_path):
    keep(tmp_path, "im0.png", "disp0.png", np.arange(SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint16))
    (pair,) = find_pairs(tmp_path, "disparity", dioptre_range=(0.5, 3.0))
    _, dioptre, valid = pair.read()
    assert not valid[0, 0]
    assert (dioptre[valid].min(), dioptre.max()) == (0.5, 3.0)


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder of pictures with depth"):
        find_pairs(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"no pictures with depth.*image/NAME and depth/NAME"):
        find_pairs(tmp_path)
    keep(tmp_path, "a_rgb.png", "b_depth.png")
    with pytest.raises(ValueError, match=r"1 pictures and 1 depth files, none in common"):
        find_pairs(tmp_path, "mm")
    keep(tmp_path, "b_rgb.png", "b_depth.png", MILLIMETRES[:-1])
    with pytest.raises(ValueError, match=r"b_depth\.png: is 32x23 px, but b_rgb\.png is 32x24"):
        find_pairs(tmp_path, "mm")[0].read()
    Image.fromarray(COLOUR).save(tmp_path / "b_rgb.jpg")
    with pytest.raises(ValueError, match=r"b_rgb\.png: goes with the same files as b_rgb\.jpg"):
        find_pairs(tmp_path, "mm")
    keep(tmp_path / "negative", "c_rgb.png", "c_depth.npy", np.full(SIZE, -1.0))
    with pytest.raises(ValueError, match=r"c_depth\.npy: holds negative depth"):
        find_pairs(tmp_path / "negative", "m")[0].read()


def test_cut_keeps_picture_and_depth_together():
    edge = np.zeros((60, 80), np.float32)
    edge[:, 41:] = 2
    picture = np.repeat((100 * edge).astype(np.uint8)[..., None], 3, axis=2)
    valid = edge < 1
    for size, place, share in (
        ((30, 40), (0.5, 0.5), 1.0),
        ((45, 30), (0.0, 0.5), 0.6),
        ((90, 90), (1, 0.6), 1.0),
    ):
        small, depth, known = cut(picture, edge, valid, size, place, share)
        assert small.shape == (*size, 3)
        assert depth.shape == known.shape == size
        assert set(np.unique(depth)) == {0, 2}  # no mean over the jump
        assert np.array_equal(known, depth < 1)
        assert np.abs(small[..., 0] / 100.0 - depth).mean() < 0.05
    with pytest.raises(ValueError, match="share 0"):
        cut(picture, edge, valid, (30, 40), share=0)


def test_rescaled_depth_is_linear_and_covers_the_sweep():
    dioptre = np.linspace(0.2, 0.7, 5000).reshape(50, 100).astype(np.float32)
    dioptre[0, 0] = 40.0  # a stray pixel
    valid = np.ones(dioptre.shape, bool)
    valid[3] = False
    out = rescaled(dioptre, valid, 0.5, 5.0)
    assert not out[~valid].any()
    assert out[valid].min() == 0.5
    assert out[valid].max() == 5.0
    inner = valid.copy()
    inner[:2], inner[-2:] = False, False
    slope = np.polyfit(dioptre[inner], out[inner], 1)[0]
    assert slope == pytest.approx(4.5 / 0.5, rel=0.02)


@pytest.fixture
def real_sets():
    named = os.environ.get("DFF_DATA", "")
    homes = [Path(named) / "rgbd", Path(named).parent / "rgbd"] if named else []
    found = [home for home in homes if home.is_dir()]
    if not found:
        pytest.skip("DFF_DATA does not name a folder with rgbd/ in it or beside it")
    return found[0]


@pytest.mark.parametrize(
    ("folder", "unit", "count"),
    [
        ("middlebury2014", None, 4),
        ("tabletop_kinect", None, 20),
        ("livingroom_rendered", "mm", 22),
        ("middlebury2003_2006", "disparity", 6),
        ("motorcycle", "disparity", 1),
    ],
)
def test_real_sets_are_read(real_sets, folder, unit, count):
    pairs = find_pairs(real_sets / folder, unit)
    assert len(pairs) == count
    picture, dioptre, valid = pairs[-1].read()
    assert picture.shape[:2] == dioptre.shape == valid.shape
    assert valid.mean() > 0.5
    assert 0.1 < np.median(dioptre[valid]) < 5
