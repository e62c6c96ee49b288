"""Networks of a study: trained once, kept in a folder, with a first half that rows may share.

The losses of agreement are switched on half-way, so rows that differ by these alone are one network until
then; it is trained once, and each row goes on from it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dff.autofocus.load import load_autofocus
from dff.autofocus.losses import FocalConsistencyConfig
from dff.autofocus.models import AutofocusNet
from dff.eval.ablation import changed
from dff.eval.autofocus_protocol import Protocol, Variant
from dff.eval.inputs import Say, folder_name
from dff.recipes import load_recipe
from dff.simulator.workers import one_torch_thread
from dff.train import checkpoint
from dff.train.autofocus_config import AutofocusTrainConfig
from dff.train.autofocus_source import at_patches
from dff.train.distributed import World, pick_device
from dff.train.export import Arguments, export
from dff.train.loop import RunOptions, train
from dff.weights import SUFFIX


def variant_config(
    protocol: Protocol, variant: Variant, data: Path, first: Path | None
) -> AutofocusTrainConfig:
    """The whole training recipe of a row.

    Raises:
        ValueError: a change that the recipe does not take; names the variant.
    """
    config = load_recipe("train", protocol.recipe, AutofocusTrainConfig)
    change = variant.change
    if first is not None:
        change = change | {"source": {**change.get("source", {}), "first": str(first)}}
        change = change | {"network": {**change.get("network", {}), "steps": 2}}
    try:
        config = changed(config, change)
    except ValueError as error:
        raise ValueError(f"variant {variant.name!r}: {error}") from None
    return at_patches(config, data)


def _key(config: AutofocusTrainConfig, seed: int, data: str) -> str:
    """Stands for all that a network depends on but the code; where files lie does not count."""
    plain = checkpoint.plain(config)
    plain["source"].pop("folder")
    plain["network"].pop("window")  # what the source says
    if config.source.first:
        plain["source"]["first"] = Path(config.source.first).name
    return hashlib.sha256(json.dumps([plain, seed, data]).encode()).hexdigest()[:12]


def trained_network(
    config: AutofocusTrainConfig,
    variant: Variant,
    seed: int,
    work: Path,
    data: str,
    say: Say,
    device: str = "cpu",
) -> Path:
    """Weights of a row and seed in the folder ``work``; trained if they are not there yet."""
    key = _key(config, seed, data)
    kept = sorted(work.glob(f"*-{seed}-{key}/network{SUFFIX}"))  # of another study's row, too
    if kept:
        return kept[0]
    folder = work / f"{folder_name(variant.name)}-{seed}-{key}"
    weights = folder / f"network{SUFFIX}"
    work.mkdir(parents=True, exist_ok=True)
    half = _half(config, seed, work, data, say, device)
    # a run that was cut short begins its second half again
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in half.iterdir():
        shutil.copy(path, folder / path.name)
    with ExitStack() as stack:
        world = _world(device, stack)
        train(config, RunOptions(out=folder, resume=True, seed=seed, decay=True), world, None, say)
    export(Arguments(folder / checkpoint.NAME, weights))
    return weights


def _half(config: AutofocusTrainConfig, seed: int, work: Path, data: str, say: Say, device: str) -> Path:
    """Folder of a run up to where the learning rate begins to fall."""
    shared = config
    if config.progress(config.steps - 1) < config.loss.from_progress:
        shared = replace(config, loss=FocalConsistencyConfig(cost=config.loss.cost))
    folder = work / f"half-{seed}-{_key(shared, seed, data)}"
    done = folder / "done"
    if done.is_file():
        return folder
    folder.mkdir(exist_ok=True)
    there = (folder / checkpoint.NAME).is_file()
    with ExitStack() as stack:
        world = _world(device, stack)
        train(shared, RunOptions(out=folder, resume=there, seed=seed), world, None, say)
    done.touch()
    return folder


def _world(device: str, stack: ExitStack) -> World:
    if device == "cpu":
        stack.enter_context(one_torch_thread())
    return World(0, 1, pick_device(device))


def data_key(name: str, index: np.ndarray) -> str:
    """Stands for a set of patches by its labels."""
    return hashlib.sha256(name.encode() + np.asarray(index, np.int64).tobytes()).hexdigest()[:12]


def loaded(weights: Path, device: str = "cpu") -> AutofocusNet:
    """A kept network."""
    return load_autofocus(weights, torch.device(device))
