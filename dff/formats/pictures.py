"""Write pictures (all-in-focus, aligned slices, confidence) with their EXIF and colour profile."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dff.formats.safe_write import atomic_path, check_output

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def to_levels(array: np.ndarray, levels: int) -> np.ndarray:
    """Picture -> uint8 (``levels`` 255) or uint16 (65535), rounded; float is clipped to [0,1].

    Raises:
        ValueError: the array holds NaN, or is neither bool, uint8, uint16 nor float.
    """
    out = np.uint8 if levels == 255 else np.uint16
    if array.dtype == out:
        return array
    if array.dtype == bool:
        return np.where(array, levels, 0).astype(out)
    if array.dtype == np.uint8:
        return array.astype(np.uint16) * np.uint16(257)
    if array.dtype == np.uint16:
        # 65535 = 255 * 257, so this rounds to nearest in whole numbers
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"picture: {array.dtype} values; give bool, uint8, uint16 or float in [0,1]")
    if np.isnan(np.min(array)):
        raise ValueError("picture: the array holds NaN; fill it before writing")
    scaled = np.clip(array, 0, 1).astype(np.float32, copy=False) * np.float32(levels)
    return np.rint(scaled, out=scaled).astype(out)


def write_picture(
    array: np.ndarray,
    path: str | Path,
    *,
    exif: bytes | None = None,
    icc: bytes | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a picture; returns its path.

    Args:
        array: (H,W) grey or (H,W,3) RGB: bool, uint8, uint16, or float in [0,1] (clipped).
        path: .png and .tif keep 8 and 16 bit and store float as 16 bit; .jpg is 8 bit, quality 95, 4:4:4.
        exif: EXIF block to keep; its orientation becomes 1 (pictures here are upright), its thumbnail goes.
        icc: colour profile to keep; left out where it is for another kind of picture (RGB for grey).
        overwrite: replace an existing file.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: unknown suffix, the file exists, or the array is no picture.
    """
    path = check_output(path, PICTURE_SUFFIXES, overwrite)
    array = np.asarray(array)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or array.size == 0:
        raise ValueError(f"{path}: a picture must be (H,W) or (H,W,3), got {array.shape}")
    suffix = path.suffix.lower()
    narrow = suffix in (".jpg", ".jpeg") or array.dtype in (np.uint8, bool)
    array = np.ascontiguousarray(to_levels(array, 255 if narrow else 65535))
    icc = icc if icc and icc[16:20] == (b"GRAY" if array.ndim == 2 else b"RGB ") else None
    with atomic_path(path) as temporary:
        _WRITERS[suffix](array, temporary, exif, icc)
    return path


def _write_png(array: np.ndarray, path: Path, exif: bytes | None, icc: bytes | None) -> None:
    from dff.formats.exif_write import upright_exif
    from dff.formats.png import encode_png, exif_chunk, icc_chunk

    kept = upright_exif(exif, array.shape[1], array.shape[0]) if exif else None
    chunks = icc_chunk(icc) if icc else b""
    chunks += exif_chunk(kept.tobytes().removeprefix(b"Exif\0\0")) if kept else b""
    path.write_bytes(encode_png(array, chunks))


def _write_jpeg(array: np.ndarray, path: Path, exif: bytes | None, icc: bytes | None) -> None:
    from PIL import Image

    from dff.formats.exif_write import jpeg_exif, upright_exif

    kept = upright_exif(exif, array.shape[1], array.shape[0]) if exif else None
    Image.fromarray(array).save(
        path,
        format="JPEG",
        quality=95,
        subsampling=0,
        exif=jpeg_exif(kept) if kept else b"",
        icc_profile=icc,
    )


def _write_tiff(array: np.ndarray, path: Path, exif: bytes | None, icc: bytes | None) -> None:
    import tifffile

    from dff.formats.exif_write import link_tiff_exif, tiff_tags, upright_exif

    kept = upright_exif(exif, array.shape[1], array.shape[0]) if exif else None
    tifffile.imwrite(
        path,
        array,
        byteorder="<",
        photometric="minisblack" if array.ndim == 2 else "rgb",
        compression="zlib",
        predictor=True,
        metadata=None,
        software=False,
        iccprofile=icc,
        extratags=tiff_tags(kept) if kept else None,
    )
    if kept:
        link_tiff_exif(path, kept)


_WRITERS = {
    ".png": _write_png,
    ".jpg": _write_jpeg,
    ".jpeg": _write_jpeg,
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
}
