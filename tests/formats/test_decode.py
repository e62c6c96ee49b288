"""Picture kinds that need a reader of their own: RAW, HEIC, 32-bit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from dff.formats import decode
from dff.formats.pixels import oriented
from dff.formats.read import read_stack


def _dng(path, k, orientation=1):
    """A minimal Bayer DNG of 48 x 64 px."""
    unit = (10000, 10000, 0, 10000, 0, 10000)
    tags = [
        (50706, 1, 4, bytes([1, 4, 0, 0]), True),
        (50708, 2, 0, "ACME X", True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes([0, 1, 1, 2]), True),
        (50721, 10, 9, (*unit[:6], 10000, 10000, 0, 10000, 0, 10000, 0, 10000, 0, 10000, 10000, 10000), True),
        (50728, 5, 3, (1, 1 + k, 1, 1, 1, 1), True),
        (50717, 4, 1, 65535, True),
        (50778, 3, 1, 21, True),
        (274, 3, 1, orientation, True),
    ]
    mosaic = np.random.default_rng(k).integers(0, 65535, (48, 64), dtype=np.uint16)
    tifffile.imwrite(path, mosaic, photometric="cfa", extratags=tags, metadata=None)


def test_raw_is_developed_to_16_bit(tmp_path):
    pytest.importorskip("rawpy")
    for k in range(2):
        _dng(tmp_path / f"IMG_{k}.dng", k)
    stack = read_stack(tmp_path)
    assert stack.slices[0].shape == (48, 64, 3)
    assert stack.slices[0].dtype == np.uint16
    assert stack.slices[0].max() > 40000


def test_raw_turned_upright(tmp_path):
    pytest.importorskip("rawpy")
    for k in range(2):
        _dng(tmp_path / f"IMG_{k}.dng", k, orientation=6)
    assert read_stack(tmp_path).slices[0].shape == (64, 48, 3)


def test_raw_slices_share_one_white_balance(tmp_path):
    pytest.importorskip("rawpy")
    for k in range(2):
        _dng(tmp_path / f"IMG_{k}.dng", k)
    sources = [decode.source_of(tmp_path / f"IMG_{k}.dng", str(k)) for k in range(2)]
    alone = sources[1].decode()
    together = decode.developed_alike(sources)[1].decode()
    assert alone[..., 0].mean() != pytest.approx(together[..., 0].mean(), rel=0.02)


def test_damaged_raw(tmp_path):
    pytest.importorskip("rawpy")
    for k in range(2):
        _dng(tmp_path / f"IMG_{k}.dng", k)
    (tmp_path / "IMG_1.dng").write_bytes(b"nothing of a RAW file")
    with pytest.raises(ValueError, match=r"IMG_1\.dng: cannot be developed"):
        read_stack(tmp_path)


def test_raw_without_rawpy_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    for k in range(2):
        _dng(tmp_path / f"IMG_{k}.dng", k)
    with pytest.raises(ValueError, match=r"IMG_0\.dng: RAW pictures need rawpy; .*pip install dff\[raw\]"):
        read_stack(tmp_path)


def test_heic_without_its_reader_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for k in range(2):
        (tmp_path / f"{k}.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(ValueError, match=r"0\.heic: HEIC pictures need pillow-heif; install it with: pip"):
        read_stack(tmp_path)


def test_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    for k in range(2):
        Image.new("RGB", (64, 48), (100 * k, 50, 50)).save(tmp_path / f"{k}.heic")
    assert read_stack(tmp_path).slices[1].shape == (48, 64, 3)


def test_16_bit_pgm(tmp_path):
    arrays = [np.array([[0, 1], [300, 65535]], np.uint16), np.array([[7, 1], [300, 65535]], np.uint16)]
    for k, array in enumerate(arrays):
        (tmp_path / f"{k}.pgm").write_bytes(b"P5 2 2 65535\n" + array.astype(">u2").tobytes())
    stack = read_stack(tmp_path)
    for got, want in zip(stack.slices, arrays, strict=True):
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got, want)


def test_a_huge_picture_is_refused_in_one_line(save_stack, monkeypatch):
    folder = save_stack(["1.png", "2.png"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"1\.png: .*exceeds limit.*reduce the picture"):
        read_stack(folder)


def test_oriented_is_a_turn_or_mirror():
    image = np.arange(6).reshape(2, 3)
    assert oriented(image, 0) is image
    np.testing.assert_array_equal(oriented(image, 6), np.rot90(image, -1))
    np.testing.assert_array_equal(oriented(image, 8), np.rot90(image))
    np.testing.assert_array_equal(oriented(image, 3), np.rot90(image, 2))
