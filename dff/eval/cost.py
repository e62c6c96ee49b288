"""CPU seconds and memory of `dff predict` on stacks of several sizes, and of `dff --help`."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from dff.eval.inputs import Say
from dff.eval.meter import measure
from dff.eval.report import Cell, Report, Table, Target
from dff.formats.pictures import write_picture
from dff.simulator.capture import SimulationConfig, simulate_batch

NAME = "cost"
DFF = (sys.executable, "-m", "dff")


@dataclass(frozen=True)
class Size:
    """One stack to be predicted and what it may take; 0 is no limit."""

    slices: int
    width: int
    height: int
    max_cpu_s: float = 0.0
    max_mb: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.slices} x {self.width}x{self.height}"


@dataclass(frozen=True)
class Protocol:
    """What is run and how the pictures are made.

    Args:
        camera: recipe of the simulator.
        scene_width: pictures are simulated at most this wide [px] and then enlarged.
        grain: deviation of the noise added to the enlarged picture [of 255].
        seed: of the scene.
        predict: arguments of `dff predict` after the stack; {out} stands for a folder to write in.
        imports: modules that `dff predict` loads; their cost is taken off its CPU seconds.
        help_max_cpu_s: target for `dff --help`.
        repeats: runs of `dff --help` and of the imports, of which the median counts.
    """

    stacks: tuple[Size, ...]
    predict: tuple[str, ...]
    imports: tuple[str, ...]
    help_max_cpu_s: float
    camera: str = "compact"
    scene_width: int = 640
    grain: float = 2.0
    seed: int = 0
    repeats: int = 3


def write_stack(folder: Path, size: Size, protocol: Protocol) -> list[Path]:
    """Simulate a stack, enlarge it, add grain, and write it into ``folder`` as JPEG."""
    width = min(size.width, protocol.scene_width)
    small = max(16, round(width * size.height / size.width)), width
    config = SimulationConfig(camera=protocol.camera, size=small)
    generator = torch.Generator().manual_seed(protocol.seed)
    pictures = simulate_batch(config, generator, 1, n_slices=size.slices).stack(0).stack.slices
    random = np.random.default_rng(protocol.seed)
    grain = np.rint(random.normal(0, protocol.grain, (size.height, size.width, 1))).astype(np.int16)
    paths = []
    for k, picture in enumerate(pictures):
        large = cv2.resize(picture, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
        noisy = large + np.roll(grain, (7 * k, 13 * k), axis=(0, 1))  # another grain on every slice
        paths.append(write_picture(np.clip(noisy, 0, 255).astype(np.uint8), folder / f"slice_{k:03d}.jpg"))
    return paths


def median_cpu_s(command: list[str], repeats: int) -> float:
    """Median CPU seconds of some runs."""
    return float(np.median([measure(command).cpu_s for _ in range(repeats)]))


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """Measure the first ``limit`` stacks of the protocol, each in a child process of its own."""
    say(f"{NAME}: imports and --help")
    import_command = [sys.executable, "-c", f"import {', '.join(protocol.imports)}"]
    import_s = median_cpu_s(import_command, protocol.repeats)
    help_s = median_cpu_s([*DFF, "--help"], protocol.repeats)
    targets = [Target("dff --help: CPU [s]", help_s, "at most", protocol.help_max_cpu_s)]
    rows: list[list[Cell]] = []
    for size in protocol.stacks[:limit]:
        say(f"{NAME}: {size.name}")
        with tempfile.TemporaryDirectory() as temporary:
            stack, out = Path(temporary, "stack"), Path(temporary, "out")
            stack.mkdir()
            out.mkdir()
            write_stack(stack, size, protocol)
            arguments = [argument.replace("{out}", str(out)) for argument in protocol.predict]
            used = measure([*DFF, "predict", str(stack), *arguments])
        cpu_s = used.cpu_s - import_s
        rows.append([size.name, used.cpu_s, cpu_s, used.wall_s, used.peak_mb])
        if size.max_cpu_s:
            targets.append(Target(f"{size.name}: CPU after import [s]", cpu_s, "at most", size.max_cpu_s))
        if size.max_mb:
            targets.append(Target(f"{size.name}: peak [MB]", used.peak_mb, "at most", size.max_mb))
    columns = {
        "stack": "",
        "CPU [s]": ".2f",
        "CPU after import [s]": ".2f",
        "wall [s]": ".1f",
        "peak [MB]": ".0f",
    }
    note = (
        f"`dff predict STACK {' '.join(protocol.predict)}`, JPEG in, reading and writing included. Imports "
        f"take {import_s:.2f} s of CPU (taken off), `dff --help` {help_s:.2f} s. Peak: resident memory, "
        "1 MB = 10^6 bytes, imports included."
    )
    return Report(NAME, options, asdict(protocol), [Table("dff predict", columns, rows, note)], targets)
