"""Small stacks on disk for the benchmarks to run on."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dff.formats.pictures import write_picture


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H,W,3) uint8 picture full of soft spots, which SIFT and ECC both like."""
    random = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(random.normal(size=(height, width, 3)), (0, 0), s) for s in (1.5, 3, 6)]
    picture = sum(layer / layer.std() for layer in layers)
    return np.clip(128 + 25 * picture, 0, 255).astype(np.uint8)


def moved(picture: np.ndarray, zoom: float, shift: tuple[float, float]) -> np.ndarray:
    """``picture`` scaled about its centre, then shifted: what `motion.about_centre` undoes."""
    height, width = picture.shape[:2]
    centre = (np.array([width, height]) - 1) / 2
    matrix = np.column_stack([zoom * np.eye(2), centre + shift - zoom * centre])
    return cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


@pytest.fixture
def write_slices() -> Callable[[Path, list[np.ndarray]], Path]:
    def write(folder: Path, pictures: list[np.ndarray]) -> Path:
        folder.mkdir(parents=True)
        for k, picture in enumerate(pictures):
            write_picture(picture, folder / f"slice_{k}.png")
        return folder

    return write


@pytest.fixture
def breathing_slices() -> list[np.ndarray]:
    """Three slices that grow by 1 % from one to the next and drift by a pixel, the middle one at rest."""
    picture = blobs(200, 240)
    return [moved(picture, 1 + 0.01 * k, (k, -k)) for k in (-1, 0, 1)]


@pytest.fixture
def half_sharp() -> tuple[list[np.ndarray], np.ndarray]:
    """Two slices, one sharp on the left and one on the right, and the picture that is sharp all over."""
    sharp = blobs(120, 160, seed=1)
    soft = cv2.GaussianBlur(sharp, (0, 0), 4)
    left, right = soft.copy(), soft.copy()
    left[:, :80], right[:, 80:] = sharp[:, :80], sharp[:, 80:]
    return [left, right], sharp
