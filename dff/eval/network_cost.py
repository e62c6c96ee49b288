"""CPU seconds, peak memory and parameters of the depth networks, on one thread, untrained.

Times are of the network alone, on a stack of noise in memory; `dff.eval.cost` has whole predictions. The
networks take turns, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from dff.allocator import reused_memory
from dff.eval.inputs import Say
from dff.eval.meter import measure
from dff.eval.report import Cell, Report, Table, Target
from dff.model.device import computes_in_half
from dff.model.interface import DepthModel
from dff.model.network import NAMED, build_depth_network
from dff.simulator.workers import one_torch_thread

NAME = "network-cost"


@dataclass(frozen=True)
class Stack:
    """One size of stack, the networks that see it, and the CPU seconds that some of them may take."""

    slices: int
    width: int
    height: int
    networks: tuple[str, ...]
    max_cpu_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [name for name in (*self.networks, *self.max_cpu_s) if name not in NAMED]
        if unknown or set(self.max_cpu_s) - set(self.networks):
            raise ValueError(f"networks {', '.join(self.networks)}; choose from {', '.join(NAMED)}")

    @property
    def name(self) -> str:
        return f"{self.slices} x {self.width}x{self.height}"


@dataclass(frozen=True)
class Ratio:
    """How many times cheaper ``network`` should be than ``rival``, wherever both are run."""

    network: str
    rival: str
    least: float


@dataclass(frozen=True)
class Protocol:
    """What is run.

    Args:
        repeats: turns of every network.
    """

    stacks: tuple[Stack, ...]
    ratios: tuple[Ratio, ...] = ()
    repeats: int = 3

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ValueError(f"repeats {self.repeats}; give at least 1")


def untrained(name: str) -> DepthModel:
    """A named network, in evaluation mode."""
    torch.manual_seed(0)
    return build_depth_network(NAMED[name]).eval()


def run_once(network: DepthModel, slices: int, height: int, width: int, half: bool = False) -> float:
    """CPU seconds of this process for one stack of noise, in float32 or in bfloat16."""
    images = torch.rand(1, slices, 3, height, width, generator=torch.Generator().manual_seed(0))
    u = torch.linspace(0, 1, slices)[None]
    begun = time.process_time()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        network(images, u)
    return time.process_time() - begun


def times(stack: Stack, repeats: int) -> dict[tuple[str, bool], list[float]]:
    """CPU seconds of every network of a stack, in turns, in float32 and where the processor computes in it in
    bfloat16 (True); a first, untimed turn wakes the libraries.
    """
    networks = {name: untrained(name) for name in stack.networks}
    formats = (False, True) if computes_in_half(torch.device("cpu")) else (False,)
    found: dict[tuple[str, bool], list[float]] = {(name, half): [] for name in networks for half in formats}
    with one_torch_thread(), reused_memory():
        for turn in range(repeats + 1):
            for (name, half), seconds in found.items():
                if turn:
                    size = stack.slices, stack.height, stack.width
                    seconds.append(run_once(networks[name], *size, half))
                else:
                    run_once(networks[name], stack.slices, 64, 64, half)
    return found


def peak_mb(name: str, slices: int, height: int, width: int) -> float:
    """Peak resident megabytes of a process of its own that runs a network once."""
    numbers = map(str, (slices, height, width))
    return measure([sys.executable, "-m", "dff.eval.network_cost", name, *numbers]).peak_mb


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """Measure the first ``limit`` stacks of the protocol."""
    say(f"{NAME}: memory of the imports")
    idle_mb = measure([sys.executable, "-c", "import dff.eval.network_cost"]).peak_mb
    rows: list[list[Cell]] = []
    targets: list[Target] = []
    for stack in protocol.stacks[:limit]:
        say(f"{NAME}: {stack.name}, time")
        seconds = times(stack, protocol.repeats)
        best = {name: min(seconds[name, False]) for name in stack.networks}
        for name in stack.networks:
            say(f"{NAME}: {stack.name}, memory of {name}")
            mb = peak_mb(name, stack.slices, stack.height, stack.width)
            median = float(np.median(seconds[name, False]))
            half = min(seconds.get((name, True), [float("nan")]))
            count = untrained(name).parameter_count
            rows.append([stack.name, name, count / 1e6, best[name], median, half, mb, mb - idle_mb])
        for name, most in stack.max_cpu_s.items():
            targets.append(Target(f"{stack.name}: {name}, CPU [s]", best[name], "at most", most))
        for ratio in protocol.ratios:
            if {ratio.network, ratio.rival} <= best.keys():
                what = f"{stack.name}: CPU of {ratio.rival} over {ratio.network}"
                found = best[ratio.rival] / best[ratio.network]
                targets.append(Target(what, found, "at least", ratio.least))
    columns = {
        "stack": "",
        "network": "",
        "parameters [M]": ".3f",
        "CPU, best [s]": ".2f",
        "CPU, median [s]": ".2f",
        "in bfloat16, best [s]": ".2f",
        "peak [MB]": ".0f",
        "over imports [MB]": ".0f",
    }
    note = (
        f"Untrained networks, evaluation mode, one thread, memory used again as in `dff predict`; "
        f"{protocol.repeats} runs each, in turns. `dff predict` runs them in bfloat16 where the processor "
        f"computes in it. Targets and memory: float32, the best run. Peak: resident memory of a process that "
        f"runs the network once, 1 MB = 10^6 bytes; imports alone take {idle_mb:.0f} MB. "
        "dff-wild: the network of Won & Jeon (ECCV 2022), of whose outputs evaluation needs the last alone."
    )
    return Report(NAME, options, asdict(protocol), [Table("Depth networks", columns, rows, note)], targets)


def main() -> int:
    """Run the network named by the arguments on one stack: NAME SLICES HEIGHT WIDTH."""
    name, *numbers = sys.argv[1:]
    slices, height, width = map(int, numbers)
    with one_torch_thread(), reused_memory():
        run_once(untrained(name), slices, height, width)
    return 0


if __name__ == "__main__":
    sys.exit(main())
