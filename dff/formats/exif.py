"""EXIF of pictures: focus distances, the lens, and what is carried over to written pictures."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from dff.formats import tiff
from dff.formats.decode import RAW, exif_of, open_image
from dff.formats.pixels import DECODE_ERRORS, PictureError

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
MAKE, _ORIENTATION, _ICC = 271, 274, 34675
_F_NUMBER, _FOCAL_LENGTH, _SUBJECT_DISTANCE = 33437, 37386, 37382
_PLANE_X, _PLANE_UNIT, _FOCAL_35MM, _IMAGE_WIDTH, _IMAGE_HEIGHT = 41486, 41488, 41989, 40962, 40963
# Base tags that describe the photograph; the others describe the file they came from.
_KEPT = (270, 271, 272, 305, 306, 315, 33432)
_INTEROP = 40965
_PLANE_UNIT_M = {2: 0.0254, 3: 0.01, 4: 1e-3, 5: 1e-6}
_DIAGONAL_35MM_M = 0.0432666
_INFINITY = 0xFFFFFFFF
# rpicam-apps writes 1 / LensPosition, so metres, as the standard asks.
_METRE_MAKERS = ("raspberrypi", "raspberry pi")


def read_exif(path: Path) -> Image.Exif:
    """EXIF of a picture file, with its sub-directories loaded; empty when there is none."""
    exif = Image.Exif()
    try:
        with path.open("rb") as file:
            head = file.read(4)
            if tiff.is_tiff(head) or path.suffix.lower() in RAW:
                if head[:4] in tiff.MAGIC[:2]:
                    file.seek(0)
                    exif.load_from_fp(file)
                    _load(exif)
                return exif
        with open_image(path) as image:
            exif = exif_of(image)
            _load(exif)
    except (PictureError, *DECODE_ERRORS) as error:
        warnings.warn(f"{path}: its EXIF is not readable ({error}) and is ignored", stacklevel=2)
        return Image.Exif()
    return exif


def _load(exif: Image.Exif) -> None:
    exif.get_ifd(_EXIF_IFD)
    exif.get_ifd(_GPS_IFD)


def read_icc(path: Path) -> bytes | None:
    """Embedded colour profile, or None."""
    if path.suffix.lower() in RAW:
        return None
    with path.open("rb") as file:
        head = file.read(4)
    if tiff.is_tiff(head):
        with tiff.opened(path) as tif:
            tag = tif.pages[0].tags.get(_ICC)  # type: ignore[union-attr]
            return bytes(tag.value) if tag is not None else None
    with open_image(path) as image:
        profile = image.info.get("icc_profile")
    return bytes(profile) if profile else None


def kept_exif(exif: Image.Exif, path: Path) -> bytes | None:
    """EXIF to carry to pictures made from this one: upright, without what belonged to the file itself."""
    kept = Image.Exif()
    is_tiff_file = path.suffix.lower() in tiff.SUFFIXES
    for tag in _KEPT:
        if tag in exif and not (tag == 270 and is_tiff_file):  # OME and ImageJ keep their tables there
            kept[tag] = exif[tag]
    details = {tag: v for tag, v in exif.get_ifd(_EXIF_IFD).items() if tag != _INTEROP}
    if details:
        kept[_EXIF_IFD] = details
    if exif.get_ifd(_GPS_IFD):
        kept[_GPS_IFD] = dict(exif.get_ifd(_GPS_IFD))
    if not len(kept) or (is_tiff_file and not details and MAKE not in kept):
        return None
    kept[_ORIENTATION] = 1
    try:
        return kept.tobytes()
    except DECODE_ERRORS as error:
        warnings.warn(f"{path}: its EXIF cannot be kept ({error})", stacklevel=2)
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def lens_parts(exif: Image.Exif, width: int, height: int) -> dict[str, float]:
    """What EXIF tells: any of focal_length_m, f_number, pixel_pitch_m (of an image of that size)."""
    details = exif.get_ifd(_EXIF_IFD)
    parts = {}
    focal_mm, f_number = _number(details.get(_FOCAL_LENGTH)), _number(details.get(_F_NUMBER))
    if focal_mm:
        parts["focal_length_m"] = focal_mm * 1e-3
    if f_number:
        parts["f_number"] = f_number
    per_unit, unit_m = (
        _number(details.get(_PLANE_X)),
        _PLANE_UNIT_M.get(int(details.get(_PLANE_UNIT, 2) or 2)),
    )
    focal_35mm = _number(details.get(_FOCAL_35MM))
    if per_unit and unit_m:
        # The resolution is that of the picture as taken; a reduced copy has larger pixels.
        taken = max(_number(details.get(_IMAGE_WIDTH)) or 0, _number(details.get(_IMAGE_HEIGHT)) or 0)
        reduction = taken / max(width, height) if taken else 1.0
        parts["pixel_pitch_m"] = unit_m / per_unit * reduction
    elif focal_mm and focal_35mm:
        # CIPA DCG-001: the 35 mm equivalent compares diagonals of the field of view.
        parts["pixel_pitch_m"] = _DIAGONAL_35MM_M * focal_mm / focal_35mm / math.hypot(width, height)
    return parts


def subject_distance(exif: Image.Exif) -> float | None:
    """EXIF SubjectDistance as written: inf for numerator FFFFFFFF; 0 (unknown, by the standard) stays 0."""
    value = exif.get_ifd(_EXIF_IFD).get(_SUBJECT_DISTANCE)
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, (bytes, str, tuple)):
        return None
    try:
        number = float(value)
    except (ValueError, ZeroDivisionError):
        return math.inf
    if number >= _INFINITY or getattr(value, "numerator", 0) == _INFINITY:
        return math.inf
    return None if math.isnan(number) else number


def distance_unit(
    values: Sequence[float], maker: str = "", focal_length_m: float | None = None
) -> tuple[Literal["m", "dioptre"], str]:
    """Whether SubjectDistance values of one sweep are metres or dioptres, and the evidence in words.

    The standard says metres; some camera programs copy the driver's dioptres unchanged. In this order:
    the maker; infinity (a metre value); 0 in a sweep (infinity in dioptres, "unknown" in metres); values
    that no lens of this focal length can focus at; equal steps (lenses are swept in equal dioptres).
    """
    if any(name in maker.lower() for name in _METRE_MAKERS):
        return "m", f"{maker} writes metres"
    if any(math.isinf(v) for v in values):
        return "m", "one is infinite"
    if any(v == 0 for v in values):
        return "dioptre", "one is 0, which is infinity only in dioptres"
    if focal_length_m and min(values) <= focal_length_m:
        return "dioptre", f"{min(values):g} m would be inside the {focal_length_m * 1e3:g} mm lens"
    if focal_length_m and max(values) * focal_length_m >= 1:
        return "m", f"{max(values):g} dioptres would be inside the {focal_length_m * 1e3:g} mm lens"
    if len(values) >= 4 and _evenness(values) < 0.05 and _evenness([1 / v for v in values]) > 0.25:
        return "dioptre", "their steps are equal, as lenses are swept in dioptres"
    return "m", "the unit of the EXIF standard"


def _evenness(values: Sequence[float]) -> float:
    """Spread of the steps between neighbours over their mean; 0 for equal steps."""
    steps = [b - a for a, b in pairwise(values)]
    mean = sum(steps) / len(steps)
    if mean == 0:
        return math.inf
    return math.sqrt(sum((s - mean) ** 2 for s in steps) / len(steps)) / abs(mean)
