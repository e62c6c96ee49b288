"""Video sweeps and animations."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from dff.formats.read import read_stack


def _video(path, count, step=2, code="MJPG"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (64, 48))
    assert writer.isOpened()
    for k in range(count):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[..., 2] = k * step  # red rises with the frame number
        writer.write(frame)
    writer.release()
    return path


def _red(stack):
    return [float(image[..., 0].mean()) for image in stack.slices]


def test_short_video_is_read_whole(tmp_path):
    stack = read_stack(_video(tmp_path / "sweep.avi", 12, step=20))
    assert (len(stack), stack.width, stack.height) == (12, 64, 48)
    np.testing.assert_allclose(_red(stack), np.arange(12) * 20, atol=4)
    assert stack.names[0] == "frame_001"
    assert stack.slices[0].dtype == np.uint8
    assert stack[11][..., 2].mean() < 0.02, "RGB, not BGR"


def test_long_video_is_thinned_evenly_and_said(tmp_path):
    path = _video(tmp_path / "sweep.avi", 60, step=4)
    with pytest.warns(UserWarning, match=r"60 frames; one in 3 is read \(20 slices\)"):
        stack = read_stack(path, max_frames=25)
    np.testing.assert_allclose(_red(stack), np.arange(0, 60, 3) * 4, atol=4)
    assert stack.names[1] == "frame_004"


@pytest.mark.filterwarnings("ignore:frame_001 and")
def test_every(tmp_path):
    path = _video(tmp_path / "sweep.mp4", 130, step=1, code="mp4v")
    assert len(read_stack(path, every=1)) == 130
    stack = read_stack(path, every=50, focus=[1, 2, 3], focus_unit="dioptre")
    assert stack.names == ("frame_001", "frame_051", "frame_101")
    with pytest.warns(UserWarning, match="130 frames"):
        assert len(read_stack(path)) == 65


def test_frames_come_in_any_order_without_a_cache(tmp_path):
    stack = read_stack(_video(tmp_path / "sweep.avi", 10, step=20), cache_bytes=0)
    reds = [float(stack.slices[k][..., 0].mean()) for k in (7, 2, 9, 2, 0)]
    np.testing.assert_allclose(reds, [140, 40, 180, 40, 0], atol=4)


def test_folder_with_one_video(tmp_path):
    _video(tmp_path / "sweep.avi", 4, step=20)
    (tmp_path / "stack.toml").write_text("focus_dioptre = [0, 1, 2, 3]")
    assert read_stack(tmp_path).unit == "dioptre"


def test_damaged_video(tmp_path):
    path = _video(tmp_path / "sweep.mp4", 12, code="mp4v")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"sweep\.mp4: cannot be opened as a video"):
        read_stack(path)


def test_video_cut_short_is_never_filled_up(tmp_path):
    path = _video(tmp_path / "sweep.avi", 40, step=5)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(UserWarning, match="40 frames promised but [0-9]+ readable"):
        stack = read_stack(path)
    assert 5 <= len(stack) <= 25
    np.testing.assert_allclose(_red(stack), np.arange(len(stack)) * 5, atol=4)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations(tmp_path, suffix):
    pages = [Image.new("RGB", (32, 24), (k * 40, 0, 0)) for k in range(5)]
    lossless = {"lossless": True} if suffix == "webp" else {}
    pages[0].save(tmp_path / f"s.{suffix}", save_all=True, append_images=pages[1:], **lossless)
    stack = read_stack(tmp_path / f"s.{suffix}", cache_bytes=0)
    np.testing.assert_allclose(_red(stack), [0, 40, 80, 120, 160], atol=2)
    assert stack.slices[0].shape == (24, 32, 3)
