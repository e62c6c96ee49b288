"""Where networks run."""

from __future__ import annotations

import torch


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
