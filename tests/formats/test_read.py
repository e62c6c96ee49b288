"""read_stack: bit depths, channels, damage, repeats, and what the stack carries."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

import dff
from dff.formats.read import read_stack

SHARED = Path(dff.__file__).parents[2] / "shared" / "data" / "stacks"


def _same(stack, arrays):
    assert len(stack) == len(arrays)
    for got, want in zip(stack.slices, arrays, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_rgb_and_grey_stay_what_they_are(save_stack, picture):
    names = ["1.png", "2.png"]
    _same(read_stack(save_stack(names)), [picture(0), picture(1)])
    _same(read_stack(save_stack(names, "g", channels=1)), [picture(0, channels=1), picture(1, channels=1)])


def test_what_is_unknown_is_said(save_stack):
    stack = read_stack(save_stack(["1.png", "2.png"]))
    assert stack.unit == "index"
    assert "unknown" in stack.origin
    assert stack.lens is stack.exif is stack.icc is None


def test_alpha_is_dropped(save_stack, picture):
    folder = save_stack(["1.png", "2.png"], channels=4)
    _same(read_stack(folder), [picture(k, channels=4)[..., :3] for k in range(2)])


@pytest.mark.parametrize("mode", ["P", "CMYK", "1", "LA"])
def test_other_modes_are_converted(tmp_path, picture, mode):
    want = []
    for k in range(2):
        image = Image.fromarray(picture(k)).convert("L" if mode == "LA" else "RGB").convert(mode)
        path = tmp_path / (f"{k}.tif" if mode == "CMYK" else f"{k}.png")
        image.save(path)
        want.append(np.asarray(image.convert("L" if mode in ("1", "LA") else "RGB")))
    _same(read_stack(tmp_path), want)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_keeps_16_bits(tmp_path, channels, suffix):
    shape = (20, 30) if channels == 1 else (20, 30, channels)
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 4096, shape, dtype=np.uint16) for _ in range(2)]
    for k, array in enumerate(arrays):
        if suffix == "png":
            (tmp_path / f"{k}.png").write_bytes(imagecodecs.png_encode(array))
        else:
            extra = {"photometric": "rgb"} if channels > 1 else {"photometric": "minisblack"}
            tifffile.imwrite(tmp_path / f"{k}.tif", array, compression="lzw", **extra)
    _same(read_stack(tmp_path), [a[..., :3] if channels == 4 else a for a in arrays])


def test_16_bit_png_of_opencv(tmp_path):
    array = np.random.default_rng(0).integers(0, 65536, (10, 12, 3), dtype=np.uint16)
    for k in range(2):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.roll(array, k, 0)[..., ::-1])
    _same(read_stack(tmp_path), [array, np.roll(array, 1, 0)])


def test_8_and_16_bit_mix_becomes_16(tmp_path, picture):
    Image.fromarray(picture(0, channels=1)).save(tmp_path / "1.png")
    deep = picture(1, channels=1).astype(np.uint16) * 200
    tifffile.imwrite(tmp_path / "2.tif", deep)
    with pytest.warns(UserWarning, match="mix 8 and 16 bit"):
        _same(read_stack(tmp_path), [picture(0, channels=1).astype(np.uint16) * 257, deep])


def test_grey_and_colour_mix_becomes_rgb(tmp_path, picture):
    Image.fromarray(picture(0, channels=1)).save(tmp_path / "1.png")
    Image.fromarray(picture(1)).save(tmp_path / "2.png")
    with pytest.warns(UserWarning, match="mix grey and colour"):
        stack = read_stack(tmp_path)
    _same(stack, [np.repeat(picture(0, channels=1)[..., None], 3, 2), picture(1)])


def test_float_in_range_is_untouched(tmp_path):
    arrays = [np.random.default_rng(k).random((8, 9), dtype=np.float32) for k in range(2)]
    for k, array in enumerate(arrays):
        tifffile.imwrite(tmp_path / f"{k}.tif", array, compression="zlib", predictor=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _same(read_stack(tmp_path), arrays)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint32])
def test_wide_values_get_one_common_scale(tmp_path, dtype):
    arrays = [(np.arange(72).reshape(8, 9) * (k + 1)).astype(dtype) for k in range(2)]
    for k, array in enumerate(arrays):
        tifffile.imwrite(tmp_path / f"{k}.tif", array)
    with pytest.warns(UserWarning, match=r"values 0 to 142 are scaled to \[0,1\]"):
        stack = read_stack(tmp_path)
    for got, array in zip(stack.slices, arrays, strict=True):
        np.testing.assert_allclose(got, array.astype(np.float32) / 142, atol=1e-6)


def test_negative_floats_are_shifted_too(tmp_path):
    for k in range(2):
        tifffile.imwrite(tmp_path / f"{k}.tif", np.array([[-1.0, 3.0], [0.0, k]], np.float32))
    with pytest.warns(UserWarning, match="values -1 to 3"):
        np.testing.assert_allclose(read_stack(tmp_path).slices[1], [[0, 1], [0.25, 0.5]])


def test_float_trouble(tmp_path, picture):
    tifffile.imwrite(tmp_path / "1.tif", np.array([[0.5, np.nan]], np.float32))
    tifffile.imwrite(tmp_path / "2.tif", np.array([[0.5, 0.1]], np.float32))
    with pytest.raises(ValueError, match=r"1\.tif: the picture holds NaN"):
        read_stack(tmp_path)
    tifffile.imwrite(tmp_path / "1.tif", np.array([[5, 1]], np.uint8))
    with pytest.raises(ValueError, match=r"float32 pixels, but 1\.tif has uint8"):
        read_stack(tmp_path)


def test_mixed_sizes_are_named_before_anything_is_decoded(tmp_path, picture):
    for k, size in enumerate([(20, 30), (20, 30), (10, 30)]):
        Image.fromarray(picture(k, *size)).save(tmp_path / f"{k}.png")
    with pytest.raises(
        ValueError, match=r"2\.png is 30x10 px, but 0\.png is 30x20; all slices must be of one"
    ):
        read_stack(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp", "16.png", "lzw.tif"])
def test_truncated_file_is_found(tmp_path, picture, suffix):
    for k in range(2):
        path = tmp_path / f"{k}.{suffix}"
        if suffix == "16.png":
            path.write_bytes(imagecodecs.png_encode(picture(k, 64, 64).astype(np.uint16)))
        elif suffix == "lzw.tif":
            tifffile.imwrite(path, picture(k, 64, 64), photometric="rgb", compression="lzw")
        else:
            Image.fromarray(picture(k, 64, 64)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    with pytest.raises(ValueError, match=rf"1\.{re.escape(suffix)}: .*(truncated|damaged)") as caught:
        read_stack(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"not a picture at all", b"II*\0\xff\xff\xff\xff", b"\x89PNG\r\n\x1a\n"]
)
def test_unreadable_file(save_stack, content):
    folder = save_stack(["1.png", "2.png"])
    (folder / "2.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"2\.png: ") as caught:
        read_stack(folder)
    assert "\n" not in str(caught.value)


def test_a_file_that_vanishes_later(save_stack):
    folder = save_stack(["1.png", "2.png"])
    stack = read_stack(folder, cache_bytes=0)
    (folder / "2.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"2\.png"):
        stack.slices[1]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "16.png"])
def test_orientation(tmp_path, picture, orientation, suffix):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[274] = orientation
    for k in range(2):
        path = tmp_path / f"{k}.{suffix}"
        Image.fromarray(picture(k)).save(path, exif=exif)
        with Image.open(path) as image:
            want = np.asarray(ImageOps.exif_transpose(image))
        if suffix == "16.png":
            deep = imagecodecs.png_encode(picture(k).astype(np.uint16) * 257)
            path.write_bytes(deep[:-12] + _chunk(b"eXIf", exif.tobytes()[6:]) + deep[-12:])
            want = want.astype(np.uint16) * 257
    np.testing.assert_array_equal(read_stack(tmp_path).slices[1], want)


def _chunk(kind, data):
    import zlib

    body = kind + data
    return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def test_orientation_counts_before_sizes_are_compared(tmp_path, picture):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(picture(0, 20, 30)).save(tmp_path / "1.png")
    Image.fromarray(picture(1, 30, 20)).save(tmp_path / "2.png", exif=exif)
    assert read_stack(tmp_path).slices[1].shape == (20, 30, 3)


def test_all_equal(save_stack, picture):
    folder = save_stack(["1.png", "2.png", "3.png"])
    for name in ("2.png", "3.png"):
        (folder / name).write_bytes((folder / "1.png").read_bytes())
    with pytest.raises(ValueError, match="all 3 slices are the same picture"):
        read_stack(folder)


def test_equal_neighbours(save_stack):
    folder = save_stack(["1.png", "2.png", "3.png"])
    (folder / "3.png").write_bytes((folder / "2.png").read_bytes())
    with pytest.warns(UserWarning, match=r"2\.png and 3\.png are the same picture"):
        assert len(read_stack(folder)) == 3


def test_exif_and_icc_of_the_middle_slice_are_carried(tmp_path, picture, exif_of):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for k in range(3):
        exif = exif_of(make=f"ACME {k}", orientation=6, focal_mm=4.38)
        Image.fromarray(picture(k)).save(tmp_path / f"{k}.jpg", exif=exif, icc_profile=profile)
    stack = read_stack(tmp_path)
    assert stack.icc == profile
    Image.fromarray(picture(0)).save(tmp_path / "out.png", exif=stack.exif)
    with Image.open(tmp_path / "out.png") as image:
        carried = image.getexif()
        assert carried[271] == "ACME 1"
        assert carried[274] == 1
        assert carried.get_ifd(0x8769)[37386] == pytest.approx(4.38)


def test_small_budget_reads_the_same(save_stack, picture):
    stack = read_stack(save_stack(["1.png", "2.png", "3.png"]), cache_bytes=24 * 32 * 3)
    for _ in range(2):
        _same(stack, [picture(k) for k in range(3)])
    assert stack.slices.kept_bytes == 24 * 32 * 3


def test_every_is_for_videos(save_stack):
    folder = save_stack(["1.png", "2.png"])
    with pytest.raises(ValueError, match="every=2 is for videos"):
        read_stack(folder, every=2)
    with pytest.raises(ValueError, match="every=0"):
        read_stack(folder, every=0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real stacks are not on this machine")
@pytest.mark.parametrize(
    ("name", "count", "size", "left_out"),
    [
        ("leaf_micro", 6, (637, 480), "depth.png, stacked.png"),
        ("pcb_edge", 7, (2048, 1536), "expected.jpg"),
        ("ring", 6, (1521, 1141), ""),
        ("picam", 12, (1640, 1232), ""),
        ("heatsink", 49, (960, 540), ""),
        ("algae", 5, (2720, 1824), ""),
        ("fluorescence_z50nm", 34, (384, 384), ""),
        ("rendered_with_truth/1", 41, (400, 400), ""),
    ],
)
def test_real_stacks(name, count, size, left_out):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        stack = read_stack(SHARED / name)
    assert (len(stack), (stack.width, stack.height), stack.unit) == (count, size, "index")
    texts = [str(w.message) for w in seen]
    assert len(texts) == bool(left_out)
    assert all(left_out in text for text in texts)
    assert stack.slices[0].dtype == (np.uint16 if "fluorescence" in name else np.uint8)
