"""Ablation: one choice of the depth network or its training changed at a time, at equal small budgets.

Every variant sees as many stacks in as many steps from the same seed, and is scored on the same held-out
stacks. What has been scored is kept in a folder and not trained again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import torch

from dff.eval.inputs import Say, folder_name
from dff.eval.report import Cell, Report, Table
from dff.formats.safe_write import atomic_path
from dff.model.network import build_depth_network
from dff.recipes import load_recipe
from dff.simulator.photos import PhotoPack
from dff.simulator.workers import one_torch_thread
from dff.train import checkpoint
from dff.train.alignment_config import AlignmentTrainConfig
from dff.train.augment import Batch
from dff.train.config import RunConfig, TrainConfig
from dff.train.distributed import World
from dff.train.loop import RunOptions, train
from dff.train.source import split, validation_batches
from dff.train.validate import scores

NAME = "ablation"
SCORES = "scores.json"
_Table = TypeVar("_Table")


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Args:
        name: of the variant; a folder is called like it.
        group: what it is an alternative of.
        change: of the training recipe, as tables.
    """

    name: str
    group: str
    change: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HeldOut:
    """Stacks to score with.

    Args:
        seed: of them; another than that of the training.
        batches: of as many stacks as the recipe has in a step.
        misalignment_px: as of `dff.train.config.SourceConfig`; one set of stacks for each.
        slices: numbers of slices to score with.
    """

    seed: int
    batches: int
    misalignment_px: tuple[float, ...]
    slices: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.batches < 1 or not self.misalignment_px or not self.slices:
            raise ValueError("held_out: give at least 1 batch, one misalignment_px and one of slices")


@dataclass(frozen=True)
class Protocol:
    """What is trained and how it is scored.

    Args:
        recipe: of train/, which the variants change.
        steps: of every variant; the learning rate falls to zero over all of them.
        seeds: every variant is trained once with each; the table has the means and how far runs lie apart.
    """

    recipe: str
    steps: int
    held_out: HeldOut
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        folders = [folder_name(variant.name) for variant in self.variants]
        if len(set(folders)) < len(folders) or not all(folders):
            raise ValueError("variants: every one needs a name of its own, with letters or digits in it")
        if self.steps < 1:
            raise ValueError(f"steps {self.steps}; give at least 1")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)}; give at least one, and none twice")


def changed(config: _Table, change: dict[str, Any], place: str = "") -> _Table:
    """A dataclass with some fields replaced, tables within tables key by key.

    Raises:
        ValueError: an unknown key, a table in place of a value, or a value that the dataclass refuses.
    """
    known = {one.name for one in fields(config)}  # type: ignore[arg-type]
    values = {}
    for key, value in change.items():
        if key not in known:
            raise ValueError(f"change: {place}{key}: unknown key; known: {', '.join(sorted(known))}")
        old = getattr(config, key)
        if is_dataclass(old) != isinstance(value, dict):
            raise ValueError(
                f"change: {place}{key}: expected {'a table' if is_dataclass(old) else 'a value'}"
            )
        if isinstance(value, dict):
            value = changed(old, value, f"{place}{key}.")
        values[key] = tuple(value) if isinstance(value, list) else value
    return replace(config, **values)  # type: ignore[type-var]


def variant_config(protocol: Protocol, variant: Variant) -> TrainConfig:
    """The whole training recipe of a variant, with the learning rate's fall as long as the run.

    Raises:
        ValueError: a change that the recipe does not take; names the variant.
    """
    base = load_recipe("train", protocol.recipe, TrainConfig)
    try:
        config = changed(base, variant.change)
    except ValueError as error:
        raise ValueError(f"variant {variant.name!r}: {error}") from None
    decay = protocol.steps * config.source.batch
    return replace(config, steps=protocol.steps, optimiser=replace(config.optimiser, decay=decay))


def held_out_stacks(protocol: Protocol, photos: PhotoPack | None) -> dict[float, list[Batch]]:
    """The sets of stacks by their misalignment; photographs are none of those for training."""
    config, held = load_recipe("train", protocol.recipe, TrainConfig), protocol.held_out
    unseen = split(photos)[1]
    return {
        px: validation_batches(
            replace(
                config,
                source=replace(config.source, misalignment_px=px),
                validation=replace(config.validation, batches=held.batches),
            ),
            held.seed,
            unseen,
        )
        for px in held.misalignment_px
    }


def trained_scores(
    config: TrainConfig,
    protocol: Protocol,
    seed: int,
    folder: Path,
    stacks: dict[float, list[Batch]],
    photos: PhotoPack | None,
    say: Say,
) -> dict[str, float]:
    """Train a variant in ``folder``, which is emptied, and score its averaged weights."""
    seconds, steps = trained_into(folder, config, seed, photos, say)
    network = build_depth_network(config.network_config)
    network.load_state_dict(averaged_weights(folder))
    found = {"parameters": float(network.parameter_count), "cpu_s": seconds, "steps": float(steps)}
    for px, batches in stacks.items():
        told = scores(network, batches, protocol.held_out.slices, nullcontext)
        found |= {f"{name}_{px:g}": value for name, value in told.items()}
    return found


