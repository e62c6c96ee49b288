"""The options of `dff simulate`. Nothing heavy here: `dff --help` loads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg

from dff.commands.options import Count, File, Folder, Switch, Telling, Text


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """What stands in front of the camera."""

    scene: Literal["procedural", "rgbd", "blender"] = "procedural"
    """procedural: generated; rgbd: pictures with depth (--data); blender: rendered (extra blender)"""
    near: Text = None
    """nearest thing in the scenes, such as 30cm (default: as near as the camera focuses)"""
    far: Text = None
    """farthest thing in the scenes, such as 5m or inf (default: as far as the camera focuses)"""
    photos: Annotated[str | None, arg(metavar="DIR|FILE", help_behavior_hint="")] = None
    """procedural: photographs to cut textures from, a folder or a packed file"""
    data: Folder = None
    """rgbd: folder of pictures with their depth"""
    depth_unit: Text = None
    """rgbd: unit of the depth files, where their names do not tell it"""
    kind: Text = None
    """blender: kind of room: mixed, prims, slant, thin, close, plain, meshes"""
    textures: Folder = None
    """blender: folder of pictures for the surfaces"""
    hdri: Folder = None
    """blender: folder of panoramas to light with, .hdr or .exr"""
    meshes: Folder = None
    """blender: folder of glTF models"""


@dataclass(frozen=True, kw_only=True)
class Taking:
    """Which camera, and which of its pixels."""

    camera: Annotated[str, arg(metavar="NAME|FILE")] = "random_camera"
    """a recipe of simulator/cameras, or a file like it"""
    size: Annotated[str, arg(metavar="WxH")] = "256x256"
    """width and height of the pictures in px"""
    frame_width: Count = None
    """width in px that the camera's whole picture has; pictures are then patches of it, at random places"""
    slices: Count = None
    """slices per stack (default: what the camera does)"""
    dual_pixel: Switch = False
    """also what the left and the right half of the aperture see"""


@dataclass(frozen=True, kw_only=True)
class Running:
    """How many, where to, and how."""

    n: Count = None
    """number of stacks"""
    out: Folder = None
    """folder for the stacks, one folder each"""
    preview: File = None
    """one sheet to look at: .png, .jpg or .tif; without --out nothing else is written"""
    seed: Annotated[int, arg(metavar="N")] = 0
    """another seed gives other stacks"""
    workers: Annotated[int, arg(metavar="N")] = 1
    """processes, of one thread each"""
    resume: Switch = False
    """go on with a folder that is not finished"""
    shard: Annotated[str | None, arg(metavar="I/N", help_behavior_hint="")] = None
    """make only the I-th of N equal parts; all parts may go into one folder"""
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    """where to compute; random numbers differ between them"""


@dataclass(frozen=True, kw_only=True)
class Simulate(Telling, Scenes, Taking, Running):
    """Make focal stacks whose every truth is known.

    The same settings and seed give the same bytes, in any order, with any number of workers.
    """
