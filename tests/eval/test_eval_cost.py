import sys

import cv2
import pytest

from dff.eval import cost
from dff.eval.meter import measure
from dff.recipes import load_recipe

TINY = """
predict = ["--out", "{out}/depth.png", "--aif", "{out}/aif.jpg", "--quiet"]
imports = ["json"]
help_max_cpu_s = 60.0
repeats = 1
[[stacks]]
slices = 3
width = 96
height = 64
max_cpu_s = 60.0
max_mb = 4000
"""


def test_protocol_of_the_project_is_read():
    protocol = load_recipe("eval", cost.NAME, cost.Protocol)
    assert [size.name for size in protocol.stacks] == ["10 x 1280x720", "49 x 1920x1080", "10 x 4000x3000"]


def test_meter_counts_memory_and_cpu_of_the_command_alone():
    mine = bytearray(300_000_000)  # of this process, which must not count
    small = measure([sys.executable, "-c", "pass"])
    large = measure([sys.executable, "-c", "a = bytearray(100_000_000); sum(range(3_000_000))"])
    assert len(mine) == 300_000_000
    assert small.peak_mb < 60
    assert 90 < large.peak_mb - small.peak_mb < 115
    assert 0 < small.cpu_s < large.cpu_s
    assert large.wall_s > 0


def test_meter_tells_why_a_command_failed():
    with pytest.raises(ValueError, match=r"failed: SystemExit|failed: the reason"):
        measure([sys.executable, "-c", "import sys; sys.exit('the reason')"])


def test_stacks_are_made_to_size(tmp_path):
    protocol = cost.Protocol((), (), (), 1.0, scene_width=64)
    paths = cost.write_stack(tmp_path, cost.Size(3, 160, 90), protocol)
    pictures = [cv2.imread(str(path)) for path in paths]
    assert [picture.shape for picture in pictures] == [(90, 160, 3)] * 3
    assert cv2.absdiff(pictures[0], pictures[2]).mean() > 1


def test_end_to_end(tmp_path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    report = cost.run(load_recipe("eval", recipe, cost.Protocol), say=lambda line: None)
    (name, all_cpu_s, cpu_s, wall_s, peak_mb) = report.tables[0].rows[0]
    assert name == "3 x 96x64"
    assert all_cpu_s > cpu_s > 0
    assert wall_s > 0
    assert 20 < peak_mb < 4000
    assert [target.met for target in report.targets] == [True, True, True]
