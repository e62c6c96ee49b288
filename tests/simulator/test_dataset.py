import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dff.formats.read import read_stack
from dff.simulator import dataset as module
from dff.simulator.camera_model import Frame
from dff.simulator.camera_prior import load_camera
from dff.simulator.capture import SimulationConfig, simulate
from dff.simulator.dataset import Dataset, plan, write_dataset
from dff.simulator.layers import Layer
from dff.simulator.manifest import check_same, read_manifest, simulated_folders
from dff.simulator.sources import ProceduralScenes
from dff.simulator.stack_files import read_simulated, stack_toml_text

SIZE = (24, 40)


@dataclass(frozen=True)
class Cards:
    """Two upright cards of random dots: the cheapest scene with an occlusion. Some depth is unknown."""

    refused: str = ""

    def check(self) -> None:
        pass

    def describe(self):
        return {"kind": "cards"}

    def layers(self, generator, height, width, far, near):
        if self.refused:
            raise ValueError(self.refused)
        dots = torch.rand(2, 1, 3, height, width, generator=generator)
        half = (torch.arange(width) < width // 2).float().expand(1, height, width)
        back = Layer(dots[0], torch.ones(1, height, width), torch.full((1, height, width), far))
        front = Layer(dots[1], half, torch.full((1, height, width), near))
        return [back, front], torch.arange(height)[None, :, None].expand(1, height, width) > 6


def cards(n: int = 5, camera: str = "pixel4xl", **changes) -> Dataset:
    settings = {"n_slices": 3, "seed": 7, **changes}
    return Dataset(Cards(), load_camera(camera), camera, Frame(SIZE), n, **settings)


def made(dataset: Dataset, folder: Path, workers: int = 1, **how) -> dict[str, bytes]:
    write_dataset(plan(dataset, folder, **how), workers=workers)
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_stack_reads_back_as_it_was(tmp_path):
    kinds = {
        "phone": cards(1),
        "green": cards(1, "pixel3", dual_pixel=True),
        "prior": cards(1, "random_camera"),
    }
    for name, dataset in kinds.items():
        made(dataset, tmp_path / name)
        (folder,) = simulated_folders(tmp_path / name)
        there, now = read_simulated(folder), dataset.stack(0)
        pairs = list(zip(there.stack.slices, now.stack.slices, strict=True))
        for old, new in zip(there.halves or (), now.halves or (), strict=True):
            pairs += zip(old, new, strict=True)
        assert len(pairs) == (9 if dataset.dual_pixel else 3)
        for old, new in pairs:
            assert old.dtype == new.dtype
            assert np.array_equal(old, new)
        names = ("dioptre", "valid", "edges", "matrices", "coefficients", "true_focus", "coc_px_per_dioptre")
        for array in (*names, "focus"):
            old, new = getattr(there, array), getattr(now, array)
            assert old.dtype == new.dtype
            assert np.array_equal(old, new), array
        assert (there.reference, there.lens, there.parameters) == (now.reference, now.lens, now.parameters)
        assert there.aif.shape == now.aif.shape
        assert np.abs(there.aif - now.aif).max() <= 0.51 / 65535
        assert not there.valid.all()


def test_a_stack_is_one_for_everybody(tmp_path):
    dataset = cards(2, "pixel3", dual_pixel=True)
    made(dataset, tmp_path / "out")
    stack = read_stack(tmp_path / "out" / "000001")
    assert stack.focus == pytest.approx(dataset.stack(1).focus, rel=1e-9)
    assert stack.slices[0].dtype == np.uint16  # a raw channel of 16 bit
    lens = dataset.stack(1).lens
    assert stack.lens.coc_px(1.0, 5.0) == pytest.approx(lens.coc_px(1.0, 5.0), rel=1e-9)


def test_infinity_in_stack_toml(tmp_path):
    lens = load_camera("pixel4xl").lens
    made(cards(1), tmp_path / "out")
    (tmp_path / "out/000000/stack.toml").write_text(stack_toml_text(np.array([0.0, 1.0, 3.0]), lens))
    focus = read_stack(tmp_path / "out/000000").focus
    assert focus[0] == 0
    assert focus[1:] == pytest.approx([1.0, 3.0], rel=1e-9)


def test_procedural_stacks_are_those_of_training():
    dataset = replace(cards(3), source=ProceduralScenes())
    config = SimulationConfig(camera="pixel4xl", size=SIZE)
    dataset = replace(dataset, n_slices=None)
    there, here = simulate(config, dataset.stack_seed(2)), dataset.stack(2)
    assert np.array_equal(np.stack(there.stack.slices), np.stack(here.stack.slices))
    assert np.array_equal(there.dioptre, here.dioptre)


def test_stacks_differ_and_seeds_differ():
    one, other = cards(), cards(seed=8)
    seeds = [data.stack_seed(k) for data in (one, other) for k in range(50)]
    assert len(set(seeds)) == 100
    assert not np.array_equal(one.stack(0).stack.slices[0], one.stack(1).stack.slices[0])


def test_workers_and_shards_make_the_same_bytes(tmp_path):
    whole = made(cards(), tmp_path / "whole")
    assert made(cards(), tmp_path / "two", workers=2) == whole
    for number in (3, 1, 2):
        there = made(cards(), tmp_path / "shards", shard=(number, 3))
    assert there == whole
    for number in (1, 2):
        alone = made(cards(), tmp_path / f"alone{number}", shard=(number, 2))
        assert alone == {k: v for k, v in whole.items() if k[0] == "m" or int(k[:6]) % 2 == number - 1}


def test_threads_do_not_matter(tmp_path):
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(made(cards(1), tmp_path / str(threads)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_dataset import cards
from dff.simulator.dataset import plan, write_dataset

written, save = 0, np.savez_compressed
def killed(path, **arrays):
    global written
    written += 1
    if written == 3:
        Path(path).write_bytes(b"half a f")
        os.kill(os.getpid(), signal.SIGKILL)
    save(path, **arrays)
np.savez_compressed = killed
write_dataset(plan(cards(), sys.argv[2]))
"""


def test_a_killed_run_goes_on_exactly(tmp_path):
    folder = tmp_path / "out"
    argv = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(folder)]
    assert subprocess.run(argv).returncode == -signal.SIGKILL
    names = sorted(path.name for path in folder.iterdir())
    assert [name for name in names if name[0] != "."] == ["000000", "000001", "manifest.json"]
    assert [name[:8] for name in names if name[0] == "."] == [".000002-"]
    assert [path.name for path in simulated_folders(folder)] == ["000000", "000001"]
    with pytest.raises(ValueError, match="pass --resume"):
        plan(cards(), folder)
    early = (folder / "000000" / "slice_00.png").stat().st_mtime_ns
    run = plan(cards(), folder, resume=True)
    assert run.todo == (2, 3, 4)
    told = []
    write_dataset(run, progress=lambda *what: told.append(what))
    assert [what[1:] for what in told] == [(2, 5), (3, 5), (4, 5), (5, 5)]
    assert (folder / "000000" / "slice_00.png").stat().st_mtime_ns == early
    assert content(folder) == made(cards(), tmp_path / "at once")
    assert plan(cards(), folder, resume=True).todo == ()


def test_resuming_leaves_other_shards_alone(tmp_path):
    made(cards(), tmp_path / "out", shard=(1, 2))
    theirs, mine = tmp_path / "out/.000001-00aa11bb", tmp_path / "out/.000000-00aa11bb"
    theirs.mkdir()
    mine.mkdir()
    shutil.rmtree(tmp_path / "out/000000")
    made(cards(), tmp_path / "out", shard=(1, 2), resume=True)
    assert theirs.is_dir()
    assert not mine.exists()
    with pytest.raises(ValueError, match="holds stacks of shard 1/2 already: pass --resume"):
        plan(cards(), tmp_path / "out", shard=(1, 2))


def test_ctrl_c_leaves_whole_stacks(tmp_path):
    def interrupt(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(plan(cards(), tmp_path / "out"), progress=interrupt)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000000", "000001", "manifest.json"]


def test_a_run_that_makes_nothing_leaves_nothing(tmp_path):
    bad = replace(cards(), source=Cards("depth.png: holds negative depth"))
    with pytest.raises(ValueError, match="negative depth"):
        write_dataset(plan(bad, tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_writing_leaves_whole_stacks(tmp_path, monkeypatch):
    full, write = OSError(28, "No space left on device", "slice_02.png"), module.write_simulated

    def failing(simulated, folder, about):
        write(simulated, folder, about)
        if about["index"] == 1:
            raise full

    monkeypatch.setattr(module, "write_simulated", failing)
    with pytest.raises(OSError, match="No space"):
        write_dataset(plan(cards(), tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000000", "manifest.json"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"seed": 8}, "another seed: 7 there, 8 now"),
        ({"n": 6}, "another n: 5"),
        ({"n_slices": 4}, "another n_slices: 3 there, 4 now"),
        ({"camera": load_camera("pixel6")}, r"another camera\.lens\.focal_length_m: 0.0044"),
        ({"source": ProceduralScenes()}, r'another scene\.kind: "cards"'),
        ({"dual_pixel": True}, "another dual_pixel: false there, true now"),
        ({"crop": Frame(SIZE, (48, 80))}, r"another frame: null there, \[48, 80\] now"),
        ({"near_dioptre": 9.0}, "another near_dioptre"),
    ],
)
def test_settings_must_stay(tmp_path, changes, key):
    made(cards(), tmp_path / "out")
    before = content(tmp_path / "out")
    with pytest.raises(ValueError, match=key):
        plan(replace(cards(), **changes), tmp_path / "out", resume=True)
    assert content(tmp_path / "out") == before


def test_a_key_that_is_missing_differs():
    with pytest.raises(ValueError, match=r"another a\.b: nothing there, 1 now"):
        check_same({"a": {}}, {"a": {"b": 1}}, Path("m.json"))
    with pytest.raises(ValueError, match="another c: 1 there, nothing now"):
        check_same({"c": 1}, {}, Path("m.json"))
    check_same({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, Path("m.json"))


def test_the_manifest_holds_everything(tmp_path):
    dataset = cards(1)
    made(dataset, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest == dataset.manifest()
    assert manifest["camera"]["name"] == "pixel4xl"
    assert manifest["camera"]["lens"]["f_number"] == 1.7
    assert manifest["size"] == list(SIZE)


def test_other_folders_are_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep")
    with pytest.raises(ValueError, match="exists and is not empty: pass --resume, or choose another"):
        plan(cards(), tmp_path / "mine")
    with pytest.raises(ValueError, match=r"holds no manifest\.json"):
        plan(cards(), tmp_path / "mine", resume=True)
    with pytest.raises(FileNotFoundError, match="does not exist; create it first"):
        plan(cards(), tmp_path / "no" / "where")
    with pytest.raises(FileNotFoundError, match="a folder that dff simulate wrote"):
        simulated_folders(tmp_path / "mine")


def test_other_versions_are_refused(tmp_path):
    made(cards(1), tmp_path / "out")
    for path, reader in (
        (tmp_path / "out/manifest.json", lambda: simulated_folders(tmp_path / "out")),
        (tmp_path / "out/000000/truth/parameters.json", lambda: read_simulated(tmp_path / "out/000000")),
    ):
        text = path.read_text()
        path.write_text(text.replace('"schema": 1', '"schema": 99'))
        with pytest.raises(ValueError, match="schema 99, this dff reads 1"):
            reader()
        path.write_text(text[:40])
        with pytest.raises(ValueError, match="not valid JSON"):
            reader()
        path.write_text(text)
        reader()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "0 stacks: give 1 or more"),
        ({"seed": -1}, "seed -1"),
        ({"crop": Frame((32, 9000))}, "9000x32 px: at most 8192"),
        ({"n_slices": 1}, "1 slices; a focal stack has at least 2"),
        ({"far_dioptre": 5.0, "near_dioptre": 2.0}, "would reach from 0.2 m to 0.5 m"),
        ({"near_dioptre": 0.1}, "its far end must be farther"),
    ],
)
def test_impossible_settings(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        plan(replace(cards(), **changes), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shard", [(5, 3), (0, 3), (1, 0)])
def test_impossible_shards(tmp_path, shard):
    with pytest.raises(ValueError, match=f"shard {shard[0]}/{shard[1]}: the first number goes from 1"):
        plan(cards(), tmp_path / "out", shard=shard)


def test_no_worker(tmp_path):
    with pytest.raises(ValueError, match="0 workers"):
        write_dataset(plan(cards(), tmp_path / "out"), workers=0)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_travels_to_other_processes():
    dataset = cards()
    assert pickle.loads(pickle.dumps(dataset)) == dataset
