"""Depth files made by others: their numbers, and what makes dioptres of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from dff.formats.decode import source_of
from dff.formats.pixels import reading
from dff.formats.tiff import SUFFIXES as TIFF_SUFFIXES
from dff.formats.tiff import opened
from dff.formats.units import METRES
from dff.recipes import load_recipe

DepthUnit = Literal["m", "cm", "mm", "dioptre", "disparity"]
DEPTH_UNITS: tuple[DepthUnit, ...] = get_args(DepthUnit)
RGBD_TOML, CALIB_TXT = "rgbd.toml", "calib.txt"
Range = tuple[float, float]

_EXR_NAMES = ("z", "depth", "v", "y")  # the last part of a channel's name, in the order of preference
_PFM_HEAD = re.compile(rb"P([fF])\s+(\d+)\s+(\d+)\s+([-+.\deE]+)\s")


@dataclass(frozen=True)
class DepthScale:
    """What the numbers of a depth file mean.

    Args:
        unit: distance in metres, centimetres or millimetres; dioptres; or disparity, larger when nearer.
        scale: the file's numbers times this are in ``unit``.
        focal_px, baseline_m, offset_px: of the stereo pair a disparity [px] was measured with; the offset is
            added to the disparity, which then is 0 at infinity. Without them it is any linear measure.
        width_px: of the pictures that the calibration is for; None: any.
        dioptre_range: (far, near) that an uncalibrated disparity is stretched to, picture by picture.
    """

    unit: DepthUnit
    scale: float = 1.0
    focal_px: float | None = None
    baseline_m: float | None = None
    offset_px: float = 0.0
    width_px: int | None = None
    dioptre_range: Range = (0.25, 4.0)

    def __post_init__(self) -> None:
        far, near = self.dioptre_range
        if not 0 <= far < near:
            raise ValueError(f"dioptre_range [{far}, {near}] must be [far, near] with 0 <= far < near")
        for name in ("scale", "focal_px", "baseline_m"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} {value} must be above 0")
        if (self.focal_px is None) != (self.baseline_m is None):
            raise ValueError("focal_px and baseline_m belong together: give both or neither")
        if self.focal_px is not None and self.unit != "disparity":
            raise ValueError(f"focal_px is for unit disparity, not {self.unit}")

    def dioptres(self, numbers: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """(H,W) of a file -> dioptre float32 (0 in holes) and valid bool.

        0, NaN and infinity are holes; only floating-point dioptres may be 0, which is infinity.

        Raises:
            ValueError: negative depth, or no depth at all; ``path`` is named.
        """
        if self.width_px not in (None, numbers.shape[1]):
            raise ValueError(
                f"{path}: is {numbers.shape[1]} px wide, its calibration is for {self.width_px} px; "
                f"take the disparity in its first size, or say focal_px and baseline_m in {RGBD_TOML}"
            )
        values = numbers.astype(np.float64) * self.scale
        valid = np.isfinite(values)
        infinity = self.unit == "dioptre" and numbers.dtype.kind == "f"
        if not infinity:
            valid &= values != 0
        if not valid.any():
            raise ValueError(f"{path}: holds no depth: every pixel is 0, NaN or infinite; leave it out")
        lowest = values[valid].min()
        if lowest < 0:
            raise ValueError(
                f"{path}: holds negative depth ({lowest:g} {self.unit}); mark holes by 0 or NaN, "
                "or add a constant to a signed disparity"
            )
        values[~valid] = 1.0
        if self.unit in METRES:
            dioptre = 1 / (values * METRES[self.unit])
        elif self.unit == "dioptre":
            dioptre = values
        elif self.focal_px is not None and self.baseline_m is not None:
            dioptre = (values + self.offset_px) / (self.focal_px * self.baseline_m)
            if dioptre[valid].min() < 0:
                raise ValueError(f"{path}: disparity plus offset_px {self.offset_px:g} is negative")
        else:
            dioptre = stretched(values, valid, self.dioptre_range)
        return np.where(valid, dioptre, 0).astype(np.float32), valid


def stretched(values: np.ndarray, valid: np.ndarray, target: Range) -> np.ndarray:
    """``values`` (H,W) mapped linearly so that the valid ones fill ``target``; if all are one, its middle."""
    low, high = float(values[valid].min()), float(values[valid].max())
    if high <= low:
        return np.full_like(values, sum(target) / 2)
    share = np.clip((values - low) / (high - low), 0, 1)
    return target[0] + share * (target[1] - target[0])


def stated_scale(path: Path) -> DepthScale:
    """What an `rgbd.toml` says: the unit, and any other argument of `DepthScale`.

    Raises:
        ValueError: not TOML, unknown or missing keys, values that cannot be.
    """
    return load_recipe("simulator/scenes", path, DepthScale)


def calibrated_scale(path: Path) -> DepthScale | None:
    """Scale of disparities from a Middlebury `calib.txt`; None if it lacks a number.

    It gives cam0 = [f 0 cx; 0 f cy; 0 0 1], doffs and width in pixels, and the baseline in millimetres.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    entries = {key.strip(): value.strip(" []\t\r") for key, value in lines}
    try:
        return DepthScale(
            "disparity",
            focal_px=float(entries["cam0"].split()[0]),
            baseline_m=float(entries["baseline"]) / 1000,
            offset_px=float(entries["doffs"]),
            width_px=int(entries["width"]),
        )
    except (KeyError, IndexError, ValueError):
        return None


