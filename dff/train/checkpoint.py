"""Everything a run needs to go on, in one .safetensors file: tensors, and counters as JSON in its header.

No pickle: loading a checkpoint cannot run code.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dff.formats.safe_write import atomic_path
from dff.weights import read_tensors

NAME = "checkpoint.safetensors"


@dataclass
class TrainState:
    """How far a run has come.

    Args:
        step: optimiser steps done.
        samples: stacks seen, over all processes.
        seconds: time spent in steps.
        decay_from: ``samples`` when the last, falling part began; None before that.
        skipped: steps left out for a gradient that was not finite.
        seed: of the run.
        world: number of processes.
    """

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    decay_from: int | None = None
    skipped: int = 0
    seed: int = 0
    world: int = 1


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser/{number}/{name}": value for number, slot in state.items() for name, value in slot.items()
    }


def save(
    path: Path,
    network: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.Optimizer,
    state: TrainState,
    settings: dict[str, Any],
) -> None:
    """Write the state of a run; the file before it stays whole until the new one is.

    Args:
        settings: the recipe as plain tables, to be compared on resume.
    """
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"averaged/{name}": value for name, value in averaged.state_dict().items()}
    tensors |= _optimiser_tensors(optimiser)
    header = {"state": json.dumps(plain(state)), "settings": json.dumps(settings)}
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(stored, temporary, header)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a checkpoint.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no checkpoint to resume; start the run without --resume")
    tensors, header = read_tensors(path, "checkpoint")
    if "state" not in header:
        raise ValueError(f"{path}: holds tensors but no training state; give a checkpoint of dff.train")
    return tensors, header


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose name starts with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def plain(config: Any) -> Any:
    """A dataclass as tables, lists and numbers, equal to what JSON gives back."""
    return json.loads(json.dumps(asdict(config)))


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Keys whose values differ between two plain settings, dotted."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [one for key in keys for one in differences(old.get(key), new.get(key), f"{place}{key}.")]
    return [] if old == new else [place.rstrip(".")]


def load(
    path: Path,
    network: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.Optimizer,
    settings: dict[str, Any],
) -> tuple[TrainState, list[str]]:
    """Bring a run back to where it was, on the network's device.

    Returns:
        The state, and the settings (dotted names) that have changed since.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or one of another network.
    """
    tensors, header = read(path)
    for name, module in (("network", network), ("averaged", averaged)):
        try:
            module.load_state_dict(part(tensors, f"{name}/"))
        except RuntimeError as error:
            raise ValueError(f"{path}: made by another network; {' '.join(str(error).split())}") from None
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in part(tensors, "optimiser/").items():
        number, name = key.split("/")
        slots.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict(optimiser.state_dict() | {"state": slots})
    return TrainState(**json.loads(header["state"])), differences(json.loads(header["settings"]), settings)
