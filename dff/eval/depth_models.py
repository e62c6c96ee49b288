"""Depth networks on stacks they never saw: simulated, from RGB-D, path-traced; beside rivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from dff.eval.depth_models_cycles import held_out_textures, thin_lens_stacks
from dff.eval.depth_models_protocol import NAME, Protocol
from dff.eval.depth_models_report import (
    CLASSICAL,
    CROWDED,
    CYCLES,
    FIVE_LAYERS,
    MEASURES,
    OTHERS,
    PROCEDURAL,
    RGBD,
    Rivals,
    Scores,
    left_out,
    misaligned,
    of_slices,
    rivals_table,
    scene_table,
    set_table,
    targets,
    tuned_for,
)
from dff.eval.depth_models_rivals import trials, tune
from dff.eval.depth_models_score import find_depth, score
from dff.eval.depth_models_sets import Case, rgbd_cases, simulated_cases
from dff.eval.inputs import Say
from dff.eval.report import Report
from dff.model.infer import InferenceConfig
from dff.models import Model, load_model
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig
from dff.simulator.photos import PhotoPack
from dff.simulator.sources import RgbdScenes
from dff.train.source import split

__all__ = ["NAME", "Inputs", "Protocol", "run"]


@dataclass(frozen=True)
class Inputs:
    """What is measured, and on what.

    Args:
        models: names or paths of networks; the targets are about the first.
        photos: photographs; every fifth is held out from training and used here, the others tune the rivals.
        rgbd: folder of pictures with depth, or None: leave that set out.
        depth_unit: of depth files in it that do not tell it themselves.
        cycles: folder of the path-traced stacks, or None; those that are missing are rendered into it.
        textures: folder of pictures to render with; with ``photos`` only those held out are used.
    """

    models: tuple[str, ...]
    photos: PhotoPack | None = None
    rgbd: Path | None = None
    depth_unit: str | None = None
    cycles: Path | None = None
    textures: Path | None = None


def load_models(names: Sequence[str]) -> dict[str, Model]:
    """The classical engine and the networks, by what the tables call them; NAME@4 looks with four views.

    Raises:
        ValueError, FileNotFoundError: no networks, two of one name, or as in `load_model`.
    """
    networks = [name for name in names if name != CLASSICAL]
    if not networks:
        raise ValueError("--models: names no network; give names or paths of weights, with commas between")
    found: dict[str, Model] = {CLASSICAL: load_model(CLASSICAL)}
    for name in networks:
        file, _, views = name.partition("@")
        label = Path(file).stem + (f", {views} views" if views else "")
        if label in found:
            raise ValueError(f"--models: two are called {label}; rename one of them")
        if views and not views.isdecimal():
            raise ValueError(f"--models {name}: after @ stands a number of views")
        found[label] = load_model(file, inference=InferenceConfig(views=int(views or 1)))
    return found


class Benchmark:
    """The sets of one run."""

    def __init__(self, protocol: Protocol, inputs: Inputs, limit: int | None, say: Say) -> None:
        self.protocol, self.inputs, self.limit, self.say = protocol, inputs, limit, say
        self.training, self.held_out = split(inputs.photos)
        self.prior = load_recipe("simulator/scenes", protocol.parts, SimulationConfig)
        self.layers = load_recipe("simulator/scenes", protocol.scene, SimulationConfig)
        self.rgbd = None if inputs.rgbd is None else RgbdScenes(inputs.rgbd, inputs.depth_unit)
        if self.rgbd is not None:
            len(self.rgbd.pairs)  # a wrong folder is told before the work

    def tuned(self) -> Rivals:
        """Rivals for the procedural stacks, for those of five layers, and for all others.

        They are tuned on aligned stacks with photographs for training.
        """
        protocol, tried = self.protocol, []
        seeds = protocol.seeds.tuning.take(None)
        for config in (self.prior, self.layers):
            cases = simulated_cases(config, protocol.n_slices, seeds, self.training)
            tried.append([trials(protocol.rivals, case) for (case,) in cases])
        prior, layers = tried
        return {PROCEDURAL: tune(prior), FIVE_LAYERS: tune(layers), OTHERS: tune(prior + layers)}

    def cases(self) -> Iterator[tuple[str, Case]]:
        """Every stack with the name of its set."""
        protocol, seeds = self.protocol, self.protocol.seeds
        simulated = partial(simulated_cases, photos=self.held_out)
        picked = seeds.procedural.take(self.limit)
        for cases in simulated(self.prior, protocol.n_slices, picked, rms_px=protocol.misalignment_px):
            yield from zip(map(misaligned, protocol.misalignment_px), cases, strict=True)
        crowded = SimulationConfig(camera=protocol.camera, size=protocol.crowded_size)
        for (case,) in simulated(crowded, protocol.n_slices, seeds.crowded.take(self.limit)):
            yield CROWDED, case
        if protocol.slice_counts:
            picked = seeds.slice_counts.take(self.limit)
            for (case,) in simulated(self.prior, max(protocol.slice_counts), picked):
                for n in protocol.slice_counts:
                    yield of_slices(n), case.spread(n)
        for (case,) in simulated(self.layers, protocol.n_slices, seeds.five_layers.take(self.limit)):
            yield FIVE_LAYERS, case
        if self.rgbd is not None:
            picked = seeds.rgbd.take(self.limit)
            camera, size = protocol.camera, protocol.rgbd_size
            for case in rgbd_cases(self.rgbd, camera, size, protocol.n_slices, picked):
                yield RGBD, case
        if self.inputs.cycles is not None:
            yield from self._path_traced(self.inputs.cycles)

    def _path_traced(self, folder: Path) -> Iterator[tuple[str, Case]]:
        with held_out_textures(self.inputs.textures, self.held_out) as textures:
            say = partial(_tell, self.say)
            for made in thin_lens_stacks(self.protocol.cycles, folder, textures, self.limit, say):
                name = f"{made.name}, {made.max_coc_px:g} px"
                yield CYCLES, Case.of(name, made.stack, made.dioptre)

    def scores(self, rivals: Rivals, models: dict[str, Model]) -> Scores:
        """Set -> stack -> method -> score."""
        found: Scores = {}
        for title, case in self.cases():
            self.say(f"{NAME}: {title}, {case.name}")
            methods = find_depth(case, rivals[tuned_for(title)], models)
            found.setdefault(title, {})[case.name] = {m: score(one, case) for m, one in methods.items()}
        return found


def _tell(say: Say, line: str) -> None:
    say(f"{NAME}: {line}")


def run(
    protocol: Protocol,
    inputs: Inputs,
    *,
    limit: int | None = None,
    options: str = "",
    say: Say = print,
) -> Report:
    """Score the networks, the classical engine and the rivals on at most ``limit`` stacks of every set.

    Raises:
        ValueError, FileNotFoundError: an unknown model, a folder that is missing or holds nothing of use.
    """
    models = load_models(inputs.models)
    benchmark = Benchmark(protocol, inputs, limit, say)
    say(f"{NAME}: tuning the rivals")
    rivals = benchmark.tuned()
    found = benchmark.scores(rivals, models)
    first, *others = list(models)[1:]
    bars = targets(protocol, found, first)
    for other in others:
        if other.startswith(f"{first}, "):
            bars += targets(protocol, found, other, f"{other}: ")
    tables = [set_table(title, scores, inputs.photos is not None) for title, scores in found.items()]
    tables[0] = replace(tables[0], note=f"{tables[0].note}\n\n{MEASURES}")
    if CYCLES in found:
        tables.append(scene_table(found[CYCLES]))
    tables.append(rivals_table(rivals, protocol))
    missing = {RGBD: inputs.rgbd, CYCLES: inputs.cycles}
    tables += left_out([title for title, folder in missing.items() if folder is None])
    return Report(NAME, options, asdict(protocol), tables, bars)