def trained_into(
    folder: Path, config: TrainConfig | AlignmentTrainConfig, seed: int, photos: PhotoPack | None, say: Say
) -> tuple[float, int]:
    """Train in ``folder``, which is emptied, the rate falling from the start; CPU seconds, and steps."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    begun = time.process_time()
    run = RunOptions(out=folder, seed=seed, decay=True)
    state = train(config, run, World(0, 1, torch.device("cpu")), photos, say)
    return time.process_time() - begun, state.step


def averaged_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of the run in a folder."""
    tensors, _ = checkpoint.read(folder / checkpoint.NAME)
    return checkpoint.part(tensors, "averaged/")


def all_scores(
    name: str,
    variants: Sequence[Variant],
    configs: Sequence[_Table],
    keys: Sequence[str],
    work: Path,
    score: Callable[[_Table, Path, Say], dict[str, float]],
    say: Say,
) -> list[dict[str, float]]:
    """Scores of every variant: those kept in ``work`` for its key, else what ``score`` finds, kept there."""
    found = []
    with one_torch_thread():
        for number, (variant, config, key) in enumerate(zip(variants, configs, keys, strict=True), start=1):
            told_here = _told_at(say, f"{name}: {number}/{len(variants)} {variant.name}")
            folder = work / folder_name(variant.name)
            told = kept_scores(folder / SCORES, key)
            if told is None:
                told = score(config, folder, told_here)
                with atomic_path(folder / SCORES) as temporary:
                    temporary.write_text(json.dumps({"key": key, "scores": told}), encoding="utf-8")
            else:
                told_here("kept")
            found.append(told)
    return found


def _told_at(say: Say, place: str) -> Say:
    return lambda line: say(f"{place}: {line}")


def kept_scores(path: Path, key: str) -> dict[str, float] | None:
    """Scores in a file, if they are those of ``key``."""
    if not path.is_file():
        return None
    text = json.loads(path.read_text(encoding="utf-8"))
    found: dict[str, float] | None = text["scores"] if text.get("key") == key else None
    return found


def identity(config: TrainConfig, protocol: Protocol, seed: int, photos: PhotoPack | None) -> str:
    """Stands for all that scores of a run depend on, but for the code."""
    return score_key(config, seed, asdict(protocol.held_out), photos)


def score_key(config: RunConfig, seed: int, held_out: object, photos: PhotoPack | None) -> str:
    """The same of any recipe, with what tells the stacks it is scored on."""
    painted = None if photos is None else sorted(set(photos.credits))
    whole = [checkpoint.plain(config), seed, held_out, painted]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def run(
    protocol: Protocol,
    work: Path,
    photos: PhotoPack | None,
    *,
    limit: int | None = None,
    options: str = "",
    say: Say = print,
) -> Report:
    """Train and score the first ``limit`` variants that are not in the folder ``work`` yet."""
    chosen = protocol.variants[:limit]
    configs = [variant_config(protocol, variant) for variant in chosen]
    stacks: dict[float, list[Batch]] = {}

    def score(seed: int, config: TrainConfig, folder: Path, say: Say) -> dict[str, float]:
        if not stacks:
            say("held-out stacks")
            stacks.update(held_out_stacks(protocol, photos))
        return trained_scores(config, protocol, seed, folder, stacks, photos, say)

    found = []
    for seed in protocol.seeds:
        keys = [identity(config, protocol, seed, photos) for config in configs]
        name, folder = f"{NAME}, seed {seed}", work / f"seed-{seed}"
        found.append(all_scores(name, chosen, configs, keys, folder, partial(score, seed), say))
    tables = [
        _table(protocol, px, chosen, list(zip(*found, strict=True)))
        for px in protocol.held_out.misalignment_px
    ]
    return Report(NAME, options, asdict(protocol), tables, [])


def _table(
    protocol: Protocol, px: float, variants: Sequence[Variant], found: Sequence[Sequence[dict[str, float]]]
) -> Table:
    """``found``: of every variant its runs, one of each seed."""
    held = protocol.held_out

    def mean(runs: Sequence[dict[str, float]], name: str) -> float:
        return fmean(run[name] for run in runs)

    def to_reference(runs: Sequence[dict[str, float]]) -> tuple[float, float]:
        """Least and largest MAE of the longest stacks over that of the first variant with the same seed."""
        name = f"mae_{held.slices[-1]}_{px:g}"
        ratios = [run[name] / first[name] for run, first in zip(runs, found[0], strict=True)]
        return min(ratios), max(ratios)

    wanted = [f"{score}_{n}_{px:g}" for n in held.slices for score in ("mae", "rmse")]
    rows: list[list[Cell]] = [
        [
            variant.group,
            variant.name,
            *(mean(runs, name) for name in wanted),
            *to_reference(runs),
            mean(runs, "parameters") / 1e6,
            mean(runs, "cpu_s"),
        ]
        for variant, runs in zip(variants, found, strict=True)
    ]
    measured = {f"{score}, N={n}": ".4f" for n in held.slices for score in ("MAE", "RMSE")}
    apart = {f"{name} of {variants[0].name}, N={held.slices[-1]}": ".2f" for name in ("least", "most")}
    columns = {"group": "", "variant": "", **measured, **apart, "parameters [M]": ".3f", "CPU [s]": ".0f"}
    note = (
        f"Each variant: {protocol.steps} steps of train/{protocol.recipe}.toml on one thread, one run with "
        f"each seed of {', '.join(map(str, protocol.seeds))}. Errors in sweeps, means over the runs and over "
        f"all valid pixels of {held.batches} held-out batches; least and most: MAE over that of the first "
        "row with the same seed. CPU: of the training and its simulation."
    )
    return Table(f"Stacks misaligned by up to {px:g} px", columns, rows, note)
