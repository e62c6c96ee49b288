"""The sample stack as it ships, read and measured like any other stack."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

import dff
from dff.camera import Lens
from dff.formats.read import read_stack
from dff.pipeline import predict
from dff.recipes import load_recipe
from dff.simulator.demo import SAMPLE, Sample, demo_stack, read_sample, write_demo

MOST_BYTES = 2_000_000
ROOT = Path(dff.__file__).parents[1]


@pytest.fixture(scope="module")
def sample() -> Sample:
    return demo_stack()


def _grey(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _aligned(sample: Sample, k: int) -> np.ndarray:
    """(H,W) grey slice ``k`` in the frame of the reference, by the true motion."""
    height, width = sample.dioptre.shape
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(_grey(sample.stack.slices[k]), sample.matrices[k], (width, height), flags=flags)


def _texture(sample: Sample) -> np.ndarray:
    """(H,W) bool: texture that survives in the sharp picture, away from occlusions."""
    grey = _grey(sample.aif)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) / 8
    clear = cv2.dilate(sample.edges.astype(np.uint8), np.ones((15, 15))) == 0
    return (cv2.blur(gradient, (9, 9)) > 2) & clear


def test_its_exif_tells_everything(sample: Sample) -> None:
    lens = load_recipe("simulator/cameras", "compact")["lens"]
    stack = sample.stack
    assert not list(SAMPLE.glob("*.toml"))
    assert "EXIF" in stack.origin
    assert (len(stack), stack.width, stack.height) == (10, 640, 480)
    assert stack.focus == pytest.approx(np.linspace(0.5, 4.0, 10), rel=1e-5)
    assert stack.lens is not None
    assert asdict(stack.lens) == pytest.approx(asdict(Lens(**lens)))
    assert 12 < abs(stack.lens.coc_px(0.5, 4.0)) < 16


def test_it_is_small_and_in_the_package() -> None:
    files = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    assert len(files) == 12
    assert SAMPLE.parent == Path(dff.__file__).parent
    if (ROOT / "pyproject.toml").is_file():
        wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
            "wheel"
        ]
        assert wheel["packages"] == ["dff"]  # with all files in it


def test_the_lens_breathes_and_drifts(sample: Sample) -> None:
    fov = sample.stack.lens.relative_fov(sample.stack.focus)
    assert sample.reference == 9
    assert np.array_equal(sample.matrices[9], np.eye(2, 3))
    assert sample.matrices[:, 0, 0] == pytest.approx(1 / fov, abs=1e-6)
    centre = np.array([319.5, 239.5, 1.0])
    shift = sample.matrices @ centre - centre[:2]
    assert 0.1 < np.abs(shift[:-1]).max() < 3


def test_depth_fills_the_sweep(sample: Sample) -> None:
    assert sample.valid.all()
    assert sample.dioptre.min() == pytest.approx(0.5, abs=0.1)
    assert sample.dioptre.max() == pytest.approx(4.0, abs=0.1)
    nearest = np.rint((sample.dioptre - 0.5) / (3.5 / 9)).astype(int)
    assert np.bincount(nearest.ravel(), minlength=10).min() > 0.02 * nearest.size
    assert 0.01 < sample.edges.mean() < 0.15


def test_every_depth_is_sharpest_in_its_own_slice(sample: Sample) -> None:
    energy = np.stack([np.abs(cv2.Laplacian(_aligned(sample, k), cv2.CV_32F, ksize=3)) for k in range(10)])
    texture = _texture(sample)
    for k, focus in enumerate(sample.stack.focus):
        here = texture & (np.abs(sample.dioptre - focus) < 0.15)
        assert here.sum() > 500
        assert abs(int(energy[:, here].mean(axis=1).argmax()) - k) <= (0 if 0 < k < 9 else 1)


def test_the_sharp_picture_is_what_the_lens_sees_in_focus(sample: Sample) -> None:
    for k in (2, 5, 9):
        here = _texture(sample) & (np.abs(sample.dioptre - sample.stack.focus[k]) < 0.1)
        error = np.abs(_aligned(sample, k) - _grey(sample.aif))[here]
        assert np.median(error) < 6  # of 255: sensor noise, JPEG and the pixel's own blur


def test_dff_measures_it(sample: Sample) -> None:
    result = predict(sample.stack, reference=sample.reference, aif=False)
    depth = result.depth
    step = float(np.diff(depth.positions).mean())
    assert depth.dioptre is not None
    known = depth.valid & sample.valid
    error = np.abs(depth.dioptre - sample.dioptre) / step
    assert known.mean() > 0.8
    assert error[known].mean() < 0.5
    assert error[known & _texture(sample)].mean() < 0.4
    corners = np.array([[0, 639, 0, 639], [0, 0, 479, 479], [1, 1, 1, 1]])
    off = np.linalg.norm((result.alignment.matrices - sample.matrices) @ corners, axis=1)
    assert off.max() < 0.6


def test_a_written_copy_is_the_same(sample: Sample, tmp_path: Path) -> None:
    files = write_demo(tmp_path / "demo")
    assert sorted(path for path in (tmp_path / "demo").rglob("*") if path.is_file()) == sorted(files)
    for path in files:
        assert path.read_bytes() == (SAMPLE / path.relative_to(tmp_path / "demo")).read_bytes()
    copy = read_sample(tmp_path / "demo")
    assert np.array_equal(copy.dioptre, sample.dioptre)
    assert read_stack(tmp_path / "demo").focus == pytest.approx(sample.stack.focus)


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match="not empty"):
        write_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    write_demo(tmp_path, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "keep"
    assert (tmp_path / "slice_09.jpg").is_file()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        write_demo(tmp_path / "no" / "where")


def test_it_needs_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from dff.simulator.demo import demo_stack, write_demo; "
        "write_demo(sys.argv[1]); demo_stack(); print('torch' in sys.modules)"
    )
    run = [sys.executable, "-c", script, str(tmp_path / "demo")]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "False"
