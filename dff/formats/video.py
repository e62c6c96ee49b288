"""Write a sequence of pictures as a video (OpenCV) or an animation (Pillow)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dff.formats.pictures import to_levels
from dff.formats.safe_write import atomic_path, check_output

VIDEO_SUFFIXES = (".mp4", ".avi", ".gif")
_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


def write_video(
    frames: Sequence[np.ndarray], path: str | Path, *, fps: float = 8.0, overwrite: bool = False
) -> Path:
    """Write frames in order; returns the path.

    Args:
        frames: one or more pictures of one size, (H,W) or (H,W,3) RGB, uint8, uint16 or float in [0,1]. Of an
            odd width or height the last column or row is left out: codecs want even ones.
        path: .mp4 (MPEG-4), .avi (motion JPEG) or .gif.
        fps: frames per second, above 0.
        overwrite: replace an existing file.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: no frames, or of several sizes; unknown suffix; the file exists; no such codec here.
    """
    path = check_output(path, VIDEO_SUFFIXES, overwrite)
    if not frames or not fps > 0:
        raise ValueError(f"{path}: {len(frames)} frames at {fps:g} per second; give 1 or more, and above 0")
    if len({frame.shape[:2] for frame in frames}) > 1:
        raise ValueError(f"{path}: the frames of a video must be of one size")
    pictures = [_rgb(frame) for frame in frames]
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".gif":
            _write_gif(pictures, temporary, fps)
        else:
            _write_stream(pictures, temporary, fps, path)
    return path


def _rgb(frame: np.ndarray) -> np.ndarray:
    """(h,w,3) uint8 of even height and width."""
    picture = to_levels(np.asarray(frame), 255)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    return picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]


def _write_gif(pictures: list[np.ndarray], path: Path, fps: float) -> None:
    from PIL import Image

    images = [Image.fromarray(picture) for picture in pictures]
    images[0].save(
        path, format="GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0
    )


def _write_stream(pictures: list[np.ndarray], path: Path, fps: float, named: Path) -> None:
    import cv2

    height, width = pictures[0].shape[:2]
    code = cv2.VideoWriter.fourcc(*_CODECS[path.suffix.lower()])
    writer = cv2.VideoWriter(str(path), code, fps, (width, height))
    if not writer.isOpened():
        raise ValueError(f"{named}: this OpenCV cannot write such a video; choose .gif")
    for picture in pictures:
        writer.write(np.ascontiguousarray(picture[..., ::-1]))
    writer.release()
