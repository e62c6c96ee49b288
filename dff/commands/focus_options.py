"""The options of `dff focus`. Nothing heavy here: this is all that `dff --help` loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import UseAppendAction, arg

from dff.commands.options import Aligning, File, ModelName, Reading, Telling

Regions = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="X,Y,W,H", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class FocusTo:
    """Which regions, and what `dff focus` writes."""

    roi: Regions = ()
    """a region in px of the reference slice; give it once for each region"""
    grid: Annotated[str | None, arg(metavar="RxC", help_behavior_hint="")] = None
    """regions in R rows of C that cover the picture, such as 6x8"""
    calibration: File = None
    """lens calibration, .json: gives motor codes, and the focus of slices where it is unknown"""
    rule: Literal["auto", "median", "mode"] = "auto"
    """the region's depth; auto: the median, of the heavier depth where there are two"""
    head: Annotated[str | None, arg(metavar="NAME|FILE", help_behavior_hint="")] = None
    """let this learned head answer instead of the depth, such as af-tiny"""
    observed: Annotated[str | None, arg(metavar="K,...", help_behavior_hint="")] = None
    """with --head: answer from these slices alone, 0 the farthest (default: all)"""
    halves: Annotated[tuple[str, str] | None, arg(metavar="LEFT RIGHT", help_behavior_hint="")] = None
    """with --head: what the halves of a dual-pixel sensor saw, two folders like the stack's"""
    measure: Annotated[str, arg(metavar="NAME")] = "mean-local-norm-dist-sq-2"
    """contrast measure of the focus curves; they are shown, the answer comes from depth"""
    csv: File = None
    """the table, as .csv"""
    picture: File = None
    """the regions on the all-in-focus picture, and the focus curve of each: .png, .jpg or .tif"""
    report: File = None
    """all of it with the curves, as .json"""
    poor: Literal["drop", "keep"] = "drop"
    """what becomes of slices that do not fit their neighbours"""
    model: ModelName = "base"
    """what finds depth: trained weights, classical, or a file of either (.safetensors, .toml)"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where a learned model runs; classical runs on the CPU"""


@dataclass(frozen=True, kw_only=True)
class Focus(Telling, Reading, Aligning, FocusTo):
    """Which slice, dioptre and motor code bring regions into focus.

    With neither --roi nor --grid, it is the middle of the picture. The table is printed; files are written
    only where they are named.
    """
