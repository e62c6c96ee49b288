"""Studies of autofocus networks at equal budgets: rows trained by a recipe, scored from all starts.

The tables and figures of the papers are protocols in eval/ (af_*.toml); each says what it is a twin of. What
has been trained is kept in a folder and not trained again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from dff.data.af_open import open_patches
from dff.data.af_patches import AutofocusPatches, MiddlePatches
from dff.eval.autofocus_maps import COLUMNS, logits_of, mean_and_spread, score_cells
from dff.eval.autofocus_protocol import Protocol, Sketch, Variant
from dff.eval.autofocus_training import data_key, loaded, trained_network, variant_config
from dff.eval.inputs import Say
from dff.eval.report import Cell, Report, Table, Target
from dff.formats.plot import COLOURS, OTHER_COLOURS, Plot, draw, legend
from dff.formats.plot import Line as Curve
from dff.formats.safe_write import atomic_path

NAME = "af-study"
_SHOWN = ("MAE", "MSD*", "TV mean")
_MAPS = "maps.npz"


@dataclass(frozen=True)
class Place:
    """Where a study finds and keeps things.

    Args:
        data: folder of the patches.
        work: folder of what is trained.
        pictures: folder for the plots.
        device: to train and score on.
    """

    data: Path
    work: Path
    pictures: Path
    device: str = "cpu"


@dataclass(frozen=True)
class StudyReport(Report):
    """A report called like its protocol, so that each study has a page of its own."""

    @property
    def command(self) -> str:
        return f"python -m dff.eval {NAME} {self.options}"


def run(
    protocol: Protocol, place: Place, *, limit: int | None = None, options: str = "", say: Say = print
) -> Report:
    """Train and score the first ``limit`` rows that are not kept yet; write table and plots."""
    chosen = protocol.variants[:limit]
    scores: dict[str, list[list[Cell]]] = {}
    weights: dict[tuple[str, int], Path] = {}
    training, scored = (open_patches(place.data, split) for split in ("train", protocol.split))
    if protocol.size:
        scored = MiddlePatches(scored, protocol.size)
    for number, variant in enumerate(chosen, start=1):
        for seed in protocol.seeds_of(variant):
            title = f"{number}/{len(chosen)} {variant.name}, seed {seed}"
            first = weights[variant.after, seed] if variant.after else None
            weights[variant.name, seed] = _trained(
                protocol, variant, seed, first, place, training, say, title
            )
            maps, truth = _maps(weights[variant.name, seed], first, protocol, scored, place, say, title)
            scores.setdefault(variant.name, []).append(score_cells(maps, truth))
    means = {name: mean_and_spread(rows) for name, rows in scores.items()}
    tables = [
        _table(protocol, chosen, scores, means, len(_chosen(protocol, scored)), training),
        *_published(chosen, means),
        *_gains(protocol, scores),
    ]
    for sketch in protocol.plots:
        _draw(sketch, means, place.pictures)
    return StudyReport(NAME, options, asdict(protocol), tables, _targets(protocol, means))


def _trained(
    protocol: Protocol,
    variant: Variant,
    seed: int,
    first: Path | None,
    place: Place,
    training: AutofocusPatches,
    say: Say,
    title: str,
) -> Path:
    config = variant_config(protocol, variant, place.data, first)
    begun = time.process_time()
    data = data_key("train", training.index) + (str(first.parent.name) if first else "")
    found = trained_network(
        config, variant, seed, place.work, data, lambda line: say(f"{title}: {line}"), place.device
    )
    say(f"{NAME}: {title}: trained or kept, {time.process_time() - begun:.0f} CPU s")
    return found


def _chosen(protocol: Protocol, patches: AutofocusPatches) -> np.ndarray:
    most = min(protocol.patches or len(patches), len(patches))
    return np.unique(np.linspace(0, len(patches) - 1, most).round().astype(int))


def _maps(
    weights: Path,
    first: Path | None,
    protocol: Protocol,
    patches: AutofocusPatches,
    place: Place,
    say: Say,
    title: str,
) -> tuple[np.ndarray, np.ndarray]:
    """(P,K) answers of a kept network and the truth; kept beside its weights."""
    chosen = _chosen(protocol, patches)
    truth = patches.index[chosen]
    kept = weights.with_name(f"{protocol.split}{patches.size[0]}-{data_key(str(len(chosen)), truth)}-{_MAPS}")
    if not kept.is_file():
        say(f"{NAME}: {title}: scored")
        network = loaded(weights, place.device)
        one, two = (network, None) if first is None else (loaded(first, place.device), network)
        maps = logits_of(one, patches, chosen, two).argmax(axis=-1).astype(np.uint8)
        with atomic_path(kept) as temporary:
            np.savez_compressed(temporary, maps=maps)
    with np.load(kept) as file:
        return file["maps"].astype(np.int64), truth


# --- tables ----------------------------------------------------------------------------------------------


def _spread(rows: Sequence[Sequence[Cell]], column: int) -> str:
    values = [float(row[column]) for row in rows]  # type: ignore[arg-type]
    return f"{min(values):.3f} to {max(values):.3f}" if len(values) > 1 else ""


def _table(
    protocol: Protocol,
    chosen: Sequence[Variant],
    scores: dict[str, list[list[Cell]]],
    means: dict[str, list[Cell]],
    count: int,
    training: AutofocusPatches,
) -> Table:
    at = {name: list(COLUMNS).index(name) for name in _SHOWN}
    rows: list[list[Cell]] = [
        [
            v.name,
            str(len(scores[v.name])),
            *means[v.name],
            *(_spread(scores[v.name], at[name]) for name in _SHOWN),
        ]
        for v in chosen
    ]
    columns = {"network": "", "seeds": "", **COLUMNS, **{f"{name}, seeds": "" for name in _SHOWN}}
    note = (
        f"Rows of train/{protocol.recipe}.toml, {len(training)} training patches of {training.size[1]} px, "
        f"equal budgets. Scored on {count} patches ({protocol.split}) of "
        f"{protocol.size or training.size[1]} px from all {training.count} starts; means over the seeds, and "
        f"their range. {protocol.note}"
    )
    return Table("From all starts", columns, rows, note.rstrip())


def _published(chosen: Sequence[Variant], means: dict[str, list[Cell]]) -> list[Table]:
    known = [variant for variant in chosen if variant.published]
    if not known:
        return []
    at = [list(COLUMNS).index(name) for name in _SHOWN]
    rows: list[list[Cell]] = [[v.name, *(means[v.name][k] for k in at), *v.published] for v in known]
    columns = {"network": "", **dict.fromkeys(_SHOWN, ".3f"), **{f"{name}, paper": ".3f" for name in _SHOWN}}
    note = "The paper's are on another, much larger set: orders and relative changes compare, numbers do not."
    return [Table("Beside the paper", columns, rows, note)]


def _gains(protocol: Protocol, scores: dict[str, list[list[Cell]]]) -> list[Table]:
    rows: list[list[Cell]] = []
    at = [list(COLUMNS).index(name) for name in _SHOWN]
    for gain in protocol.gains:
        if gain.row not in scores or gain.over not in scores:
            continue
        pairs = zip(scores[gain.row], scores[gain.over], strict=False)
        changes = np.array(
            [np.array(one, float)[at] / np.array(other, float)[at] - 1 for one, other in pairs]
        )
        each = ["; ".join(f"{100 * value:+.1f}" for value in column) for column in changes.T]
        mean = _changes(scores, gain.row, gain.over)
        rows.append([f"{gain.row} over {gain.over}", *(100 * value for value in mean), *each])
    if not rows:
        return []
    columns = {
        "pair": "",
        **{f"{name} [%]": "+.1f" for name in _SHOWN},
        **{f"{name}, each seed": "" for name in _SHOWN},
    }
    return [Table("Changes", columns, rows, "Of the means over the seeds; then of each seed by itself.")]


def _changes(scores: dict[str, list[list[Cell]]], row: str, over: str) -> list[float]:
    one, other = (np.mean(np.array(scores[name], float), axis=0) for name in (row, over))
    return [float(one[k] / other[k] - 1) for k in (list(COLUMNS).index(name) for name in _SHOWN)]


def _targets(protocol: Protocol, means: dict[str, list[Cell]]) -> list[Target]:
    targets = []
    scores = {name: [row] for name, row in means.items()}
    for gain in protocol.gains:
        if gain.row in means and gain.over in means:
            mae, spread, variation = _changes(scores, gain.row, gain.over)
            pair = f"{gain.row} over {gain.over}"
            targets += [
                Target(f"{pair}: MSD*, share less", -spread, "at least", gain.msd_star),
                Target(f"{pair}: TV, share less", -variation, "at least", gain.tv),
                Target(f"{pair}: MAE, share more", mae, "at most", gain.mae),
            ]
    at = list(COLUMNS).index("MAE")
    known = [name for name in protocol.order if name in means]
    for better, worse in pairwise(known):
        less = float(means[worse][at]) - float(means[better][at])  # type: ignore[arg-type]
        targets.append(Target(f"MAE of {worse} above that of {better}", less, "at least", 1e-9))
    return targets


# --- plots -----------------------------------------------------------------------------------------------


def _draw(sketch: Sketch, means: dict[str, list[Cell]], folder: Path) -> None:
    """One plot with its legend; rows that were not trained leave a gap."""
    at = list(COLUMNS).index(sketch.score)
    gap: list[Cell] = [float("nan")] * len(COLUMNS)
    curves, names = [], []
    colours = [colour for pair in zip(COLOURS, OTHER_COLOURS, strict=False) for colour in pair]
    for line, colour in zip(sketch.lines, colours, strict=False):
        y = np.array([means.get(row, gap)[at] for row in line.rows], float)
        curves.append(Curve(np.array(line.x), y, colour))
        names.append((line.name, colour, False))
    known = np.concatenate([curve.y for curve in curves])
    if not np.isfinite(known).any():
        return
    x = np.concatenate([curve.x for curve in curves])
    room = max(float(np.ptp(x)), 1.0) * 0.05
    plot = Plot(
        sketch.title,
        sketch.x_label,
        (x.min() - room, x.max() + room),
        (0, 1.15 * float(np.nanmax(known))),
        curves,
    )
    folder.mkdir(parents=True, exist_ok=True)
    page = np.concatenate([draw(plot, 300, 520), legend(names, 520)])
    with atomic_path(folder / f"{sketch.title.lower().replace(' ', '-').replace('*', '')}.png") as temporary:
        Image.fromarray(page).save(temporary)
