"""`dff focus-run`: autofocus policies in a closed loop, compared."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dff import __version__
from dff.autofocus.measures import measure
from dff.autofocus.regions import Roi, parse_roi
from dff.closedloop.controller import Guard
from dff.closedloop.drive import Camera, Scene
from dff.closedloop.lens import MovingLens, Timing, drawn_lens
from dff.closedloop.loop import Trajectory, runs
from dff.closedloop.policies import NETWORKS, PHASE, STEPS, check_policy, make_policy, runnable
from dff.closedloop.policy import Policy, Track
from dff.closedloop.recorded import RecordedScene
from dff.closedloop.report import csv_text, places, row, summary
from dff.commands import telling
from dff.commands.focus_run_options import FocusRun
from dff.commands.outputs import Outputs, json_text
from dff.commands.source import open_stack, stack_files
from dff.commands.terminal import Terminal, table
from dff.formats.video import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from dff.simulator.capture import SimulationConfig

_LITTLE = 0.5  # of a region at its median depth, below which it is said


def focus_run(options: FocusRun) -> None:
    """Run, compare, and write what was asked for."""
    with Terminal(options.quiet, options.json).working() as terminal:
        if (options.scene is None) == (not options.stack):
            raise ValueError("give a stack to focus on, or --scene RECIPE, and not both")
        if options.policy != "all":
            check_policy(options.policy)
        roi = None if options.roi is None else parse_roi(options.roi)
        measure(options.measure)
        for told, name, those in (
            ("step-networks", options.step_networks, (STEPS, "all")),
            ("autofocus", options.autofocus, (*NETWORKS, "all")),
        ):
            if name is not None and options.policy not in those:
                raise ValueError(f"--{told} is for --policy {', '.join(those)}; leave it out")
        timing = Timing(settle_s=options.settle_ms / 1000)
        guard = Guard(most_captures=options.most_captures)
        if options.seed < 0 or options.repeat < 1:
            raise ValueError(f"--seed {options.seed} --repeat {options.repeat}: give 0 and 1, or more")
        outputs = Outputs([] if options.scene else stack_files(options), options.overwrite)
        outputs.check_file("csv", options.csv, (".csv",))
        outputs.check_picture("picture", options.picture)
        outputs.check_file("animation", options.animation, VIDEO_SUFFIXES)
        outputs.check_report("report", options.report)

        scene, policies, about = _scene(options, roi)
        starts = _starts(options.start, scene.track)
        camera = Camera(scene, _lens(options, scene.track), timing, options.measure)
        made: list[Trajectory] = []
        for done, policy in enumerate(policies):
            terminal.progress("focus", done, len(policies))
            made += runs(policy, camera, starts, options.repeat, seed=options.seed, guard=guard)
        rows = [row(one, scene) for one in made]
        sums = [
            summary([one for one in rows if one["policy"] == policy.name], scene.track) for policy in policies
        ]
        outputs.text("csv", csv_text(rows))
        if "picture" in outputs:
            from dff.closedloop.trajectory import trajectory_sheet

            outputs.picture("picture", trajectory_sheet(made, scene))
        if "animation" in outputs:
            from dff.closedloop.animation import animation

            outputs.video("animation", list(animation(made, scene)))
        report = {
            "version": __version__,
            "command": "focus-run",
            "source": options.scene or list(options.stack),
            "seed": options.seed,
            "unit": scene.track.unit,
            "positions": scene.track.positions,
            "truth": scene.truth,
            "truth_index": scene.track.index(scene.truth),
            "depth_of_field": scene.depth_of_field,
            "policies": sums,
            "runs": [
                {**told, "trajectory": places(one, scene.track)} for told, one in zip(rows, made, strict=True)
            ],
            "warnings": list(terminal.warnings),
            "files": outputs.written,
        }
        outputs.report("report", report)
        terminal.say(about, _truth(scene), "", *_table(sums), "", *telling.about_files(outputs.written))
        if options.json:
            print(json_text(report), end="")


def _scene(options: FocusRun, roi: Roi | None) -> tuple[Scene, list[Policy], str]:
    """The scene, the policies that can run on it, and a line on it."""
    names = [options.policy]
    if options.scene is None:
        if options.policy in (PHASE, *NETWORKS):
            make_policy(options.policy)  # says why it cannot be
        stack = open_stack(options).far_first()
        recorded = RecordedScene(
            stack, roi, between=options.between, truth=options.truth, contrast=options.measure
        )
        blur = recorded.blur_px_per_index
        if options.policy == "all":
            names = runnable(without={PHASE, *NETWORKS} | ({STEPS} if blur is None else set()))
        made = partial(make_policy, blur_px_per_index=blur, step_networks=options.step_networks)
        policies = [made(name) for name in names]
        return recorded, policies, telling.about_stack(stack)
    for name in ("truth", "focus"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name} is for a stack; a simulated scene knows its own")
    from dff.closedloop.simulated import SimulatedScene
    from dff.recipes import load_recipe
    from dff.simulator.capture import SimulationConfig

    if not 32 <= options.side <= 1024:
        raise ValueError(f"--side {options.side}: give the side of the pictures, 32 to 1024 px")
    config = load_recipe("simulator/scenes", options.scene, SimulationConfig)
    config = replace(config, size=(options.side, options.side), frame=_frame(config, options))
    simulated = SimulatedScene(config, options.seed, positions=options.positions, roi=roi)
    if simulated.share < _LITTLE:
        warnings.warn(
            f"only {simulated.share:.0%} of the region is within the depth of field of its median depth, "
            "which counts as the truth; give a --roi of one depth, or another --seed",
            stacklevel=2,
        )
    track = simulated.track
    ends = " to ".join(telling.position(track.positions[k], track.unit) for k in (0, -1))
    name = f"{Path(options.scene).stem}, seed {options.seed}"
    about = f"{name}: {options.side}x{options.side} px; {len(track)} lens positions, {ends}"
    if options.policy == "all":
        # by default these are for the scenes of the camera that their weights have learned
        names = runnable(without=set() if options.autofocus else {*NETWORKS})
    made = partial(
        make_policy,
        phase=simulated.phase(),
        blur_px_per_index=simulated.blur_px_per_index,
        positions=len(track),
        spot=simulated.spot(),
        weights=options.autofocus,
        step_networks=options.step_networks,
    )
    return simulated, [made(name) for name in names], about


def _frame(config: SimulationConfig, options: FocusRun) -> tuple[int, int] | None:
    """All of the field of view; for networks, which have learned the sensor's own pixels, at their scale."""
    from dff.simulator.camera_model import CameraModel

    camera = config.taken_with()
    if options.policy not in NETWORKS or not isinstance(camera, CameraModel):
        return None
    return camera.picture_height, camera.picture_width


