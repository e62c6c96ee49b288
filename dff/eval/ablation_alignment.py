"""Ablation of the alignment network: one choice changed at a time, at equal small budgets.

As `dff.eval.ablation` does it for the depth network: the same stacks in as many steps from the same seed for
every variant, scored on the same held-out stacks, and what has been scored is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from dff.eval.ablation import (
    Variant,
    all_scores,
    averaged_weights,
    changed,
    score_key,
    trained_into,
)
from dff.eval.inputs import Say, folder_name
from dff.eval.report import Cell, Report, Table
from dff.recipes import load_recipe
from dff.simulator.photos import PhotoPack
from dff.train.alignment_config import AlignmentTrainConfig
from dff.train.alignment_task import AlignmentTask
from dff.train.augment import Batch
from dff.train.source import split

NAME = "ablation-alignment"


@dataclass(frozen=True)
class Protocol:
    """What is trained and how it is scored.

    Args:
        recipe: of train/, which the variants change.
        steps: of every variant; the learning rate falls to zero over all of them.
        held_out_seed: of the stacks to score on; another than that of the training.
        held_out_batches: of as many stacks as the recipe has in a step.
        slices: numbers of slices to score with.
        seed: of every variant.
    """

    recipe: str
    steps: int
    held_out_seed: int
    held_out_batches: int
    slices: tuple[int, ...]
    variants: tuple[Variant, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        folders = [folder_name(variant.name) for variant in self.variants]
        if len(set(folders)) < len(folders) or not all(folders):
            raise ValueError("variants: every one needs a name of its own, with letters or digits in it")
        if min(self.steps, self.held_out_batches) < 1 or not self.slices:
            raise ValueError("steps and held_out_batches must be 1 or more; give at least one of slices")


def variant_config(protocol: Protocol, change: dict[str, object]) -> AlignmentTrainConfig:
    """The whole training recipe with a change, its learning rate's fall as long as the run."""
    config = changed(load_recipe("train", protocol.recipe, AlignmentTrainConfig), change)
    decay = protocol.steps * config.source.batch
    scored = replace(
        config.validation, batches=protocol.held_out_batches, slices=tuple(protocol.slices), pictures=0
    )
    optimiser = replace(config.optimiser, decay=decay)
    return replace(config, steps=protocol.steps, optimiser=optimiser, validation=scored)


def run(
    protocol: Protocol,
    work: Path,
    photos: PhotoPack | None,
    *,
    limit: int | None = None,
    options: str = "",
    say: Say = print,
) -> Report:
    """Train and score the first ``limit`` variants that are not in the folder ``work`` yet.

    Raises:
        ValueError: a change that the recipe does not take; names the variant.
    """
    chosen = protocol.variants[:limit]
    configs = []
    for variant in chosen:
        try:
            configs.append(variant_config(protocol, variant.change))
        except ValueError as error:
            raise ValueError(f"variant {variant.name!r}: {error}") from None
    stacks: list[Batch] = []

    def score(config: AlignmentTrainConfig, folder: Path, say: Say) -> dict[str, float]:
        if not stacks:
            say("held-out stacks")
            task = AlignmentTask(variant_config(protocol, {}))
            stacks.extend(task.held_out(protocol.held_out_seed, split(photos)[1], torch.device("cpu")))
        return _trained_scores(config, protocol, folder, stacks, photos, say)

    keys = [score_key(config, protocol.seed, protocol.held_out_seed, photos) for config in configs]
    found = all_scores(NAME, chosen, configs, keys, work, score, say)
    return Report(NAME, options, asdict(protocol), [_table(protocol, chosen, found)], [])


def _trained_scores(
    config: AlignmentTrainConfig,
    protocol: Protocol,
    folder: Path,
    stacks: Sequence[Batch],
    photos: PhotoPack | None,
    say: Say,
) -> dict[str, float]:
    """Train a variant in ``folder``, which is emptied, and score its averaged weights."""
    seconds, _ = trained_into(folder, config, protocol.seed, photos, say)
    task = AlignmentTask(config)
    network = task.network()
    network.load_state_dict(averaged_weights(folder))
    scores = task.validate(network, stacks, nullcontext, folder / "unused.png")
    parameters = sum(tensor.numel() for tensor in network.parameters())
    return {"parameters": float(parameters), "cpu_s": seconds, **scores}


def _table(protocol: Protocol, variants: Sequence[Variant], found: Sequence[dict[str, float]]) -> Table:
    wanted = {f"{kind}, N={n} [px]": f"{kind}_{n}" for n in protocol.slices for kind in ("rms", "median")}
    rows: list[list[Cell]] = [
        [v.group, v.name, *(told[key] for key in wanted.values()), told["parameters"] / 1e6, told["cpu_s"]]
        for v, told in zip(variants, found, strict=True)
    ]
    if found:
        still: list[Cell] = [found[0].get(f"unaligned_{key}") for key in wanted.values()]
        rows.append(["", "not aligned", *still, None, None])
    columns = {"group": "", "variant": "", **dict.fromkeys(wanted, ".2f"), "parameters [M]": ".3f"}
    note = (
        f"Each variant: {protocol.steps} steps of train/{protocol.recipe}.toml on one thread, one run with "
        f"seed {protocol.seed}. Corner errors against the nearest slice, without metadata, over all "
        f"slices of {protocol.held_out_batches} held-out batches. CPU: of the training and its simulation."
    )
    return Table("Alignment", {**columns, "CPU [s]": ".0f"}, rows, note)
