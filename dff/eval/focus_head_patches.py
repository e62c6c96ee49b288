"""The autofocus head on a file of simulated patches (`dff.data.af_patches`), beside contrast measures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dff.autofocus.measures import MEASURES
from dff.autofocus.metrics import WITHIN, accuracy
from dff.autofocus.regions import Roi
from dff.classical.motion import warp
from dff.data.af_patches import SimulatedPatches
from dff.eval.focus_head_stacks import (
    Answers,
    Case,
    answers_of,
    encoded_sets,
    from_all_starts,
    without_halves,
)
from dff.eval.focus_head_tables import Found, few_table
from dff.eval.inputs import Say
from dff.eval.report import Cell, Table, Target
from dff.learned_focus import LearnedFocus
from dff.simulator.textures import shown_halves
from dff.train.focus_head_patches import sweep_blur

RAW, REGISTERED = "as taken", "registered"
WHOLE, WHOLE_DUAL = "head, I*", "head, D*"


def patch_case(patches: SimulatedPatches, patch: int) -> Case:
    """One patch brought onto its reference slice by the true motion; the whole of it is the region."""
    slices = zip(patches.stack(patch), patches.matrices[patch], strict=True)
    moved = np.stack([np.stack([warp(half, matrix) for half in both]) for both, matrix in slices])
    images, halves = shown_halves(torch.from_numpy(moved)[None])
    ladder = (patches.focus - patches.focus[0]) / np.ptp(patches.focus)
    height, width = patches.size
    return Case(
        light=moved.mean(axis=1),
        images=images,
        halves=halves,
        ladder=torch.from_numpy(ladder[None]).float(),
        focus=patches.focus,
        blur_px=sweep_blur(patches),
        regions=(Roi(0, 0, width, height),),
        truth=patches.index[patch : patch + 1],
        mixed=np.zeros(1, bool),
    )


def few_part(
    head: LearnedFocus, path: Path, most: int, frames: Sequence[int], say: Say
) -> tuple[Table, Found]:
    """The head on at most ``most`` patches, spread evenly, from ``frames`` slices and from every start."""
    patches = SimulatedPatches(path)
    chosen = np.linspace(0, len(patches) - 1, min(most, len(patches))).round().astype(int)
    told: dict[str, list[Answers]] = {}
    for done, patch in enumerate(chosen):
        if done % 20 == 0:
            say(f"focus-head: {done}/{len(chosen)} patches, a few slices of each")
        case = patch_case(patches, int(patch))
        for m in frames:
            for dual_pixel, answers in from_all_starts(head, case, m).items():
                told.setdefault(f"{'D' if dual_pixel else 'I'}{m}", []).append(answers)
    found = Found.from_starts(patches.index[chosen], told)
    about = f"{len(chosen)} patches, {int(patches.hard[chosen].sum())} of them hard."
    return few_table("Patches, a few slices, from all starts", {"patches": found}, about), found


def patches_part(
    head: LearnedFocus, path: Path, most: int | None, wanted: tuple[float, float], say: Say
) -> tuple[Table, list[Target]]:
    """Head and the best contrast measures on patches of a file, at most ``most`` of them, spread evenly.

    Args:
        wanted: MAE of the head [index], and over that of the best contrast measure on hard patches.
    """
    patches = SimulatedPatches(path)
    count = min(most or len(patches), len(patches))
    chosen = np.linspace(0, len(patches) - 1, count).round().astype(int)
    everything = torch.arange(patches.count)[None]
    answers: dict[str, list[int]] = {}
    for done, patch in enumerate(chosen):
        if done % 20 == 0:
            say(f"focus-head: {done}/{count} patches")
        case = patch_case(patches, int(patch))
        encoded = encoded_sets(head, case, everything)
        for name, view in ((WHOLE, without_halves(encoded)), (WHOLE_DUAL, encoded)):
            found = answers_of(head, view, case.regions, case.blur_px)
            answers.setdefault(name, []).append(int(found.index[0, 0]))
        taken = patches.stack(int(patch)).mean(axis=1)
        for name, measure in MEASURES.items():
            for how, stack in ((RAW, taken), (REGISTERED, case.light)):
                answers.setdefault(f"contrast {how}, {name}", []).append(int(measure(stack).argmax()))
    truth, hard = patches.index[chosen], patches.hard[chosen]
    scored = {name: np.array(found) for name, found in answers.items()}
    rows: list[list[Cell]] = []
    targets: list[Target] = []
    for kind, part in (("all", np.ones_like(hard)), ("hard", hard)):
        mae = {name: float(np.abs(found - truth)[part].mean()) for name, found in scored.items()}
        best = [
            min((name for name in mae if name.startswith(f"contrast {how}")), key=mae.__getitem__)
            for how in (RAW, REGISTERED)
        ]
        for name in (*best, WHOLE, WHOLE_DUAL):
            got = accuracy(scored[name][part], truth[part])
            rows.append([kind, name, *(got[f"within_{k}"] for k in WITHIN), got["mae"], got["rmse"]])
        if kind == "all":
            targets += [
                Target(f"patches: MAE, {name}", mae[name], "at most", wanted[0])
                for name in (WHOLE, WHOLE_DUAL)
            ]
        else:
            name = min(best, key=mae.__getitem__)
            over = mae[WHOLE] / max(mae[name], 1e-9)
            targets.append(Target(f"hard patches: MAE, {WHOLE} over {name}", over, "at most", wanted[1]))
    shares = {f"={k}" if k == 0 else f"<={k}": ".3f" for k in WITHIN}
    note = (
        f"{count} patches of {patches.size[0]} px, whole stacks, of a file of `python -m "
        f"dff.train.autofocus_patches`, split {patches.split}, {int(hard.sum())} of them hard; the head, and "
        "contrast where it says so, on patches brought onto the middle slice by the true motion; of the "
        "contrast measures the best here is shown."
    )
    columns = {"patches": "", "method": "", **shares, "MAE": ".2f", "RMSE": ".2f"}
    return Table("Patches of a file", columns, rows, note), targets
