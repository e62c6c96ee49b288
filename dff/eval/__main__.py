"""``python -m dff.eval NAME``: run one benchmark, print its tables, write them to --out."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from dff.eval.report import Report


def say(line: str) -> None:
    """Progress, apart from the results."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every benchmark.

    Args:
        out: Folder for NAME.md and NAME.json; those of an earlier run are replaced.
        limit: Only this many stacks (of each kind), for a quick look.
        json: Print JSON instead of tables.
        protocol: Another protocol file than eval/NAME.toml.
    """

    out: Path = Path("eval/results")
    limit: int | None = None
    json: bool = False
    protocol: str | None = None

    def run_module(self, benchmark: Any, *arguments: Any, typed: Sequence[str] = ()) -> Report:
        """Run a module that has NAME, Protocol and run; ``typed``: options that change the results."""
        from dff.recipes import load_recipe

        protocol = load_recipe("eval", self.protocol or benchmark.NAME, benchmark.Protocol)
        options = self.text(*typed)
        report: Report = benchmark.run(protocol, *arguments, limit=self.limit, options=options, say=say)
        return report

    def text(self, *more: str) -> str:
        """The options that change results, as typed, without anybody's folders."""
        words = list(more)
        if self.protocol is not None:
            words.append(f"--protocol {Path(self.protocol).name}")
        if self.limit is not None:
            words.append(f"--limit {self.limit}")
        return " ".join(words)


@dataclass(frozen=True, kw_only=True)
class RealStacks(Options):
    """Options of benchmarks on real stacks.

    Args:
        data: Folder of the real stacks; else the environment variable DFF_DATA.
    """

    data: Path | None = None

    def run_on_data(self, benchmark: Any, *arguments: Any, typed: Sequence[str] = ()) -> Report:
        """`run_module` with the folder of the real stacks as its first argument."""
        from dff.eval.inputs import data_folder

        return self.run_module(benchmark, data_folder(self.data), *arguments, typed=typed)


@dataclass(frozen=True, kw_only=True)
class AlignmentReal(RealStacks):
    """Alignment of real stacks, scored by SIFT matches."""

    def run(self) -> Report:
        from dff.eval import alignment_real

        return self.run_on_data(alignment_real)


@dataclass(frozen=True, kw_only=True)
class AlignmentSimulated(Options):
    """Alignment of simulated stacks, whose motion is known.

    Args:
        photos: Folder of photographs to use as textures too.
    """

    photos: Path | None = None

    def run(self) -> Report:
        from dff.eval import alignment_simulated as benchmark
        from dff.recipes import load_recipe
        from dff.simulator.photos import load_photos

        protocol = load_recipe("eval", self.protocol or benchmark.NAME, benchmark.Protocol)
        photos = load_photos(self.photos, most_tiles=protocol.photos) if self.photos else None
        options = self.text(*(["--photos DIR"] if self.photos else []))
        return benchmark.run(protocol, photos, limit=self.limit, options=options, say=say)


@dataclass(frozen=True, kw_only=True)
class AllInFocus(RealStacks):
    """All-in-focus pictures of real stacks: sharpness kept, values no slice has."""

    def run(self) -> Report:
        from dff.eval import all_in_focus

        return self.run_on_data(all_in_focus)


@dataclass(frozen=True, kw_only=True)
class Depth(Options):
    """Depth against the truth of rendered and simulated stacks.

    Args:
        data: Folder of the real stacks; else the environment variable DFF_DATA.
        simulated_only: Leave out the rendered stacks, which need --data.
    """

    data: Path | None = None
    simulated_only: bool = False

    def run(self) -> Report:
        from dff.eval import depth as benchmark
        from dff.eval.inputs import data_folder
        from dff.recipes import load_recipe

        protocol = load_recipe("eval", self.protocol or benchmark.NAME, benchmark.Protocol)
        folder = None if self.simulated_only else data_folder(self.data)
        options = self.text(*(["--simulated-only"] if self.simulated_only else []))
        return benchmark.run(protocol, folder, limit=self.limit, options=options, say=say)


@dataclass(frozen=True, kw_only=True)
class Cost(Options):
    """CPU time and memory of `dff predict`."""

    def run(self) -> Report:
        from dff.eval import cost

        return self.run_module(cost)


