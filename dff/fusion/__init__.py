"""All-in-focus pictures: which slice every pixel is taken from, three ways, one slice in memory at a time."""

from __future__ import annotations

from typing import Literal

from dff.fusion.depth_driven import fuse
from dff.fusion.guided import GuidedConfig, fuse_guided
from dff.fusion.pyramid import fuse_pyramid

FusionMethod = Literal["depth", "guided", "pyramid"]
METHODS: tuple[FusionMethod, ...] = ("depth", "guided", "pyramid")
DEFAULT_METHOD: FusionMethod = "depth"

__all__ = [
    "DEFAULT_METHOD",
    "METHODS",
    "FusionMethod",
    "GuidedConfig",
    "check_method",
    "fuse",
    "fuse_guided",
    "fuse_pyramid",
]


def check_method(name: str) -> None:
    """Refuse a name that is none of `METHODS`.

    Raises:
        ValueError: unknown name.
    """
    if name not in METHODS:
        raise ValueError(f"fusion method {name!r}; choose from {', '.join(METHODS)}")