# --- files -----------------------------------------------------------------------------------------------


def read_depth_numbers(path: Path) -> np.ndarray:
    """(H,W) as the file holds them: integers, or float with NaN and infinity.

    Raises:
        ValueError: damaged, or not one number per pixel; the file is named.
    """
    suffix = path.suffix.lower()
    with reading(path):
        numbers = DEPTH_READERS[suffix](path)
    if numbers.ndim == 3 and numbers.shape[2] > 1 and (numbers == numbers[..., :1]).all():
        numbers = numbers[..., :1]  # grey, written as RGB
    if numbers.ndim == 3 and 1 in (numbers.shape[0], numbers.shape[2]):
        numbers = numbers[0] if numbers.shape[0] == 1 else numbers[..., 0]
    if numbers.ndim != 2 or numbers.dtype.kind not in "uif":
        raise ValueError(
            f"{path}: holds {numbers.dtype} {numbers.shape}, not one number per pixel; "
            "is it a coloured picture of depth?"
        )
    return numbers


def _read_picture(path: Path) -> np.ndarray:
    return np.asarray(source_of(path, path.name).decode())


def _read_pfm(path: Path) -> np.ndarray:
    content = path.read_bytes()
    head = _PFM_HEAD.match(content)
    if head is None:
        raise ValueError("not a portable float map")
    channels = 3 if head[1] == b"F" else 1
    width, height = int(head[2]), int(head[3])
    order = "<f4" if float(head[4]) < 0 else ">f4"
    count = width * height * channels
    if len(content) - head.end() < 4 * count:
        raise ValueError("cut short")
    pixels = np.frombuffer(content, order, count, head.end()).reshape(height, width, channels)
    return pixels[::-1].astype(np.float32)  # stored from the bottom up


def _read_exr(path: Path) -> np.ndarray:
    import OpenEXR

    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = {name: one.pixels for part in file.parts for name, one in part.channels.items()}
    by_word = {name.rsplit(".", 1)[-1].lower(): pixels for name, pixels in channels.items()}
    for word in _EXR_NAMES:
        if word in by_word:
            return np.asarray(by_word[word])
    if {"r", "g", "b"} <= set(by_word):
        return np.stack([by_word[word] for word in "rgb"], axis=-1)
    if len(channels) == 1:
        return np.asarray(next(iter(channels.values())))
    raise ValueError(f"no channel Z among {', '.join(sorted(channels))}")


def _read_numpy(path: Path) -> np.ndarray:
    data = np.load(path, allow_pickle=False)
    if isinstance(data, np.ndarray):
        return data
    with data:
        names = [name for name in data.files if data[name].ndim >= 2]
        depths = names if len(names) == 1 else [name for name in names if "depth" in name or "disp" in name]
        if len(depths) != 1:
            raise ValueError(f"arrays {', '.join(data.files) or 'none'}: name one of them depth, or keep one")
        return np.asarray(data[depths[0]])


def _read_tiff(path: Path) -> np.ndarray:
    with opened(path) as file:
        return np.asarray(file.pages.first.asarray())


DEPTH_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".png": _read_picture,
    ".pgm": _read_picture,
    ".pfm": _read_pfm,
    ".exr": _read_exr,
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    **dict.fromkeys(sorted(TIFF_SUFFIXES), _read_tiff),
}
"""How depth is read, by suffix."""
ONLY_DEPTH = (".pfm", ".exr", ".npy", ".npz")
"""Suffixes that are no picture, so that the file needs no word for depth in its name."""
