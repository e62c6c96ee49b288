"""Tables and targets of the benchmark of depth models."""

from __future__ import annotations

import math

from dff.eval.depth_models_protocol import Protocol
from dff.eval.depth_models_rivals import SML_GUIDED, SML_TV, Tuned
from dff.eval.depth_models_score import GROSS, Score, mean_score
from dff.eval.report import Cell, Table, Target

CLASSICAL = "classical"
PROCEDURAL, FIVE_LAYERS, RGBD, CYCLES = "Procedural", "Five layers", "RGB-D", "Cycles"
CROWDED = f"{PROCEDURAL}, many small things"
OTHERS = "Others"
BEST_OF = (SML_GUIDED, SML_TV, CLASSICAL)
"""Rivals that networks are measured by."""

Scores = dict[str, dict[str, dict[str, Score]]]
"""Set -> stack -> method -> score."""
Rivals = dict[str, Tuned]
"""`tuned_for` a set -> rivals."""

_OPTIONS = {RGBD: "--rgbd DIR", CYCLES: "--cycles DIR"}
_COLUMNS = {
    "method": "",
    "MAE": ".4f",
    "RMSE": ".4f",
    "delta1": ".3f",
    f"> {GROSS:g} off": ".3f",
    "half / all": ".2f",
    "pooled": ".2f",
    "AUSE": ".3f",
    "valid share": ".3f",
    "MAE valid": ".4f",
    "MAE / best rival": ".2f",
}
MEASURES = (
    "Means over stacks, all pixels of known truth. MAE and RMSE in sweeps: (d - far) / (near - far), d in "
    "dioptres, truth beyond the sweep moved to its end. delta1: depth in metres within a factor of 1.25, if "
    "each sweep were from 3 m to 0.3 m. half / all: MAE of the more confident half of the pixels over that "
    "of all, mean over stacks; pooled: the same of the pixels of all stacks together. AUSE: area between the "
    "sparsification curve and the perfect one, over the MAE. Valid: where the method claims to know."
)


def misaligned(rms_px: float) -> str:
    """Title of the procedural stacks with this alignment error."""
    return f"{PROCEDURAL}, {rms_px:g} px misaligned" if rms_px else f"{PROCEDURAL}, aligned"


def of_slices(n: int) -> str:
    """Title of the procedural stacks of this many slices."""
    return f"{PROCEDURAL}, N = {n}"


def tuned_for(title: str) -> str:
    """Which tuning the rivals of a set have."""
    if title.startswith(PROCEDURAL):
        return PROCEDURAL
    return title if title == FIVE_LAYERS else OTHERS


def _means(scores: dict[str, dict[str, Score]]) -> dict[str, Score]:
    methods = list(next(iter(scores.values())))
    return {m: mean_score([of_stack[m] for of_stack in scores.values()]) for m in methods}


def _best_mae(means: dict[str, Score]) -> float:
    return min(means[method].mae for method in BEST_OF)


def _about(title: str, with_photos: bool) -> str:
    """What the stacks of a set are."""
    painted = "held-out photographs" if with_photos else "no photographs (give --photos)"
    if title == FIVE_LAYERS:
        return f"Slanted, bumpy layers with noise and {painted} on them, blurred by discs."
    if title == RGBD:
        return "Windows of pictures with depth, taken apart into layers and blurred by random cameras."
    if title == CYCLES:
        return (
            "Rays through the whole aperture of a thin lens, by Blender's path tracer, denoised, then with a "
            "sensor's noise: another renderer than the other sets', and scenes kept out of training."
        )
    if title == CROWDED:
        return f"Larger pictures of up to twelve things each with {painted}, random cameras."
    return f"Random scenes with {painted}, random cameras: the make-up of the networks' training."


def set_table(title: str, scores: dict[str, dict[str, Score]], with_photos: bool) -> Table:
    """Mean scores of every method on one set."""
    means = _means(scores)
    best = _best_mae(means)
    rows: list[list[Cell]] = [
        [
            *(m, s.mae, s.rmse, s.delta1, s.gross, s.half / s.mae if s.mae else math.nan),
            *(s.pooled_half, s.ause, s.valid, s.mae_valid, s.mae / best if best else math.nan),
        ]
        for m, s in means.items()
    ]
    return Table(title, _COLUMNS, rows, f"{len(scores)} stacks. {_about(title, with_photos)}")


def scene_table(scores: dict[str, dict[str, Score]]) -> Table:
    """Mean absolute error scene by scene."""
    methods = list(next(iter(scores.values())))
    rows: list[list[Cell]] = [
        [name, *(of_stack[m].mae for m in methods)] for name, of_stack in scores.items()
    ]
    note = "MAE. Beside the name: blur diameter of the far end focused at the near end."
    return Table(f"{CYCLES}, scene by scene", {"scene": "", **dict.fromkeys(methods, ".4f")}, rows, note)


def rivals_table(rivals: Rivals, protocol: Protocol) -> Table:
    """The settings that were found best."""
    rows: list[list[Cell]] = [
        [purpose, m, one.words(), tuned.errors[m]]
        for purpose, tuned in rivals.items()
        for m, one in tuned.settings.items()
    ]
    count = protocol.seeds.tuning.count
    note = (
        f"The best of all combinations of the protocol's rivals table on {count} other aligned stacks of the "
        f"same kind, N = {protocol.n_slices}, painted with photographs for training; for others on those of "
        "both kinds."
    )
    return Table("Rivals", {"tuned for": "", "method": "", "setting": "", "MAE in tuning": ".4f"}, rows, note)


def left_out(titles: list[str]) -> list[Table]:
    """A table of the sets that were not measured, if any."""
    rows: list[list[Cell]] = [[title, f"no folder given; {_OPTIONS[title]}"] for title in titles]
    return [Table("Left out", {"set": "", "why": ""}, rows)] if rows else []


def targets(protocol: Protocol, found: Scores, model: str, who: str = "") -> list[Target]:
    """Bars of a model, set by set; their names begin with ``who``."""
    wanted = protocol.targets
    ratios = {RGBD: wanted.rgbd, CYCLES: wanted.cycles}
    bars = []
    for kind, scores in found.items():
        means, title = _means(scores), f"{who}{kind}"
        ours, best = means[model], _best_mae(means)
        if kind == FIVE_LAYERS:
            bars += [
                Target(f"{title}: MAE", ours.mae, "at most", wanted.five_layers_mae),
                Target(f"{title}: delta1", ours.delta1, "at least", wanted.five_layers_delta1),
            ]
        else:
            ratio = ours.mae / best if best else math.nan
            limit = ratios.get(kind, wanted.procedural)
            bars.append(Target(f"{title}: MAE over best rival's", ratio, "at most", limit))
        lead = ours.delta1 - max(means[method].delta1 for method in BEST_OF)
        bars += [
            Target(f"{title}: delta1 above best rival's", lead, "at least", 0.0),
            Target(
                f"{title}: confident half over all, pooled",
                ours.pooled_half,
                "at most",
                wanted.confident_half,
            ),
        ]
    return bars
