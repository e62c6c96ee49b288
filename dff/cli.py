"""The command line: parse, call, and turn what went wrong into one line."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, arg, subcommand

from dff import __version__
from dff.commands.calibrate_options import Calibrate
from dff.commands.capture_options import CaptureRun
from dff.commands.eval_options import Eval
from dff.commands.focus_options import Focus
from dff.commands.focus_run_options import FocusRun
from dff.commands.options import Align, Demo, Fuse, Info, Predict
from dff.commands.simulate_options import Simulate
from dff.threads import sleep_while_waiting

Command = Predict | Align | Fuse | Focus | FocusRun | CaptureRun | Info | Demo | Simulate | Eval | Calibrate


@dataclass(frozen=True)
class _Dff:
    # help given outright: tyro then need not read source files for it, half of the time of --help
    command: Annotated[
        Annotated[Predict, subcommand("predict")]
        | Annotated[Align, subcommand("align")]
        | Annotated[Fuse, subcommand("fuse")]
        | Annotated[Focus, subcommand("focus")]
        | Annotated[FocusRun, subcommand("focus-run")]
        | Annotated[CaptureRun, subcommand("capture")]
        | Annotated[Info, subcommand("info")]
        | Annotated[Demo, subcommand("demo")]
        | Annotated[Simulate, subcommand("simulate")]
        | Annotated[Eval, subcommand("eval")]
        | Annotated[Calibrate, subcommand("calibrate")],
        arg(name="", help=""),
    ]


_ABOUT = "Depth from focus, all-in-focus pictures and alignment from focal stacks. Docs: docs/commands.md"
# tyro's words -> ours
_PLAINER = (
    (r"Missing value for argument '(--[\w-]+)'.*", r"\1 needs a value"),
    (r"Error parsing (--[\w-]+): .*INT.* from \['(.*)'\]", r"\1: '\2' is no whole number"),
    (
        r"invalid choice '(.*)' for argument '(--[\w-]+)'\. Expected one of \((.*)\)",
        r"\2: no choice '\1'; give \3",
    ),
    (r"^Unrecognized options: ", "not understood: "),
    (r" \(applied to [\w ]+\)", ""),
)
_NO_MEMORY = -4  # OpenCV's StsNoMem


class _UsageError(ValueError):
    """The command line makes no sense."""


_VERBS = (
    "predict",
    "align",
    "fuse",
    "focus",
    "focus-run",
    "capture",
    "info",
    "demo",
    "simulate",
    "eval",
    "calibrate",
)


def _parse(argv: Sequence[str]) -> Command:
    if not argv[0].startswith("-") and argv[0] not in _VERBS:
        close = difflib.get_close_matches(argv[0], _VERBS, n=1)
        meant = f"perhaps you meant {close[0]}" if close else f"perhaps you meant dff predict {argv[0]}"
        raise _UsageError(f"no command {argv[0]!r}; {meant}; the commands are {', '.join(_VERBS)}")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                _Dff, prog="dff", description=_ABOUT, args=argv, config=(FlagCreatePairsOff,)
            ).command
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise _UsageError(_unboxed(said.getvalue())) from None


def _unboxed(text: str) -> str:
    """tyro's framed message as one line: what is wrong, what was perhaps meant, where to read on."""
    lines = [line.strip("│╭╮╰╯| ") for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]
    parts: list[list[str]] = [[]]
    for line in lines[1:]:  # the first has the title
        if line.strip("─-"):
            parts[-1].append(line)
        else:
            parts.append([])
    parts = [part for part in parts if part] or [[text]]
    told = [" ".join(parts[0]).replace(" .", ".").rstrip(".")]
    for pattern, plainer in _PLAINER:
        told[0] = re.sub(pattern, plainer, told[0])
    for part in parts[1:]:
        options = list(dict.fromkeys(line.split()[0] for line in part if line.startswith("--")))
        if part[0].startswith("Perhaps") and options:
            told.append("perhaps you meant " + " or ".join(options))
    told += [f"see {found.group()}" for found in [re.search(r"dff [\w ]*--help", text)] if found]
    return "; ".join(told)


def _run(command: Command) -> None:
    if isinstance(command, Demo):
        from dff.commands.demo import demo

        demo(command)
    elif isinstance(command, Simulate):
        from dff.commands.simulate import simulate

        simulate(command)
    elif isinstance(command, Eval):
        from dff.commands.eval import evaluate_dataset

        evaluate_dataset(command)
    elif isinstance(command, Focus):
        from dff.commands.focus import focus

        focus(command)
    elif isinstance(command, CaptureRun):
        from dff.commands.capture import capture

        capture(command)
    elif isinstance(command, FocusRun):
        from dff.commands.focus_run import focus_run

        focus_run(command)
    elif isinstance(command, Calibrate):
        from dff.commands.calibrate import calibrate

        calibrate(command)
    elif isinstance(command, Info):
        from dff.commands.info import info

        info(command)
    else:
        from dff.commands import verbs

        if isinstance(command, Predict):
            verbs.predict(command)
        elif isinstance(command, Align):
            verbs.align(command)
        else:
            verbs.fuse(command)


def _complaint(error: Exception) -> str | None:
    """One line for what a user can cause or mend; None for a fault of dff."""
    if isinstance(error, MemoryError) or getattr(error, "code", None) == _NO_MEMORY:
        return "not enough memory; use fewer or smaller pictures"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    # subclasses that libraries define, such as numpy's LinAlgError, are no message to the user
    ours = type(error).__module__.split(".")[0] in ("builtins", "dff")
    return str(error) if isinstance(error, (ValueError, OSError)) and ours else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0 when all is written, 2 after an error of the user's (one line on stderr), 1 when memory ran out, 130
    after Ctrl-C. Other exceptions are faults of dff and surface; DFF_TRACEBACK=1 surfaces all.
    """
    sleep_while_waiting()
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv == ["--version"]:
        print(f"dff {__version__}")
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name must not end a finished run
    try:
        _run(_parse(argv or ["--help"]))
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("dff: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of stdout is gone (dff info stack | head): nothing more can be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        line = _complaint(error)
        if line is None or os.environ.get("DFF_TRACEBACK"):
            raise
        print("dff: error:", " ".join(line.split()), file=sys.stderr)
        return 1 if line.startswith("not enough memory") else 2
    return 0
