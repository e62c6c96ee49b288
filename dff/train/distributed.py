"""Several processes, as `torchrun` starts them; one process without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class World:
    """This process among all: ``rank`` of ``size``, on ``device``."""

    rank: int
    size: int
    device: torch.device

    def agreed(self, flag: bool) -> bool:
        """What the leading process says; clocks differ, and all have to stop at the same step."""
        if self.size == 1:
            return flag
        said = torch.tensor([flag], dtype=torch.uint8, device=self.device)
        dist.broadcast(said, src=0)
        return bool(said)

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0


def pick_device(name: str) -> torch.device:
    """ "auto" is CUDA where there is one (of `torchrun`'s several, this process's own), else the CPU.

    Raises:
        ValueError: CUDA was asked for and is not there.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device {name!r}; choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: no CUDA device here; use --device cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


@contextmanager
def world(device: str) -> Iterator[World]:
    """The processes of this run, joined while the block lasts."""
    place = pick_device(device)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(0, 1, place)
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, place)
    finally:
        dist.destroy_process_group()
