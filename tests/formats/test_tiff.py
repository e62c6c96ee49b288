"""Multi-page TIFF, OME-TIFF and ImageJ stacks."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from dff.formats.read import read_stack


def _volume(*shape, dtype=np.uint8):
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return (np.random.default_rng(0).random(shape) * top).astype(dtype)


def _same(stack, arrays):
    assert len(stack) == len(arrays)
    for got, want in zip(stack.slices, arrays, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def _write(path, array, axes, ome=True, **metadata):
    rgb = axes.endswith("S")
    tifffile.imwrite(
        path,
        array,
        ome=ome,
        imagej=not ome,
        photometric="rgb" if rgb else "minisblack",
        metadata={"axes": axes, **metadata},
        compression="lzw" if ome else None,
    )


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_plain_multi_page(tmp_path, dtype, compression):
    volume = _volume(5, 20, 30, dtype=dtype)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, volume, photometric="minisblack", compression=compression)
    stack = read_stack(path)
    _same(stack, list(volume))
    assert stack.names == ("page_001", "page_002", "page_003", "page_004", "page_005")
    assert stack.unit == "index"


def test_pages_of_pillow_and_colour(tmp_path):
    volume = _volume(4, 20, 30, 3)
    pages = [Image.fromarray(page) for page in volume]
    pages[0].save(tmp_path / "s.tiff", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    _same(read_stack(tmp_path / "s.tiff"), list(volume))


def test_a_folder_with_one_multi_page_file(tmp_path):
    volume = _volume(3, 20, 30)
    tifffile.imwrite(tmp_path / "s.tif", volume, photometric="minisblack")
    (tmp_path / "stack.toml").write_text("z_um = [0, 3, 7]")
    stack = read_stack(tmp_path)
    _same(stack, list(volume))
    np.testing.assert_allclose(stack.z_um, [0, 3, 7])
    np.testing.assert_allclose(read_stack(tmp_path / "s.tif").z_um, [0, 3, 7])


@pytest.mark.parametrize(
    ("axes", "shape"),
    [("ZYX", (4, 20, 30)), ("ZYXS", (4, 20, 30, 3)), ("ZCYX", (4, 1, 20, 30)), ("TZYX", (1, 4, 20, 30)),
     ("TZYXS", (1, 4, 20, 30, 3)), ("TZCYX", (1, 4, 1, 20, 30))],
)  # fmt: skip
def test_ome_axes(tmp_path, axes, shape):
    volume = _volume(*shape, dtype=np.uint16)
    path = tmp_path / "s.ome.tif"
    _write(path, volume, axes, PhysicalSizeZ=500, PhysicalSizeZUnit="nm")
    stack = read_stack(path)
    _same(stack, list(volume.reshape([4, 20, 30] + [3] * axes.endswith("S"))))
    assert stack.unit == "um"
    np.testing.assert_allclose(stack.z_um, [0, 0.5, 1, 1.5])
    assert stack.origin == "OME PhysicalSizeZ 0.5 um"


@pytest.mark.parametrize("axes", ["ZCYX", "CZYX"])
def test_three_channels_are_rgb(tmp_path, axes):
    volume = _volume(*((4, 3) if axes == "ZCYX" else (3, 4)), 20, 30)
    path = tmp_path / "s.ome.tif"
    _write(path, volume, axes)
    channel = axes.index("C")
    _same(read_stack(path), list(np.moveaxis(volume, channel, -1)))


@pytest.mark.parametrize("count", [2, 4])
def test_other_channel_counts_are_averaged(tmp_path, count):
    volume = _volume(3, count, 20, 30, dtype=np.uint16)
    path = tmp_path / "s.ome.tif"
    _write(path, volume, "ZCYX")
    with pytest.warns(UserWarning, match=f"{count} channels; their mean"):
        stack = read_stack(path)
    _same(stack, list(np.rint(volume.mean(axis=1, dtype=np.float32)).astype(np.uint16)))


def test_channels_without_z_are_slices(tmp_path):
    volume = _volume(5, 20, 30)
    _write(tmp_path / "s.ome.tif", volume, "CYX")
    with pytest.warns(UserWarning, match="5 channels and no Z axis"):
        _same(read_stack(tmp_path / "s.ome.tif"), list(volume))


def test_time_alone_is_read_as_slices_but_not_with_z(tmp_path):
    _write(tmp_path / "t.ome.tif", _volume(3, 20, 30), "TYX")
    with pytest.warns(UserWarning, match="the 3 time points are read as slices"):
        assert len(read_stack(tmp_path / "t.ome.tif")) == 3
    _write(tmp_path / "tz.ome.tif", _volume(2, 3, 20, 30), "TZYX")
    with pytest.raises(ValueError, match=r"tz\.ome\.tif: holds several time points"):
        read_stack(tmp_path / "tz.ome.tif")


def test_plane_positions_win_over_the_step(tmp_path):
    heights = [10.0, 12.5, 20.0]
    _write(
        tmp_path / "s.ome.tif",
        _volume(3, 20, 30),
        "ZYX",
        PhysicalSizeZ=1.0,
        Plane={"PositionZ": heights, "PositionZUnit": ["µm"] * 3},
    )
    stack = read_stack(tmp_path / "s.ome.tif")
    np.testing.assert_allclose(stack.z_um, heights)
    assert "PositionZ" in stack.origin


def test_useless_step_is_said(tmp_path):
    _write(tmp_path / "s.ome.tif", _volume(3, 20, 30), "ZYX", PhysicalSizeZ=1.0, PhysicalSizeZUnit="pixel")
    with pytest.warns(UserWarning, match="which is no length"):
        assert read_stack(tmp_path / "s.ome.tif").unit == "index"


def test_imagej_spacing(tmp_path):
    volume = _volume(3, 20, 30)
    _write(tmp_path / "s.tif", volume, "ZYX", ome=False, spacing=2.5, unit="um")
    stack = read_stack(tmp_path / "s.tif")
    _same(stack, list(volume))
    np.testing.assert_allclose(stack.z_um, [0, 2.5, 5])


def test_imagej_stack_with_one_directory(tmp_path):
    # ImageJ writes files over 4 GB like this: one directory, then all pixels in a row.
    volume = _volume(4, 20, 30, dtype=np.uint16).astype(">u2")
    described = "ImageJ=1.53\nimages=4\nslices=4\nspacing=2\nunit=micron\n"
    tifffile.imwrite(tmp_path / "s.tif", volume[0], byteorder=">", description=described, metadata=None)
    with (tmp_path / "s.tif").open("ab") as file:
        file.write(volume[1:].tobytes())
    stack = read_stack(tmp_path / "s.tif")
    _same(stack, list(volume.astype(np.uint16)))
    np.testing.assert_allclose(stack.z_um, [0, 2, 4, 6])


def test_min_is_white_is_inverted(tmp_path):
    volume = _volume(2, 20, 30)
    tifffile.imwrite(tmp_path / "s.tif", volume, photometric="miniswhite")
    _same(read_stack(tmp_path / "s.tif"), list(255 - volume))


def test_planar_colour(tmp_path):
    arrays = [_volume(3, 20, 30), _volume(3, 20, 30)[:, ::-1]]
    for k, array in enumerate(arrays):
        tifffile.imwrite(tmp_path / f"{k}.tif", array, photometric="rgb", planarconfig="separate")
    _same(read_stack(tmp_path), [np.moveaxis(a, 0, -1) for a in arrays])


def test_one_page(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", _volume(20, 30))
    with pytest.raises(ValueError, match=r"only one picture \(s\.tif\)"):
        read_stack(tmp_path / "s.tif")


def test_pages_of_mixed_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as tif:
        tif.write(_volume(20, 30), metadata=None)
        tif.write(_volume(10, 30), metadata=None)
    with pytest.raises(ValueError, match="pages are of mixed sizes"):
        read_stack(tmp_path / "s.tif")


def test_multi_page_files_among_single_ones(tmp_path):
    tifffile.imwrite(tmp_path / "1.tif", _volume(3, 20, 30), photometric="minisblack")
    tifffile.imwrite(tmp_path / "2.tif", _volume(20, 30))
    with pytest.raises(ValueError, match=r"1\.tif: holds 3 pages; a stack is one multi-page file"):
        read_stack(tmp_path)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_truncated(tmp_path, share, compression):
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, _volume(4, 40, 50), photometric="minisblack", compression=compression)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match=r"s\.tif: ") as caught:
        read_stack(path)
    assert "\n" not in str(caught.value)


def test_small_preview_page_is_ignored(tmp_path):
    arrays = [_volume(40, 50, 3), _volume(40, 50, 3)[::-1]]
    for k, array in enumerate(arrays):
        with tifffile.TiffWriter(tmp_path / f"{k}.tif") as tif:
            tif.write(array, photometric="rgb", metadata=None)
            tif.write(array[::4, ::4], photometric="rgb", subfiletype=1, metadata=None)
    _same(read_stack(tmp_path), arrays)
