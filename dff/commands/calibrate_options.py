"""The options of `dff calibrate`. Nothing heavy here: this is all that `dff --help` loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from dff.commands.options import File, Reading, Telling, Text


@dataclass(frozen=True, kw_only=True)
class CalibrateTo:
    """What is known beforehand, and what is written."""

    breathing: Annotated[float | None, arg(metavar="FACTOR", help_behavior_hint="")] = None
    """breathing of the lens over that of a thin one, if known: tells the gain of reported focus"""
    target: Text = None
    """true distance of what --roi shows, such as 50cm or 2D: tells the offset of reported focus"""
    roi: Annotated[str | None, arg(metavar="X,Y,W,H", help_behavior_hint="")] = None
    """region of --target, in px (default: the middle)"""
    camera: File = None
    """a camera that the simulator reads, as .toml; needs the lens"""
    report: File = None
    """all of it, as .json"""


@dataclass(frozen=True, kw_only=True)
class Calibrate(Telling, Reading, CalibrateTo):
    """What a focal stack tells of its camera: breathing, drift of the centre, true against reported focus.

    The camera on a stand, the scene at rest. The findings are printed; files are written only where they are
    named.
    """
