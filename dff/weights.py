"""Trained weights: found by name or path, checked, read without running anything.

A file holds tensors and, in its header, the make-up of the network they belong to. Known files are listed in
weights/index.toml with their sha256; a file that differs from its entry is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dff.recipes import find_recipe, load_recipe, recipe_names

if TYPE_CHECKING:
    from torch import Tensor

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


def load_weights(name: str | Path) -> Weights:
    """Read weights by name or path, on the CPU.

    Raises:
        ValueError: unknown, damaged, changed since it was listed, or not made by `dff.train.export`.
        FileNotFoundError: a known name whose file is missing.
    """
    import safetensors

    path, entry = find_weights(name)
    if entry is not None and (found := sha256(path)) != entry.sha256:
        raise ValueError(
            f"{path}: sha256 is {found[:12]}..., weights/{_INDEX}.toml says {entry.sha256[:12]}...; "
            "get the file again"
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not a readable {SUFFIX} file ({error})") from None
    if header.get("format") != FORMAT:
        raise ValueError(f"{path}: no weights of dff; export checkpoints with python -m dff.train.export")
    config, info = json.loads(header["config"]), json.loads(header["info"])
    return Weights(tensors, header["network"], config, info, path)
