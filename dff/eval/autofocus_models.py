"""Shipped autofocus networks from all starts, beside the best rivals; hunting, latency, pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from dff.autofocus.answer import SURE, middle, resting, shares
from dff.autofocus.dual_pixel import SIMILARITIES
from dff.autofocus.load import load_autofocus
from dff.autofocus.measures import MEASURES
from dff.autofocus.metrics import accuracy, hunting, report
from dff.autofocus.models import AutofocusNet
from dff.autofocus.single_slice import SINGLE_SLICE
from dff.data.af_open import open_patches
from dff.data.af_patches import AutofocusPatches, MiddlePatches
from dff.eval import autofocus_classical as classical
from dff.eval.autofocus_figures import draw_figures
from dff.eval.autofocus_maps import COLUMNS, all_patches, logits_of, same_from_all, score_cells, two_answers
from dff.eval.report import Cell, Report, Table, Target
from dff.simulator.workers import one_torch_thread

NAME = "af-models"
_ONCE, _AGAIN, _LIKELIEST = "network, once", "network, until sure", "network, likeliest"
_RUNS = 40  # decisions timed, of which the median counts


@dataclass(frozen=True)
class Targets:
    """What is wanted.

    Args:
        over_single: share of the error of the best calibrated single-slice rival that D1 should save.
        over_contrast: share of that of the best contrast measure, on the hard patches, a network should save.
        latency_ms: of one decision of D1; ``latency_d5``: of D5 over that.
        hunting: share of starts from which D5 may hunt.
    """

    over_single: float
    over_contrast: float
    latency_ms: float
    latency_d5: float
    hunting: float


@dataclass(frozen=True)
class Protocol:
    """What is measured.

    Args:
        targets: what is wanted.
        models: weights by name or path.
        split: of the patches.
        rivals: settings of the calibrated rivals, as of af-classical.
        size: side [px] of the middle of the patches, which alone is shown to all methods; timed, too.
        panels: patches in the pictures.
    """

    targets: Targets
    rivals: classical.Protocol
    models: tuple[str, ...] = ("afpe-d1", "afpe-d5")
    split: str = "test"
    size: int = 64
    panels: int = 8


def latency_ms(network: AutofocusNet, size: int) -> float:
    """CPU milliseconds of one decision about one region on one thread, the median of some."""
    problem = network.problem
    frames = torch.rand(1, problem.frames * network.config.steps, problem.channels, size, size)
    index = torch.arange(frames.shape[1])[None]
    place = torch.zeros(1, 2, size, size)
    taken = []
    with one_torch_thread(), torch.inference_mode():
        network(frames, index, place)
        for _ in range(_RUNS):
            begun = time.process_time()
            network(frames, index, place)
            taken.append(time.process_time() - begun)
    return 1e3 * float(np.median(taken))


@dataclass
class Maps:
    """Answers of everything that was measured.

    Args:
        networks: name -> logits (P,K,K).
        answers: (name, how the answer is chosen) -> maps (P,K), of the networks.
        rivals: name -> maps (P,K) of the best of each kind.
        kinds: name of a rival -> which kind it is.
    """

    networks: dict[str, np.ndarray]
    answers: dict[tuple[str, str], np.ndarray]
    rivals: dict[str, np.ndarray]
    kinds: dict[str, str]


def _answers(networks: dict[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """Maps of the networks by name and rule."""
    found = {}
    for name, logits in networks.items():
        share = shares(logits)
        found[name, _ONCE] = middle(share)
        found[name, _AGAIN] = resting(share, np.arange(logits.shape[1]))
        found[name, _LIKELIEST] = logits.argmax(axis=-1)
    return found


def _rivals(
    protocol: Protocol, data: Path, patches: AutofocusPatches, chosen: np.ndarray, say: Callable[[str], None]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The best contrast measure on all patches and on the hard ones, similarity, and calibrated rival."""
    truth, hard = patches.index[chosen], patches.hard[chosen]
    answers = classical.sweep_answers(patches, chosen, say)

    def best(names: Sequence[str], mask: np.ndarray) -> str:
        return min(names, key=lambda name: accuracy(answers[name][mask], truth[mask])["mae"])

    every = np.ones(len(chosen), bool)
    found: dict[str, np.ndarray] = {}
    kinds: dict[str, str] = {}
    for name, kind in (
        (best(list(MEASURES), hard if hard.any() else every), "contrast, best on the hard"),
        (best(list(MEASURES), every), "contrast, best on all"),
        (best(list(SIMILARITIES), every), "alike halves"),
    ):
        found[name] = same_from_all(answers[name], patches.count)
        kinds.setdefault(name, kind)
    training = open_patches(data, "train")
    # judged on all patches here, in the middle of the picture or not, so that the rows compare
    singles = {
        name: classical.single_maps(rival, training, patches, chosen, protocol.rivals)
        for name, rival in SINGLE_SLICE.items()
        if rival.cue is not None
    }
    name = min(singles, key=lambda one: accuracy(singles[one], truth)["mae"])
    return found | {name: singles[name]}, kinds | {name: "calibrated slice"}


