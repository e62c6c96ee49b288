"""Pictures of networks' answers: prediction over the slice that is seen, and whole outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from dff.autofocus.answer import shares
from dff.autofocus.pictures import answer_plot, tiled
from dff.data.af_patches import AutofocusPatches
from dff.formats.plot import COLOURS, INK, OTHER_COLOURS, Line, Plot, draw, legend
from dff.formats.safe_write import atomic_path

_COLOURS = (COLOURS[0], OTHER_COLOURS[0], COLOURS[1], OTHER_COLOURS[1])
_PANEL = 220, 260  # px


def _save(page: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        Image.fromarray(page).save(temporary)


def _named(page: np.ndarray, names: list[str]) -> np.ndarray:
    told = [(name, _COLOURS[k % 4], False) for k, name in enumerate(names)]
    return np.concatenate([page, legend([*told, ("truth", INK, True)], page.shape[1])])


def output_plot(outputs: dict[str, np.ndarray], start: int, truth: int) -> np.ndarray:
    """What networks make of one patch from one start: probability over the focal indices."""
    count = len(next(iter(outputs.values())))
    x = np.arange(count, dtype=float)
    chances = {name: shares(one) for name, one in outputs.items()}
    top = max(float(one.max()) for one in chances.values()) * 1.1
    lines = [Line(np.array([truth, truth], float), np.array([0, top]), INK, dashed=True)]
    lines += [Line(x, one, _COLOURS[k % 4]) for k, one in enumerate(chances.values())]
    return draw(Plot(f"slice {start} is seen", "focal index", (0.0, count - 1.0), (0.0, top), lines), *_PANEL)


def middling(truth: np.ndarray, count: int, panels: int) -> np.ndarray:
    """Patches in focus in the middle of the sweep, where near and far can be taken for each other."""
    inside = np.flatnonzero((truth > count // 4) & (truth < 3 * count // 4))
    inside = inside if len(inside) else np.arange(len(truth))
    return inside[np.unique(np.linspace(0, len(inside) - 1, min(panels, len(inside))).round().astype(int))]


def patches_page(patches: AutofocusPatches, chosen: np.ndarray, every: int = 6) -> np.ndarray:
    """Some patches, each brightened as a whole: the slice in focus first, then every so many."""
    rows = []
    for patch in chosen:
        picked = np.array([patches.index[patch], *range(0, patches.count, every)])
        light = patches.frames(int(patch), picked).mean(axis=1)
        levels = np.sqrt(light / max(float(np.quantile(light, 0.995)), 1e-4)).clip(0, 1)
        shown = np.repeat(np.rint(255 * levels).astype(np.uint8)[..., None], 3, axis=3)
        shown[0, [0, 1, -2, -1]] = shown[0][:, [0, 1, -2, -1]] = COLOURS[0]
        rows.append(np.concatenate(list(shown), axis=1))
    return np.concatenate(rows)


def draw_figures(
    folder: Path, patches: AutofocusPatches, logits: dict[str, np.ndarray], truth: np.ndarray, panels: int
) -> None:
    """answers.png (FCL, Figures 4 and 5), outputs.png (FCL, Figure 6; L2A, Figure 10), and patches.png.

    Args:
        patches: the first of which were answered.
        logits: name of a network -> (P,K,K), the start first.
        truth: (P,) index in focus.
        panels: number of patches.
    """
    count = next(iter(logits.values())).shape[1]
    chosen = middling(truth, count, panels)
    names = list(logits)
    _save(patches_page(patches, chosen), folder / "patches.png")
    curves = [
        answer_plot(f"patch {k}", [one[k].argmax(axis=-1) for one in logits.values()], int(truth[k]))
        for k in chosen
    ]
    _save(_named(tiled(curves, 4), names), folder / "answers.png")
    plots = []
    for turn, k in enumerate(chosen):
        start = int(np.clip(truth[k] + (8 if turn % 2 else -8), 0, count - 1))
        plots.append(output_plot({name: one[k, start] for name, one in logits.items()}, start, int(truth[k])))
    _save(_named(tiled(plots, 4), names), folder / "outputs.png")
