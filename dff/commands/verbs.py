"""`dff predict`, `align` and `fuse`: check everything, read, call the pipeline, write, tell."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dff import __version__
from dff.commands import telling
from dff.commands.options import Align, Fuse, Predict
from dff.commands.outputs import Outputs, json_text
from dff.commands.source import open_stack, stack_files, stack_name
from dff.commands.terminal import Terminal
from dff.models import Model, check_model, is_learned, load_model
from dff.pipeline import Fused, Prediction, uses_network
from dff.pipeline import align as run_align
from dff.pipeline import fuse as run_fuse
from dff.pipeline import predict as run_predict
from dff.stack import UNIT_WORDS, FocalStack

if TYPE_CHECKING:
    from dff.learned_alignment import LearnedAligner

_PREDICT_OUTPUTS = ("out", "aif", "confidence", "vis", "mesh", "aligned", "save_steps", "report")


def predict(options: Predict) -> Prediction:
    """Depth of a stack and all that was asked for beside it; returns the prediction too."""
    with Terminal(options.quiet, options.json).working() as terminal:
        files = stack_files(options)
        if all(getattr(options, name) is None for name in _PREDICT_OUTPUTS):
            name = stack_name(options, files)
            options = replace(options, out=f"{name}_depth.png", vis=f"{name}_depth_vis.png")
        outputs = Outputs(files, options.overwrite)
        outputs.check_depth("out", options.out)
        for option in ("aif", "confidence", "vis"):
            outputs.check_picture(option, getattr(options, option))
        outputs.check_mesh("mesh", options.mesh)
        outputs.check_folder("aligned", options.aligned)
        outputs.check_report("report", options.report)
        outputs.check_steps("save-steps", options.save_steps)
        model = _model(options, terminal)
        aligner = _aligner(options)

        clock = _Clock()
        stack = _read(options, outputs, terminal)
        clock.lap("read")
        result = run_predict(
            stack,
            model=model,
            align=options.align,
            aligner=aligner,
            reference=_reference(options.reference, stack),
            aif="aif" in outputs or "mesh" in outputs,
            poor=options.poor,
            steps=outputs.steps("save-steps"),
            progress=terminal.progress,
        )
        clock.restart()
        outputs.depth("out", result.depth)
        outputs.picture("confidence", result.depth.confidence)
        if result.aif is not None:
            outputs.picture("aif", result.aif, result.stack)
        outputs.vis("vis", result.depth)
        outputs.aligned("aligned", result.stack, result.alignment.warp, result.used, terminal.progress)
        outputs.mesh("mesh", result.depth, result.aif, result.stack)
        clock.lap("write")
        _finish("predict", result, clock, outputs, terminal, options.json)
    return result


def fuse(options: Fuse) -> None:
    """The all-in-focus picture of a stack."""
    with Terminal(options.quiet, options.json).working() as terminal:
        files = stack_files(options)
        if options.out is None and options.aligned is None and options.report is None:
            options = replace(options, out=f"{stack_name(options, files)}_aif.png")
        outputs = Outputs(files, options.overwrite)
        outputs.check_picture("out", options.out)
        outputs.check_folder("aligned", options.aligned)
        outputs.check_report("report", options.report)
        check_model(options.model)
        model = load_model(options.model) if options.method == "depth" else options.model
        aligner = _aligner(options)

        clock = _Clock()
        stack = _read(options, outputs, terminal)
        clock.lap("read")
        result = run_fuse(
            stack,
            method=options.method,
            model=model,
            align=options.align,
            aligner=aligner,
            reference=_reference(options.reference, stack),
            poor=options.poor,
            progress=terminal.progress,
        )
        clock.restart()
        assert result.aif is not None
        outputs.picture("out", result.aif, result.stack)
        outputs.aligned("aligned", result.stack, result.alignment.warp, result.used, terminal.progress)
        clock.lap("write")
        _finish("fuse", result, clock, outputs, terminal, options.json)


def align(options: Align) -> None:
    """The aligned slices of a stack."""
    with Terminal(options.quiet, options.json).working() as terminal:
        files = stack_files(options)
        if options.out is None and options.report is None:
            options = replace(options, out=f"{stack_name(options, files)}_aligned")
        outputs = Outputs(files, options.overwrite)
        outputs.check_folder("out", options.out)
        outputs.check_report("report", options.report)
        aligner = _aligner(options)

        clock = _Clock()
        stack = _read(options, outputs, terminal)
        clock.lap("read")
        stack, alignment = run_align(
            stack,
            method=options.align,
            aligner=aligner,
            reference=_reference(options.reference, stack),
            progress=terminal.progress,
        )
        clock.lap("align")
        outputs.aligned("out", stack, alignment.warp, range(len(stack)), terminal.progress)
        clock.lap("write")

        rows = alignment.report(stack.names)
        for row, position in zip(rows, stack.positions, strict=True):
            row["position"] = float(position)
        report = {
            "size": [stack.width, stack.height],
            "unit": stack.unit,
            "unit_words": UNIT_WORDS[stack.unit],
            "positions_from": stack.origin,
            "reference": stack.names[alignment.reference],
            "alignment": alignment.method,
            "slices": rows,
            "seconds": clock.seconds,
        }
        report = _full("align", report, stack, outputs, terminal)
        outputs.report("report", report)
        terminal.say(
            telling.about_stack(stack),
            *telling.about_alignment(alignment, rows)[:1],
            "",
            *telling.alignment_table(rows),
            "",
            *telling.about_files(outputs.written),
        )
        if options.json:
            print(json_text(report), end="")


class _Clock:
    """Seconds of each stage that happens in the commands themselves."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        self._start = time.perf_counter()

    def lap(self, stage: str) -> None:
        self.seconds[stage] = round(time.perf_counter() - self._start, 3)
        self.restart()


