"""Files of the public autofocus data set: halves of dual-pixel pictures, their white, how depth is turned."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from dff.data.files import existing, picture, subfolders

WHITES = 1023, 16368
"""10 bits, and the same shifted to the left by 4: both are about."""
_KINDS = (("raw_up_left_pd", "raw_up_right_pd"), ("raw_left_pd", "raw_right_pd"))
_SMALL = 72  # px, side of the pictures that are compared


def halves_of(part: Path) -> tuple[Path, Path]:
    """Folders of the left and right halves: those with all rows, else those with every other one.

    Raises:
        FileNotFoundError: neither.
    """
    for left, right in _KINDS:
        if (part / left).is_dir() and (part / right).is_dir():
            return part / left, part / right
    raise FileNotFoundError(f"{part}: holds no {' or '.join(' and '.join(kind) for kind in _KINDS)}")


def slice_folders(capture: Path, count: int) -> list[Path]:
    """The picture of each slice of one half, far first: capture/K/*_center.png, K plain or slice_K.

    Raises:
        FileNotFoundError: a slice without its picture.
        ValueError: another number of slices.
    """
    numbered = {}
    for folder in subfolders(capture):
        found = re.fullmatch(r"(?:slice_)?(\d+)", folder.name)
        if found:
            numbered[int(found.group(1))] = folder
    if sorted(numbered) != list(range(count)):
        raise ValueError(
            f"{capture}: {len(numbered)} slices; a sweep has {count}, 0 to {count - 1}: fetch it again"
        )
    files = []
    for k in range(count):
        there = sorted(numbered[k].glob("*_center.png"))
        if not there:
            raise FileNotFoundError(f"{numbered[k]}: holds no picture *_center.png")
        files.append(there[0])
    return files


def read_half(path: Path) -> np.ndarray:
    """(H,W) uint16 of one half; of pictures with half the rows each is doubled.

    Raises:
        FileNotFoundError, ValueError: missing, damaged, or not 16 bit and grey.
    """
    numbers = cv2.imread(str(existing(path)), cv2.IMREAD_UNCHANGED)
    if numbers is None:
        raise ValueError(f"{path}: cannot be read as a picture; fetch it again")
    if numbers.dtype != np.uint16 or numbers.ndim != 2:
        raise ValueError(f"{path}: holds {numbers.dtype} {numbers.shape}; dual-pixel halves are 16 bit, grey")
    return np.repeat(numbers, 2, axis=0) if numbers.shape[1] > 2 * numbers.shape[0] else numbers


def white_level(path: Path, *pictures: np.ndarray) -> int:
    """The number of white: shifted ones are larger than 10 bits hold, or in the dark all multiples of 16.

    Raises:
        ValueError: larger numbers than either kind holds; ``path`` is named.
    """
    most = max(int(one.max()) for one in pictures)
    if most > WHITES[1]:
        raise ValueError(f"{path}: numbers up to {most}; 10 bits, shifted by 4, end at {WHITES[1]}")
    shifted = most > WHITES[0] or (most >= 16 and not any((one % 16).any() for one in pictures))
    return WHITES[1] if shifted else WHITES[0]


def _small(values: np.ndarray) -> np.ndarray:
    """As seen from afar, without brightness and contrast."""
    values = cv2.resize(np.sqrt(values.astype(np.float32)), (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
    return np.asarray((values - values.mean()) / (values.std() + 1e-6))


def depth_turn(part: Path, capture: str, shape: tuple[int, ...], shown: np.ndarray) -> int:
    """Quarter turns (counter-clockwise) that lay the depth, which is upright, onto the sensor's picture.

    Found by laying the upright picture of the middle slice onto it; of one that is missing, no turn.

    Args:
        shape: of the depth.
        shown: (H,W) the sensor's picture of the middle slice.

    Raises:
        ValueError: depth and picture are turned, and there is no upright picture to tell how.
    """
    turned = (shape[0] > shape[1]) != (shown.shape[0] > shown.shape[1])
    options = (1, 3) if turned else (0, 2)
    places = sorted((part / "scaled_images" / capture).glob("*/result_scaled_image_center.jpg"))
    if not places:
        if turned:
            raise ValueError(
                f"{part / 'merged_depth' / capture}: depth is upright and the sensor's picture is not; "
                "scaled_images, which tell how they are turned, are missing: fetch them too"
            )
        return 0
    names = {int(re.sub(r"\D", "", path.parent.name) or 0): path for path in places}
    upright = picture(names[sorted(names)[len(names) // 2]])[..., 1]
    wanted = _small(shown)
    return max(options, key=lambda turn: float((_small(np.rot90(upright, turn)) * wanted).mean()))
