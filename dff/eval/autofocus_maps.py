"""What autofocus networks answer on patches, from every start: logits, maps, and the rows of tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dff.autofocus.answer import shares
from dff.autofocus.from_depth import two_modes
from dff.autofocus.metrics import report
from dff.autofocus.models import AutofocusNet
from dff.data.af_patches import AutofocusPatches
from dff.eval.inputs import Say
from dff.eval.report import Cell
from dff.train.autofocus_source import check_ladder, stack_batch

COLUMNS = {
    "=0": ".3f", "<=1": ".3f", "<=2": ".3f", "<=4": ".3f", "MAE": ".3f", "RMSE": ".3f", "MSD*": ".3f",
    "TV mean": ".3f", "TV sum": ".1f", "hunting starts": ".3f", "hunting patches": ".3f",
    "reversals": ".2f", "travel ratio": ".2f",
}  # fmt: skip
"""Headings and formats of the scores."""
_KEYS = (
    "within_0", "within_1", "within_2", "within_4", "mae", "rmse", "msd_star",
    "tv_mean", "tv_sum", "hunting_share", "hunting_patches", "reversals", "travel_ratio",
)  # fmt: skip


def all_patches(patches: AutofocusPatches, limit: int | None = None) -> np.ndarray:
    """Indices of the patches, or of the first ``limit``."""
    return np.arange(len(patches) if limit is None else min(limit, len(patches)))


@torch.inference_mode()
def logits_of(
    network: AutofocusNet,
    patches: AutofocusPatches,
    chosen: np.ndarray,
    second: AutofocusNet | None = None,
    say: Say | None = None,
) -> np.ndarray:
    """(P,K,K) float32 logits of the chosen patches from every start, the start first.

    Args:
        network: in evaluation mode, on any device.
        second: the network of the second step; the logits are then its own.
        say: told how far it is, every hundred patches.

    Raises:
        ValueError: patches of another ladder than the network's.
    """
    count = network.config.count
    check_ladder(patches, count)
    device = next(network.parameters()).device
    index = network.problem.window(torch.arange(count, device=device))
    whole = network.problem.frames == count
    index = index[:1] if whole else index
    found = np.empty((len(chosen), count, count), np.float32)
    for row, patch in enumerate(chosen):
        batch = stack_batch(patches, np.array([patch]), network.problem.dual)
        stack, place = batch["stack"][0].to(device), batch["place"].to(device).expand(len(index), -1, -1, -1)
        logits = network(stack[index], index, place)
        if second is not None:
            both = torch.cat([index, second.problem.window(logits.argmax(dim=-1))], dim=1)
            logits = second(stack[both], both, place)
        found[row] = logits.float().cpu().numpy()
        if say is not None and (row + 1) % 100 == 0:
            say(f"{row + 1}/{len(chosen)} patches")
    return found


def same_from_all(answers: np.ndarray, count: int) -> np.ndarray:
    """(P,) answers of a method that looks at the whole sweep -> (P,K) maps."""
    return np.tile(answers[:, None], (1, count))


def score_cells(maps: np.ndarray, truth: np.ndarray) -> list[Cell]:
    """The scores of (P,K) maps as cells of `COLUMNS`."""
    told = report(maps, truth)
    return [told[key] for key in _KEYS]


def two_answers(logits: np.ndarray, truth: np.ndarray, apart: int = 6) -> float:
    """Share of outputs (P,K,K) with two peaks, among starts from ``apart`` to 12 slices off the truth.

    There blur is plain to see, and a network that cannot tell near from far has two candidates. Peaks as of
    `dff.autofocus.from_depth.two_modes`. Only starts whose mirror image lies inside the sweep count.
    """
    count = logits.shape[1]
    two = total = 0
    for one, true in zip(logits, truth, strict=True):
        for start in range(count):
            off = int(true) - start
            if apart <= abs(off) <= 2 * apart and 0 <= start - off < count:
                two += two_modes(shares(one[start])) is not None
                total += 1
    return two / total if total else float("nan")


def mean_and_spread(rows: Sequence[Sequence[Cell]]) -> list[Cell]:
    """Mean of rows of numbers, cell by cell."""
    return [float(value) for value in np.mean(np.array(rows, float), axis=0)]
