import numpy as np
import pytest
import torch

from dff.formats.read import read_stack
from dff.simulator.capture import SimulationConfig
from dff.simulator.demo import demo_stack, write_demo
from dff.simulator.table import table_scene

SIZE = (120, 160)


@pytest.fixture(scope="module")
def demo():
    return demo_stack(size=SIZE)


def test_the_demo_is_a_real_sweep(demo):
    assert len(demo.stack) == 10
    assert (demo.stack.height, demo.stack.width) == SIZE
    assert 1 / demo.stack.focus[[0, -1]] == pytest.approx([2.0, 0.25])
    blur = demo.stack.lens.coc_px(demo.stack.focus[0], demo.stack.focus[-1]) * 640 / SIZE[1]
    assert 12 < abs(blur) < 16  # px at 640 px width
    assert demo.dioptre.min() == pytest.approx(0.5, abs=0.05)
    assert demo.dioptre.max() == pytest.approx(4.0, abs=0.05)
    growth = demo.matrices[-1, 0, 0] / demo.matrices[0, 0, 0]
    assert 1.03 < growth < 1.06
    assert demo.edges.any()


def test_the_demo_has_texture_to_focus_on_everywhere(demo):
    light = demo.aif.mean(2)
    cells = light[:120, :160].reshape(12, 10, 16, 10).std(axis=(1, 3))
    assert (cells > 0.01).mean() > 0.98


def test_the_seed_changes_the_demo(demo):
    assert np.array_equal(demo_stack(size=SIZE).stack.slices[3], demo.stack.slices[3])
    assert not np.array_equal(demo_stack(1, SIZE).stack.slices[3], demo.stack.slices[3])


def test_written_demo_reads_back(demo, tmp_path):
    files = write_demo(tmp_path / "demo", size=SIZE)
    assert all(path.is_file() for path in files)
    assert len(files) == 13
    assert sorted(p for p in (tmp_path / "demo").rglob("*") if p.is_file()) == sorted(files)
    stack = read_stack(tmp_path / "demo")
    assert stack.focus == pytest.approx(demo.stack.focus, rel=1e-5)
    assert stack.lens.coc_px(2.0, 1.0) == pytest.approx(demo.stack.lens.coc_px(2.0, 1.0), rel=1e-4)
    assert np.abs(stack[4] - demo.stack[4]).mean() < 0.02
    with np.load(tmp_path / "demo" / "truth" / "depth_truth.npz") as truth:
        assert np.array_equal(truth["dioptre"], demo.dioptre)
        assert np.allclose(truth["metres"] * truth["dioptre"], 1)
        assert np.array_equal(truth["matrices"], demo.matrices)
        assert int(truth["reference"]) == demo.reference


def test_nothing_is_overwritten_unasked(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match="not empty"):
        write_demo(tmp_path, size=SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    write_demo(tmp_path, size=SIZE, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "keep"
    assert (tmp_path / "stack.toml").is_file()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        write_demo(tmp_path / "no" / "where", size=SIZE)


def test_the_table_needs_a_lens():
    with pytest.raises(ValueError, match="give the config a lens"):
        table_scene(SimulationConfig(), 0, torch.Generator())
