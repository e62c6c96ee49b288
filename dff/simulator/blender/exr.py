"""Reading the multi-part OpenEXR files that Blender 5 writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NOWHERE_M = 1e9  # Blender writes 1e10 where a ray hits nothing


def read_passes(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Colour and depth of a multilayer file: (H,W,4) float32 premultiplied RGBA, (H,W) float32 metres.

    Depth is infinite where nothing is hit.

    Raises:
        ValueError: the file lacks one of the two passes.
    """
    import OpenEXR

    channels: dict[str, np.ndarray] = {}
    with OpenEXR.File(str(path), separate_channels=True) as file:
        for part in file.parts:
            channels.update({name: channel.pixels for name, channel in part.channels.items()})

    def find(suffix: str) -> np.ndarray:
        for name, pixels in channels.items():
            if name.endswith(suffix):
                return np.asarray(pixels, dtype=np.float32)
        raise ValueError(f"{path}: no pass {suffix}; it holds {', '.join(channels) or 'nothing'}")

    colour = np.stack([find(f"Combined.{letter}") for letter in "RGBA"], axis=-1)
    depth = find("Depth.Z")
    return colour, np.where(depth < NOWHERE_M, depth, np.inf)
