"""From a checkpoint to weights that ship: `python -m dff.train.export CHECKPOINT OUT.safetensors`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from dff.weights import FORMAT, SUFFIX, sha256

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Arguments:
    """Write the averaged weights of a training run.

    Args:
        checkpoint: of the run.
        out: file to write, ending in .safetensors; of a run of both networks NAME_alignment and NAME_depth.
        commit: of the code that trained it, for the record.
        half: store float16; --no-half keeps float32.
        overwrite: replace an existing file.
    """

    checkpoint: tyro.conf.Positional[Path]
    out: tyro.conf.Positional[Path]
    commit: str = ""
    half: bool = True
    overwrite: bool = False


def export(arguments: Arguments) -> dict[Path, str]:
    """Write the weights; returns the sha256 of each file, for weights/index.toml.

    Raises:
        FileNotFoundError: no such checkpoint, or no folder to write into.
        ValueError: not a checkpoint, an existing output, or a value that float16 cannot hold.
    """
    from safetensors.torch import save_file

    from dff.formats.safe_write import atomic_path, check_output
    from dff.train import checkpoint

    check_output(arguments.out, (SUFFIX,), overwrite=True)
    tensors, header = checkpoint.read(arguments.checkpoint)
    settings: dict[str, Any] = json.loads(header["settings"])
    state: dict[str, Any] = json.loads(header["state"])
    info = {"samples": state["samples"], "seed": state["seed"], "commit": arguments.commit}
    configs, joint = _configs(settings), settings.get("task") == "joint"
    files = {}
    for kind, config in configs.items():
        name = arguments.out.with_stem(f"{arguments.out.stem}_{kind}") if joint else arguments.out
        out = check_output(name, (SUFFIX,), arguments.overwrite)
        stored = checkpoint.part(tensors, f"averaged/{kind}." if joint else "averaged/")
        text = {"format": FORMAT, "network": kind, "config": json.dumps(config), "info": json.dumps(info)}
        files[out] = (_in_half(stored, out) if arguments.half else stored), text
    for out, content in files.items():
        with atomic_path(out) as temporary:
            save_file(content[0], temporary, content[1])
    return {out: sha256(out) for out in files}


def _configs(settings: dict[str, Any]) -> dict[str, Any]:
    """Make-up of every network of a run, by what its file of weights calls it."""
    from dff.model.network import NAMED

    task, size = settings.get("task", "depth"), settings.get("size", "custom")
    config = settings["network"] if size == "custom" else asdict(NAMED[size])
    if task == "focus_head":
        halves = {"halves": settings["halves"]} if settings.get("halves") else {}
        return {task: {"head": settings["head"], **halves, "depth": config}}
    if task == "autofocus":
        return {task: {**config, "window": settings["source"]["crop"]}}
    return {"alignment": settings["alignment"], "depth": config} if task == "joint" else {task: config}


def _in_half(tensors: dict[str, Tensor], out: Path) -> dict[str, Tensor]:
    import torch

    stored = {}
    for name, tensor in tensors.items():
        stored[name] = tensor.to(torch.float16) if tensor.is_floating_point() else tensor
        if tensor.is_floating_point() and not bool(torch.isfinite(stored[name]).all()):
            raise ValueError(f"{out}: {name} does not fit float16; add --no-half")
    return stored


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = tyro.cli(Arguments, args=argv, prog="python -m dff.train.export", description=__doc__)
    try:
        for out, found in export(arguments).items():
            print(f"{out}: sha256 {found}")
    except (ValueError, FileNotFoundError) as error:
        print(f"dff.train.export: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
