"""Focus sweeps held in one file: videos (OpenCV) and animations or multi-picture files (Pillow)."""

from __future__ import annotations

import os
import threading
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dff.formats.decode import open_image, orientation_of
from dff.formats.pixels import U8, PictureError, oriented, oriented_layout, reading
from dff.formats.slices import Layout, SliceSource

VIDEOS = frozenset({
    ".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv",
    ".3gp",
})  # fmt: skip
ANIMATIONS = frozenset({".gif", ".webp", ".png", ".apng", ".mpo", ".avif"})
MAX_FRAMES = 100


class VideoReader:
    """Frames of a video by number. Reading in rising order costs one pass; a step back starts again."""

    def __init__(self, path: Path) -> None:
        # FFmpeg writes its own complaints to stderr; ours is one line.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        self._path = path
        self._lock = threading.Lock()
        self._capture = self._open()
        self._next = 0

    def _open(self) -> Any:
        import cv2

        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise PictureError(
                f"{self._path}: cannot be opened as a video; it is damaged or of an unknown codec"
            )
        return capture

    def count(self) -> int:
        """Number of frames; counted one by one, with a warning, where the header promises too many."""
        import cv2

        promised = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if promised > 0 and self._capture.set(cv2.CAP_PROP_POS_FRAMES, promised - 1) and self._capture.grab():
            found = promised
        else:
            self._capture = self._open()
            found = 0
            while self._capture.grab():
                found += 1
            if found < promised:
                warnings.warn(
                    f"{self._path}: {promised} frames promised but {found} readable: cut short?", stacklevel=2
                )
        self._capture, self._next = self._open(), 0
        return found

    def frame(self, index: int) -> np.ndarray:
        """Frame ``index`` as (H,W,3) uint8 RGB."""
        import cv2

        with self._lock:
            if index < self._next:
                self._capture, self._next = self._open(), 0
            while self._next < index and self._capture.grab():
                self._next += 1
            good, image = self._capture.read()
            if not good:
                raise PictureError(
                    f"{self._path}: frame {index} cannot be decoded; the video is damaged there"
                )
            self._next += 1
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def video_sources(path: Path, every: int | None, max_frames: int | None) -> list[SliceSource]:
    """Frames of a video sweep: each ``every``-th, or by default at most ``max_frames`` evenly spaced."""
    with reading(path):
        reader = VideoReader(path)
        total = reader.count()
        if total < 2:
            raise PictureError(f"{path}: {total} readable frames; a focal stack needs at least 2")
        step = every or 1
        if every is None and max_frames is not None and total > max_frames:
            step = -(-total // max_frames)
            warnings.warn(
                f"{path}: {total} frames; one in {step} is read ({-(-total // step)} slices): "
                "choose with every=1, 2, ...",
                stacklevel=2,
            )
        height, width = reader.frame(0).shape[:2]
    layout = Layout(height, width, 3, U8)
    digits = max(3, len(str(total)))
    return [
        SliceSource(f"frame_{k + 1:0{digits}d}", layout, path, partial(reader.frame, k))
        for k in range(0, total, step)
    ]


class AnimationReader:
    """Frames of a file that Pillow can seek in (GIF, WebP, APNG, MPO), as RGB."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with reading(path):
            self._image = Image.open(path)

    def layout(self, index: int) -> Layout:
        """Size of frame ``index``, turned as its EXIF says."""
        with self._lock, reading(self._path):
            self._image.seek(index)
            layout = Layout(self._image.height, self._image.width, 3, U8)
            return oriented_layout(layout, orientation_of(self._image))

    def frame(self, index: int) -> np.ndarray:
        """Frame ``index`` as (H,W,3) uint8 RGB."""
        with self._lock, reading(self._path):
            self._image.seek(index)
            turn = orientation_of(self._image)
            return oriented(np.asarray(self._image.convert("RGB")), turn)


def animation_frames(path: Path) -> int:
    """Frames of a picture file as Pillow counts them; 1 for a plain picture."""
    with open_image(path) as image:
        return int(getattr(image, "n_frames", 1))


def animation_sources(path: Path) -> list[SliceSource]:
    """Every frame of an animation or multi-picture file."""
    count = animation_frames(path)
    reader = AnimationReader(path)
    digits = max(3, len(str(count)))
    return [
        SliceSource(f"frame_{k + 1:0{digits}d}", reader.layout(k), path, partial(reader.frame, k))
        for k in range(count)
    ]
