"""Results of a benchmark: tables and targets, as Markdown and JSON, with how they were made."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

import dff
from dff.formats.safe_write import atomic_path

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Table:
    """One table of a report.

    Args:
        title: what it shows.
        columns: heading of each column -> format of its numbers ("" for words).
        rows: one cell per column; None and NaN stand for "not measured".
        note: what the reader must know to read it.
    """

    title: str
    columns: dict[str, str]
    rows: list[list[Cell]]
    note: str = ""

    def markdown(self) -> str:
        """The table with its title and note."""
        formats = list(self.columns.values())
        text = [[_text(cell, spec) for cell, spec in zip(row, formats, strict=True)] for row in self.rows]
        width = [max(len(c) for c in column) for column in zip(self.columns, *text, strict=True)]
        pad = [str.rjust if spec else str.ljust for spec in formats]

        def line(cells: list[str]) -> str:
            return "| " + " | ".join(p(c, w) for p, c, w in zip(pad, cells, width, strict=True)) + " |"

        rule = ["-" * (w - 1) + ":" if spec else "-" * w for w, spec in zip(width, formats, strict=True)]
        parts = [f"## {self.title}", "", line(list(self.columns)), line(rule), *map(line, text)]
        return "\n".join([*parts, "", self.note] if self.note else parts)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, rows as {column: value}."""
        rows = [dict(zip(self.columns, map(_plain, row), strict=True)) for row in self.rows]
        return {"title": self.title, "note": self.note, "rows": rows}


@dataclass(frozen=True)
class Target:
    """A bar that a measured value should clear. NaN, not measured, does not."""

    what: str
    value: float
    sense: Literal["at most", "at least"]
    limit: float

    @property
    def met(self) -> bool:
        return self.value <= self.limit if self.sense == "at most" else self.value >= self.limit


@dataclass(frozen=True)
class Report:
    """Everything that one run of a benchmark found.

    Args:
        name: the benchmark.
        options: command-line options that change the result, as typed.
        protocol: the recipe that was followed, as plain tables.
        tables, targets: the results.
    """

    name: str
    options: str
    protocol: dict[str, Any]
    tables: list[Table]
    targets: list[Target]
    made: dict[str, Any] = field(default_factory=lambda: _circumstances())

    @property
    def command(self) -> str:
        """The command that makes this report again."""
        return f"python -m dff.eval {self.name} {self.options}".rstrip()

    def markdown(self) -> str:
        """The report for people."""
        made = ", ".join(f"{key} {value}" for key, value in self.made.items() if value is not None)
        parts = [f"# {self.name}", f"Made by `{self.command}`: {made}."]
        parts += [table.markdown() for table in self.tables]
        if self.targets:
            rows: list[list[Cell]] = [
                [t.what, t.value, f"{t.sense} {t.limit:.6g}", "yes" if t.met else "NO"] for t in self.targets
            ]
            columns = {"target": "", "measured": ".4g", "wanted": "", "met": ""}
            parts.append(Table("Targets", columns, rows).markdown())
        return "\n\n".join(parts) + "\n"

    def as_json(self) -> str:
        """The report for programs."""
        content = {
            "name": self.name,
            "command": self.command,
            **self.made,
            "protocol": self.protocol,
            "tables": [table.as_dict() for table in self.tables],
            "targets": [
                {
                    "what": t.what,
                    "value": _plain(t.value),
                    "sense": t.sense,
                    "limit": t.limit,
                    "met": bool(t.met),
                }
                for t in self.targets
            ],
        }
        return json.dumps(content, indent=1) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """Write NAME.md and NAME.json into ``folder``, in place of those of an earlier run."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"{folder}: is not a folder; choose another --out") from None
        paths = []
        for suffix, text in ((".md", self.markdown()), (".json", self.as_json())):
            path = folder / f"{self.name}{suffix}"
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            paths.append(path)
        return paths


def _text(cell: Cell, spec: str) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "-"
    return cell if isinstance(cell, str) else format(cell, spec)


def _plain(cell: Any) -> Cell:
    """A cell that JSON can hold: numbers of Python's own, null for what was not measured."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _git(*arguments: str) -> str | None:
    """Output of git in the checkout; None outside of one, or without git."""
    folder = Path(dff.__file__).parents[1]
    if not (folder / ".git").exists():
        return None
    try:
        run = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def _circumstances() -> dict[str, Any]:
    commit = _git("rev-parse", "--short", "HEAD")
    if commit and _git("status", "--porcelain"):
        commit += " with changes"
    return {
        "dff": dff.__version__,
        "commit": commit,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "cpu": f"{platform.machine()} x {os.cpu_count()}",
    }
