"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dff.model.device import computes_in_half
from dff.simulator.photos import PhotoPack
from dff.train import checkpoint
from dff.train.ahead import Make
from dff.train.checkpoint import TrainState
from dff.train.distributed import World
from dff.train.log import Log
from dff.train.optimise import AveragedWeights, build_optimiser, learning_rate
from dff.train.source import PooledSource, Source, split, to_device
from dff.train.task import Precision, Task
from dff.train.tasks import Config, build_task
from dff.weights import fill_network, load_weights

_MOST_BAD_STEPS = 20  # in a row: beyond, the run is lost


@dataclass(frozen=True)
class RunOptions:
    """How one call runs a recipe.

    Args:
        out: folder of the run.
        resume: go on from the checkpoint in ``out``.
        weights: names or paths of weights to begin with, instead of random ones, each for one network.
        seed: of everything random; a resumed run keeps its own.
        steps: end after this many steps in all; None: the recipe's, or the end of the decay.
        stop_after_s: write a checkpoint and stop after this many seconds.
        decay: begin the last part, in which the learning rate falls to zero, now; the run ends with it.
        workers: processes that make stacks ahead of the steps; 0: each is made when it is wanted.
        workers_device: where they do; None: the device of the run, and then their number changes nothing.
    """

    out: Path
    resume: bool = False
    weights: tuple[str, ...] = ()
    seed: int = 0
    steps: int | None = None
    stop_after_s: float | None = None
    decay: bool = False
    workers: int = 0
    workers_device: torch.device | None = None


def half_precision(config: Config, device: torch.device) -> Precision:
    """A maker of contexts in which the network runs in the precision that the recipe asks for."""
    on = {
        "float32": False,
        "bfloat16": True,
        "auto": device.type == "cuda",
        "native": computes_in_half(device),
    }[config.precision]
    return partial(torch.autocast, device.type, torch.bfloat16) if on else nullcontext


def _begin_with(names: Sequence[str], trained: dict[str, nn.Module]) -> None:
    """Give networks the weights of files, each to the network that it is for."""
    for name in names:
        weights = load_weights(name)
        if weights.network not in trained:
            wanted = " and ".join(trained)
            raise ValueError(f"{weights.path}: weights for {weights.network}; this recipe trains {wanted}")
        fill_network(trained[weights.network], weights)


def _placed(photos: PhotoPack | None, device: torch.device) -> PhotoPack | None:
    return None if photos is None else photos.to(device)


def _maker(task: Task, seed: int, rank: int, photos: PhotoPack | None, device: torch.device) -> Make:
    """What makes the batches of a run, in a worker."""
    source = task.source(seed, rank, _placed(photos, device), device)
    assert isinstance(source, PooledSource)
    return source.make


def _ahead(source: Source, workers: int, maker: Callable[[], Make]) -> AbstractContextManager[None]:
    """While it lasts, processes make the batches of the source ahead, if any are asked for.

    Raises:
        ValueError: the batches of this source are not made, but read.
    """
    if not workers:
        return nullcontext()
    if not isinstance(source, PooledSource):
        raise ValueError("--workers: nothing is simulated for this recipe; leave it out")
    return source.made_ahead(maker, workers)


def train(
    config: Config,
    run: RunOptions,
    world: World,
    photos: PhotoPack | None = None,
    say: Callable[[str], None] = print,
) -> TrainState:
    """Train the network of a recipe, or go on training it; everything it leaves is in ``run.out``.

    Raises:
        FileNotFoundError: resume without a checkpoint.
        ValueError: a checkpoint or weights of another network, or a run whose gradients stay infinite.
    """
    torch.manual_seed(run.seed)
    device = world.device
    task = build_task(config)
    network = task.network().to(device)
    if not run.resume:
        _begin_with(run.weights, task.trained(network))
    averaged = AveragedWeights(network, config.optimiser.ema)
    optimiser = build_optimiser(network, config.optimiser)
    state = TrainState(seed=run.seed, world=world.size)
    settings = checkpoint.plain(config)
    if run.resume:
        state, changed = checkpoint.load(
            run.out / checkpoint.NAME, network, averaged.network, optimiser, settings
        )
        if changed and world.leads:
            say(f"resumed with other settings than before: {', '.join(changed)}")
        if state.world != world.size and world.leads:
            say(f"resumed with {world.size} processes instead of {state.world}: other stacks than before")
        state.world = world.size
    if run.decay and state.decay_from is None:
        state.decay_from = state.samples

    seen, unseen = split(photos)
    maker = partial(_maker, task, state.seed, world.rank, seen, run.workers_device or device)
    seen, unseen = _placed(seen, device), _placed(unseen, device)
    source = task.source(state.seed, world.rank, seen, device)
    held_out = task.held_out(state.seed, unseen, device) if world.leads else []
    precision = half_precision(config, device)
    model: nn.Module = DistributedDataParallel(network) if world.size > 1 else network
    log = Log(run.out, task.parts, task.scores, state.step) if world.leads else None
    per_step = config.source.batch * world.size
    bad_in_a_row = 0
    started = time.monotonic()

    def save() -> None:
        if world.leads:
            path = run.out / checkpoint.NAME
            checkpoint.save(path, network, averaged.network, optimiser, state, settings)

    def validate() -> None:
        if log is not None:
            sheet = run.out / "validation.png"
            log.validation(state, task.validate(averaged.network, held_out, precision, sheet))

    with _ahead(source, run.workers, maker):
        while not _finished(config, run, state):
            begun = time.monotonic()
            batch = to_device(source(state.step), device)
            rate = learning_rate(config.optimiser, state.samples, state.decay_from)
            for group in optimiser.param_groups:
                group["lr"] = rate

            parts = task.loss(model, batch, precision)
            optimiser.zero_grad(set_to_none=True)
            parts["total"].backward()
            # the gradient is the mean over all processes, so that all of them skip the same steps
            norm = float(nn.utils.clip_grad_norm_(network.parameters(), config.optimiser.clip))

            if math.isfinite(norm):
                optimiser.step()
                averaged.update(network, state.step)
                bad_in_a_row = 0
            else:
                state.skipped += 1
                bad_in_a_row += 1
                if bad_in_a_row >= _MOST_BAD_STEPS:
                    raise ValueError(
                        f"step {state.step}: no finite gradient in {bad_in_a_row} steps; lower the lr"
                    )
            state.step += 1
            state.samples += per_step
            state.seconds += time.monotonic() - begun
            if log is not None:
                log.step(rate, norm, {name: float(value.detach()) for name, value in parts.items()})
                if state.step % config.log_every == 0:
                    say(log.flush(state))

            if state.step % config.validation.every == 0:
                validate()
                save()
            elif state.step % config.checkpoint_every == 0:
                save()
            late = run.stop_after_s is not None and time.monotonic() - started > run.stop_after_s
            if world.agreed(late):
                break
    if log is not None:
        log.flush(state)
    save()
    validate()
    return state


def _finished(config: Config, run: RunOptions, state: TrainState) -> bool:
    if state.decay_from is not None:
        return state.samples - state.decay_from >= config.optimiser.decay
    return state.step >= (run.steps if run.steps is not None else config.steps)
