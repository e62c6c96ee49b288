"""Scores of held-out stacks, and a sheet of pictures to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dff.formats.pictures import write_picture
from dff.train.augment import Batch
from dff.train.source import even_slices
from dff.train.task import Precision

SCORES = ("mae", "rmse", "far_off", "confident")
_GAP_PX = 4


def predicted(network: nn.Module, batch: Batch, precision: Precision) -> tuple[Tensor, Tensor]:
    """Focus coordinate and log scale of its error, each (B,H,W), in evaluation mode."""
    was_training = network.training
    network.eval()
    with torch.inference_mode(), precision():
        output = network(batch["images"], batch["u"])
    network.train(was_training)
    return output.u, output.log_scale


def scores(
    network: nn.Module, batches: Sequence[Batch], slices: Sequence[int], precision: Precision
) -> dict[str, float]:
    """Errors in sweeps, means over all valid pixels of ``batches``, for each number of ``slices``.

    "mae_N", "rmse_N", "far_off_N" (share of pixels more than a tenth of the sweep off) and "confident_N":
    error of the more confident half of the pixels over the error of all.
    """
    found: dict[str, float] = {}
    for n in slices:
        errors, spreads = [], []
        for batch in batches:
            thinned = even_slices(batch, n)
            u, log_scale = predicted(network, thinned, precision)
            errors.append((u - thinned["target_u"]).abs()[thinned["valid"]])
            spreads.append(log_scale[thinned["valid"]])
        error, spread = torch.cat(errors), torch.cat(spreads)
        surer = error[spread <= spread.median()]
        found[f"mae_{n}"] = float(error.mean())
        found[f"rmse_{n}"] = float(error.square().mean().sqrt())
        found[f"far_off_{n}"] = float((error > 0.1).float().mean())
        found[f"confident_{n}"] = float(surer.mean() / error.mean().clamp_min(1e-9))
    return found


def _painted(u: Tensor) -> np.ndarray:
    """(H,W) in [0,1] -> (H,W,3) uint8 RGB, blue far, red near."""
    levels = (u.clamp(0, 1) * 235 + 10).round().byte().cpu().numpy()
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO))[..., ::-1]


def grey(x: Tensor) -> np.ndarray:
    """(H,W) in [0,1] -> (H,W,3) uint8."""
    levels = (x.clamp(0, 1) * 255).round().byte().cpu().numpy()
    return np.repeat(levels[..., None], 3, axis=2)


def stacked_rows(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """One picture of rows of pictures (H,W,3) uint8 of one size, with gaps between them."""
    gap = ((0, _GAP_PX), (0, _GAP_PX), (0, 0))
    return np.vstack([np.hstack([np.pad(panel, gap) for panel in row]) for row in rows])


def write_sheet(
    path: Path, network: nn.Module, batches: Sequence[Batch], stacks: int, slices: int, precision: Precision
) -> None:
    """One row per stack: far slice, near slice, truth, prediction, error (white: 0.25), spread (likewise)."""
    rows: list[list[np.ndarray]] = []
    for batch in batches:
        if len(rows) >= stacks:
            break
        thinned = even_slices(batch, slices)
        u, log_scale = predicted(network, thinned, precision)
        for i in range(min(len(u), stacks - len(rows))):
            ends = [(thinned["images"][i, k] * 255).round().byte() for k in (0, -1)]
            truth = thinned["target_u"][i]
            panels = [
                *(end.permute(1, 2, 0).cpu().numpy() for end in ends),
                _painted(truth),
                _painted(u[i]),
                grey(4 * (u[i] - truth).abs()),
                grey(4 * log_scale[i].exp()),
            ]
            rows.append(panels)
    if rows:
        write_picture(stacked_rows(rows), path, overwrite=True)
