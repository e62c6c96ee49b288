"""DDFF 12-Scene: order, unit, protocols, damaged files, submission."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from pathlib import Path

import data_fakes
import h5py
import numpy as np
import pytest

from dff.data.catalogue import NAMES, find_dataset, open_dataset
from dff.data.ddff12 import FOCUS_PX, PX_METRES, TEST_SCENES, write_submission
from dff.data.sample import Samples

DOCS = Path(__file__).parents[2] / "docs" / "datasets.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_fakes.ddff12_frames(data_fakes.ddff12(tmp_path_factory.mktemp("ddff12")))


def test_official_crops(folder: Path) -> None:
    samples = open_dataset("ddff12", folder, "train")
    assert (len(samples), len(open_dataset("ddff12", folder, "h5_val"))) == (3, 2)
    sample = samples[1]
    assert len(sample.images) == 10
    assert (sample.images[0].shape, sample.images[0].dtype) == ((64, 64, 3), np.uint8)
    # the files hold the near slice first
    assert [int(image[0, 0, 0]) for image in sample.images] == list(range(9, -1, -1))
    assert sample.images[0][0, 0].tolist() == [9, 31, 7]
    assert sample.focus == pytest.approx(data_fakes.DDFF_PX[::-1], rel=1e-5)
    truth = sample.truth()
    assert (truth.depth.dtype, truth.depth[5, 0]) == (np.float32, np.float32(0.0202))
    assert truth.valid[:-1].all()
    assert not truth.valid[-1].any()


def test_disparity_is_metres() -> None:
    assert pytest.approx(0.141238, abs=5e-7) == PX_METRES
    metres = PX_METRES / FOCUS_PX
    assert metres[[0, -1]] == pytest.approx([7.0, 0.5], rel=1e-15)
    assert metres[::-1] == pytest.approx(
        [0.5, 0.558, 0.63, 0.724, 0.851, 1.033, 1.313, 1.8, 2.864, 7.0], abs=1e-3
    )


def test_dioptres_and_stack(folder: Path) -> None:
    sample = open_dataset("ddff12", folder, "dfv_split")[0]
    assert sample.focus_dioptre is not None
    assert sample.focus_dioptre[[0, -1]] == pytest.approx([1 / 7, 2])
    stack = sample.stack()
    assert stack.unit == "dioptre"
    assert stack.slices[0].dtype == np.float32
    assert stack.slices[2][0, 0] == pytest.approx(np.array([7, 0, 7]) / 255, rel=1e-6)
    assert sample.read_sharp is not None
    assert sample.read_sharp()[0, 0, 0] == pytest.approx(3 / 255)
    assert sample.from_index(np.array([[0.0, 9.0]])) == pytest.approx(FOCUS_PX[[0, -1]][None])


def test_test_set_has_no_truth(folder: Path) -> None:
    samples = open_dataset("ddff12", folder, "official_test")
    assert samples.names == ("lockeroom/0001", "lockeroom/0002")
    with pytest.raises(ValueError, match="lockeroom/0001: has no true depth"):
        samples[0].truth()


def first_pixel(samples: Samples) -> list[int]:
    return [int(value) for value in samples[2].images[0][0, 0]]


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_travels_to_workers(folder: Path) -> None:
    samples = open_dataset("ddff12", folder / "ddff-dataset-trainval.h5", "train")
    here = first_pixel(samples)
    assert here == [9, 32, 7]
    assert first_pixel(pickle.loads(pickle.dumps(samples))) == here
    # a forked process inherits the open file, and must not share it
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    workers = [context.Process(target=lambda: answers.put(first_pixel(samples))) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert [answers.get() for _ in workers] == [here, here]
    for worker in workers:
        worker.join()


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("ddff", "train", "no data set 'ddff'; did you mean 'ddff12'"),
        ("ddff12", "test", "no split 'test'; choose from train, h5_val, official_test"),
    ],
)
def test_unknown_names(folder: Path, name: str, split: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        open_dataset(name, folder, split)


def test_bad_trees(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no ddff-dataset-trainval.h5; ddff12 is expected as"):
        open_dataset("ddff12", tmp_path, "train")
    with pytest.raises(FileNotFoundError, match="no such file or folder; ddff12 is expected as"):
        open_dataset("ddff12", tmp_path / "nowhere", "train")
    whole = (folder / "ddff-dataset-trainval.h5").read_bytes()
    short = tmp_path / "ddff-dataset-trainval.h5"
    short.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cannot be opened as HDF5 .*truncated"):
        open_dataset("ddff12", short, "train")
    for file, split in (("my_ddff_trainVal.h5", "train"), ("ddff-dataset-trainval.h5", "dfv_split")):
        with pytest.raises(ValueError, match=r"holds 64x\d\d px; train and h5_val are of the official file"):
            open_dataset("ddff12", folder / file, split)
    with pytest.raises(ValueError, match="holds no array 'stack_test', only disp_train"):
        open_dataset("ddff12", folder / "ddff-dataset-trainval.h5", "official_test")


def test_bad_arrays(tmp_path: Path) -> None:
    path = tmp_path / "ddff-dataset-trainval.h5"
    with h5py.File(path, "w") as file:
        file["stack_train"] = np.zeros((2, 10, 8, 8, 3), np.uint8)
        file["disp_train"] = np.zeros((2, 8, 8))
        file["stack_val"] = np.zeros((2, 9, 8, 8, 3), np.uint8)
        file["disp_val"] = np.zeros((1, 8, 8))
    with pytest.raises(ValueError, match="stack_val is uint8 2x9x8x8x3; expected numbers of anyx10x"):
        open_dataset("ddff12", path, "h5_val")
    with pytest.raises(ValueError, match="disp_train 0: holds no depth"):
        open_dataset("ddff12", path, "train")[0].truth()


def test_submission(tmp_path: Path) -> None:
    maps = [np.full((3, 4), 0.1)] * 120
    folder = write_submission(tmp_path / "out", maps, [0.25] * 120)
    last = np.load(folder / TEST_SCENES[-1] / "DISP_0020.npy")
    assert (last.dtype, last.shape) == (np.float32, (3, 4))
    assert (folder / "runtime.txt").read_text().splitlines()[20] == "cafeteria/DISP_0001 0.25"
    with pytest.raises(ValueError, match="119 maps; the test set has 120"):
        write_submission(tmp_path / "short", maps[1:], [0.25] * 119)


def test_every_name_is_described() -> None:
    for name in NAMES:
        found = find_dataset(name)
        assert found.name == name
        assert found.splits
        if DOCS.is_file():
            assert f"| `{name}` |" in DOCS.read_text(encoding="utf-8")
