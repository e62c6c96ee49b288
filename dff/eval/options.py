"""Options that benchmarks share. Nothing heavy is imported before one runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dff.eval.report import Report


def say(line: str) -> None:
    """Progress, apart from the results."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every benchmark.

    Args:
        out: Folder for NAME.md and NAME.json; those of an earlier run are replaced.
        limit: Only this many stacks (of each kind), for a quick look.
        json: Print JSON instead of tables.
        protocol: Another protocol file than eval/NAME.toml.
    """

    out: Path = Path("eval/results")
    limit: int | None = None
    json: bool = False
    protocol: str | None = None

    def run_module(self, benchmark: Any, *arguments: Any, typed: Sequence[str] = ()) -> Report:
        """Run a module that has NAME, Protocol and run; ``typed``: options that change the results."""
        from dff.recipes import load_recipe

        protocol = load_recipe("eval", self.protocol or benchmark.NAME, benchmark.Protocol)
        options = self.text(*typed)
        report: Report = benchmark.run(protocol, *arguments, limit=self.limit, options=options, say=say)
        return report

    def text(self, *more: str) -> str:
        """The options that change results, as typed, without anybody's folders."""
        words = list(more)
        if self.protocol is not None:
            words.append(f"--protocol {Path(self.protocol).name}")
        if self.limit is not None:
            words.append(f"--limit {self.limit}")
        return " ".join(words)


@dataclass(frozen=True, kw_only=True)
class RealStacks(Options):
    """Options of benchmarks on real stacks.

    Args:
        data: Folder of the real stacks; else the environment variable DFF_DATA.
    """

    data: Path | None = None

    def run_on_data(self, benchmark: Any, *arguments: Any, typed: Sequence[str] = ()) -> Report:
        """`run_module` with the folder of the real stacks as its first argument."""
        from dff.eval.inputs import data_folder

        return self.run_module(benchmark, data_folder(self.data), *arguments, typed=typed)
