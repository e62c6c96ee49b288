"""`dff predict --model WEIGHTS`: the same outputs, and what is refused before any work."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from told import FOCUS, files_in, strict

from dff.cli import main
from dff.formats.depth_files import read_depth
from dff.model.network import SIZES, DepthNetwork
from dff.weights import FORMAT


@pytest.fixture
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    header = {"format": FORMAT, "network": "depth", "config": json.dumps(asdict(SIZES["nano"])), "info": "{}"}
    save_file(DepthNetwork(SIZES["nano"]).state_dict(), path, header)
    return path


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_learned_weights(stairs: Path, untrained: Path, precision: str) -> None:
    outputs = "--out d.npz --aif a.png --confidence c.png --save-steps steps --report r.json --quiet"
    options = f"--focus {FOCUS} --precision {precision} --views 2 --device cpu {outputs}"
    assert main(["predict", str(stairs), "--model", str(untrained), *options.split()]) == 0
    depth = read_depth("d.npz")
    assert depth.unit == "dioptre"
    assert depth.index.shape == (96, 128)
    maps = [Path(file).stem.partition("_")[2] for file in files_in("steps") if file.endswith(".npz")]
    assert maps == ["network_depth", "network_scale", "network_confidence"]
    report = strict(Path("r.json").read_text())
    assert report["model"] == str(untrained)
    assert report["inference"]["work_size"] == [128, 96]
    assert report["inference"]["views"] == 2
    assert Path("a.png").is_file()
    assert Path("c.png").is_file()


def test_refused_before_any_work(
    stairs: Path,
    untrained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: Callable,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    untrained.with_name("old.pth").write_bytes(b"\x80\x02")
    untrained.with_name("torn.safetensors").write_bytes(untrained.read_bytes()[:500])
    before = snapshot()
    for options, message in (
        (f"{untrained} --device cuda", "no CUDA device"),
        (str(untrained.with_name("torn.safetensors")), "not a readable .safetensors file"),
        (str(untrained.with_name("old.pth")), "old.pth: not a model; give classical"),
        (str(untrained.with_name("gone.safetensors")), "no such model; give classical"),
    ):
        assert main(["predict", str(stairs), "--model", *options.split()]) == 2
        told = capsys.readouterr().err
        assert message in told
        assert "Traceback" not in told
    assert snapshot() == before
