"""Trained weights: found by name or path, checked, read without running anything.

A file holds tensors and, in its header, the make-up of the network they belong to. Known files are listed in
weights/index.toml with their sha256; a file that differs from its entry is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dff.recipes import find_recipe, load_recipe, recipe_names

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Network = TypeVar("Network", bound="nn.Module")

SUFFIX = ".safetensors"
_INDEX = "index"
FORMAT = "dff-weights-1"


@dataclass(frozen=True)
class Entry:
    """One file of weights/index.toml.

    Args:
        sha256: of the file.
        network: what it is for, such as "depth".
        recipe: training recipe.
        commit: of the code that trained it.
        samples: stacks seen in training.
        score: measured results by name.
    """

    sha256: str
    network: str = "depth"
    recipe: str = ""
    commit: str = ""
    samples: int = 0
    score: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Index:
    weights: dict[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True)
class Weights:
    """What a file holds.

    Args:
        tensors: by name, as stored (float16 or float32).
        network: what they are for, such as "depth".
        config: make-up of the network, as plain tables.
        info: where they come from.
        path: the file.
    """

    tensors: dict[str, Tensor]
    network: str
    config: dict[str, Any]
    info: dict[str, Any]
    path: Path


def known_weights() -> dict[str, Entry]:
    """Entries of weights/index.toml by name."""
    if _INDEX not in recipe_names("weights"):
        return {}
    return load_recipe("weights", _INDEX, _Index).weights


def find_weights(name: str | Path) -> tuple[Path, Entry | None]:
    """The file of a name in weights/index.toml, or of a path ending in .safetensors, and its entry.

    Raises:
        ValueError: neither a known name nor a file; the message lists those known.
        FileNotFoundError: a known name whose file is missing.
    """
    known = known_weights()
    if str(name) in known:
        path = find_recipe("weights", _INDEX).parent / f"{name}{SUFFIX}"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: listed in weights/{_INDEX}.toml, but the file is missing")
        return path, known[str(name)]
    path = Path(name)
    if path.is_file() and path.suffix == SUFFIX:
        return path, None
    listing = ", ".join(sorted(known)) or "none yet"
    raise ValueError(f"weights {str(name)!r}: no such name or {SUFFIX} file; known: {listing}")


def sha256(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors, on the CPU, and header of a safetensors file; ``kind`` is what messages call it.

    Raises:
        ValueError: it is none.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118 - not a dict
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a readable {kind} ({error})") from None


def load_weights(name: str | Path) -> Weights:
    """Read weights by name or path, on the CPU.

    Raises:
        ValueError: unknown, damaged, changed since it was listed, or not made by `dff.train.export`.
        FileNotFoundError: a known name whose file is missing.
    """
    path, entry = find_weights(name)
    if entry is not None and (found := sha256(path)) != entry.sha256:
        raise ValueError(
            f"{path}: sha256 is {found[:12]}..., weights/{_INDEX}.toml says {entry.sha256[:12]}...; "
            "get the file again"
        )
    tensors, header = read_tensors(path, f"{SUFFIX} file")
    if header.get("format") != FORMAT:
        raise ValueError(f"{path}: no weights of dff; export checkpoints with python -m dff.train.export")
    config, info = json.loads(header["config"]), json.loads(header["info"])
    return Weights(tensors, header["network"], config, info, path)


def fill_network(network: nn.Module, weights: Weights) -> None:
    """Give a network the weights, every one of them.

    Raises:
        ValueError: names or shapes differ.
    """
    try:
        network.load_state_dict({key: value.float() for key, value in weights.tensors.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        message = f"{weights.path}: does not fit this version's {weights.network} network; {reason}"
        raise ValueError(message) from None


def load_network(
    name: str | Path, kind: str, build: Callable[[dict[str, Any]], Network], device: torch.device | str
) -> Network:
    """A trained network, in evaluation mode, by the name or the path of its weights.

    Args:
        kind: of network, as its file must state.
        build: makes the network from the settings in the file.

    Raises:
        ValueError: unknown or damaged weights, weights of something else, or tensors that do not fit.
        FileNotFoundError: a known name whose file is missing.
    """
    weights = load_weights(name)
    if weights.network != kind:
        raise ValueError(f"{weights.path}: weights of a network for {weights.network}, not for {kind}")
    try:
        network = build(weights.config)
    except TypeError as error:
        raise ValueError(f"{weights.path}: does not fit this version's {kind} network; {error}") from None
    fill_network(network, weights)
    return network.to(device).eval()
