"""The package's own benchmark: all models and rivals on stacks that get harder along one axis at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dff.eval.baselines.methods import Method, Rival, check_methods, load_method
from dff.eval.baselines.rivals import RIVALS
from dff.eval.depth_models_cycles import ThinLensStack
from dff.eval.depth_models_sets import Case, simulated_cases
from dff.eval.inputs import Say, one_thread
from dff.eval.report import Report
from dff.eval.wild_plots import write_plots
from dff.eval.wild_protocol import NAME, Protocol, Setup
from dff.eval.wild_report import tables
from dff.eval.wild_score import Scores, as_sample, score
from dff.eval.wild_tuning import tune
from dff.simulator.photos import PhotoPack
from dff.simulator.workers import one_torch_thread
from dff.train.source import split

__all__ = ["NAME", "Inputs", "Protocol", "run"]

MODELS = ("base", "tiny", "classical", *RIVALS)


@dataclass(frozen=True)
class Inputs:
    """What is measured, and on what.

    Args:
        models: names and files, as for `dff eval`; the first is what the others are compared with.
        photos: photographs to paint with; every fifth is held out from training, and used here.
        cycles: folder of path-traced stacks (.npz of `dff.eval.depth_models_cycles`), or None.
        pictures: folder for the plots; that of an earlier run is replaced.
    """

    models: tuple[str, ...] = MODELS
    photos: PhotoPack | None = None
    cycles: Path | None = None
    pictures: Path | None = None


def setups(protocol: Protocol) -> dict[Setup, str]:
    """All that has to be simulated, the base first, with a name for people."""
    found = {protocol.base_setup: "base"}
    for axis in protocol.axes:
        for level in axis.levels:
            found.setdefault(protocol.setup(level), f"{axis.name} {level.at:g}")
    return found


def path_traced(folder: Path, limit: int | None) -> Iterator[Case]:
    """The rendered stacks of a folder, by name.

    Raises:
        FileNotFoundError: no such folder, or none in it.
        ValueError: a file is damaged or of another kind.
    """
    paths = sorted(folder.glob("*.npz"))[:limit]
    if not paths:
        raise FileNotFoundError(
            f"{folder}: holds no rendered stacks (.npz); dff.eval depth-models --cycles renders some"
        )
    for path in paths:
        made = ThinLensStack.load(path)
        yield Case.of(made.name, made.stack, made.dioptre)


def _score(cases: Iterator[tuple[object, Case]], methods: Sequence[Method], edge_step: float) -> Scores:
    found: Scores = {method.name: {} for method in methods}
    for key, case in cases:
        sample = as_sample(case)
        for method in methods:
            found[method.name][key] = score(method, sample, case, edge_step)
    return found


def run(
    protocol: Protocol, inputs: Inputs, *, limit: int | None = None, options: str = "", say: Say = print
) -> Report:
    """Score every method at every level on at most ``limit`` stacks, and plot it.

    The same call gives the same numbers, but for seconds.

    Raises:
        ValueError, FileNotFoundError: an unknown model, or a folder that is missing or holds nothing of use.
    """
    names = list(inputs.models)
    check_methods(names)
    traced = [] if inputs.cycles is None else list(path_traced(inputs.cycles, limit))
    _, held_out = split(inputs.photos)
    with one_thread(), one_torch_thread():
        seeds = protocol.seeds.take(limit)
        base = protocol.base_setup
        rivals = [name for name in names if name in RIVALS]
        say(f"{NAME}: tuning the rivals")
        tuned = tune(
            rivals, protocol.rivals, [case for (case,) in _cases(base, protocol.tuning.take(None), held_out)]
        )
        methods: list[Method] = [
            Rival(name, tuned[name].settings) if name in tuned else load_method(name, "cpu") for name in names
        ]
        wanted = setups(protocol)
        found: dict[Setup, Scores] = {}
        for k, (setup, label) in enumerate(wanted.items()):
            say(f"{NAME}: {k + 1} of {len(wanted)}, {label}: {len(seeds)} stacks")
            stacks = zip(seeds, (case for (case,) in _cases(setup, seeds, held_out)), strict=True)
            found[setup] = _score(stacks, methods, protocol.edge_step)
        rendered = (
            _score(((case.name, case) for case in traced), methods, protocol.edge_step) if traced else None
        )
    levels = {axis.name: [found[protocol.setup(level)] for level in axis.levels] for axis in protocol.axes}
    if inputs.pictures is not None:
        write_plots(inputs.pictures, protocol.axes, levels, list(found.values()))
    shown = tables(protocol, found, levels, tuned, rendered)
    return Report(NAME, options, asdict(protocol), shown, [])


def _cases(setup: Setup, seeds: range, photos: PhotoPack | None) -> Iterator[list[Case]]:
    return simulated_cases(setup.simulation, setup.slices, seeds, photos, rms_px=(setup.misalignment_px,))
