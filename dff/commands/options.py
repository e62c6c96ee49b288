"""The options of each command. Nothing heavy here: this is all that `dff --help` loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

Source = Annotated[Positional[tuple[str, ...]], arg(metavar="STACK", help_behavior_hint="")]
File = Annotated[str | None, arg(metavar="FILE", help_behavior_hint="")]
Folder = Annotated[str | None, arg(metavar="DIR", help_behavior_hint="")]
Text = Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="")]
Count = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
Switch = Annotated[bool, arg(help_behavior_hint="")]

ModelName = Annotated[str, arg(metavar="NAME|FILE")]

Method = Literal["auto", "metadata", "ecc", "direct", "network", "network-only", "none"]


@dataclass(frozen=True, kw_only=True)
class Telling:
    """What is printed, and what may be replaced."""

    json: Switch = False
    """print the report as JSON on stdout, and nothing else there"""
    quiet: Switch = False
    """no progress, no summary; warnings and errors stay"""
    overwrite: Switch = False
    """replace files that exist"""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Which pictures, and where they were focused."""

    stack: Source
    """a folder, a quoted glob, two or more pictures, a multi-page TIFF, or a video"""
    focus: Text = None
    """focus of each slice, without spaces: 2m,50cm,2.9D (D: dioptres), or a text file of them"""
    focus_unit: Literal["m", "cm", "mm", "dioptre", "um"] = "m"
    """unit of focus numbers without a suffix (um: stage height)"""
    focus_from_names: Switch = False
    """take the focus from numbers in the file names"""
    every: Count = None
    """of a video, read every N-th frame"""
    all_pictures: Switch = False
    """of a folder or glob, also those outside the numbered series"""


@dataclass(frozen=True, kw_only=True)
class Aligning:
    """How slices are brought onto one another."""

    align: Method = "auto"
    """direct: dff's own; network: trained, then polished by direct (network-only: not); ecc: OpenCV's;
    metadata: from lens and focus alone; none: no need; auto: network with --aligner, else direct"""
    aligner: Annotated[str | None, arg(metavar="NAME|FILE", help_behavior_hint="")] = None
    """weights of the alignment network (.safetensors); else those that ship"""
    reference: Annotated[str, arg(metavar="auto|first|middle|last|K")] = "auto"
    """the slice whose view the results have; K counts as given, from 0; auto: the one that sees least"""


@dataclass(frozen=True, kw_only=True)
class PredictTo:
    """What `dff predict` writes, and with which model."""

    out: File = None
    """depth: .png (16 bit, JSON beside it), .exr, .npz or .tif"""
    aif: File = None
    """all-in-focus picture: .png, .jpg or .tif"""
    confidence: File = None
    """confidence in [0,1]: .png, .jpg or .tif"""
    vis: File = None
    """depth in colours with a legend: .png, .jpg or .tif"""
    mesh: File = None
    """coloured surface: .ply or .glb"""
    aligned: Folder = None
    """folder for the aligned slices"""
    save_steps: Folder = None
    """folder for every intermediate result"""
    report: File = None
    """alignment, times and all that was assumed, as .json"""
    poor: Literal["drop", "keep"] = "drop"
    """what becomes of slices that do not fit their neighbours (another scene, a jerk)"""
    model: ModelName = "base"
    """what finds depth: base or tiny (learned), classical, or a file of either (.safetensors, .toml)"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where a learned model runs; classical runs on the CPU"""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """of a learned model; auto: bfloat16 on devices that compute in it"""
    views: Literal[1, 2, 4, 8] = 1
    """mirrored and turned views a learned model averages: 4 take 3 % off the error in 4 times the time"""


@dataclass(frozen=True, kw_only=True)
class Predict(Telling, Reading, Aligning, PredictTo):
    """Depth of a focal stack, and all that goes with it.

    With no output named, depth goes to NAME_depth.png and its colours to NAME_depth_vis.png, here.
    """


@dataclass(frozen=True, kw_only=True)
class AlignTo:
    """What `dff align` writes."""

    out: Folder = None
    """folder for the aligned slices"""
    report: File = None
    """zoom, shift, rotation, residual of each slice, as .json"""


@dataclass(frozen=True, kw_only=True)
class Align(Telling, Reading, Aligning, AlignTo):
    """Align the slices of a stack and write them.

    With no output named, they go to the folder NAME_aligned, here.
    """


@dataclass(frozen=True, kw_only=True)
class FuseTo:
    """What `dff fuse` writes."""

    out: File = None
    """all-in-focus picture: .png, .jpg or .tif"""
    aligned: Folder = None
    """folder for the aligned slices"""
    report: File = None
    """alignment, times and all that was assumed, as .json"""
    poor: Literal["drop", "keep"] = "drop"
    """what becomes of slices that do not fit their neighbours"""
    method: Literal["depth", "guided", "pyramid"] = "depth"
    """depth: by the depth that --model finds; guided: guided-filter decisions; pyramid: Laplacian pyramid"""
    model: ModelName = "tiny"
    """of --method depth, what finds depth: tiny, base (learned), classical, or a file of either"""


@dataclass(frozen=True, kw_only=True)
class Fuse(Telling, Reading, Aligning, FuseTo):
    """One picture that is sharp everywhere.

    With no output named, it goes to NAME_aif.png, here.
    """


@dataclass(frozen=True, kw_only=True)
class Info(Reading):
    """What dff knows of a stack before any work: slices, focus, lens."""

    json: Switch = False
    """print it as JSON"""


@dataclass(frozen=True, kw_only=True)
class Demo(Telling):
    """Run everything on the sample stack of this package: a laid table, rendered, with its truth."""

    out: Annotated[str, arg(metavar="DIR")] = "demo"
    """folder for the stack and all results"""