@dataclass(frozen=True, kw_only=True)
class Gallery(RealStacks):
    """Depth and confidence of the real stacks as pictures.

    Args:
        pictures: Folder for the pictures; those of an earlier run are replaced.
    """

    pictures: Path = Path("docs/gallery")

    def run(self) -> Report:
        from dff.eval import gallery

        return self.run_on_data(gallery, self.pictures)


@dataclass(frozen=True, kw_only=True)
class SimulatorExact(Options):
    """Layered rendering against exact lens sampling."""

    def run(self) -> Report:
        from dff.eval import simulator_exact

        return self.run_module(simulator_exact)


@dataclass(frozen=True, kw_only=True)
class SimulatorSpeed(Options):
    """Simulated stacks per second: CPU, worker processes, GPU."""

    def run(self) -> Report:
        from dff.eval import simulator_speed

        return self.run_module(simulator_speed)


@dataclass(frozen=True, kw_only=True)
class SimulatorCamera(Options):
    """Dual pixels, motion and breathing, measured from simulated pictures."""

    def run(self) -> Report:
        from dff.eval import simulator_camera

        return self.run_module(simulator_camera)


@dataclass(frozen=True, kw_only=True)
class SimulatorBlender(Options):
    """Fast rendering against path-traced references.

    Args:
        refs: Folder of the references; those that are missing are rendered, which takes bpy and minutes each.
        maps: Folder for pictures of the errors; those of an earlier run are replaced.
        textures: Folder of pictures, for rendering the scenes that have some on them.
    """

    refs: Path
    maps: Path | None = None
    textures: Path | None = None

    def run(self) -> Report:
        from dff.eval import simulator_blender

        return self.run_module(simulator_blender, self.refs, self.maps, self.textures, typed=["--refs DIR"])


@dataclass(frozen=True, kw_only=True)
class Domain(RealStacks):
    """Simulated beside real stacks: focus measure, noise, blur, texture.

    Args:
        photos: Folder or packed file of photographs to use as textures too.
        pictures: Folder for the pages; those of an earlier run are replaced.
    """

    photos: Path | None = None
    pictures: Path = Path("docs/domain")

    def run(self) -> Report:
        from dff.eval import domain
        from dff.simulator.photos import load_photos

        photos = load_photos(self.photos) if self.photos else None
        typed = ["--photos DIR"] if self.photos else []
        return self.run_on_data(domain, self.pictures, photos, typed=typed)


Benchmark = (
    Annotated[AlignmentReal, tyro.conf.subcommand("alignment-real")]
    | Annotated[AlignmentSimulated, tyro.conf.subcommand("alignment-simulated")]
    | Annotated[AllInFocus, tyro.conf.subcommand("all-in-focus")]
    | Annotated[Depth, tyro.conf.subcommand("depth")]
    | Annotated[Cost, tyro.conf.subcommand("cost")]
    | Annotated[Gallery, tyro.conf.subcommand("gallery")]
    | Annotated[SimulatorExact, tyro.conf.subcommand("simulator-exact")]
    | Annotated[SimulatorSpeed, tyro.conf.subcommand("simulator-speed")]
    | Annotated[SimulatorCamera, tyro.conf.subcommand("simulator-camera")]
    | Annotated[SimulatorBlender, tyro.conf.subcommand("simulator-blender")]
    | Annotated[Domain, tyro.conf.subcommand("domain")]
)


def _one_line(message: Warning | str, *_: object) -> None:
    say(f"warning: {message}")


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark named in ``arguments`` (those of the process by default); the exit code."""
    show: Callable[..., None] = _one_line
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            chosen = tyro.cli(
                Benchmark,
                prog="python -m dff.eval",
                description=__doc__,
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
            if chosen.limit is not None and chosen.limit < 1:
                raise ValueError(f"--limit {chosen.limit}: give 1 or more")
            report = chosen.run()
        paths = report.write(chosen.out)
    except (ValueError, FileNotFoundError) as error:
        say(f"error: {error}")
        return 2
    print(report.as_json() if chosen.json else report.markdown(), end="")
    say(f"written: {', '.join(map(str, paths))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
