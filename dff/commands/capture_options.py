"""The options of `dff capture`. Nothing heavy here: this is all that `dff --help` loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg

from dff.commands.options import Count, File, Folder, ModelName, Reading, Telling

Number = Annotated[float | None, arg(metavar="X", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class Capturing:
    """What is captured, how it is chosen, and what is written."""

    scene: Annotated[str | None, arg(metavar="RECIPE", help_behavior_hint="")] = None
    """a simulated scene instead of a stack: a recipe of simulator/scenes, or a file like it"""
    seed: Annotated[int, arg(metavar="N")] = 0
    """another seed gives another scene"""
    side: Count = None
    """of a scene: side of the pictures in px (default: as the recipe says)"""
    budget: Count = None
    """most captures (default: half of those of a uniform sweep)"""
    max_coc: Number = None
    """blur in px across that counts as in focus, where the lens is known (default: 1)"""
    depth_of_field: Number = None
    """of a stack: depth of field to one side, in the unit of its focus positions (default: by the lens)"""
    estimator: Literal["model", "edges"] = "model"
    """what tells how far off focus is: model: depth by --model from the shots so far; edges: blur of edges,
    without any training; needs a known lens"""
    model: ModelName = "base"
    """what finds depth: base, tiny (learned), classical, or a file of either (.safetensors, .toml)"""
    method: Literal["depth", "guided", "pyramid"] = "depth"
    """how the shots are fused, as for dff fuse"""
    align: Literal["auto", "direct", "ecc", "metadata", "none"] = "auto"
    """of a stack: how its slices are aligned, as for dff align"""
    steps: Count = None
    """of a scene: it moves, and is captured once in each of so many time steps"""
    pan: Annotated[str, arg(metavar="X,Y")] = "1.5,0.4"
    """of a moving scene: way of the picture of what is nearest, in px per time step"""
    dolly: Annotated[float, arg(metavar="M")] = 0.0
    """of a moving scene: metres per time step that the camera comes nearer"""
    objects: Annotated[float, arg(metavar="PX")] = 0.3
    """of a moving scene: px per time step that each object goes by itself, at most"""
    memory: Annotated[int, arg(metavar="K")] = 1
    """of a moving scene: shots before the last that count as done (k of the activation matrix)"""
    out: Folder = None
    """folder for the shots, the fused picture, a contact sheet, captures.csv and report.json"""
    video: File = None
    """of a moving scene: fused pictures, one per time step: .mp4, .avi or .gif"""


@dataclass(frozen=True, kw_only=True)
class CaptureRun(Telling, Reading, Capturing):
    """Let the camera decide which slices to take, of a recorded stack or a simulated scene, and fuse them.

    The table is printed; files are written only where they are named.
    """
