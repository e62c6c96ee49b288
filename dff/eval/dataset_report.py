"""What `dff eval` tells: the table with the published rows, as Markdown, LaTeX, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dff.eval.dataset_keep import Row
from dff.eval.dataset_protocol import DatasetProtocol, check_same
from dff.eval.dataset_run import Found
from dff.eval.dataset_score import Scores, aggregated
from dff.eval.report import Cell, Report, Table
from dff.formats.safe_write import atomic_path

HEADINGS = {
    "mae": "MAE", "mse": "MSE", "rmse": "RMSE", "log_rms": "logRMS", "abs_rel": "AbsRel", "sq_rel": "SqRel",
    "delta1": "delta1", "delta2": "delta2", "delta3": "delta3", "bumpiness": "Bump", "weighted_mae": "MAE*",
    "weighted_mse": "MSE*", "edge_error": "edge MAE", "ause": "AUSE",
}  # fmt: skip
_UNITS = {"metre": "m", "dioptre": "1/m", "disparity_px": "px", "sweep": "sweeps"}


@dataclass(frozen=True)
class Line:
    """One measured row of the table; JSON-able.

    Args:
        method, fingerprint, parameters: as in `Found`.
        stacks: number of stacks, of which ``scored`` count in ``scores``.
        scores: by metric, and "known"; NaN where not measured.
        cpu_s, wall_s: mean per stack; memory_mb: largest.
        kept: stacks whose results are of an earlier run into the same folder.
        origin: "" for this run, or the folder of another.
    """

    method: str
    fingerprint: str
    parameters: int | None
    stacks: int
    scored: int
    scores: Scores
    cpu_s: float
    wall_s: float
    memory_mb: float | None
    kept: int = 0
    origin: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As plain tables; what is not finite becomes null."""
        plain = {name: value if math.isfinite(value) else None for name, value in self.scores.items()}
        return {**vars(self), "scores": plain}


def line_of(found: Found, protocol: DatasetProtocol) -> Line:
    """The means of one method."""
    scored = [row.scores for row in found.rows if row.scores]
    memory = [row.spent.memory_mb for row in found.rows if row.spent.memory_mb is not None]
    return Line(
        found.name,
        found.fingerprint,
        found.parameters,
        len(found.rows),
        len(scored),
        aggregated(scored, protocol) if scored else {},
        float(np.mean([row.spent.cpu_s for row in found.rows])),
        float(np.mean([row.spent.wall_s for row in found.rows])),
        max(memory) if memory else None,
        found.kept,
    )


def read_lines(folder: Path, name: str, protocol: DatasetProtocol, stacks: int) -> list[Line]:
    """The table of an earlier run.

    Raises:
        ValueError: the folder holds no results, or such as do not compare: of another protocol, or of another
            number of stacks.
    """
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    found = [one for one in found if "lines" in one]
    if not found:
        raise ValueError(
            f"--compare {folder}: holds no results of dff eval; give the --out of an earlier run"
        )
    (result,) = found[:1]
    check_same(name, protocol.settings(), result["name"], result["protocol"], f"leave out --compare {folder}")
    lines = []
    for plain in result["lines"]:
        scores = {key: math.nan if value is None else value for key, value in plain["scores"].items()}
        lines.append(Line(**{**plain, "scores": scores, "origin": str(folder)}))
    if any(line.stacks != stacks for line in lines):
        raise ValueError(
            f"--compare {folder}: is of {lines[0].stacks} stacks, this run of {stacks}; give --limit"
        )
    return lines


def _shown(protocol: DatasetProtocol) -> list[str]:
    """The metrics of the table: those measured, or those published where none can be."""
    published = {name for row in protocol.published for name in row.values}
    return [name for name in HEADINGS if name in (protocol.metrics or published)]


def results_table(name: str, protocol: DatasetProtocol, lines: Sequence[Line], total: int) -> Table:
    """Measured rows, then the published ones."""
    shown = _shown(protocol)
    rows: list[list[Cell]] = []
    for line in lines:
        million = None if line.parameters is None else line.parameters / 1e6
        told = f"measured ({line.origin})" if line.origin else "measured"
        scores = [line.scores.get(metric) for metric in shown]
        known = line.scores.get("known")
        rows.append([line.method, told, *scores, known, line.cpu_s, line.wall_s, line.memory_mb, million])
    for row in protocol.published:
        values = [row.values.get(metric) for metric in shown]
        rows.append([row.method, row.source, *values, None, None, row.values.get("seconds"), None, None])
    columns = {"method": "", "source": "", **dict.fromkeys((HEADINGS[metric] for metric in shown), ".4g")}
    columns |= {
        "known": ".3f",
        "CPU [s]": ".3g",
        "wall [s]": ".3g",
        "memory [MB]": ".0f",
        "parameters [M]": ".3f",
    }
    return Table(f"{protocol.dataset}, {protocol.split}", columns, rows, _note(protocol, lines, total))


