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
from dff.models import load_model
from dff.pipeline import predict

NAME = "gallery"


@dataclass(frozen=True)
class Protocol:
    """Which stacks and models, and how large.

    Args:
        stacks: folders below the data folder.
        models: names or files, as for `dff.predict`; one pair of pictures each.
        height_px: height of each picture.
    """

    stacks: tuple[str, ...]
    models: tuple[str, ...]
    height_px: int = 240


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
    """Write one JPEG per stack to ``pictures``, depth and confidence by each model, and tabulate them."""
    pictures.mkdir(parents=True, exist_ok=True)
    rows: list[list[Cell]] = []
    models = [load_model(model) for model in protocol.models]
    for name in protocol.stacks[:limit]:
        say(f"{NAME}: {name}")
        stack = real_stack(data, name)
        panels = []
        for model in models:
            found = predict(stack, model=model, aif=False)
            depth = found.depth
            panels.append(panel(colourise(depth), depth.confidence, protocol.height_px))
            zoom = found.alignment.zoom
            rows.append(
                [
                    name,
                    model.name,
                    len(found.stack),
                    float(zoom[-1] / zoom[0]),
                    float(np.nanmedian(found.alignment.residual_px)),
                    100 * float(depth.valid.mean()),
                ]
            )
        shown = np.concatenate(panels, axis=1)
        write_picture(shown, pictures / f"{name.replace('/', '_')}.jpg", overwrite=True)
    columns = {
        "stack": "",
        "model": "",
        "slices": "d",
        "zoom last/first": ".4f",
        "median residual [px]": ".2f",
        "known [%]": ".1f",
    }
    return Report(NAME, options, asdict(protocol), [Table("Real stacks", columns, rows)], [])
