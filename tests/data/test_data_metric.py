"""Mobile Depth, NYUv2, ZEDD and ARKitScenes: order, units, recipes, missing files."""

from __future__ import annotations

from pathlib import Path

import data_fakes
import numpy as np
import pytest

from dff.data.catalogue import open_dataset
from dff.data.rendered import RecipeCamera, gathered, spanning_focus


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metric")
    for name in ("mobile_depth", "nyuv2", "zedd", "arkitscenes"):
        getattr(data_fakes, name)(folder / name)
    return folder


def test_mobile_depth(folder: Path) -> None:
    samples = open_dataset("mobile_depth", folder / "mobile_depth", "test")
    balls, metals, plants = samples
    assert (balls.unit, balls.focus.tolist()) == ("relative", [1e-6, 1 / 40, 1 / 20, 1 / 10])
    # listed the wrong way round: the first slice is the far one after all
    assert [int(image[9, 9, 0]) for image in metals.images] == pytest.approx([0, 40, 80, 120], abs=1)
    assert metals.focus.tolist() == [1 / 80, 1 / 40, 1 / 20, 1 / 10]
    assert (plants.unit, plants.focus.tolist()) == ("index", [0, 1, 2, 3])
    assert balls.stack().unit == "index"
    with pytest.raises(ValueError, match="balls: has no true depth"):
        balls.truth()


def test_mobile_depth_with_a_slice_too_few(tmp_path: Path) -> None:
    data_fakes.mobile_depth(tmp_path)
    (tmp_path / "Aligned/Figure0/balls/a02.jpg").unlink()
    with pytest.raises(ValueError, match=r"calibrated.txt: 4 focus distances for 3 slices"):
        open_dataset("mobile_depth", tmp_path, "test")[0]
    (tmp_path / "calibration/metal/calibrated.txt").unlink()
    with pytest.raises(FileNotFoundError, match="mobile_depth is expected as DIR/Aligned"):
        open_dataset("mobile_depth", tmp_path, "test")


@pytest.mark.parametrize("listed", ["focus_distance.txt", "focus_dpth.txt"])
def test_mobile_depth_as_folders_of_pictures(listed: str, tmp_path: Path) -> None:
    """Won & Jeon's layout, in a folder of scenes or alone: pictures by name, and a list of distances."""
    scene = tmp_path / "balls"
    for k in range(3):
        data_fakes.write_picture(scene / f"{k:02d}.png", np.full((48, 64, 3), 40 * k, np.uint8))
    (scene / listed).write_text("7.2e6\n40.0\n10.0\n")
    (scene / "focal_length.txt").write_text("0.2\n")
    for folder in (tmp_path, scene):
        (sample,) = open_dataset("mobile_depth", folder, "test")
        assert (sample.name, sample.focus.tolist()) == ("balls", [1 / 7.2e6, 1 / 40, 1 / 10])
        assert [int(image[9, 9, 0]) for image in sample.images] == [0, 40, 80]


def test_recipe_camera_and_blur() -> None:
    camera = RecipeCamera(50e-3, 8.0, 1.2e-5)
    # by hand: c = A f |z - d| / (z (d - f)), halved, in pixels
    aperture = 50e-3 / 8
    by_hand = aperture * 50e-3 * abs(4 - 2) / (4 * (2 - 50e-3)) / 2 / 1.2e-5
    assert camera.coc_radius_px(np.array([[4.0]]), 2.0) == pytest.approx(by_hand, rel=1e-6)
    dot = np.zeros((9, 9, 3), np.float32)
    dot[4, 4] = 1
    spread = gathered(dot, np.full((9, 9), 2.0))
    grid = np.mgrid[-3:4, -3:4]
    kernel = np.exp(-2 * (grid**2).sum(axis=0) / 4)
    assert spread[4, 4, 0] == pytest.approx(1 / kernel.sum(), rel=1e-5)
    assert spread[4, 5, 0] == pytest.approx(kernel[3, 4] / kernel.sum(), rel=1e-5)
    assert np.array_equal(gathered(dot, np.ones((9, 9))), dot)


def test_nyuv2_hybrid(folder: Path) -> None:
    samples = open_dataset("nyuv2", folder / "nyuv2", "hybrid_test")
    assert samples.names == ("kitchen_0001/rgb_00045",)
    sample = samples[0]
    truth = sample.truth()
    assert truth.depth.shape == (384, 512)
    assert len(sample) == 10
    metres = 1 / sample.focus
    assert metres[[0, -1]] == pytest.approx([1 / truth.depth.min(), 1 / truth.depth.max()], rel=1e-6)
    assert np.diff(metres) == pytest.approx(np.diff(metres)[0])
    assert truth.depth[0, 0] == pytest.approx(1 / (1 + 8 * 64 / 639), rel=1e-3)


