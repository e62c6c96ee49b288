"""Train by a recipe: `python -m dff.train --dataset NAME --out FOLDER`; stop any time, go on with --resume.

With several GPUs: `torchrun --nproc_per_node 4 -m dff.train ...`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from dff.threads import sleep_while_waiting


@dataclass(frozen=True)
class Arguments:
    """Train a depth network, an alignment network, or both together by a recipe.

    Args:
        dataset: name of a recipe in train/, or the path of one.
        out: folder of the run: checkpoint, logs, validation pictures.
        data: the folder of the data set (docs/datasets.md); for simulated stacks, photographs to paint
            surfaces with: a folder, or a file of `pack_photos`.
        scenes: file of `dff.train.render_scenes`, for recipes that take rendered scenes.
        patches: folder of `dff.train.autofocus_patches`, for recipes of the autofocus head that take patches.
        steps: end after this many steps in all, instead of the recipe's.
        resume: go on from the checkpoint in the folder.
        weights: names or paths of weights to begin with, instead of random ones, each for one network.
        seed: of everything random.
        threads: CPU threads; 0 leaves it to torch.
        device: where to compute.
        stop_after: stop after this many minutes, ready to be resumed.
        decay: begin the last part now: the learning rate falls to zero, then the run ends.
        workers: processes that make stacks ahead, so that a GPU need not wait for them; 0: none.
        workers_device: where they do; auto is the device of the run. Another kind makes other stacks.
    """

    dataset: str
    out: Path
    data: Path | None = None
    scenes: Path | None = None
    patches: Path | None = None
    steps: int | None = None
    resume: bool = False
    weights: tuple[str, ...] = ()
    seed: int = 0
    threads: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    stop_after: float | None = None
    decay: bool = False
    workers: int = 0
    workers_device: Literal["auto", "cpu", "cuda"] = "auto"


def _run(arguments: Arguments) -> None:
    if arguments.threads:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    import torch

    from dff.allocator import reused_memory
    from dff.formats.safe_write import check_folder
    from dff.train.checkpoint import NAME
    from dff.train.depth_task import with_scenes
    from dff.train.distributed import pick_device, world
    from dff.train.focus_head_patches import with_patches
    from dff.train.loop import RunOptions, train
    from dff.train.tasks import load_config, with_data

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    config = with_scenes(load_config(arguments.dataset), arguments.scenes)
    config = with_patches(config, arguments.patches)
    config, photos = with_data(config, arguments.data)
    if not arguments.resume and (arguments.out / NAME).exists():
        raise ValueError(f"{arguments.out}: holds a run already; add --resume, or choose another folder")
    check_folder(arguments.out, overwrite=arguments.resume)
    arguments.out.mkdir(exist_ok=True)
    options = RunOptions(
        out=arguments.out,
        resume=arguments.resume,
        weights=arguments.weights,
        seed=arguments.seed,
        steps=arguments.steps,
        stop_after_s=None if arguments.stop_after is None else 60 * arguments.stop_after,
        decay=arguments.decay,
        workers=arguments.workers,
        workers_device=(
            None if arguments.workers_device == "auto" else pick_device(arguments.workers_device)
        ),
    )
    with world(arguments.device) as here, reused_memory():
        say = (lambda text: print(text, flush=True)) if here.leads else (lambda text: None)
        train(config, options, here, photos, say)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    sleep_while_waiting()
    arguments = tyro.cli(Arguments, args=argv, prog="python -m dff.train", description=__doc__)
    try:
        _run(arguments)
    except (ValueError, FileNotFoundError) as error:
        print(f"dff.train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; --resume goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
