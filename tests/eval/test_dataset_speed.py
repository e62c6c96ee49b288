"""How fast stacks come out of HDF5: the benchmark itself, on a few small ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dff.eval.__main__ import main
from dff.eval.dataset_speed import STORAGE, Protocol
from dff.recipes import load_recipe


def test_loader_speed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    own = tmp_path / "own.toml"
    own.write_text('base = "loader-speed"\nstacks = 3\nsize = [48, 48]\nmodel = "classical"\nconsumed = 1\n')
    assert main(["loader-speed", "--protocol", str(own), "--out", str(tmp_path), "--limit", "2"]) == 0
    result = json.loads((tmp_path / "loader-speed.json").read_text())
    rows = result["tables"][0]["rows"]
    assert [(row["file"], row["read for"]) for row in rows] == [
        (storage, reader) for storage in STORAGE for reader in ("training", "evaluation")
    ]
    assert all(row["stacks / CPU s"] > 0 for row in rows)
    assert len(result["targets"]) == 4
    assert result["tables"][0]["note"].startswith("2 stacks of 10x48x48 px")
    own.write_text('base = "loader-speed"\nstacks = 0\n')
    assert main(["loader-speed", "--protocol", str(own), "--out", str(tmp_path)]) == 2
    assert "give 1 or more" in capsys.readouterr().err


def test_the_protocol_that_ships() -> None:
    protocol = load_recipe("eval", "loader-speed", Protocol)
    assert (protocol.stacks, protocol.slices, protocol.size, protocol.ratio) == (100, 10, (256, 256), 5.0)
