"""Tables of the package's own benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dff.eval.baselines.rivals import words
from dff.eval.report import Cell, Table
from dff.eval.wild_protocol import Axis, Protocol, Setup
from dff.eval.wild_score import COVERAGES, Scores, by_seed, mean_of, standard_error
from dff.eval.wild_tuning import Tuned

_COLUMNS = {
    "method": "",
    "MAE": ".4f",
    "MAE +-": ".4f",
    "RMSE": ".4f",
    "delta1": ".3f",
    "AUSE": ".3f",
    "edge MAE": ".4f",
    "Bump": ".2f",
    "CPU [s]": ".3f",
    "MAE more": "+.4f",
    "more +-": ".4f",
}
_MEASURES = (
    "MAE, RMSE and edge MAE (within 2 px of jumps of the true depth by more than {edge:g}) in sweeps: "
    "(d - far) / (near - far), d in dioptres, truth beyond the sweep moved to its end. delta1: depth in "
    "metres within a factor of 1.25, if each sweep were from 3 m to 0.3 m. AUSE: 0 is a perfect order of "
    "confidence. Bump: as in `dff eval`. CPU: seconds per stack on one thread. MAE more: than {first}, on "
    "the same stacks. +-: standard error over the seeds; scenes are the same at every level, so differences "
    "are surer than MAE itself."
)
_RISK_EVERY = 2  # of the coverages


def means_table(title: str, levels: Sequence[Scores], note: str) -> Table:
    """Every method over the same levels."""
    first = next(iter(levels[0]))
    ours = by_seed([level[first] for level in levels])
    rows: list[list[Cell]] = []
    for method in levels[0]:
        stacks = [level[method] for level in levels]
        mean = mean_of(stacks)
        more = [theirs - own for theirs, own in zip(by_seed(stacks), ours, strict=True)]
        gap = (None, None) if method == first else (float(np.mean(more)), standard_error(more))
        values = mean.values
        rows.append(
            [
                *(method, values["mae"], mean.mae_error, values["rmse"], values["delta1"], values["ause"]),
                *(values["edge_error"], values["bumpiness"], mean.cpu_s, *gap),
            ]
        )
    return Table(title, _COLUMNS, rows, note)


def axis_table(axis: Axis, levels: Sequence[Scores]) -> Table:
    """Mean absolute error of every method at every level, and how the first stands to the best other."""
    methods = list(levels[0])
    first, others = methods[0], methods[1:]
    rows: list[list[Cell]] = []
    for level, scores in zip(axis.levels, levels, strict=True):
        means = {method: mean_of([scores[method]]) for method in methods}
        mae = {method: mean.values["mae"] for method, mean in means.items()}
        ratio = mae[first] / min(mae[method] for method in others) if others else None
        rows.append([level.at, *mae.values(), means[first].mae_error, ratio])
    columns = {axis.label: "g", **dict.fromkeys(methods, ".4f"), f"+- {first}": ".4f"}
    return Table(f"Axis: {axis.name}", {**columns, f"{first} / best other": ".2f"}, rows, "MAE in sweeps.")


def risk_table(levels: Sequence[Scores]) -> Table:
    """Error of the surest pixels, of methods that tell how sure they are."""
    risks = {m: mean_of([level[m] for level in levels]).risk for m in levels[0]}
    known = {method: risk for method, risk in risks.items() if risk is not None}
    rows: list[list[Cell]] = [
        [float(COVERAGES[k]), *(float(risk[k]) for risk in known.values())]
        for k in range(0, len(COVERAGES), _RISK_EVERY)
    ]
    note = "MAE in sweeps of the share of pixels that a method is surest of, mean over all stacks and levels."
    return Table("Risk at coverage", {"coverage": ".0%", **dict.fromkeys(known, ".4f")}, rows, note)


def rivals_table(tuned: Mapping[str, Tuned], protocol: Protocol) -> Table:
    """The settings that were found best."""
    rows: list[list[Cell]] = [[name, words(one.settings), one.error] for name, one in tuned.items()]
    seeds = protocol.tuning.take(None)
    note = (
        "The best of all combinations of the protocol's values on base stacks of seeds "
        f"{seeds.start} to {seeds.stop - 1}."
    )
    return Table("Rivals", {"method": "", "settings": "", "MAE in tuning": ".4f"}, rows, note)


def tables(
    protocol: Protocol,
    found: Mapping[Setup, Scores],
    levels: Mapping[str, Sequence[Scores]],
    tuned: Mapping[str, Tuned],
    rendered: Scores | None,
) -> list[Table]:
    """All tables.

    Args:
        found: by setup, the base first; none twice.
        levels: by axis.
        tuned: rivals by name.
        rendered: of path-traced stacks, or None.
    """
    every = list(found.values())
    base = found[protocol.base_setup]
    first, stacks = next(iter(base)), next(iter(base.values()))
    measures = _MEASURES.format(edge=protocol.edge_step, first=first)
    seeds = f"seeds {min(stacks)} to {max(stacks)}"  # type: ignore[type-var]
    shown = [
        means_table(
            "All levels", every, f"{len(every)} levels of {len(stacks)} stacks, {seeds}.\n\n{measures}"
        ),
        means_table("Base", [base], f"{len(stacks)} stacks: the level that all axes share."),
        *(axis_table(axis, levels[axis.name]) for axis in protocol.axes),
        risk_table(every),
    ]
    if rendered is not None:
        count = len(next(iter(rendered.values())))
        note = (
            f"{count} stacks by rays through the whole lens, another renderer than that of all other stacks."
        )
        shown.append(means_table("Path-traced", [rendered], note))
    if tuned:
        shown.append(rivals_table(tuned, protocol))
    return shown
