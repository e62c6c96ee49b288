"""Where networks run."""

from __future__ import annotations

import torch
from torch import Tensor


def computes_in_half(device: torch.device) -> bool:
    """Whether bfloat16 is a number format of ``device``; a processor without it takes ten times as long."""
    if device.type == "cuda":
        return True
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and probe is not None and bool(probe())


def working_dtype(x: Tensor) -> torch.dtype:
    """What layers make of ``x`` here: the number format of an autocast that is on, or its own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def usable_device(device: str) -> str:
    """Device ("cpu" or "cuda") for "auto" (CUDA where there is one), "cpu" or "cuda".

    Raises:
        ValueError: CUDA is asked for and not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda: torch finds no CUDA device here; use cpu")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device
