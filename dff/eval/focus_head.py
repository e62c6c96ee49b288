"""The autofocus head on held-out simulated stacks, from all slices and a few, beside contrast and depth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from dff.autofocus.metrics import accuracy, hunting
from dff.eval.focus_head_patches import few_part, patches_part
from dff.eval.focus_head_stacks import (
    Answers,
    Case,
    contrast_answers,
    depth_answers,
    encoded_sets,
    from_all_starts,
    head_answers,
    make_case,
)
from dff.eval.focus_head_tables import Found, all_tables, mae_of, rest_of, sureness_of
from dff.eval.inputs import Say, Seeds
from dff.eval.report import Report, Target
from dff.learned_focus import LearnedFocus, load_learned_focus
from dff.models import Model, load_model
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig
from dff.simulator.photos import PhotoPack

NAME = "focus-head"
_TIMED = 200  # decisions


@dataclass(frozen=True)
class Bars:
    """What is wanted.

    Args:
        mae_ratio: MAE of the head without dual pixels over the best contrast measure's, hard scenes.
        mae: of the head, whole stack [index].
        hunting: share of the starts that end in a cycle, five dual-pixel frames.
        decision_ms: CPU time of one region, the stack encoded.
    """

    mae_ratio: float = 0.75
    mae: float = 1.0
    hunting: float = 0.01
    decision_ms: float = 5.0


@dataclass(frozen=True)
class Protocol:
    """What is measured.

    Args:
        scenes: recipes of simulator/scenes, the hard ones last.
        seeds: of the stacks of each.
        regions: per stack.
        region_px: smallest and largest side.
        misalignment_px: largest root mean square corner error left by the alignment.
        frames: numbers of slices that follow one another.
        start_stacks: of each scene's stacks, how many are looked at from all starts, which takes long.
        depth_models: whose depth the index rule is tried on.
        patches: most that are taken of a file of them.
        start_patches: and most that are looked at from all starts.
        bars: what is wanted.
    """

    scenes: tuple[str, ...]
    seeds: Seeds
    regions: int
    region_px: tuple[int, int]
    misalignment_px: float
    frames: tuple[int, ...]
    start_stacks: int
    depth_models: tuple[str, ...]
    patches: int = 200
    start_patches: int = 40
    bars: Bars = Bars()


def answers_on(
    head: LearnedFocus, models: dict[str, Model], case: Case, frames: Sequence[int]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Answers]]:
    """Answers of depth and head from the whole stack, of contrast, and of the head from all starts."""
    everything = torch.arange(len(case.focus))[None]
    starts = {
        f"{'D' if dual_pixel else 'I'}{m}": answers
        for m in frames
        for dual_pixel, answers in from_all_starts(head, case, m).items()
    }
    for dual_pixel, name in ((False, "I*"), (True, "D*")):
        starts[name] = head_answers(head, case, everything, dual_pixel=dual_pixel)
    whole = {f"depth rule, {name}": depth_answers(case, model) for name, model in models.items()}
    return whole, contrast_answers(case), starts


def collect(
    protocol: Protocol,
    scene: str,
    head: LearnedFocus,
    models: dict[str, Model],
    photos: PhotoPack | None,
    limit: int | None,
    say: Say,
) -> Found:
    """Run over the stacks of one recipe."""
    config = load_recipe("simulator/scenes", scene, SimulationConfig)
    cases, told = [], []
    for number, seed in enumerate(protocol.seeds.take(limit)):
        say(f"{NAME}: {scene}, seed {seed}")
        case = make_case(config, seed, protocol.regions, protocol.region_px, protocol.misalignment_px, photos)
        cases.append(case)
        frames = protocol.frames if number < protocol.start_stacks else ()
        told.append(answers_on(head, models, case, frames))

    def joined(parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts)

    names = told[0][2]
    # the first stacks alone have answers from all starts
    heads = {name: [one[2][name] for one in told if name in one[2]] for name in names}
    index = {name: joined([one.index for one in parts]) for name, parts in heads.items()}
    whole = {name: joined([one[0][name] for one in told]) for name in told[0][0]}
    return Found(
        truth=joined([case.truth for case in cases]),
        mixed=joined([case.mixed for case in cases]),
        whole=whole
        | {
            "always the middle slice": np.concatenate(
                [np.full(len(c.truth), len(c.focus) // 2) for c in cases]
            )
        }
        | {f"head, {name}": index[name][:, 0] for name in ("I*", "D*")},
        contrast={name: joined([one[1][name] for one in told]) for name in told[0][1]},
        starts={name: maps for name, maps in index.items() if "*" not in name},
        until_sure=rest_of({name: parts for name, parts in heads.items() if "*" not in name}),
        confidence=sureness_of(heads),
        says_mixed=joined([one.mixed for one in heads["D*"]])[:, 0],
    )


def decision_ms(head: LearnedFocus, case: Case) -> float:
    """CPU time [ms] of one region of an encoded whole stack, mean of `_TIMED`."""
    everything = torch.arange(len(case.focus))[None]
    encoded = encoded_sets(head, case, everything)
    looked = head.looked(encoded, case.stack, tuple(everything[0].tolist()), 1, case.blur_px)
    head.focus(looked, case.regions[0])
    began = time.process_time()
    for k in range(_TIMED):
        head.focus(looked, case.regions[k % len(case.regions)])
    return 1000 * (time.process_time() - began) / _TIMED


def _targets(protocol: Protocol, found: dict[str, Found]) -> list[Target]:
    bars, scene = protocol.bars, protocol.scenes[-1]
    hard = found[scene]
    best = hard.best_contrast[0]
    ratio = mae_of(hard, "I*") / accuracy(hard.contrast[best], hard.truth)["mae"]
    targets = [Target(f"{scene}: MAE, head I* over {best}", ratio, "at most", bars.mae_ratio)]
    for scene, one in found.items():
        targets += [
            Target(f"{scene}: MAE, head {kind}", mae_of(one, kind), "at most", bars.mae)
            for kind in ("I*", "D*")
        ]
        if "D5" in one.starts:
            targets.append(hunting_target(scene, one, bars))
    return targets


def hunting_target(name: str, found: Found, bars: Bars) -> Target:
    """Share of the starts from which a lens ends in a cycle, from five dual-pixel slices."""
    share = float(hunting(found.until_sure["D5"]).cyclic.mean())
    return Target(f"{name}: share of starts that hunt, D5, until sure", share, "at most", bars.hunting)


def run(
    protocol: Protocol,
    weights: str,
    photos: PhotoPack | None,
    patches: Path | None,
    *,
    limit: int | None,
    options: str,
    say: Say,
) -> Report:
    """Score a head, and everything beside it, on the stacks of the protocol."""
    torch.set_num_threads(1)
    head = load_learned_focus(weights, "cpu")
    models = {name: load_model(name, device="cpu") for name in protocol.depth_models}
    found = {scene: collect(protocol, scene, head, models, photos, limit, say) for scene in protocol.scenes}
    config = load_recipe("simulator/scenes", protocol.scenes[0], SimulationConfig)
    timed = decision_ms(
        head, make_case(config, protocol.seeds.first, protocol.regions, protocol.region_px, 0.0, photos)
    )
    count = len(protocol.seeds.take(limit))
    about = (
        f"{count} stacks of 49 slices of each scene, seeds from {protocol.seeds.first}, {protocol.regions} "
        f"regions of {protocol.region_px[0]} to {protocol.region_px[1]} px each, aligned up to "
        f"{protocol.misalignment_px:g} px; errors in focal indices. Truth: the slice nearest in dioptres to "
        "the region's median depth, by where the lens truly stood."
    )
    targets = [
        *_targets(protocol, found),
        Target("one region of an encoded stack, CPU [ms]", timed, "at most", protocol.bars.decision_ms),
    ]
    tables = all_tables(found, about)
    if patches is not None:
        most = protocol.patches if limit is None else limit
        table, more = patches_part(head, patches, most, (protocol.bars.mae, protocol.bars.mae_ratio), say)
        few, started = few_part(head, patches, min(most, protocol.start_patches), protocol.frames, say)
        tables += [table, few]
        targets += [*more, hunting_target("patches", started, protocol.bars)]
    return Report(NAME, options, asdict(protocol), tables, targets)
