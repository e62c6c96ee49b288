"""``python -m dff.eval NAME``: run one benchmark, print its tables, write them to --out."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from dff.eval.dataset_speed_options import LoaderSpeed
from dff.eval.options import Options, RealStacks, say
from dff.eval.options_alignment import AlignmentReal, AlignmentSimulated, EndToEnd
from dff.eval.options_autofocus import AutofocusClassical, AutofocusModels, AutofocusStudy
from dff.eval.options_closedloop import Calibration, ClosedLoop, ClosedLoopCost, ClosedLoopPaper
from dff.eval.options_focus import FocusHead, FocusSheet
from dff.eval.wild_options import Wild

if TYPE_CHECKING:
    from types import ModuleType

    from dff.eval.report import Report


@dataclass(frozen=True, kw_only=True)
class AllInFocus(RealStacks):
    """All-in-focus pictures of real stacks: sharpness kept, values no slice has."""

    def run(self) -> Report:
        from dff.eval import all_in_focus

        return self.run_on_data(all_in_focus)


@dataclass(frozen=True, kw_only=True)
class Capture(Options):
    """All-in-focus capture: which slices the camera takes of still simulated scenes."""

    def run(self) -> Report:
        from dff.eval import capture

        return self.run_module(capture)


@dataclass(frozen=True, kw_only=True)
class CaptureMoving(Options):
    """All-in-focus capture of simulated scenes that move: one picture per time step."""

    def run(self) -> Report:
        from dff.eval import capture_moving

        return self.run_module(capture_moving)


@dataclass(frozen=True, kw_only=True)
class Fusion(Options):
    """Methods of fusion side by side on real and simulated stacks.

    Args:
        data: Folder of the real stacks; else the environment variable DFF_DATA.
        simulated_only: Leave out the real stacks, which need --data.
    """

    data: Path | None = None
    simulated_only: bool = False

    def run(self) -> Report:
        from dff.eval import fusion as benchmark
        from dff.eval.inputs import data_folder

        folder = None if self.simulated_only else data_folder(self.data)
        typed = ["--simulated-only"] if self.simulated_only else []
        return self.run_module(benchmark, folder, typed=typed)


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
class DepthModels(Options):
    """Depth networks on held-out stacks of four kinds, beside tuned classical rivals.

    Args:
        models: Networks by name or path of their weights, with commas between; targets are about the first.
            NAME@4 looks at every picture in four views (`dff predict --views 4`).
        photos: Folder or packed file of photographs; every fifth is held out from training, and used here.
        rgbd: Folder of pictures with depth; without it, that set is left out.
        depth_unit: Of depth files that do not tell it themselves: m, cm, mm, dioptre, disparity.
        cycles: Folder of path-traced stacks; those that are missing are rendered, which takes bpy and a
            minute each. Without it, that set is left out.
        textures: Folder of pictures, for rendering the scenes that have some on them.
    """

    models: str = "base,tiny"
    photos: Path | None = None
    rgbd: Path | None = None
    depth_unit: str | None = None
    cycles: Path | None = None
    textures: Path | None = None

    def run(self) -> Report:
        from dff.eval import depth_models as benchmark
        from dff.simulator.photos import load_photos

        names = tuple(name for name in self.models.split(",") if name)
        typed = [f"--models {','.join(Path(name).name for name in names)}"]
        typed += [f"--{key} DIR" for key in ("photos", "rgbd", "cycles") if getattr(self, key) is not None]
        typed += [f"--depth-unit {self.depth_unit}"] if self.depth_unit else []
        photos = load_photos(self.photos) if self.photos else None
        inputs = benchmark.Inputs(names, photos, self.rgbd, self.depth_unit, self.cycles, self.textures)
        return self.run_module(benchmark, inputs, typed=typed)


@dataclass(frozen=True, kw_only=True)
class Cost(Options):
    """CPU time and memory of `dff predict`."""

    def run(self) -> Report:
        from dff.eval import cost

        return self.run_module(cost)


@dataclass(frozen=True, kw_only=True)
class NetworkCost(Options):
    """CPU time, memory and size of the depth networks, beside the paper's."""

    def run(self) -> Report:
        from dff.eval import network_cost

        return self.run_module(network_cost)


@dataclass(frozen=True, kw_only=True)
class Ablation(Options):
    """Small networks trained at equal budgets, one choice changed at a time.

    Args:
        photos: Folder or packed file of photographs to paint surfaces with too.
        work: Folder for the runs, which are not trained again; else "ablation" in --out.
    """

    photos: Path | None = None
    work: Path | None = None

    def run(self) -> Report:
        from dff.eval import ablation

        return self.run_on(ablation)

    def run_on(self, benchmark: ModuleType) -> Report:
        """Run a benchmark that keeps its runs."""
        from dff.simulator.photos import load_photos

        photos = load_photos(self.photos) if self.photos else None
        typed = ["--photos DIR"] if self.photos else []
        return self.run_module(benchmark, self.work or self.out / benchmark.NAME, photos, typed=typed)


@dataclass(frozen=True, kw_only=True)
class AblationAlignment(Ablation):
    """Small alignment networks trained at equal budgets, one choice changed at a time."""

    def run(self) -> Report:
        from dff.eval import ablation_alignment

        return self.run_on(ablation_alignment)


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
    | Annotated[EndToEnd, tyro.conf.subcommand("end-to-end")]
    | Annotated[AutofocusClassical, tyro.conf.subcommand("af-classical")]
    | Annotated[AutofocusModels, tyro.conf.subcommand("af-models")]
    | Annotated[AutofocusStudy, tyro.conf.subcommand("af-study")]
    | Annotated[AllInFocus, tyro.conf.subcommand("all-in-focus")]
    | Annotated[Fusion, tyro.conf.subcommand("fusion")]
    | Annotated[Capture, tyro.conf.subcommand("capture")]
    | Annotated[CaptureMoving, tyro.conf.subcommand("capture-moving")]
    | Annotated[Depth, tyro.conf.subcommand("depth")]
    | Annotated[DepthModels, tyro.conf.subcommand("depth-models")]
    | Annotated[Wild, tyro.conf.subcommand("wild")]
    | Annotated[LoaderSpeed, tyro.conf.subcommand("loader-speed")]
    | Annotated[Cost, tyro.conf.subcommand("cost")]
    | Annotated[NetworkCost, tyro.conf.subcommand("network-cost")]
    | Annotated[Ablation, tyro.conf.subcommand("ablation")]
    | Annotated[AblationAlignment, tyro.conf.subcommand("ablation-alignment")]
    | Annotated[Gallery, tyro.conf.subcommand("gallery")]
    | Annotated[FocusHead, tyro.conf.subcommand("focus-head")]
    | Annotated[FocusSheet, tyro.conf.subcommand("focus-sheet")]
    | Annotated[SimulatorExact, tyro.conf.subcommand("simulator-exact")]
    | Annotated[SimulatorSpeed, tyro.conf.subcommand("simulator-speed")]
    | Annotated[SimulatorCamera, tyro.conf.subcommand("simulator-camera")]
    | Annotated[SimulatorBlender, tyro.conf.subcommand("simulator-blender")]
    | Annotated[Domain, tyro.conf.subcommand("domain")]
    | Annotated[ClosedLoop, tyro.conf.subcommand("closed-loop")]
    | Annotated[ClosedLoopPaper, tyro.conf.subcommand("closed-loop-paper")]
    | Annotated[ClosedLoopCost, tyro.conf.subcommand("closed-loop-cost")]
    | Annotated[Calibration, tyro.conf.subcommand("calibration")]
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
