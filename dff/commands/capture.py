"""`dff capture`: the camera decides which slices to take, for one picture or, of moving scenes, a video."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dff import __version__
from dff.capture.estimators import Agreed, DepthEstimator, EdgeBlur, Estimator
from dff.capture.moving import MovingConfig, MovingFrame, capture_moving
from dff.capture.report import csv_text, shots_rows, still_rows
from dff.capture.scene import RecordedStack, Scene, Shot
from dff.capture.sheet import map_tile, sheet
from dff.capture.simulated import Movement, SimulatedScene
from dff.capture.still import Capture, StillConfig, capture_still, uniform_positions
from dff.commands import telling
from dff.commands.capture_options import CaptureRun
from dff.commands.outputs import Outputs, json_text
from dff.commands.source import open_stack, stack_files
from dff.commands.terminal import Terminal, table
from dff.formats.video import VIDEO_SUFFIXES
from dff.metrics import psnr
from dff.models import check_model, load_model
from dff.pipeline import align, fuse
from dff.stack import FocalStack

_MOVING = ("pan", "dolly", "objects", "memory")


def capture(options: CaptureRun) -> None:
    """Capture, fuse, and write what was asked for."""
    with Terminal(options.quiet, options.json).working() as terminal:
        _check(options)
        outputs = Outputs([] if options.scene else stack_files(options), options.overwrite)
        outputs.check_folder("out", options.out)
        outputs.check_file("video", options.video, VIDEO_SUFFIXES)
        scene, about, kept = _scene(options, terminal)
        estimator = _estimator(options, scene)
        if options.steps is None:
            told = _still(options, scene, estimator, kept, outputs)
        else:
            assert isinstance(scene, SimulatedScene)
            told = _moving(options, scene, estimator, outputs, terminal)
        report: dict[str, Any] = {
            "version": __version__,
            "command": "capture",
            "source": options.scene or list(options.stack),
            "seed": options.seed,
            "unit": scene.track.unit,
            "depth_of_field": scene.half_depth(float(scene.track.positions[0])),
            "uniform_sweep": len(uniform_positions(scene)),
            **told,
            "warnings": list(terminal.warnings),
        }
        outputs.folder_text("out", "captures.csv", csv_text(report["captures"]))
        report["files"] = outputs.written
        outputs.folder_text("out", "report.json", json_text(report))
        terminal.say(about, *_summary(report), "", *_table(report), "", *telling.about_files(outputs.written))
        if options.json:
            print(json_text(report), end="")


def _check(options: CaptureRun) -> None:
    if (options.scene is None) == (not options.stack):
        raise ValueError("give a stack to capture from, or --scene RECIPE, and not both")
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed}: give 0 or more")
    for name in ("budget", "steps"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value}: give 1 or more")
    for name in ("max_coc", "depth_of_field"):
        value = getattr(options, name)
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"--{name.replace('_', '-')} {value:g}: give a number above 0")
    if options.memory < 0 or options.objects < 0:
        raise ValueError(f"--memory {options.memory} --objects {options.objects:g}: give 0 or more")
    if options.scene is None and options.steps is not None:
        raise ValueError("--steps is for a simulated scene; a recorded stack does not move: give --scene")
    if options.scene is not None:
        for name in ("depth_of_field", "focus"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} is for a stack; a scene knows its own")
    if options.video is not None and options.steps is None:
        raise ValueError("--video is for a moving scene; give --scene and --steps N too")
    check_model(options.model)


def _scene(options: CaptureRun, terminal: Terminal) -> tuple[Scene, str, FocalStack | None]:
    """The scene, a line on it, and the stack whose metadata pictures keep."""
    if options.scene is None:
        stack = open_stack(options)
        stack, alignment = align(stack, method=options.align, progress=terminal.progress)
        half = options.depth_of_field
        if half is None and options.max_coc is not None:
            if stack.lens is None or stack.focus is None:
                raise ValueError("--max-coc needs a known lens and focus; give --depth-of-field instead")
            far, near = stack.lens.depth_of_field(float(np.median(stack.focus)), options.max_coc)
            half = (near - far) / 2
        return RecordedStack(stack, alignment, half), telling.about_stack(stack), stack
    from dff.recipes import load_recipe
    from dff.simulator.capture import SimulationConfig

    config = load_recipe("simulator/scenes", options.scene, SimulationConfig)
    if options.side is not None:
        if not 64 <= options.side <= 1024:
            raise ValueError(f"--side {options.side}: give the side of the pictures, 64 to 1024 px")
        config = replace(config, size=(options.side, options.side), frame=None)
    movement = None
    if options.steps is not None:
        numbers = re.fullmatch(r"(-?[\d.]+),(-?[\d.]+)", options.pan)
        if numbers is None:
            raise ValueError(f"--pan {options.pan}: give two numbers such as 1.5,0.4")
        x, y = map(float, numbers.groups())
        movement = Movement((x, y), options.dolly, options.objects)
    made = SimulatedScene(
        config,
        options.seed,
        max_coc_px=options.max_coc or 1.0,
        movement=movement,
        steps=options.steps or 1,
    )
    ends = " to ".join(telling.position(float(made.track.positions[k]), made.track.unit) for k in (0, -1))
    height, width = made.size
    return made, f"{Path(options.scene).stem}, seed {options.seed}: {width}x{height} px, {ends}", None


def _estimator(options: CaptureRun, scene: Scene) -> Estimator:
    if options.estimator == "model":
        return DepthEstimator(load_model(options.model), scene.track.unit)
    if scene.lens is None or scene.track.unit != "dioptre":
        raise ValueError("--estimator edges needs a known lens and focus distances; use --estimator model")
    return Agreed(EdgeBlur(scene.lens), scene.track, scene.half_depth(float(scene.track.positions[0])))


def _still(
    options: CaptureRun, scene: Scene, estimator: Estimator, kept: FocalStack | None, outputs: Outputs
) -> dict[str, Any]:
    found = capture_still(scene, estimator, StillConfig(budget=options.budget))
    picture = _fused(options, scene, found)
    extra: dict[str, Any] = {}
    if isinstance(scene, SimulatedScene):
        extra["psnr_db"] = psnr(picture, scene.truth()[1])
    suffix = ".tif" if picture.dtype == np.uint16 else ".png"
    outputs.folder_picture("out", f"sharp{suffix}", picture, kept)
    for number, shot in enumerate(found.shots):
        outputs.folder_picture("out", f"capture_{number:02d}{suffix}", shot.picture, kept)
    outputs.folder_picture("out", "sheet.png", sheet(_still_tiles(scene, found, picture)))
    return {
        "estimator": options.estimator,
        "fusion": options.method,
        "reason": found.reason,
        "believed_in_focus": None if found.activation is None else float(found.activation.mean()),
        **extra,
        "captures": still_rows(scene, found),
        "names": _names(kept, found.shots),
    }


def _names(stack: FocalStack | None, shots: Sequence[Shot]) -> list[str] | None:
    """File names of the slices that were taken, in that order."""
    return None if stack is None else [stack.names[shot.index] for shot in shots if shot.index is not None]


def _fused(options: CaptureRun, scene: Scene, found: Capture) -> np.ndarray:
    shots = sorted({shot.position: shot for shot in found.shots}.values(), key=lambda shot: shot.position)
    if len(shots) < 2:
        return shots[0].picture
    positions = [shot.position for shot in shots]
    unit = scene.track.unit
    stack = FocalStack(
        [shot.picture for shot in shots],
        positions if unit == "dioptre" else None,
        z_um=positions if unit == "um" else None,
    )
    made = fuse(stack, method=options.method, model=options.model, align="none", poor="keep")
    assert made.aif is not None
    return made.aif


def _still_tiles(scene: Scene, found: Capture, picture: np.ndarray) -> list[tuple[str, np.ndarray]]:
    unit = scene.track.unit
    tiles = [
        (f"{number}: {telling.position(shot.position, unit)}", shot.picture)
        for number, shot in enumerate(found.shots)
    ]
    tiles.append(("all in focus", picture))
    if found.targets is not None and found.activation is not None:
        low, high = (float(scene.track.positions[k]) for k in (0, -1))
        tiles.append(("where it is in focus", map_tile(found.targets, low, high)))
        tiles.append(("in focus in some shot", found.activation))
    return tiles


def _moving(
    options: CaptureRun, scene: SimulatedScene, estimator: Estimator, outputs: Outputs, terminal: Terminal
) -> dict[str, Any]:
    assert options.steps is not None
    frames: list[MovingFrame] = []
    for frame in capture_moving(scene, estimator, options.steps, MovingConfig(memory=options.memory)):
        frames.append(frame)
        terminal.progress("capture", len(frames), options.steps)
    for number, frame in enumerate(frames):
        outputs.folder_picture("out", f"capture_{number:03d}.png", frame.shot.picture)
        outputs.folder_picture("out", f"sharp_{number:03d}.png", frame.fused)
    last = np.unique(np.linspace(0, len(frames) - 1, 6).round().astype(int)).tolist()
    tiles = [(f"step {k}: shot", frames[k].shot.picture) for k in last]
    tiles += [(f"step {k}: fused", frames[k].fused) for k in last]
    outputs.folder_picture("out", "sheet.png", sheet(tiles, len(last)))
    outputs.video("video", [frame.fused for frame in frames])
    rows = shots_rows(scene, [frame.shot for frame in frames])
    for row, frame in zip(rows, frames, strict=True):
        row["psnr_db"] = psnr(frame.fused, scene.truth(frame.shot.step)[1])
    return {
        "estimator": options.estimator,
        "memory": options.memory,
        "movement": {name: getattr(options, name) for name in _MOVING[:3]},
        "psnr_db": float(np.mean([row["psnr_db"] for row in rows])),
        "captures": rows,
    }


def _summary(report: dict[str, Any]) -> list[str]:
    rows = report["captures"]
    if "reason" not in report:
        return [f"{len(rows)} time steps; fused pictures within {report['psnr_db']:.1f} dB (PSNR) on average"]
    lines = [
        f"{len(rows)} captures, where a uniform sweep takes {report['uniform_sweep']}; {report['reason']}"
    ]
    share = rows[-1]["in_focus_by_now"]
    if share is not None:
        by = "by the truth" if report["names"] is None else "as estimated"
        lines.append(f"{share:.1%} of the pixels in focus in some capture, {by}")
    if "psnr_db" in report:
        lines.append(f"fused picture: {report['psnr_db']:.1f} dB PSNR")
    return lines


def _table(report: dict[str, Any]) -> list[str]:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.1f}"

    names = report.get("names")
    moving = "reason" not in report
    head = ("step" if moving else "capture", "focus", "in focus", "PSNR" if moving else "by now")
    units = ["", "", "%", "dB" if moving else "%"]
    cells = [
        [
            str(row["step"] if moving else row["capture"]) + ("" if not names else f"  {names[number]}"),
            telling.position(row["position"], report["unit"]),
            share(row["in_focus"]),
            f"{row['psnr_db']:.1f}" if moving else share(row["in_focus_by_now"]),
        ]
        for number, row in enumerate(report["captures"])
    ]
    return [line.rstrip() for line in table(head, [units, *cells])]
