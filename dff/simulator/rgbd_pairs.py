"""Pictures with their depth, found in a folder as people keep them, and cut to size.

Found below a folder: ``image/`` beside ``depth/`` with the same names in both; ``a_rgb.png`` beside
``a_depth.png``; scenes with ``im0.png`` and ``disp0.pfm``. A picture word (`PICTURE_WORDS`) or a depth word
(`DEPTH_WORDS`) in the name of a file or of its folder says which it is, and what is left of the name must be
the same in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from dff.formats.decode import PICTURES, source_of
from dff.simulator.rgbd_depth import (
    CALIB_TXT,
    DEPTH_READERS,
    DEPTH_UNITS,
    ONLY_DEPTH,
    RGBD_TOML,
    DepthScale,
    DepthUnit,
    Range,
    calibrated_scale,
    read_depth_numbers,
    stated_scale,
    stretched,
)

PICTURE_WORDS = frozenset(
    {"rgb", "image", "images", "img", "imgs", "im", "color", "colour", "colors", "colours",
     "left", "view", "photo", "photos", "picture", "pictures", "aif"}
)  # fmt: skip
DISPARITY_WORDS = frozenset({"disp", "disps", "disparity", "disparities"})
DEPTH_WORDS = DISPARITY_WORDS | {"depth", "depths", "depthmap"}
IGNORED_WORDS = frozenset({"right", "mask", "masks", "conf", "confidence", "normal", "normals", "vis"})
UNIT_WORDS: dict[str, DepthUnit] = {"m": "m", "cm": "cm", "mm": "mm", "dioptre": "dioptre"}
"""Words that tell the unit when they follow a depth word: ``a_depth_mm.png``."""

_WORD = re.compile(r"\d+|[^\W\d_]+")
OUTLIERS = 0.005  # of the pixels at either end that a depth range may leave out


@dataclass(frozen=True)
class RgbdPair:
    """A picture and its depth, on disk.

    Args:
        name: the picture's path below the folder, without suffix.
        picture, depth: the files.
        scale: what the numbers of ``depth`` mean.
    """

    name: str
    picture: Path
    depth: Path
    scale: DepthScale

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Picture (H,W,3) uint8, dioptre (H,W) float32 (0 in holes) and valid (H,W) bool.

        Raises:
            ValueError: a damaged file, sizes that differ, negative depth or none at all; the file is named.
        """
        picture = np.asarray(source_of(self.picture, self.picture.name).decode())
        if picture.dtype == np.uint16:
            picture = (picture >> 8).astype(np.uint8)
        if picture.dtype != np.uint8:
            raise ValueError(f"{self.picture}: floating-point pictures are not read; save it as 8 or 16 bit")
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        numbers = read_depth_numbers(self.depth)
        if numbers.shape != picture.shape[:2]:
            sizes = [f"{width}x{height}" for height, width in (numbers.shape, picture.shape[:2])]
            raise ValueError(
                f"{self.depth}: is {sizes[0]} px, but {self.picture.name} is {sizes[1]}; "
                "bring both to one size and one field of view"
            )
        return picture, *self.scale.dioptres(numbers, self.depth)


# --- finding ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Named:
    """What the path of a file says of it.

    Args:
        role: "picture", "depth", or "" for neither.
        key: the same in a picture and its depth.
        unit: of the depth, if said.
        disparity: the depth is called one.
    """

    role: str
    key: tuple[str, ...] = ()
    unit: DepthUnit | None = None
    disparity: bool = False


def _without_depth(words: list[str]) -> tuple[list[str], DepthUnit | None, bool] | None:
    """Words without the last depth word and the unit that follows it, the unit, whether it is a disparity."""
    at = [i for i, word in enumerate(words) if word in DEPTH_WORDS]
    if not at:
        return None
    unit = UNIT_WORDS.get(words[at[-1] + 1]) if at[-1] + 1 < len(words) else None
    rest = words[: at[-1]] + words[at[-1] + (1 if unit is None else 2) :]
    return rest, unit, words[at[-1]] in DISPARITY_WORDS


def _named(relative: Path) -> _Named:
    named = _Named("")
    key: list[str] = []
    for part in relative.parent.parts:
        words = [word.lower() for word in _WORD.findall(part)]
        depth = _without_depth(words)
        if depth is not None and not depth[0]:
            named = _Named("depth", (), *depth[1:])
        elif words and PICTURE_WORDS.issuperset(words):
            named = _Named("picture")
        else:
            key.append(part)
    words = [word.lower() for word in _WORD.findall(relative.stem)]
    depth = _without_depth(words)
    suffix = relative.suffix.lower()
    if depth is not None:
        words = depth[0]
        named = _Named("depth", (), depth[1] or named.unit, depth[2] or named.disparity)
    elif not IGNORED_WORDS.isdisjoint(words):
        return _Named("")
    elif named.role != "depth":
        named = _Named("depth" if suffix in ONLY_DEPTH else "picture")
    key += [word for word in words if word not in PICTURE_WORDS]
    known = DEPTH_READERS if named.role == "depth" else PICTURES
    return replace(named, key=tuple(key)) if suffix in known else _Named("")


