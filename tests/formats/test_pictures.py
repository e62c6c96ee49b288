import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from dff.formats.pictures import to_levels, write_picture

SUFFIXES = (".png", ".jpg", ".tif")
H, W = 31, 45


def pixels(kind: str, colour: bool = True) -> np.ndarray:
    """A smooth picture, so that JPEG comes close to it."""
    y, x = np.mgrid[0:1:31j, 0:1:45j]
    image = (np.stack([x, y, (x + y) / 2], axis=2) if colour else x * y).astype(np.float32)
    return {
        "float": image,
        "uint16": np.rint(image * np.float32(65535)).astype(np.uint16),
        "uint8": np.rint(image * 255).astype(np.uint8),
    }[kind]


def load(path: Path) -> np.ndarray:
    """The stored levels, RGB."""
    if path.suffix.startswith(".tif"):
        return tifffile.imread(path)
    data = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return data if data.ndim == 2 else data[..., ::-1]


def camera_exif() -> bytes:
    """EXIF as a camera writes it: rotated, with sizes, a maker's note, GPS and a thumbnail."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Model] = "Model 5"
    exif[ExifTags.Base.XResolution] = IFDRational(72, 1)
    exif[ExifTags.Base.Compression] = 6
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.FocalLength: IFDRational(26, 10),
        ExifTags.Base.ExposureTime: IFDRational(1, 125),
        ExifTags.Base.ExifImageWidth: 4000,
        ExifTags.Base.ExifImageHeight: 3000,
        ExifTags.Base.MakerNote: b"secret" * 30,
    }
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (47.0, 30.0, 0.0)}
    block = exif.tobytes()
    # Pillow writes no second directory, where cameras keep the thumbnail: append one and link it
    tiff = bytearray(block.removeprefix(b"Exif\0\0"))
    assert tiff[:2] == b"MM"
    (first,) = struct.unpack(">I", tiff[4:8])
    (count,) = struct.unpack(">H", tiff[first : first + 2])
    struct.pack_into(">I", tiff, first + 2 + 12 * count, len(tiff))
    thumbnail = ImageFileDirectory_v2(ifh=b"MM\0*\0\0\0\0")
    thumbnail[513], thumbnail[514] = 8, 999
    return b"Exif\0\0" + bytes(tiff) + thumbnail.tobytes(len(tiff))


def profile(space: str = "sRGB") -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()  # type: ignore[arg-type]


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float"])
@pytest.mark.parametrize("suffix", [*SUFFIXES, ".jpeg", ".tiff", ".PNG"])
def test_levels_are_kept(tmp_path: Path, suffix: str, kind: str, colour: bool) -> None:
    image = pixels(kind, colour)
    path = write_picture(image, tmp_path / f"a{suffix}")
    stored = load(path)
    assert stored.shape == image.shape
    if suffix.startswith(".jp"):
        assert stored.dtype == np.uint8
        assert np.abs(stored.astype(int) - pixels("uint8", colour)).max() <= 4
    else:
        assert np.array_equal(stored, pixels("uint8" if kind == "uint8" else "uint16", colour))
    assert list(tmp_path.iterdir()) == [path]


def test_reduction_rounds_to_nearest() -> None:
    sixteen = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_levels(sixteen, 255), np.rint(sixteen / 257).astype(np.uint8))
    eight = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_levels(to_levels(eight, 65535), 255), eight)
    assert to_levels(np.array([-0.2, 0.5, 1.3]), 255).tolist() == [0, 128, 255]
    assert to_levels(np.array([True, False]), 255).tolist() == [255, 0]
    with pytest.raises(ValueError, match="int64"):
        to_levels(np.array([1, 2]), 255)


def test_jpeg_keeps_full_colour_resolution(tmp_path: Path) -> None:
    path = write_picture(pixels("uint16"), tmp_path / "a.jpg")
    with Image.open(path) as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_exif_is_kept_upright(tmp_path: Path, suffix: str, kind: str) -> None:
    source = camera_exif()
    with Image.open(io.BytesIO(_jpeg_with(source))) as image:
        assert image.getexif().get_ifd(ExifTags.IFD.IFD1)  # the test does carry a thumbnail
    path = write_picture(pixels(kind), tmp_path / f"a{suffix}", exif=source)
    with Image.open(path) as image:
        exif = image.getexif()
        details, place = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
        assert not exif.get_ifd(ExifTags.IFD.IFD1)
        assert image.size == (W, H)
    assert exif[ExifTags.Base.Orientation] == 1
    assert (exif[ExifTags.Base.Make], exif[ExifTags.Base.Model]) == ("Maker", "Model 5")
    assert float(details[ExifTags.Base.FocalLength]) == pytest.approx(2.6)
    assert float(details[ExifTags.Base.ExposureTime]) == pytest.approx(1 / 125)
    assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (W, H)
    assert details[ExifTags.Base.MakerNote] == b"secret" * 30
    assert [float(x) for x in place[2]] == [47.0, 30.0, 0.0]
    if suffix == ".tif":
        assert np.array_equal(load(path), pixels(kind))  # and storage tags of the source did no harm


def _jpeg_with(exif: bytes) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, format="JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_colour_profile_is_kept(tmp_path: Path, suffix: str, kind: str) -> None:
    icc = profile()
    for exif in (None, camera_exif()):
        path = write_picture(pixels(kind), tmp_path / f"a{suffix}", icc=icc, exif=exif, overwrite=True)
        with Image.open(path) as image:
            assert image.info["icc_profile"] == icc
        assert load(path).shape == (H, W, 3)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_profile_for_colour_is_not_put_on_grey(tmp_path: Path, suffix: str) -> None:
    with Image.open(write_picture(pixels("uint8", False), tmp_path / f"a{suffix}", icc=profile())) as image:
        assert "icc_profile" not in image.info or image.info["icc_profile"] is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_unreadable_exif_costs_a_warning_not_the_picture(tmp_path: Path, suffix: str) -> None:
    with pytest.warns(UserWarning, match="EXIF could not be read"):
        path = write_picture(pixels("uint8"), tmp_path / f"a{suffix}", exif=b"Exif\0\0garbage")
    assert load(path).shape == (H, W, 3)


def test_exif_too_large_for_jpeg_loses_the_makers_note(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Model 5"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.MakerNote: bytes(70000)}
    path = write_picture(pixels("uint8"), tmp_path / "a.jpg", exif=exif.tobytes())
    with Image.open(path) as image:
        assert image.getexif()[ExifTags.Base.Model] == "Model 5"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.UserComment: bytes(70000)}
    with pytest.warns(UserWarning, match="larger than JPEG allows"):
        write_picture(pixels("uint8"), tmp_path / "b.jpg", exif=exif.tobytes())


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 4)), r"must be \(H,W\) or \(H,W,3\)"),
        (np.zeros((0, 4)), "must be"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.zeros((4, 4), np.int32), "int32"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, image: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        write_picture(image, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_silently(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(ValueError, match="pass --overwrite"):
        write_picture(pixels("uint8"), tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"unknown suffix '\.bmp'"):
        write_picture(pixels("uint8"), tmp_path / "a.bmp")
    assert (tmp_path / "a.png").read_text() == "mine"
    write_picture(pixels("uint8"), tmp_path / "a.png", overwrite=True)
    assert np.array_equal(load(tmp_path / "a.png"), pixels("uint8"))
