"""4D Light Field, FlyingThings3D and Middlebury: disparities, far slice first."""

from __future__ import annotations

from pathlib import Path

import data_fakes
import h5py
import numpy as np
import pytest

from dff.data.catalogue import open_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disparity")
    for write in (data_fakes.lightfield4d, data_fakes.flyingthings3d, data_fakes.middlebury):
        write(folder)
    return folder


def test_lightfield4d(folder: Path) -> None:
    samples = open_dataset("lightfield4d", folder, "val")
    assert samples.names == ("boxes", "cotton")
    sample = samples[1]
    assert [round(255 * float(image[0, 0, 0])) for image in sample.images] == list(range(10))
    assert sample.images[4].dtype == np.float32
    assert sample.focus == pytest.approx(np.linspace(-2.5, 2.5, 10))
    truth = sample.truth()
    assert truth.depth[0, [0, -1]] == pytest.approx([-2.6, 2.6])
    assert truth.valid.all()
    assert (sample.focus_dioptre, sample.stack().unit) == (None, "index")


def test_lightfield4d_near_first(tmp_path: Path) -> None:
    """A file whose positions fall is put in order by them."""
    data_fakes.lightfield4d(tmp_path)
    with h5py.File(tmp_path / "HCI_FS_trainval.h5", "r+") as file:
        file["focus_position_disp"][:] = np.linspace(2.5, -2.5, 10)
    sample = open_dataset("lightfield4d", tmp_path, "train")[0]
    assert [round(255 * float(image[0, 0, 0])) for image in sample.images] == list(range(9, -1, -1))
    assert sample.focus == pytest.approx(np.linspace(-2.5, 2.5, 10))


def test_lightfield4d_of_another_kind(folder: Path, tmp_path: Path) -> None:
    data_fakes.ddff12(tmp_path)
    with pytest.raises(ValueError, match="holds no array 'focus_position_disp', only disp_train"):
        open_dataset("lightfield4d", tmp_path / "ddff-dataset-trainval.h5", "train")


@pytest.mark.parametrize(
    ("name", "split", "nearest"), [("flyingthings3d", "train", 100), ("middlebury", "test", 60)]
)
def test_named_by_disparity(folder: Path, name: str, split: str, nearest: float) -> None:
    samples = open_dataset(name, folder, split)
    assert len(samples) == 2
    sample = samples[1]
    assert sample.focus.tolist() == np.linspace(10, nearest, 15).tolist()
    assert [int(image[0, 0, 0]) for image in sample.images] == list(range(15))
    assert (sample.images[0].shape, sample.images[0].dtype) == ((64, 80, 3), np.uint8)
    truth = sample.truth()
    assert truth.depth[1, [0, -1]] == pytest.approx([5, 1.1 * nearest])
    assert truth.valid[1:].all()
    assert not truth.valid[0].any()
    assert sample.read_sharp is not None
    assert sample.read_sharp()[0, 0, 0] == 15


def test_bad_scenes(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"focal_stack: no such .*expected as DIR/{train,val}/focal_stack"
    ):
        open_dataset("flyingthings3d", tmp_path, "train")
    with pytest.raises(
        ValueError, match=r"100.0.png: 100 px is none of the 15 focus positions from 10 to 60 px|px is none"
    ):
        open_dataset("middlebury", folder / "FlyingThings3D_FS" / "train", "test")[0]
    scene = data_fakes.middlebury(tmp_path) / "Middlebury_FS" / "focal_stack" / "Adirondack"
    (scene / "60.0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"Adirondack/60.0.png: no such slice"):
        open_dataset("middlebury", tmp_path, "test")[0]
    (scene / "disp.exr").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"disp.exr: no such file or folder; middlebury is expected as"
    ):
        open_dataset("middlebury", tmp_path, "test")
