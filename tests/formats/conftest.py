"""Small focal stacks on disk, made by the tests themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def picture(k: int, height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    """A picture that differs for every ``k``; (H,W) or (H,W,channels) uint8."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(k).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(name="picture")
def _picture() -> Callable[..., np.ndarray]:
    return picture


@pytest.fixture
def save_stack(tmp_path: Path) -> Callable[..., Path]:
    """``save_stack(["a1.png", ...], folder="s", exif=[...])`` writes pictures and returns their folder."""

    def save(names: list[str], folder: str = "stack", exif: list | None = None, **kind: int) -> Path:
        there = tmp_path / folder
        there.mkdir(exist_ok=True)
        for k, name in enumerate(names):
            extra = {"exif": exif[k]} if exif is not None and exif[k] is not None else {}
            Image.fromarray(picture(k, **kind)).save(there / name, **extra)
        return there

    return save


@pytest.fixture
def exif_of() -> Callable[..., Image.Exif]:
    """``exif_of(distance=0.5, make="ACME")``: an EXIF block with what is named."""

    def build(distance: object = None, make: str = "", orientation: int = 0, **details: object) -> Image.Exif:
        tags = {"focal_mm": 37386, "f_number": 33437, "film_mm": 41989, "plane_x": 41486, "plane_unit": 41488,
                "image_width": 40962}  # fmt: skip
        exif = Image.Exif()
        if make:
            exif[271] = make
        if orientation:
            exif[274] = orientation
        inner = {tags[name]: value for name, value in details.items()}
        if distance is not None:
            inner[37382] = distance
        if inner:
            exif[0x8769] = inner
        return exif

    return build