def _tables(maps: Maps, truth: np.ndarray, hard: np.ndarray) -> list[Table]:
    tables = []
    for title, mask in (
        ("All patches", np.ones(len(truth), bool)),
        ("Hard patches", hard),
        ("Easy patches", ~hard),
    ):
        if not mask.any():
            continue
        rows: list[list[Cell]] = [
            [name, how, *score_cells(answers[mask], truth[mask])]
            for (name, how), answers in maps.answers.items()
        ]
        rows += [
            [name, maps.kinds[name], *score_cells(answers[mask], truth[mask])]
            for name, answers in maps.rivals.items()
        ]
        note = (
            f"{int(mask.sum())} patches, from all {maps_count(maps)} starts. Once: the median of what is "
            "possible, as --policy one-shot takes it; until sure: it stays where the network is less than "
            f"{SURE:.0%} sure of the side, as --policy until-sure does; likeliest: as in the papers."
        )
        tables.append(Table(title, {"method": "", "kind": "", **COLUMNS}, rows, note))
    return tables


def maps_count(maps: Maps) -> int:
    """K."""
    return next(iter(maps.networks.values())).shape[1]


def _loop_table(maps: Maps, truth: np.ndarray) -> Table:
    """Where a lens ends that is led by a network until it is not sure enough."""
    rows: list[list[Cell]] = []
    for name in maps.networks:
        walked = hunting(maps.answers[name, _AGAIN])
        rests = ~walked.cyclic
        off = np.abs(walked.settled - truth[:, None])[rests]
        once = np.abs(maps.answers[name, _ONCE] - truth[:, None])
        rows.append(
            [
                name,
                float(once.mean()),
                float(off.mean()),
                float((once <= 1).mean()),
                float((off <= 1).mean()),
                float(walked.moves.mean()),
                float(rests.mean()),
            ]
        )
    columns = {
        "network": "", "MAE, once": ".2f", "MAE at rest": ".2f", "<=1, once": ".3f", "<=1 at rest": ".3f",
        "moves": ".2f", "comes to rest": ".3f",
    }  # fmt: skip
    note = "All patches, all starts. At rest: where --policy until-sure ends, from the starts that end."
    return Table("Asked until it is not sure enough", columns, rows, note)


def _cost_table(networks: dict[str, AutofocusNet], maps: Maps, truth: np.ndarray, size: int) -> Table:
    rows: list[list[Cell]] = [
        [
            name,
            network.config.problem,
            sum(p.numel() for p in network.parameters()) / 1e6,
            latency_ms(network, size),
            two_answers(maps.networks[name], truth)
            if network.problem.frames < network.config.count
            else None,
        ]
        for name, network in networks.items()
    ]
    columns = {
        "network": "", "sees": "", "parameters [M]": ".2f", "CPU [ms]": ".2f", "outputs with two peaks": ".3f"
    }  # fmt: skip
    note = (
        f"CPU: one decision about {size}x{size} px on one thread. Two peaks: share of outputs with two, "
        "where the start is 6 to 12 slices off and its mirror image lies inside the sweep (frames without "
        "halves cannot tell near from far)."
    )
    return Table("Cost, and the shape of the output", columns, rows, note)


def _targets(
    protocol: Protocol, networks: dict[str, AutofocusNet], maps: Maps, truth: np.ndarray, hard: np.ndarray
) -> list[Target]:
    wanted = protocol.targets
    named = {network.config.problem: name for name, network in networks.items()}
    kind = {kind: name for name, kind in maps.kinds.items()}
    targets = []

    def saved(name: str, rival: str, mask: np.ndarray) -> float:
        mine, theirs = (
            accuracy(one[mask], truth[mask])["mae"] for one in (maps.answers[name, _ONCE], maps.rivals[rival])
        )
        return 1 - mine / theirs

    if "D1" in named:
        name, rival = named["D1"], kind["calibrated slice"]
        share = saved(name, rival, np.ones(len(truth), bool))
        targets.append(Target(f"{name}: error saved over {rival}", share, "at least", wanted.over_single))
        spent = latency_ms(networks[name], protocol.size)
        targets.append(Target(f"{name}: CPU [ms]", spent, "at most", wanted.latency_ms))
    if "D5" in named:
        name = named["D5"]
        hunts = report(maps.answers[name, _AGAIN], truth)["hunting_share"]
        targets.append(Target(f"{name}: hunting starts, until sure", hunts, "at most", wanted.hunting))
        if "D1" in named:
            over = latency_ms(networks[name], protocol.size) / spent
            targets.append(Target(f"{name}: CPU over that of D1", over, "at most", wanted.latency_d5))
    if "I*" in named and hard.any():
        name, rival = named["I*"], kind["contrast, best on the hard"]
        what = f"{name}: error saved over {rival}, hard patches"
        targets.append(Target(what, saved(name, rival, hard), "at least", wanted.over_contrast))
    return targets


def run(
    protocol: Protocol,
    data: Path,
    pictures: Path,
    *,
    limit: int | None = None,
    options: str = "",
    say: Callable[[str], None] = print,
) -> Report:
    """Score the networks on the first ``limit`` patches, and draw the figures."""
    patches = open_patches(data, protocol.split)
    if protocol.size < min(patches.size):
        patches = MiddlePatches(patches, protocol.size)
    chosen = all_patches(patches, limit)
    truth, hard = patches.index[chosen], patches.hard[chosen]
    networks = {Path(name).stem: load_autofocus(name) for name in protocol.models}
    found = {}
    with one_torch_thread():
        for name, network in networks.items():
            say(f"{NAME}: {name}")
            found[name] = logits_of(network, patches, chosen)
    maps = Maps(found, _answers(found), *_rivals(protocol, data, patches, chosen, say))
    cost = _cost_table(networks, maps, truth, protocol.size)
    draw_figures(pictures, patches, found, truth, protocol.panels)
    tables = [*_tables(maps, truth, hard), _loop_table(maps, truth), cost]
    targets = _targets(protocol, networks, maps, truth, hard)
    return Report(NAME, options, asdict(protocol), tables, targets)
