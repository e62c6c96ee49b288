"""The options of `dff eval`. Nothing heavy here: this is all that `dff --help` loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg

from dff.commands.options import Count, Folder, Telling


@dataclass(frozen=True, kw_only=True)
class Eval(Telling):
    """Score methods on a public data set, the way its published table was made.

    The table is printed, beside the published rows; files are written only where they are named. --overwrite
    computes again what --out keeps.
    """

    dataset: Annotated[str, arg(metavar="NAME")]
    """a data set of docs/datasets.md, such as ddff12"""
    data: Annotated[str, arg(metavar="DIR")]
    """where it lies"""
    model: Annotated[str, arg(metavar="M[,M2...]")] = "tiny"
    """base, tiny, classical, sml, sml-parabola, sml-guided, sml-tv, ddl, variational, or files: .safetensors,
    .toml, .onnx, .pt (TorchScript)"""
    protocol: Annotated[str | None, arg(metavar="NAME|FILE", help_behavior_hint="")] = None
    """how it is scored (eval/datasets/); needed where there are several ways"""
    split: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """of the data set; chooses the protocol that scores it"""
    limit: Count = None
    """score the first N stacks only"""
    out: Folder = None
    """folder for the tables (.md, .tex, .json, .csv); a run that was stopped goes on there"""
    save_predictions: Folder = None
    """folder for every depth map, .npz"""
    vis: Folder = None
    """folder for pictures of every depth map"""
    compare: Annotated[str | None, arg(metavar="DIR[,DIR2...]", help_behavior_hint="")] = None
    """--out of earlier runs of the same protocol, to set beside this one"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where networks run; rivals and ONNX run on the CPU"""
