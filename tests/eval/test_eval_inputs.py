import time

import cv2
import pytest

from dff.eval.__main__ import main
from dff.eval.inputs import Seeds, Stopwatch, data_folder, one_thread, real_stack


def test_seeds():
    assert list(Seeds(5, 3).take(None)) == [5, 6, 7]
    assert list(Seeds(5, 3).take(2)) == [5, 6]
    assert list(Seeds(5, 3).take(9)) == [5, 6, 7]
    with pytest.raises(ValueError, match="at least 1"):
        Seeds(5, 0)


def test_data_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("DFF_DATA", raising=False)
    with pytest.raises(ValueError, match="give --data DIR or set DFF_DATA"):
        data_folder(None)
    monkeypatch.setenv("DFF_DATA", str(tmp_path))
    assert data_folder(None) == tmp_path
    (tmp_path / "other").mkdir()
    assert data_folder(tmp_path / "other") == tmp_path / "other"
    with pytest.raises(FileNotFoundError, match="no such folder"):
        data_folder(tmp_path / "missing")


def test_real_stack(tmp_path, write_slices, breathing_slices):
    write_slices(tmp_path / "tiny", breathing_slices)
    assert len(real_stack(tmp_path, "tiny")) == 3
    with pytest.raises(FileNotFoundError, match="no such stack"):
        real_stack(tmp_path, "huge")


def test_one_thread_is_for_a_while():
    before = cv2.getNumThreads()
    with one_thread():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == before


def test_stopwatch_adds_up_cpu_not_wall():
    clock = Stopwatch()
    with clock:
        time.sleep(0.05)
    assert clock.cpu_s < 0.03
    with clock:
        sum(range(500_000))
    assert clock.cpu_s > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alignment-real"], "give --data DIR or set DFF_DATA"),
        (["alignment-real", "--data", "nowhere"], "nowhere: no such folder"),
        (["alignment-simulated", "--protocol", "mine"], "no recipe 'mine'"),
        (["alignment-simulated", "--limit", "0"], "--limit 0: give 1 or more"),
        (["alignment-simulated", "--photos", "nowhere"], "nowhere: no such photographs"),
    ],
)
def test_wrong_use_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("DFF_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
