"""From a checkpoint to weights that ship: `python -m dff.train.export CHECKPOINT OUT.safetensors`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from dff.weights import FORMAT, SUFFIX, sha256


@dataclass(frozen=True)
class Arguments:
    """Write the averaged weights of a training run.

    Args:
        checkpoint: of the run.
        out: file to write, ending in .safetensors.
        commit: of the code that trained it, for the record.
        half: store float16; --no-half keeps float32.
        overwrite: replace an existing file.
    """

    checkpoint: tyro.conf.Positional[Path]
    out: tyro.conf.Positional[Path]
    commit: str = ""
    half: bool = True
    overwrite: bool = False


def export(arguments: Arguments) -> str:
    """Write the weights; returns their sha256, for weights/index.toml.

    Raises:
        FileNotFoundError: no such checkpoint, or no folder to write into.
        ValueError: not a checkpoint, an existing output, or a value that float16 cannot hold.
    """
    import torch
    from safetensors.torch import save_file

    from dff.formats.safe_write import atomic_path, check_output
    from dff.model.network import SIZES
    from dff.train import checkpoint

    out = check_output(arguments.out, (SUFFIX,), arguments.overwrite)
    tensors, header = checkpoint.read(arguments.checkpoint)
    settings: dict[str, Any] = json.loads(header["settings"])
    state: dict[str, Any] = json.loads(header["state"])
    stored = {}
    for name, tensor in checkpoint.part(tensors, "averaged/").items():
        kept = tensor.to(torch.float16) if arguments.half and tensor.is_floating_point() else tensor
        if kept.is_floating_point() and not bool(torch.isfinite(kept).all()):
            raise ValueError(f"{out}: {name} does not fit float16; add --no-half")
        stored[name] = kept.contiguous()
    task = settings.get("task", "depth")
    size = settings.get("size", "custom")
    config = settings["network"] if size == "custom" else asdict(SIZES[size])
    info = {"samples": state["samples"], "seed": state["seed"], "commit": arguments.commit}
    text = {"format": FORMAT, "network": task, "config": json.dumps(config), "info": json.dumps(info)}
    with atomic_path(out) as temporary:
        save_file(stored, temporary, text)
    return sha256(out)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = tyro.cli(Arguments, args=argv, prog="python -m dff.train.export", description=__doc__)
    try:
        print(f"{arguments.out}: sha256 {export(arguments)}")
    except (ValueError, FileNotFoundError) as error:
        print(f"dff.train.export: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
