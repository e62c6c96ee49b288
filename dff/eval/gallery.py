"""Depth and confidence of real stacks as pictures, to be looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from dff.eval.inputs import Say, real_stack
from dff.eval.report import Cell, Report, Table
from dff.formats.pictures import write_picture
from dff.formats.vis import colourise
from dff.pipeline import predict

NAME = "gallery"


@dataclass(frozen=True)
class Protocol:
    """Which stacks, and how large.

    Args:
        stacks: folders below the data folder.
        height_px: height of each picture.
    """

    stacks: tuple[str, ...]
    height_px: int = 360


def panel(depth: np.ndarray, confidence: np.ndarray, height: int) -> np.ndarray:
    """Coloured depth (H,W',3) uint8 and confidence (H,W) in [0,1] side by side, ``height`` px high."""
    grey = np.repeat((confidence * 255).astype(np.uint8)[..., None], 3, axis=2)
    parts = []
    for picture in (depth, grey):
        width = round(picture.shape[1] * height / picture.shape[0])
        parts.append(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
    return np.concatenate(parts, axis=1)


def run(
    protocol: Protocol, data: Path, pictures: Path, *, limit: int | None, options: str, say: Say
) -> Report:
    """Write one JPEG per stack to ``pictures`` and tabulate what was found."""
    pictures.mkdir(parents=True, exist_ok=True)
    rows: list[list[Cell]] = []
    for name in protocol.stacks[:limit]:
        say(f"{NAME}: {name}")
        found = predict(real_stack(data, name), aif=False)
        depth = found.depth
        zoom = found.alignment.zoom
        shown = panel(colourise(depth), depth.confidence, protocol.height_px)
        write_picture(shown, pictures / f"{name.replace('/', '_')}.jpg", overwrite=True)
        rows.append(
            [
                name,
                len(found.stack),
                float(zoom[-1] / zoom[0]),
                float(np.nanmedian(found.alignment.residual_px)),
                100 * float(depth.valid.mean()),
            ]
        )
    columns = {
        "stack": "",
        "slices": "d",
        "zoom last/first": ".4f",
        "median residual [px]": ".2f",
        "known [%]": ".1f",
    }
    return Report(NAME, options, asdict(protocol), [Table("Real stacks", columns, rows)], [])
