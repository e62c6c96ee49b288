"""The classical rivals of learned autofocus: Tables 1 and 3 and Figure 3 of Learning to Autofocus.

37 contrast measures and 8 similarities of dual-pixel halves look at the whole sweep; calibrated disparity
looks at one slice. Ranks are set beside the paper's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from dff.autofocus.dual_pixel import SIMILARITIES
from dff.autofocus.measures import ARTEFACTS, MEASURES
from dff.autofocus.metrics import accuracy
from dff.autofocus.single_slice import SINGLE_SLICE, SingleSlice, fit_slice
from dff.data.af_open import open_patches
from dff.data.af_patches import AutofocusPatches
from dff.eval.autofocus_defocus import DefocusTest, defocus_table
from dff.eval.autofocus_maps import all_patches
from dff.eval.autofocus_registration import Registration, registration_table
from dff.eval.inputs import Say
from dff.eval.report import Cell, Report, Table

NAME = "af-classical"
_LEAST = 12  # patches in the middle of the picture that a calibration for it needs
PUBLISHED_PAIRS = {
    "normalised-envelope-l1": (2.731, 5.218),
    "census": (3.737, 8.126),
    "ncc": (4.149, 8.740),
}
"""MAE and RMSE of the rows D* whose published numbers are at hand."""


@dataclass(frozen=True)
class Protocol:
    """What is measured.

    Args:
        split: of the patches.
        calibration: training patches that the single-slice rivals are calibrated on, three slices each.
        seed: of the choice of those slices.
        registration, defocus: the smaller studies.
    """

    registration: Registration
    defocus: DefocusTest
    split: str = "test"
    calibration: int = 400
    seed: int = 6100


def sweep_answers(patches: AutofocusPatches, chosen: np.ndarray, say: Say) -> dict[str, np.ndarray]:
    """(P,) sharpest or most alike slice, by every measure, artefact ("... signed") and similarity."""
    found: dict[str, list[int]] = {}
    for done, patch in enumerate(chosen, start=1):
        stack = patches.stack(int(patch))
        left, right = stack[:, 0], stack[:, 1]
        whole = (left + right) / 2
        for name, measure in MEASURES.items():
            found.setdefault(name, []).append(int(measure(whole).argmax()))
        for name, artefact in ARTEFACTS.items():
            found.setdefault(f"{name} signed", []).append(int(artefact(whole).argmax()))
        for name, alike in SIMILARITIES.items():
            found.setdefault(name, []).append(int(alike(left, right).argmax()))
        if done % 50 == 0:
            say(f"{NAME}: {done}/{len(chosen)} patches")
    return {name: np.array(values) for name, values in found.items()}


def ranks(values: np.ndarray) -> np.ndarray:
    """1 for the least; equal ones share the mean of their places."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    return np.asarray((ends - (count - 1) / 2)[place])


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rho of two lists of numbers."""
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def _splits(patches: AutofocusPatches, chosen: np.ndarray) -> dict[str, np.ndarray]:
    hard = patches.hard[chosen]
    return {"all": np.ones(len(chosen), bool), "easy": ~hard, "hard": hard}


def _error(answers: np.ndarray, truth: np.ndarray, mask: np.ndarray, key: str = "mae") -> float:
    return accuracy(answers[mask], truth[mask])[key] if mask.any() else float("nan")


def measure_table(answers: dict[str, np.ndarray], truth: np.ndarray, splits: dict[str, np.ndarray]) -> Table:
    """The 37 measures from best to worst by the hard patches, and the two signed means."""
    errors = {
        name: [_error(answers[name], truth, mask) for mask in splits.values()]
        for name in (*MEASURES, *(f"{name} signed" for name in ARTEFACTS))
    }
    rows: list[list[Cell]] = []
    published = np.array([measure.mae for measure in MEASURES.values()])
    place = dict(zip(MEASURES, ranks(published), strict=True))
    for name in sorted(MEASURES, key=lambda name: errors[name][0]):
        rmse = _error(answers[name], truth, splits["all"], "rmse")
        rows.append([name, *errors[name], rmse, MEASURES[name].mae, MEASURES[name].rmse, place[name]])
    for name in ARTEFACTS:
        signed = f"{name} signed"
        rmse = _error(answers[signed], truth, splits["all"], "rmse")
        rows.append([signed, *errors[signed], rmse, MEASURES[name].mae, MEASURES[name].rmse, place[name]])
    sound = [name for name in MEASURES if name not in ARTEFACTS]
    told = []
    for number, split in enumerate(splits):
        if np.isfinite(errors[sound[0]][number]):
            every, some = (
                rank_correlation(
                    np.array([errors[name][number] for name in names]),
                    np.array([MEASURES[name].mae for name in names]),
                )
                for names in (list(MEASURES), sound)
            )
            told.append(f"{split} {every:.2f} ({some:.2f})")
    note = (
        "MAE of the sharpest of all slices. Rank correlation (Spearman) with the published MAE: "
        f"{', '.join(told)}; in brackets without the two rows that are artefacts: total-variation-l1 and "
        "modified-dct are published near chance, which the mean of signed values, the last two rows, gives, "
        "since it cancels; the measures themselves are sound."
    )
    columns = {
        "measure": "", **{f"MAE, {split}": ".2f" for split in splits}, "RMSE": ".2f",
        "MAE, paper": ".2f", "RMSE, paper": ".2f", "rank, paper": ".0f",
    }  # fmt: skip
    return Table("Contrast (I*)", columns, rows, note)


def pair_table(answers: dict[str, np.ndarray], truth: np.ndarray, splits: dict[str, np.ndarray]) -> Table:
    """The eight similarities."""
    rows: list[list[Cell]] = []
    for name in SIMILARITIES:
        cells = [_error(answers[name], truth, mask) for mask in splits.values()]
        rmse = _error(answers[name], truth, splits["all"], "rmse")
        rows.append([name, *cells, rmse, *PUBLISHED_PAIRS.get(name, (None, None))])
    columns = {
        "similarity": "", **{f"MAE, {split}": ".2f" for split in splits}, "RMSE": ".2f",
        "MAE, paper": ".2f", "RMSE, paper": ".2f",
    }  # fmt: skip
    rows.sort(key=lambda row: float(row[1]))  # type: ignore[arg-type]
    note = (
        "The slice in which the halves are most alike. Thresholds of ternary census are levels of 10 bits, "
        "as published: in the dark nothing reaches them, and the first slice wins."
    )
    return Table("Alike halves (D*)", columns, rows, note)


def single_maps(
    rival: SingleSlice,
    training: AutofocusPatches,
    patches: AutofocusPatches,
    chosen: np.ndarray,
    protocol: Protocol,
) -> np.ndarray:
    """(P,K) answers from every start of one calibrated rival, calibrated on training patches.

    Raises:
        ValueError: a rival without a cue of its own.
    """
    if rival.cue is None:
        raise ValueError(f"{rival.title}: needs a network's output; this package has none")
    random = np.random.default_rng(protocol.seed)
    picked = np.unique(
        np.linspace(0, len(training) - 1, min(protocol.calibration, len(training))).round().astype(int)
    )
    inside = rival.inside(training.centre[picked])
    picked = picked[inside] if inside.sum() >= _LEAST else picked
    starts = np.stack([random.permutation(training.count)[:3] for _ in picked])
    frames = [training.frames(int(k), row) for k, row in zip(picked, starts, strict=True)]
    cue = np.concatenate([rival.cue(one[:, 0], one[:, 1]) for one in frames])
    target = training.focus[training.index[picked]]
    fitted = fit_slice(
        cue, training.centre[picked].repeat(3, axis=0), training.focus[starts.ravel()], target.repeat(3)
    )
    maps = np.empty((len(chosen), patches.count), int)
    every = np.arange(patches.count)
    for row, patch in enumerate(chosen):
        stack = patches.stack(int(patch))
        centre = np.tile(patches.centre[patch], (patches.count, 1))
        maps[row] = fitted.index(rival.cue(stack[:, 0], stack[:, 1]), centre, every, patches.focus)
    return maps


def single_table(
    place: Path, patches: AutofocusPatches, chosen: np.ndarray, protocol: Protocol, say: Say
) -> Table:
    """The calibrated rivals, from every start."""
    training = open_patches(place, "train")
    rows: list[list[Cell]] = []
    for name, rival in SINGLE_SLICE.items():
        if rival.cue is None:
            rows.append([name, *[None] * 5])
            continue
        say(f"{NAME}: {name}")
        inside = chosen[rival.inside(patches.centre[chosen])]
        if not len(inside):
            rows.append([name, "0", *[None] * 4])
            continue
        maps = single_maps(rival, training, patches, inside, protocol)
        truth, hard = patches.index[inside], patches.hard[inside]
        cells = [_error(maps, truth, mask) for mask in (np.ones(len(inside), bool), ~hard, hard)]
        rows.append([name, str(len(inside)), *cells, accuracy(maps, truth)["rmse"]])
    columns = {
        "rival": "", "patches": "", "MAE, all": ".2f", "MAE, easy": ".2f", "MAE, hard": ".2f", "RMSE": ".2f"
    }  # fmt: skip
    note = (
        f"From all starts, calibrated on {protocol.calibration} training patches. ssd-disparity and "
        "learned-depth are judged in the middle of the picture only, as in the paper; the network of "
        "learned-depth is not part of this package."
    )
    return Table("Calibrated single slice (D1)", columns, rows, note)


def run(
    protocol: Protocol,
    data: Path,
    *,
    limit: int | None = None,
    options: str = "",
    say: Callable[[str], None] = print,
) -> Report:
    """Measure the first ``limit`` patches by every rival."""
    patches = open_patches(data, protocol.split)
    chosen = all_patches(patches, limit)
    splits, truth = _splits(patches, chosen), patches.index[chosen]
    answers = sweep_answers(patches, chosen, say)
    tables = [
        measure_table(answers, truth, splits),
        pair_table(answers, truth, splits),
        single_table(data, patches, chosen, protocol, say),
        registration_table(protocol.registration, data, limit, say),
        defocus_table(protocol.defocus),
    ]
    told = f"{len(chosen)} patches ({protocol.split}), {int(splits['hard'].sum())} of them hard."
    tables[0] = replace(tables[0], note=f"{told} {tables[0].note}")
    return Report(NAME, options, asdict(protocol), tables, [])
