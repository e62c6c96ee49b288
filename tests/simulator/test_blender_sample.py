"""How the sample stack is made: its files from any pictures, and a tiny render of the table."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from dff.simulator.blender.sample import RenderedSample, occlusion_edges, render_sample, write_sample
from dff.simulator.blender.session import RenderSettings
from dff.simulator.camera_model import CameraModel, Frame
from dff.simulator.camera_prior import load_camera
from dff.simulator.demo import read_sample


@pytest.fixture
def invented() -> RenderedSample:
    """Noise in place of pictures, seen by the true camera."""
    random = np.random.default_rng(3)
    camera = load_camera("compact")
    assert isinstance(camera, CameraModel)
    sweep = camera.sweep(1, Frame((48, 64)), random)
    pictures = [random.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(10)]
    dioptre = np.linspace(0.5, 4, 48, dtype=np.float32)[:, None].repeat(64, axis=1)
    return RenderedSample(pictures, pictures[9], dioptre, sweep, 9)


def test_written_sample_reads_back(invented: RenderedSample, tmp_path: Path) -> None:
    files = write_sample(invented, tmp_path / "stack")
    assert sorted(path for path in (tmp_path / "stack").rglob("*") if path.is_file()) == sorted(files)
    read = read_sample(tmp_path / "stack")
    assert read.stack.focus == pytest.approx(invented.sweep.focus[0], rel=1e-5)
    lens = invented.sweep.lenses[0]
    assert lens is not None
    assert read.stack.lens is not None
    assert read.stack.lens.coc_px(4, 0.5) == pytest.approx(lens.coc_px(4, 0.5), rel=1e-4)
    assert np.abs(read.dioptre - invented.dioptre).max() <= 0.001
    assert np.array_equal(read.aif, invented.aif)
    assert np.array_equal(read.matrices, invented.sweep.matrices[0])
    assert read.reference == 9
    assert read.valid.all()
    with pytest.raises(ValueError, match="not empty"):
        write_sample(invented, tmp_path / "stack")


def test_edges_are_jumps_not_slopes() -> None:
    slope = np.linspace(0.5, 2, 60, dtype=np.float32)[:, None].repeat(40, axis=1)
    assert not occlusion_edges(slope).any()
    slope[20:30, 10:20] += 1
    edges = occlusion_edges(slope)
    assert edges[20, 15]
    assert edges[19, 15]
    assert not edges[25, 15]
    assert not edges[17, 15]


@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="needs the blender extra")
def test_the_table_is_laid_from_near_to_far() -> None:
    few = RenderSettings(samples=1, denoise=False, threads=1)
    sample = render_sample(few, width=64)
    assert len(sample.pictures) == 10
    assert all(picture.shape == (48, 64, 3) for picture in sample.pictures)
    assert 0.45 < sample.dioptre.min() < 0.65
    assert 3.6 < sample.dioptre.max() < 4.1
    assert 60 < np.mean(sample.pictures) < 190  # neither dark nor washed out
    again = render_sample(few, width=64)
    assert all(np.array_equal(*pair) for pair in zip(sample.pictures, again.pictures, strict=True))
