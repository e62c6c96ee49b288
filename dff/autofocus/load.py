"""Trained autofocus networks by name or path, and one decision of theirs from plain arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dff.autofocus.inputs import halves_added, roi_planes
from dff.autofocus.models import AutofocusConfig, AutofocusNet
from dff.weights import load_network


def load_autofocus(name: str | Path, device: torch.device | str = "cpu") -> AutofocusNet:
    """A trained network, in evaluation mode.

    Args:
        name: in weights/index.toml, or the path of a .safetensors file.
        device: where it is to compute.

    Raises:
        ValueError: unknown or damaged weights, or weights of something else.
        FileNotFoundError: a known name whose file is missing.
    """

    def build(settings: dict[str, Any]) -> AutofocusNet:
        network = AutofocusNet(AutofocusConfig(**settings))
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    return load_network(name, "autofocus", build, device)


@torch.inference_mode()
def decide(
    network: AutofocusNet,
    frames: np.ndarray,
    index: np.ndarray,
    corner: tuple[int, int],
    picture: tuple[int, int],
) -> np.ndarray:
    """What a network makes of one region: (K,) probability of each focal index to be the one in focus.

    Args:
        frames: (m,2,h,w) light of the left and right half in [0,1], linear, 0 black, far first; networks of
            plain frames ("I") also take (m,1,h,w) of the sum of the halves (0 to 2).
        index: (m,) focal index of each frame.
        corner: x and y of the region's top left pixel in the picture.
        picture: (height, width) of the whole picture.

    Raises:
        ValueError: frames of another number or kind than the network takes, an index outside its ladder, or a
            region that leaves the picture.
    """
    count = network.config.count
    if frames.ndim != 4 or frames.shape[0] != len(index):
        raise ValueError(f"frames {frames.shape} and {len(index)} indices; give (m,C,h,w) and m of them")
    if len(index) == 0 or min(index) < 0 or max(index) >= count:
        raise ValueError(f"focal indices {list(index)}; the network's ladder has 0 to {count - 1}")
    height, width = frames.shape[-2:]
    if min(corner) < 0 or corner[0] + width > picture[1] or corner[1] + height > picture[0]:
        raise ValueError(
            f"region of {width}x{height} px at {corner[0]},{corner[1]}: leaves the picture, which is "
            f"{picture[1]}x{picture[0]} px"
        )
    device = next(network.parameters()).device
    light = torch.from_numpy(np.ascontiguousarray(frames, np.float32)).to(device)[None]
    if not network.problem.dual and light.shape[2] == 2:
        light = halves_added(light)
    place = roi_planes(torch.tensor([corner], device=device), (height, width), picture)
    where = torch.as_tensor(np.asarray(index), dtype=torch.long, device=device)[None]
    return np.asarray(torch.softmax(network(light, where, place)[0].float(), dim=-1).cpu())
