"""DefocusNet's set: splits, order, metres."""

from __future__ import annotations

from pathlib import Path

import data_fakes
import numpy as np
import pytest

from dff.data.catalogue import open_dataset


@pytest.fixture(scope="module", params=[False, True], ids=["flat", "parted"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_fakes.defocusnet(tmp_path_factory.mktemp("defocusnet"), parted=request.param)


def test_samples(folder: Path) -> None:
    train, test = (open_dataset("defocusnet", folder, split) for split in ("train", "test"))
    assert (train.names, test.names) == (("000000", "000001", "000399"), ("000400",))
    sample = train[1]
    assert (sample.images[0].shape, sample.images[0].dtype) == ((64, 64, 3), np.uint8)
    assert [image[0, 0].tolist() for image in sample.images[:2]] == [[4, 1, 7], [3, 1, 7]]
    assert (1 / sample.focus).tolist() == pytest.approx([1.5, 0.7, 0.3, 0.15, 0.1])
    truth = sample.truth()
    assert truth.depth[3, 0] == pytest.approx(1 / float(np.float16(0.1)), rel=1e-6)
    assert truth.depth[3, -1] == 0.25
    assert truth.valid.all()


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no stacks of defocusnet"):
        open_dataset("defocusnet", tmp_path, "train")
    folder = data_fakes.defocusnet(tmp_path) / "fs_6"
    bad = np.full((64, 64), np.nan, np.float16)
    data_fakes.write_exr(folder / "000000Dpt.exr", R=bad, G=bad, B=bad)
    data_fakes.write_exr(folder / "000001Dpt.exr", R=np.full_like(bad, -1), G=bad, B=bad)
    data_fakes.write_exr(folder / "000399Dpt.exr", Y=bad)
    samples = open_dataset("defocusnet", folder, "train")
    for k, words in enumerate(
        ("holds no depth: every pixel is 0, NaN", "holds negative depth", "no channel R among Y")
    ):
        with pytest.raises(ValueError, match=words):
            samples[k].truth()
    short = folder / "000000_04All.tif"
    short.write_bytes(short.read_bytes()[:6000])
    with pytest.raises(ValueError, match=r"000000_04All.tif: the file is truncated"):
        samples[0].images[0]
    (folder / "000001_03All.tif").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"000001_03All.tif: no such file or folder; defocusnet is expected"
    ):
        open_dataset("defocusnet", folder, "train")