def _read(options: Predict | Align | Fuse, outputs: Outputs, terminal: Terminal) -> FocalStack:
    stack = open_stack(options)
    option = "out" if isinstance(options, Align) else "aligned"
    outputs.check_aligned(option, stack)
    return stack


def _reference(text: str, stack: FocalStack) -> str | int:
    if text in ("auto", "first", "middle", "last"):
        return text
    if not text.isdecimal() or int(text) >= len(stack):
        words = "auto, first, middle, last, or a slice number"
        raise ValueError(f"--reference {text}: give {words} from 0 to {len(stack) - 1}")
    return int(text)


def _model(options: Predict, terminal: Terminal) -> Model:
    """The model asked for, loaded before any slice is read."""
    check_model(options.model)
    if not is_learned(options.model):
        if options.device == "cuda":
            _cuda_for_nothing(terminal)
        if options.views > 1:
            terminal.warn(f"--views {options.views} is ignored: the classical model has one view")
        return load_model(options.model)
    from dff.model.infer import InferenceConfig

    inference = InferenceConfig(precision=options.precision, views=options.views)
    return load_model(options.model, device=options.device, inference=inference)


def _aligner(options: Predict | Align | Fuse) -> LearnedAligner | None:
    """The alignment network asked for, loaded before any slice is read."""
    if not uses_network(options.align, options.aligner):
        return None
    from dff.learned_alignment import load_aligner

    return load_aligner(options.aligner, options.device if isinstance(options, Predict) else "auto")


def _cuda_for_nothing(terminal: Terminal) -> None:
    import torch

    if not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here; use --device cpu")
    terminal.warn("--device cuda is ignored: the classical model runs on the CPU")


def _full(
    command: str, report: dict[str, Any], stack: FocalStack, outputs: Outputs, terminal: Terminal
) -> dict[str, Any]:
    """The report with what the command line adds: versions, warnings, files."""
    note = {"note": telling.INDEX_NOTE} if stack.unit == "index" else {}
    if stack.focus is not None:
        for row, metres in zip(report["slices"], telling.focus_m(stack.focus), strict=True):
            row["focus_m"] = metres
    ends = {"warnings": list(terminal.warnings), "files": outputs.written}
    return {"version": __version__, "command": command, **report, **note, **ends}


def _finish(
    command: str,
    result: Fused,
    clock: _Clock,
    outputs: Outputs,
    terminal: Terminal,
    json: bool,
) -> None:
    seconds = {"read": clock.seconds["read"], **result.seconds, "write": clock.seconds["write"]}
    seconds = {stage: round(value, 3) for stage, value in seconds.items()}
    report = {**result.report(), "seconds": seconds}
    report = _full(command, report, result.stack, outputs, terminal)
    outputs.report("report", report)
    depth = telling.about_depth(result.depth) if result.depth is not None and command == "predict" else []
    terminal.say(
        telling.about_stack(result.stack),
        *telling.about_alignment(result.alignment, report["slices"]),
        *depth,
        telling.about_times(seconds),
        *telling.about_files(outputs.written),
    )
    if json:
        print(json_text(report), end="")
