"""One picture file -> one slice: JPEG, PNG (16 bit too), TIFF, WebP, HEIC and the like, camera RAW."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dff.formats import tiff
from dff.formats.pixels import U8, U16, PictureError, oriented, oriented_layout, reading, to_stored
from dff.formats.slices import Layout, SliceSource

HEIC = frozenset({".heic", ".heif", ".hif"})
RAW = frozenset({
    ".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".raf", ".rw2", ".orf", ".pef",
    ".srw", ".3fr", ".fff", ".iiq", ".rwl", ".x3f", ".kdc", ".mrw",
})  # fmt: skip
PILLOW = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".gif", ".webp", ".avif",
    ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
})  # fmt: skip
PICTURES = PILLOW | tiff.SUFFIXES | HEIC | RAW
_PNG = b"\x89PNG\r\n\x1a\n"
_GREY = ("1", "L", "LA", "La")
_GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def source_of(path: Path, name: str) -> SliceSource:
    """Read the header of a picture file; its pixels wait.

    Raises:
        PictureError: not a picture, damaged, or of a kind whose reader is not installed.
    """
    if path.suffix.lower() in RAW:
        return SliceSource(name, _raw_layout(path), path, partial(_decode_raw, path))
    with reading(path), path.open("rb") as file:
        head = file.read(26)
    if not head:
        raise PictureError(f"{path}: the file is empty; copy it again or leave it out")
    if tiff.is_tiff(head):
        return tiff.single_source(path, name)
    with open_image(path) as image:
        layout = Layout(image.height, image.width, *_kind(image.mode, path))
        orientation = orientation_of(image)
    if head[:8] == _PNG and head[24] == 16:
        layout = Layout(layout.height, layout.width, 3 if head[25] in (2, 6) else 1, U16)
        decode = partial(_decode_png16, path, orientation)
    else:
        decode = partial(_decode_pillow, path)
    return SliceSource(name, oriented_layout(layout, orientation), path, decode)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """A Pillow image, lazily; errors inside become one line that names ``path``."""
    if path.suffix.lower() in HEIC:
        _register_heic(path)
    try:
        with reading(path), Image.open(path) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"{path}: {error}; reduce the picture or raise PIL.Image.MAX_IMAGE_PIXELS"
        ) from None


def _register_heic(path: Path) -> None:
    try:
        import_module("pillow_heif").register_heif_opener()
    except ImportError:
        raise PictureError(
            f"{path}: HEIC pictures need pillow-heif; install it with: pip install pillow-heif"
        ) from None


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation, 1 when absent."""
    return int(exif_of(image).get(274, 1) or 1)


def exif_of(image: Image.Image) -> Image.Exif:
    """EXIF of an opened picture, without decoding it."""
    if image.format != "PNG":
        return image.getexif()
    # For PNG Pillow's own method decodes all pixels to look for a chunk behind them.
    exif = Image.Image.getexif(image)
    if not len(exif):
        exif.load(_png_chunk(Path(str(image.filename)), b"eXIf"))  # type: ignore[attr-defined]
    return exif


def _png_chunk(path: Path, wanted: bytes) -> bytes:
    with path.open("rb") as file:
        file.seek(len(_PNG))
        while len(start := file.read(8)) == 8:
            length = int.from_bytes(start[:4], "big")
            if start[4:] == wanted:
                return file.read(length)
            file.seek(length + 4, 1)
    return b""


def _kind(mode: str, path: Path) -> tuple[int, np.dtype]:
    if mode == "F":
        return 1, np.dtype(np.float32)
    if mode in _GREY_16:
        return 1, U16
    if mode in _GREY:
        return 1, U8
    if mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"):
        return 3, U8
    raise PictureError(f"{path}: pixels of type {mode} are not read; save it as 8 or 16 bit grey or RGB")


def image_pixels(image: Image.Image, path: Path) -> np.ndarray:
    """Pixels of an opened Pillow image as (H,W) or (H,W,3), not yet turned; alpha is dropped."""
    channels, dtype = _kind(image.mode, path)
    if dtype == U8:
        if image.mode == "RGBa":
            image = image.convert("RGBA")
        mode = "L" if channels == 1 else "RGB"
        return np.asarray(image if image.mode == mode else image.convert(mode))
    pixels = np.asarray(image)
    if image.mode == "I" and pixels.size and not 0 <= pixels.min() <= pixels.max() <= 65535:
        raise PictureError(f"{path}: 32-bit pixels outside 0..65535; save it as 16 bit or float TIFF")
    return to_stored(pixels.astype(np.uint16) if image.mode == "I" else pixels, path)


def _decode_pillow(path: Path) -> np.ndarray:
    with open_image(path) as image:
        return oriented(image_pixels(image, path), orientation_of(image))


def _decode_png16(path: Path, orientation: int) -> np.ndarray:
    # Pillow cuts 16-bit RGB down to 8 bit; libpng through imagecodecs does not.
    import imagecodecs  # slow to load, and only 16-bit PNG needs it

    with reading(path):
        pixels = imagecodecs.png_decode(path.read_bytes())
    if pixels.ndim == 3:
        pixels = pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
    return oriented(pixels, orientation)


@contextmanager
def _open_raw(path: Path) -> Iterator[Any]:
    try:
        rawpy = import_module("rawpy")
    except ImportError:
        raise PictureError(
            f"{path}: RAW pictures need rawpy; install it with: pip install dff[raw]"
        ) from None
    try:
        with reading(path), rawpy.imread(str(path)) as raw:
            yield raw
    except rawpy.LibRawError as error:
        raise PictureError(f"{path}: cannot be developed ({error}); convert it to DNG or TIFF") from error


def _raw_layout(path: Path) -> Layout:
    with _open_raw(path) as raw:
        sizes = raw.sizes
    turned = bool(sizes.flip & 4)
    height, width = (sizes.iwidth, sizes.iheight) if turned else (sizes.iheight, sizes.iwidth)
    return Layout(height, width, 3, U16)


def camera_white_balance(path: Path) -> list[float]:
    """As-shot white balance of a RAW file, to develop every slice of a stack alike."""
    with _open_raw(path) as raw:
        return [float(v) for v in raw.camera_whitebalance]


def _decode_raw(path: Path, white_balance: list[float] | None = None) -> np.ndarray:
    # No automatic brightness: it would differ from slice to slice.
    balance = {"user_wb": white_balance} if white_balance else {"use_camera_wb": True}
    with _open_raw(path) as raw:
        return np.asarray(raw.postprocess(output_bps=16, no_auto_bright=True, **balance))


def developed_alike(sources: list[SliceSource]) -> list[SliceSource]:
    """RAW slices with the white balance of the first, so that colours do not flicker along the stack."""
    if any(source.path.suffix.lower() not in RAW for source in sources):
        return sources
    balance = camera_white_balance(sources[0].path)
    return [SliceSource(s.name, s.layout, s.path, partial(_decode_raw, s.path, balance)) for s in sources]
