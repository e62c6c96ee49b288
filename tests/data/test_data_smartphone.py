"""The smartphone set: far slice first, the middle of upright pictures, depth of 8 bit, confidence."""

from __future__ import annotations

from pathlib import Path

import data_fakes
import numpy as np
import pytest

from dff.data.catalogue import open_dataset
from dff.data.smartphone import SLICES, dioptres


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_fakes.smartphone(tmp_path_factory.mktemp("smartphone"))


def test_decoding_is_the_published_one() -> None:
    levels = np.arange(256, dtype=np.uint8)
    g = levels / 255
    # to the last bit as dioptres; as metres one rounding apart, the reciprocal
    assert np.array_equal(dioptres(levels), (100 - 99.8 * g) / 20)
    np.testing.assert_allclose(1 / dioptres(levels), 20 / (100 - 99.8 * g), rtol=5e-16)
    assert 1 / dioptres(levels)[[0, 255]] == pytest.approx([0.2, 100], rel=1e-12)


def test_samples(folder: Path) -> None:
    samples = open_dataset("smartphone", folder, "train")
    assert samples.names == ("train2/home1_0_0",)
    assert SLICES == (0, 5, 11, 16, 21, 27, 32, 37, 43, 48)
    sample = samples[0]
    assert (sample.images[0].shape, sample.images[0].dtype) == ((336, 252, 3), np.uint8)
    assert [int(image[9, 9, 0]) for image in sample.images] == pytest.approx([5 * k for k in SLICES], abs=1)
    assert (1 / sample.focus).round(3).tolist() == [
        3.911, 0.801, 0.407, 0.292, 0.225, 0.178, 0.151, 0.131, 0.114, 0.102
    ]  # fmt: skip
    truth = sample.truth()
    assert (truth.depth[0, 0], truth.depth[0, 1]) == pytest.approx((0.01, 5 - 0.2 * 4.99), rel=1e-6)
    assert truth.weight is not None
    assert truth.weight[0, [0, -1]] == pytest.approx([2 * 63 / 377, 1])


def test_bad_trees(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"holds no test; smartphone is expected as DIR/{train1..train7"
    ):
        open_dataset("smartphone", tmp_path, "test")
    data_fakes.smartphone(tmp_path)
    (tmp_path / "test/merged_conf/home1_0_0/result_merged_conf_center.exr").unlink()
    with pytest.raises(FileNotFoundError, match=r"result_merged_conf_center.exr: no such file"):
        open_dataset("smartphone", tmp_path, "test")
    (tmp_path / "train2/scaled_images/home1_0_0/5/result_scaled_image_center.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"5/result_scaled_image_center.jpg"):
        open_dataset("smartphone", tmp_path, "train")[0]