def find_pairs(
    folder: str | Path, depth_unit: str | None = None, dioptre_range: Range | None = None
) -> list[RgbdPair]:
    """The pictures with depth in a folder and below it, sorted by name; files are read later.

    Args:
        folder: where to look.
        depth_unit: one of `DEPTH_UNITS`, for depth files whose unit is not known otherwise. It is known from
            an `rgbd.toml` (`dff.simulator.rgbd_depth.stated_scale`) in the folder of the depth file or above,
            from its name (`UNIT_WORDS`), or for a disparity from a Middlebury `calib.txt`, in this order.
        dioptre_range: (far, near) that a disparity without calibration is stretched to; None is the default
            of `DepthScale`.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no pairs, two files for one place, or an unknown unit.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of pictures with depth")
    if depth_unit is not None and depth_unit not in DEPTH_UNITS:
        raise ValueError(f"--depth-unit {depth_unit}: not known; use {', '.join(DEPTH_UNITS)}")
    fallback = None if depth_unit is None else DepthScale(depth_unit)
    pictures: dict[tuple[str, ...], list[Path]] = {}
    depths: dict[tuple[str, ...], list[tuple[Path, _Named]]] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        named = _named(relative)
        if named.role == "picture":
            pictures.setdefault(named.key, []).append(path)
        elif named.role == "depth":
            depths.setdefault(named.key, []).append((path, named))
    pairs = []
    for key in sorted(pictures.keys() & depths.keys()):
        for files in (pictures[key], [path for path, _ in depths[key]]):
            if len(files) > 1:
                raise ValueError(f"{files[1]}: goes with the same files as {files[0].name}; move one away")
        (picture,), ((depth, named),) = pictures[key], depths[key]
        scale = _scale(folder, depth, named) or fallback
        if scale is None:
            raise ValueError(
                f"{depth}: the unit of its depth is not known; say it with --depth-unit "
                f"({', '.join(DEPTH_UNITS)}) or as unit in {folder / RGBD_TOML}"
            )
        if dioptre_range is not None:
            scale = replace(scale, dioptre_range=dioptre_range)
        name = picture.relative_to(folder).with_suffix("").as_posix()
        pairs.append(RgbdPair(name, picture, depth, scale))
    if not pairs:
        raise ValueError(
            f"{folder}: no pictures with depth (names of {len(pictures)} pictures and {len(depths)} depth "
            "files, none in common); keep them as image/NAME and depth/NAME, or NAME_rgb and NAME_depth"
        )
    return sorted(pairs, key=_natural)


def _natural(pair: RgbdPair) -> list[tuple[int, str]]:
    return [(int(word) if word.isdigit() else -1, word) for word in _WORD.findall(pair.name)]


def _scale(folder: Path, depth: Path, named: _Named) -> DepthScale | None:
    """What is certain of the numbers in a depth file."""
    homes = [home for home in depth.parents if home.is_relative_to(folder)]
    stated = next((home / RGBD_TOML for home in homes if (home / RGBD_TOML).is_file()), None)
    if stated is not None:
        return stated_scale(stated)
    if named.unit is not None:
        return DepthScale(named.unit)
    calibration = next((home / CALIB_TXT for home in homes if (home / CALIB_TXT).is_file()), None)
    return calibrated_scale(calibration) if named.disparity and calibration is not None else None


# --- cutting to size ---------------------------------------------------------------------------------------


def cut(
    picture: np.ndarray,
    dioptre: np.ndarray,
    valid: np.ndarray,
    size: tuple[int, int],
    place: tuple[float, float] = (0.5, 0.5),
    share: float = 1.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A window of a picture with its depth, resized; depth takes the nearest pixel, never a mean over a jump.

    Args:
        picture, dioptre, valid: (H,W,3) uint8, (H,W) and (H,W).
        size: (height, width) wanted; its shape is kept.
        place: of the window, (down, across) from 0, at the top or left, to 1.
        share: of the largest window's sides, in (0,1].

    Raises:
        ValueError: place or share out of range.
    """
    if not (0 < share <= 1 and all(0 <= at <= 1 for at in place)):
        raise ValueError(f"cut: share {share} must lie in (0,1] and place {place} in [0,1]")
    step = share * min(whole / side for whole, side in zip(dioptre.shape, size, strict=True))
    starts = [at * (whole - step * side) for at, whole, side in zip(place, dioptre.shape, size, strict=True)]
    top, left = starts
    box = (left, top, left + step * size[1], top + step * size[0])
    resized = Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.LANCZOS, box)
    rows, columns = (
        np.minimum((start + step * (np.arange(side) + 0.5)).astype(int), whole - 1)
        for start, side, whole in zip(starts, size, dioptre.shape, strict=True)
    )
    nearest = np.ix_(rows, columns)
    return np.asarray(resized), dioptre[nearest], valid[nearest]


def rescaled(dioptre: np.ndarray, valid: np.ndarray, far: float, near: float) -> np.ndarray:
    """Depth of one picture moved into [far, near], linearly in dioptres, so that a camera's sweep covers it.

    Published simulators rescale every picture likewise. A few outliers (`OUTLIERS`) at either end are left
    out and end up at ``far`` and ``near``.

    Args:
        dioptre, valid: (H,W), with some pixel valid.
        far, near: dioptres.
    """
    low, high = np.quantile(dioptre[valid], (OUTLIERS, 1 - OUTLIERS))
    clipped = np.clip(dioptre, low, high)
    return np.where(valid, stretched(clipped, valid, (far, near)), 0).astype(np.float32)