def _starts(text: str, track: Track) -> list[float]:
    if text == "all":
        return [float(k) for k in range(len(track))]
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise ValueError(f"--start {text}: give lens positions such as 0,5,9, or all")
    starts = list(dict.fromkeys(int(part) for part in text.split(",")))
    if max(starts) > track.last:
        raise ValueError(f"--start {max(starts)}: the lens has positions 0 to {track.last}")
    return [float(start) for start in starts]


def _lens(options: FocusRun, track: Track) -> MovingLens | None:
    """The lens with the faults of --motor, or None."""
    if options.motor is None:
        return None
    from dff.simulator.camera_model import CameraModel
    from dff.simulator.camera_prior import load_camera

    camera = load_camera(options.motor)
    if not isinstance(camera, CameraModel) or camera.motor is None:
        raise ValueError(f"--motor {options.motor}: that camera's recipe has no motor; give one that has")
    return drawn_lens(camera.motor, track, options.seed)


def _truth(scene: Scene) -> str:
    where = telling.position(scene.truth, scene.track.unit)
    line = f"in focus at position {scene.track.index(scene.truth):.1f}"
    line += "" if scene.track.unit == "index" else f", {where}"
    if scene.depth_of_field is None:
        return f"{line}; depth of field unknown, so one position either way counts as in focus"
    return f"{line}; depth of field +-{scene.depth_of_field:.3g} dioptres"


def _table(sums: list[dict[str, Any]]) -> list[str]:
    """One line per policy: shares in per cent, the rest means over its runs."""
    head = (
        "policy", "in focus", "failed", "hunted", "captures", "seconds", "travel", "overshoot", "reversals",
        "error", "worst", "cycles",
    )  # fmt: skip
    units = ("", "%", "%", "%", "", "", "positions", "positions", "", "positions", "positions", "")
    cells = [
        [
            one["policy"],
            *(f"{100 * one[name]:.0f}" for name in ("in_focus", "failed", "hunted")),
            *(f"{one['captures']:.1f}", f"{one['time_s']:.2f}", f"{one['travel']:.1f}"),
            *(f"{one['overshoot']:.1f}", f"{one['reversals']:.1f}"),
            *(f"{one['error']:.2f}", f"{one['error_max']:.1f}"),
            "-" if one["cycles"] is None else str(sum(len(ring) > 1 for ring in one["cycles"])),
        ]
        for one in sums
    ]
    return [line.rstrip() for line in table(head, [units, *cells])]
