"""Weights by name and by path: hashes, damage, strangers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import dff.recipes
from dff.model.network import SIZES, DepthNetwork, load_depth_network
from dff.weights import FORMAT, find_weights, known_weights, load_weights, sha256


def write(path: Path, tensors: dict[str, torch.Tensor] | None = None, **header: str) -> Path:
    from dataclasses import asdict

    network = DepthNetwork(SIZES["nano"])
    whole = {
        "format": FORMAT,
        "network": "depth",
        "config": json.dumps(asdict(SIZES["nano"])),
        "info": "{}",
    }
    save_file(network.state_dict() if tensors is None else tensors, path, whole | header)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights with one entry, "small"."""
    write(tmp_path / "small.safetensors")
    entry = f'[weights.small]\nsha256 = "{sha256(tmp_path / "small.safetensors")}"\nsamples = 12\n'
    (tmp_path / "index.toml").write_text(entry)
    monkeypatch.setattr(dff.recipes, "_folders", lambda kind: [tmp_path])
    return tmp_path


def test_by_name(index: Path) -> None:
    assert list(known_weights()) == ["small"]
    weights = load_weights("small")
    assert weights.path == index / "small.safetensors"
    assert weights.network == "depth"
    assert isinstance(load_depth_network("small"), DepthNetwork)


def test_by_path(tmp_path: Path, index: Path) -> None:
    path = write(tmp_path / "mine.safetensors")
    assert find_weights(path) == (path, None)
    assert load_depth_network(str(path)).config == SIZES["nano"]


def test_a_changed_file_is_refused(index: Path) -> None:
    write(index / "small.safetensors")  # other random weights
    with pytest.raises(ValueError, match="sha256 is"):
        load_weights("small")


def test_a_missing_file_is_named(index: Path) -> None:
    (index / "small.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="the file is missing"):
        load_weights("small")


def test_unknown_names_list_the_known(index: Path) -> None:
    with pytest.raises(ValueError, match=r"'large': no such name or \.safetensors file; known: small"):
        load_weights("large")


def test_damage_and_strangers(tmp_path: Path, index: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\x08\0\0\0\0\0\0\0notjson!")
    with pytest.raises(ValueError, match="not a readable"):
        load_weights(broken)
    with pytest.raises(ValueError, match="no weights of dff"):
        load_weights(write(tmp_path / "other.safetensors", format="else"))
    with pytest.raises(ValueError, match="for alignment, not for depth"):
        load_depth_network(write(tmp_path / "align.safetensors", network="alignment"))


def test_loading_is_strict(tmp_path: Path, index: Path) -> None:
    tensors = DepthNetwork(SIZES["nano"]).state_dict()
    tensors.pop("stem.conv.weight")
    with pytest.raises(ValueError, match=r"does not fit.*stem\.conv\.weight"):
        load_depth_network(write(tmp_path / "part.safetensors", tensors))
    with pytest.raises(ValueError, match="unknown_key"):
        load_depth_network(write(tmp_path / "new.safetensors", config='{"unknown_key": 1}'))


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