def _note(protocol: DatasetProtocol, lines: Sequence[Line], total: int) -> str:
    stacks = lines[0].stacks
    few = f", the first of {total}" if stacks < total else ""
    if few and protocol.published:
        few += ", while published rows are of all"
    unit = _UNITS[protocol.unit]
    parts = [f"{stacks} stacks{few}. Errors in {unit}."]
    if protocol.metrics:
        mask = protocol.mask_range
        where = f"in {mask[0]:g} to {mask[1]:g} {unit}" if mask else "known"
        how = "mean over stacks" if protocol.aggregate == "image" else "all pixels of all stacks alike"
        parts.append(f"Pixels whose true depth is {where}; {how}.")
        short = min(line.scored for line in lines)
        if short < stacks:
            parts.append(f"{stacks - short} stacks have no such pixel and are left out.")
    if protocol.edge_step is not None:
        parts.append(
            f"Edge MAE: within 2 px of jumps of the true depth of more than {protocol.edge_step:g} {unit}."
        )
    parts.append(
        "Known: share of pixels where the method claims to know; all count. CPU and wall time per stack, of "
        "depth alone, published ones elsewhere; memory: the most a stack took on top of what was held."
    )
    return " ".join([*parts, protocol.note]).strip()


_SPECIAL = {"\\": r"\textbackslash{}", **{char: f"\\{char}" for char in "&%$#_{}"}, "~": r"\textasciitilde{}"}


def latex(table: Table) -> str:
    """The table for LaTeX, with the package booktabs; numbers as in the Markdown."""

    def safe(text: str) -> str:
        return "".join(_SPECIAL.get(char, char) for char in text)

    head, _, *body = [line for line in table.markdown().splitlines() if line.startswith("|")]
    cells = [[safe(cell.strip()) for cell in line.strip("|").split("|")] for line in (head, *body)]
    lines = [" & ".join(row) + r" \\" for row in cells]
    layout = "".join("r" if spec else "l" for spec in table.columns.values())
    parts = [
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        lines[0],
        r"\midrule",
        *lines[1:],
        r"\bottomrule",
    ]
    return "\n".join([*parts, r"\end{tabular}", f"% {table.note}"]) + "\n"


def per_stack_csv(results: Sequence[Found], protocol: DatasetProtocol) -> str:
    """One line per method and stack; empty where not measured."""
    names = [*protocol.metrics, "known", "pixels", "weight"]
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(["method", "stack", *names, "cpu_s", "wall_s", "memory_mb"])
    for found in results:
        for row in found.rows:
            writer.writerow([found.name, row.stack, *_cells(row, names)])
    return sheet.getvalue()


def _cells(row: Row, names: Sequence[str]) -> list[float | str]:
    values = [row.scores.get(name) for name in names]
    values += [row.spent.cpu_s, row.spent.wall_s, row.spent.memory_mb]
    return ["" if value is None or math.isnan(value) else float(f"{value:.9g}") for value in values]


@dataclass(frozen=True)
class DatasetReport(Report):
    """A `Report` of `dff eval`, with its lines for programs, its LaTeX and its CSV."""

    lines: tuple[Line, ...] = ()
    sheet: str = field(default="", repr=False)

    @property
    def command(self) -> str:
        """The command that makes this report again."""
        return f"dff eval {self.options}".rstrip()

    def as_json(self) -> str:
        """As `Report.as_json`, with the lines."""
        content = json.loads(super().as_json())
        return json.dumps({**content, "lines": [line.as_dict() for line in self.lines]}, indent=1) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """Write NAME.md, .json, .tex and .csv (one line per stack), in place of those of an earlier run."""
        paths = super().write(folder)
        for suffix, text in ((".tex", latex(self.tables[0])), (".csv", self.sheet)):
            path = folder / f"{self.name}{suffix}"
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="\n")
            paths.append(path)
        return paths


def make_report(
    name: str,
    protocol: DatasetProtocol,
    results: Sequence[Found],
    *,
    others: Sequence[Line] = (),
    total: int,
    options: str = "",
) -> DatasetReport:
    """The report of a run.

    Args:
        name: of the protocol.
        others: lines of earlier runs (`read_lines`).
        total: number of stacks of the split.
        options: of the command line.
    """
    own = tuple(line_of(found, protocol) for found in results)
    table = results_table(name, protocol, [*own, *others], total)
    return DatasetReport(
        name,
        options,
        protocol.settings(),
        [table],
        [],
        lines=own,
        sheet=per_stack_csv(results, protocol),
    )