def test_nyuv2_dered_and_d3net(folder: Path) -> None:
    sample = open_dataset("nyuv2", folder / "nyuv2", "dered_train")[1]
    assert sample.name == "0007"
    assert [image[0, 0].tolist() for image in sample.images[:2]] == [[4, 3, 7], [3, 3, 7]]
    assert 1 / sample.focus == pytest.approx([6, 4, 2.5, 1.5, 1])
    assert sample.truth().depth[0, [0, -1]] == pytest.approx([1, 1 / 6.5], rel=5e-3)
    sample = open_dataset("nyuv2", folder / "nyuv2", "d3net")[1]
    assert [int(image[0, 0, 0]) for image in sample.images] == [2, 1, 0]
    assert 1 / sample.focus == pytest.approx([8, 4, 2])
    assert sample.truth().depth[3, [0, -1]] == pytest.approx([1, 1 / 8])
    assert sample.read_sharp is not None
    assert np.array_equal(sample.read_sharp(), data_fakes.pictures(4, 1, 48, 64)[0])


def test_zedd(folder: Path) -> None:
    sample = open_dataset("zedd", folder / "zedd", "val")[0]
    assert 1 / sample.focus == pytest.approx([9, 4, 2.2, 1.1, 0.6])
    assert [int(image[9, 9, 0]) for image in sample.images] == pytest.approx([180, 140, 100, 60, 20], abs=1)
    truth = sample.truth()
    assert truth.depth[2, [0, -1]] == pytest.approx([2, 1 / 8])
    assert not truth.valid[:2].any()
    assert truth.valid[2:].all()
    assert open_dataset("zedd", folder / "zedd", "test")[0].read_truth is None


def test_arkitscenes(folder: Path) -> None:
    samples = open_dataset("arkitscenes", folder / "arkitscenes", "val")
    assert samples.names == ("47334105_93033.275", "47334105_93040.100")
    sample = samples[0]
    assert (sample.images[0].shape, sample.images[0].dtype) == ((192, 256, 3), np.float32)
    truth = sample.truth()
    assert 1 / sample.focus[[0, -1]] == pytest.approx([4, 0.5], abs=0.01)
    assert truth.depth[3, 0] == pytest.approx(2)
    assert not truth.valid[0].any()
    # nearest focus: the left of the picture is sharp in it, and smooth in the farthest
    near, far = sample.images[-1], sample.images[0]
    assert np.abs(np.diff(near[9:, :4], axis=0)).mean() > 2 * np.abs(np.diff(far[9:, :4], axis=0)).mean()


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x: holds no depth"):
        spanning_focus(np.zeros((2, 2)), np.zeros((2, 2), bool), 5, "x")
    data_fakes.zedd(tmp_path)
    (tmp_path / "metadata.txt").write_text("run_1\t1f00\t0.6\nrun_3 20aa\n")
    with pytest.raises(ValueError, match="'run_3 20aa' is not: run, motor code"):
        open_dataset("zedd", tmp_path, "val")
    (tmp_path / "metadata.txt").write_text("run_1\t1f00\t0.6\n")
    with pytest.raises(ValueError, match="gives no focus distance of run_3, run_5"):
        open_dataset("zedd", tmp_path, "val")[0]
    for name, split, words in (
        ("nyuv2", "dered_test", "test_fs5: no such file or folder; nyuv2 is expected as"),
        ("arkitscenes", "train", "Training: no such file or folder; arkitscenes is expected as"),
        (
            "folder",
            "all",
            "manifest.json: no such file; give a folder that dff simulate wrote; folder is expected",
        ),
    ):
        with pytest.raises(FileNotFoundError, match=words):
            open_dataset(name, tmp_path, split)


def test_mdff(tmp_path: Path) -> None:
    folder = data_fakes.mdff(tmp_path)
    samples = open_dataset("mdff", folder, "val")
    assert samples.names == ("val/1", "val/2")
    assert len(open_dataset("mdff", folder, "test")) == 3
    sample = samples[0]
    assert 1 / sample.focus == pytest.approx([4, 1, 0.5, 0.3, 0.2])
    assert [round(255 * float(image[0, 0, 0])) for image in sample.images] == [1, 2, 4, 0, 3]
    truth = sample.truth()
    assert truth.depth[5, 0] == pytest.approx(5)
    assert not truth.valid[0].any()
    (folder / "focus_distance.txt").write_text("1 2 3\n")
    with pytest.raises(ValueError, match=r"focus_distance.txt: 3 values for 5 slices"):
        open_dataset("mdff", folder, "train")
    (folder / "focus_distance.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"focus_distance.txt: no such .*mdff is expected as"):
        open_dataset("mdff", folder, "train")


def test_rgbd(tmp_path: Path) -> None:
    folder = data_fakes.rgbd(tmp_path)
    train, val = (open_dataset("rgbd", folder, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (10000, 200)
    sample = train[3]
    assert (sample.images[0].shape, len(sample)) == ((256, 256, 3), 10)
    assert sample.truth().valid.any()
    assert np.array_equal(train[3].images[2], sample.images[2])
    assert not np.array_equal(val[3].images[2], sample.images[2])
