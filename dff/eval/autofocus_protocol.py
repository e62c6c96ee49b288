"""What a study of autofocus networks (eval/af_*.toml) may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from dff.eval.inputs import folder_name


@dataclass(frozen=True)
class Variant:
    """One row: a network, trained and scored once for each seed.

    Args:
        name: of the row; a folder is called like it.
        change: of the training recipe, as tables.
        after: name of the row whose network takes the first step before this one.
        published: MAE, MSD* and TV of the paper's row, to be printed beside; empty: there is none.
        seeds: instead of the study's.
    """

    name: str
    change: dict[str, Any] = field(default_factory=dict)
    after: str = ""
    published: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not any(letter.isalnum() for letter in self.name) or len(self.published) not in (0, 3):
            raise ValueError(
                f"variant {self.name!r}: give a name with letters or digits; published are 3 or none"
            )


@dataclass(frozen=True)
class Gain:
    """What a row should gain over another: shares of MSD* and TV less, and MAE at most a share more."""

    over: str
    row: str
    msd_star: float
    tv: float
    mae: float


@dataclass(frozen=True)
class Line:
    """A line of the plot: rows, and where each stands on the x axis."""

    name: str
    x: tuple[float, ...]
    rows: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.rows) or not self.x:
            raise ValueError(f"line {self.name!r}: give one of x for every row")


@dataclass(frozen=True)
class Sketch:
    """A plot of one score over something.

    Args:
        title, x_label: words.
        score: of the y axis.
        lines: what is drawn.
    """

    title: str
    x_label: str
    score: Literal["MAE", "MSD*", "TV mean"]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Protocol:
    """What is trained and how it is scored.

    Args:
        recipe: of train/, which the variants change.
        variants: the rows, in the order they are trained.
        seeds: of every row.
        split: of the patches to score on: "val" to choose by, "test" to report.
        patches: number of them at most, spread evenly; 0: all.
        size: side of the middle of the patches that is scored [px]; 0: all of them.
        gains: pairs of rows that are compared.
        order: names of rows whose MAE should rise.
        plots: drawn into the folder of pictures.
        note: what the reader must know.
    """

    recipe: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...] = (0,)
    split: Literal["val", "test"] = "test"
    patches: int = 0
    size: int = 0
    gains: tuple[Gain, ...] = ()
    order: tuple[str, ...] = ()
    plots: tuple[Sketch, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if not names or not self.seeds or len({folder_name(name) for name in names}) < len(names):
            raise ValueError("protocol: give at least one seed, and variants with names of their own")
        drawn = [row for plot in self.plots for line in plot.lines for row in line.rows]
        wanted = [*self.order, *drawn, *(name for gain in self.gains for name in (gain.over, gain.row))]
        for place, variant in enumerate(self.variants):
            if variant.after and variant.after not in names[:place]:
                raise ValueError(
                    f"variant {variant.name!r}: after {variant.after!r}, which is no earlier one"
                )
        for name in wanted:
            if name not in names:
                raise ValueError(f"protocol: no variant {name!r}; known: {', '.join(names)}")

    def seeds_of(self, variant: Variant) -> tuple[int, ...]:
        """Seeds of one row."""
        return variant.seeds or self.seeds
