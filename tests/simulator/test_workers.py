import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from dff.simulator.workers import work_off


def _touch(folder: Path, item: int) -> None:
    (folder / str(item)).write_text(str(os.getpid()))


def _fail_at_three(item: int) -> None:
    if item == 3:
        raise ValueError("three is refused")


def _die(item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _sleep_long(folder: Path, item: int) -> None:
    _touch(folder, item)
    time.sleep(60)


def _alive(pid: int) -> bool:
    try:
        # a process that has ended and that nobody has asked after yet is still listed
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("workers", [1, 3])
def test_every_item_once(tmp_path, workers):
    assert sorted(work_off(partial(_touch, tmp_path), range(8), workers)) == list(range(8))
    pids = {path.read_text() for path in tmp_path.iterdir()}
    assert (str(os.getpid()) in pids) == (workers == 1)
    assert len(pids) <= workers


def test_no_items():
    assert list(work_off(_die, [], 4)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_what_work_raises_comes_through(workers):
    with pytest.raises(ValueError, match="three is refused"):
        list(work_off(_fail_at_three, range(8), workers))


def test_a_process_that_dies_is_told():
    with pytest.raises(OSError, match=r"ended \(exit code -9\).*--resume"):
        list(work_off(_die, [1, 2], 2))


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")


@needs_proc
def test_closing_ends_the_processes(tmp_path):
    class StopError(Exception):
        pass

    def run() -> None:
        with closing(work_off(partial(_sleep_long_but_first, tmp_path), range(4), 2)) as done:
            for _ in done:
                raise StopError

    with pytest.raises(StopError):
        run()
    assert not any(_alive(int(path.read_text())) for path in tmp_path.iterdir() if path.stat().st_size)


def _sleep_long_but_first(folder: Path, item: int) -> None:
    (_touch if item == 0 else _sleep_long)(folder, item)


def _maker(folder: Path) -> partial[None]:
    return partial(_sleep_long, folder)


WORKED_OFF = """from dff.simulator.workers import work_off
from test_workers import _sleep_long
def run(folder):
    list(work_off(partial(_sleep_long, folder), range(2), 2))
"""
AHEAD = """from dff.train.ahead import Ahead
from test_workers import _maker
def run(folder):
    Ahead(partial(_maker, folder), int, 4, 2)(0)
"""


@needs_proc
@pytest.mark.parametrize("work", [WORKED_OFF, AHEAD], ids=["worked off", "made ahead"])
def test_workers_end_with_a_parent_that_is_killed(tmp_path, work):
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        f"from functools import partial\nfrom pathlib import Path\n{work}"
        f"if __name__ == '__main__':\n    run(Path({str(tmp_path)!r}))\n"
    )
    (tmp_path / "run.py").write_text(script)
    run = subprocess.Popen([sys.executable, str(tmp_path / "run.py")])
    deadline = time.monotonic() + 30
    files = [tmp_path / "0", tmp_path / "1"]
    while not all(file.is_file() and file.read_text() for file in files) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.kill()
    run.wait()
    pids = [int(file.read_text()) for file in files]
    while any(map(_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(_alive, pids))
