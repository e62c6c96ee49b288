"""The public autofocus data set, in a miniature of its layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from PIL import Image

from dff.data.af_open import open_patches
from dff.data.l2a import FOCUS, Grid, open_l2a, scene_of
from dff.data.l2a_files import white_level
from dff.data.smartphone import dioptres

HEIGHT, WIDTH = 96, 128
GRID = Grid(size=32, stride=16, confident=0.95)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.dtype == np.uint16:
        assert cv2.imwrite(str(path), pixels)
    else:
        Image.fromarray(pixels).save(path)


def capture(
    part: Path,
    name: str,
    *,
    levels: np.ndarray,
    doubtful: slice = slice(0, 0),
    shift: int = 0,
    rows: int = 1,
    folder: str = "{}",
    turn: int = 1,
    upright: bool = True,
) -> None:
    """One capture: 49 slices, whose first pixel holds the slice's number; depth is upright, pictures lie."""
    random = np.random.default_rng(len(name))
    kind = "raw_{}_pd" if rows == 2 else "raw_up_{}_pd"
    scene = cv2.GaussianBlur(random.uniform(100, 900, (HEIGHT, WIDTH)), (0, 0), 3)
    scene = np.where(np.arange(WIDTH) < 40, scene + 100, scene).clip(0, 1023)
    for k in range(len(FOCUS)):
        for side in ("left", "right"):
            picture = scene.astype(np.uint16)
            picture[0, 0] = k
            path = part / kind.format(side) / name / folder.format(k)
            write(path / f"result_pd_{side}_center.png", (picture << shift)[::rows])
    if upright:
        seen = np.rot90((255 * np.sqrt(scene / 1023)).astype(np.uint8), -turn)
        shown = np.repeat(seen[..., None], 3, axis=2)
        write(part / "scaled_images" / name / "24" / "result_scaled_image_center.jpg", shown)
    confidence = np.ones(levels.shape, np.float32)
    confidence[doubtful] = 0.5
    write(
        part / "merged_depth" / name / "result_merged_depth_center.png",
        np.ascontiguousarray(np.rot90(levels, -turn)),
    )
    path = part / "merged_conf" / name / "result_merged_conf_center.exr"
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = np.ascontiguousarray(np.rot90(confidence, -turn))
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"R": flat, "G": flat, "B": flat}) as file:
        file.write(str(path))


def flat(level: int) -> np.ndarray:
    """(24,32) depth as the sensor's picture lies, a quarter of its size."""
    return np.full((24, 32), level, np.uint8)


@pytest.mark.parametrize("turn", [1, 3])
def test_patches_labels_and_frames(tmp_path: Path, turn: int) -> None:
    levels = flat(200)
    levels[:, 16:] = 100  # nearer on the right
    capture(tmp_path / "test", "home1_0_0", levels=levels, doubtful=slice(0, 8), turn=turn)
    found = open_l2a(tmp_path, "test", GRID)
    assert found.count == 49
    assert found.frame == (HEIGHT, WIDTH)
    # 5 rows of 7 patches; those in the uppermost two rows of patches reach into doubtful depth
    assert len(found) == 3 * 7
    assert found.counts.doubtful == 2 * 7
    right = found.corner[:, 0] >= 64
    for mask, level in ((right, 100), (found.corner[:, 0] <= 32, 200)):
        wanted = np.abs(FOCUS - float(dioptres(np.array(level)))).argmin()
        assert set(found.index[mask]) == {wanted}
    frames = found.frames(0, np.array([5, 7]))
    assert frames.shape == (2, 2, 32, 32)
    assert frames.dtype == np.float32
    assert 0 < frames.min() < frames.max() <= 1
    assert found.white == 1023


def test_both_names_of_slices_halved_rows_and_shifted_numbers(tmp_path: Path) -> None:
    capture(tmp_path / "test", "cafe_0_0", levels=flat(150), folder="slice_{:02d}", rows=2, shift=4)
    with pytest.raises(ValueError, match="no patch whose depth is known"):
        open_patches(tmp_path, "test")  # published patches are larger than these pictures
    small = open_l2a(tmp_path, "test", Grid(size=32, stride=96, confident=0.9))
    assert small.white == 16368
    assert small.frame == (HEIGHT, WIDTH)
    first = small.frames(0, np.arange(49))[:, 0, 0, 0]
    np.testing.assert_allclose(first, np.arange(49) / 1023, atol=1e-6)


def test_depth_at_its_near_end_has_no_label(tmp_path: Path) -> None:
    levels = flat(60)
    levels[:, :16] = 0
    capture(tmp_path / "test", "home2_0_0", levels=levels)
    found = open_l2a(tmp_path, "test", GRID)
    assert found.counts.too_near > 0
    assert found.index.max() <= 24


def test_splits_share_no_scene(tmp_path: Path) -> None:
    for scene in range(11):
        part = tmp_path / ("train1" if scene < 6 else "train7")
        capture(part, f"place{scene:02d}_0_0", levels=flat(120))
    train, val = (open_l2a(tmp_path, split, GRID) for split in ("train", "val"))
    assert len(np.unique(train.scene)) == 10
    assert len(np.unique(val.scene)) == 1
    assert scene_of("home1_0_3") == "home1"
    with pytest.raises(FileNotFoundError, match="holds no test"):
        open_l2a(tmp_path, "test", GRID)


def test_white_level() -> None:
    path = Path("x.png")
    assert white_level(path, np.array([[1023]])) == 1023
    assert white_level(path, np.array([[1024]])) == 16368
    assert white_level(path, np.array([[320, 160]])) == 16368  # dark and shifted
    assert white_level(path, np.array([[320, 161]])) == 1023
    with pytest.raises(ValueError, match=r"x\.png: numbers up to 60000"):
        white_level(path, np.array([[60000]]))


def test_bad_input_is_named(tmp_path: Path) -> None:
    part = tmp_path / "test"
    capture(part, "home1_0_0", levels=flat(120))
    with pytest.raises(ValueError, match="no split 'all'"):
        open_l2a(tmp_path, "all")
    slices = part / "raw_up_left_pd" / "home1_0_0"
    (slices / "48" / "result_pd_left_center.png").unlink()
    with pytest.raises(FileNotFoundError, match="48: holds no picture"):
        open_l2a(tmp_path, "test", GRID)
    (slices / "48").rmdir()
    with pytest.raises(ValueError, match="48 slices; a sweep has 49"):
        open_l2a(tmp_path, "test", GRID)


def test_damaged_pictures_and_depth_are_named(tmp_path: Path) -> None:
    part = tmp_path / "test"
    capture(part, "home1_0_0", levels=flat(120))
    middle = part / "raw_up_left_pd" / "home1_0_0" / "24" / "result_pd_left_center.png"
    kept = middle.read_bytes()
    write(middle, np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(ValueError, match="dual-pixel halves are 16 bit"):
        open_l2a(tmp_path, "test", GRID)
    middle.write_bytes(kept[:100])
    with pytest.raises(ValueError, match="cannot be read"):
        open_l2a(tmp_path, "test", GRID)
    middle.write_bytes(kept)
    (part / "merged_depth" / "home1_0_0" / "result_merged_depth_center.png").unlink()
    with pytest.raises(FileNotFoundError, match="merged_depth"):
        open_l2a(tmp_path, "test", GRID)


def test_without_upright_pictures_turned_depth_is_refused(tmp_path: Path) -> None:
    capture(tmp_path / "test", "home1_0_0", levels=flat(120), upright=False)
    with pytest.raises(ValueError, match="scaled_images"):
        open_l2a(tmp_path, "test", GRID)
