"""The options of `dff focus-run`. Nothing heavy here: this is all that `dff --help` loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg

from dff.commands.options import Count, File, Reading, Telling, Text


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What drives the lens, from where, and what is written."""

    scene: Annotated[str | None, arg(metavar="RECIPE", help_behavior_hint="")] = None
    """a simulated scene instead of a stack: a recipe of simulator/scenes, or a file like it"""
    policy: Annotated[str, arg(metavar="NAME|all")] = "vote"
    """vote, global, fibonacci, golden, hill-climb, rule-based, curve-fit, contrast-scan; phase-loop (of
    scenes), step-search (learned; needs the lens), one-shot and until-sure (learned; of scenes);
    all: to compare them"""
    autofocus: Annotated[str | None, arg(metavar="NAME|FILE", help_behavior_hint="")] = None
    """of one-shot and until-sure: weights of an autofocus network, or af-tiny (default: afpe-d1)"""
    step_networks: Annotated[str | None, arg(metavar="NAME[,NAME]", help_behavior_hint="")] = None
    """of step-search: weights (default: step-spectrum); two: estimator and discriminator, such as
    step-estimator,step-discriminator"""
    start: Annotated[str, arg(metavar="K,...|all")] = "all"
    """lens positions to start from, 0 the farthest"""
    repeat: Annotated[int, arg(metavar="N")] = 1
    """runs from each start, with other noise where the scene is simulated"""
    seed: Annotated[int, arg(metavar="N")] = 0
    """another seed gives another scene, and other faults of --motor"""
    positions: Annotated[int, arg(metavar="N")] = 49
    """of a scene: lens positions over the camera's range"""
    side: Annotated[int, arg(metavar="PX")] = 128
    """of a scene: side of the pictures in px; frames take time with its square"""
    between: Literal["nearest", "interpolated"] = "nearest"
    """of a stack: what is seen between two slices"""
    truth: Count = None
    """of a stack: the slice in focus (default: the sharpest)"""
    roi: Annotated[str | None, arg(metavar="X,Y,W,H", help_behavior_hint="")] = None
    """region to focus on, in px (default: the middle)"""
    measure: Annotated[str, arg(metavar="NAME")] = "mean-local-norm-dist-sq-2"
    """contrast measure that policies climb on"""
    motor: Text = None
    """a camera of simulator/cameras whose motor's faults the lens has (default: none)"""
    settle_ms: Annotated[float, arg(metavar="MS")] = 50.0
    """time from a move to the next exposure"""
    most_captures: Count = None
    """captures after which a policy has failed (default: four times the positions, 100 at least)"""
    csv: File = None
    """one row per run, as .csv"""
    animation: File = None
    """what the camera saw and the way of the lens, run after run: .gif, .mp4 or .avi"""
    picture: File = None
    """lens position over time, one panel per policy: .png, .jpg or .tif"""
    report: File = None
    """all of it with the trajectories, as .json"""


@dataclass(frozen=True, kw_only=True)
class FocusRun(Telling, Reading, Loop):
    """Run autofocus policies in a closed loop, on a recorded stack or a simulated scene, and compare them.

    The table is printed; files are written only where they are named.
    """
