"""Whole processes: a run that is killed, and a run of two."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dff.train import checkpoint
from dff.train.__main__ import main

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
DEBUG = ["-m", "dff.train", "--dataset", "debug", "--threads", "1"]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(folder / checkpoint.NAME)[0]


def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """SIGKILL in the middle: what follows equals a run that was never disturbed."""
    command = [sys.executable, *DEBUG, "--out", "broken", "--seed", "3", "--steps", "1000"]
    broken = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "broken" / checkpoint.NAME).is_file():
        assert broken.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    broken.send_signal(signal.SIGKILL)
    broken.wait()
    kept = checkpoint.read(tmp_path / "broken" / checkpoint.NAME)[1]
    step = json.loads(kept["state"])["step"]
    assert step >= 4
    arguments = ["--dataset", "debug", "--threads", "1", "--steps", str(step + 4)]
    assert main([*arguments, "--out", str(tmp_path / "broken"), "--resume"]) == 0
    assert main([*arguments, "--out", str(tmp_path / "whole"), "--seed", "3"]) == 0
    one, other = tensors(tmp_path / "broken"), tensors(tmp_path / "whole")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("recipe", ["debug", "alignment_debug"])
def test_two_processes_agree(recipe: str, tmp_path: Path) -> None:
    """DDP over gloo: both ranks step with the mean gradient, one writes, samples count double."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = ["-m", "dff.train", "--dataset", recipe, "--threads", "1", "--steps", "4", "--out", "run"]
    subprocess.run([*launcher, *command], cwd=tmp_path, env=ENVIRONMENT, check=True, timeout=100)
    with (tmp_path / "run" / "train.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["step"] for row in found] == ["4"]
    assert found[0]["samples"] == "16"
