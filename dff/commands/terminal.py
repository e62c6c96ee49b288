"""What people see: progress with the time left, warnings once each, tables, a small picture of the depth."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from rich.progress import Progress, TaskID

_STAGES = {
    "read": "reading",
    "align": "aligning",
    "focus": "measuring focus",
    "depth": "depth",
    "fuse": "all in focus",
    "write": "writing slices",
    "simulate": "simulating",
}


class Terminal:
    """Progress and warnings on stderr, the summary on stdout.

    Args:
        quiet: no progress and no summary.
        json: no summary either: stdout belongs to the report.
    """

    def __init__(self, quiet: bool, json: bool) -> None:
        self.warnings: list[str] = []
        self._silent = quiet or json
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._show_bars = sys.stderr.isatty() and not quiet

    @contextmanager
    def working(self) -> Iterator[Terminal]:
        """The time in which progress is shown and warnings are caught."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            plain = warnings.showwarning

            def show(message: Any, category: type[Warning], *where: Any, **how: Any) -> None:
                if issubclass(category, UserWarning):
                    self.warn(str(message))
                else:
                    plain(message, category, *where, **how)

            warnings.showwarning = show
            try:
                yield self
            finally:
                self.stop()

    def warn(self, text: str) -> None:
        """One line on stderr, and in the report; a warning that was given before is not repeated."""
        line = " ".join(text.split())
        if line in self.warnings:
            return
        self.warnings.append(line)
        if self._bars is not None:
            self._bars.console.print(
                f"dff: warning: {line}", markup=False, highlight=False, soft_wrap=True, style="yellow"
            )
        else:
            print("dff: warning:", line, file=sys.stderr)

    def progress(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` parts of ``stage`` are finished."""
        if not self._show_bars:
            return
        if self._bars is None:
            self._bars = _bars()
            self._bars.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(_STAGES.get(stage, stage), total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def stop(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks.clear()

    def say(self, *lines: str) -> None:
        """Lines of the summary."""
        if not self._silent:
            self.stop()
            for line in lines:
                print(line)

    def picture(self, rgb: np.ndarray, columns: int = 64) -> None:
        """(H,W,3) uint8 as coloured half blocks, where stdout is a terminal that has colours."""
        if self._silent or not sys.stdout.isatty():
            return
        import cv2
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False)
        if console.color_system is None:
            return
        width = min(columns, console.width, rgb.shape[1])
        rows = max(1, round(rgb.shape[0] * width / rgb.shape[1] / 2))
        small = cv2.resize(rgb, (width, 2 * rows), interpolation=cv2.INTER_AREA)
        for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True):
            line = Text()
            for (r, g, b), (r2, g2, b2) in zip(upper, lower, strict=True):
                line.append("▀", style=f"rgb({r},{g},{b}) on rgb({r2},{g2},{b2})")
            console.print(line)


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    cells = [list(head), *[list(row) for row in rows]]
    wide = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [
        "  ".join([row[0].ljust(wide[0]), *(c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True))])
        for row in cells
    ]
