"""How fast the simulator is: CPU seconds of one thread, stacks per second of workers and of a GPU."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from threading import Barrier

import numpy as np
import torch
from torch import Tensor

from dff.eval.inputs import Say
from dff.eval.report import Cell, Report, Table, Target
from dff.simulator.camera_model import CameraModel, Frame
from dff.simulator.camera_prior import load_camera
from dff.simulator.capture import SimulationConfig, simulate_batch
from dff.simulator.layers import Layer, all_in_focus, truth
from dff.simulator.procedural import random_scenes
from dff.simulator.render import render_stack
from dff.simulator.rgbd import rgbd_layers
from dff.simulator.scene_config import SceneConfig
from dff.simulator.workers import end_with_parent, one_torch_thread

NAME = "simulator-speed"
FAR, NEAR = 0.3, 3.0  # dioptres


@dataclass(frozen=True)
class Patch:
    """One-channel patches of a camera that has a long sweep."""

    camera: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Targets:
    """CPU seconds per stack on one thread; stacks per second of all workers; of a GPU."""

    render_s: float
    patch_s: float
    supply_per_s: float
    cuda_per_s: float


@dataclass(frozen=True)
class Protocol:
    """What is timed.

    Args:
        size: (height, width) of the stacks.
        n_slices: of each.
        radius_px: largest blur of the stacks that are rendered only.
        scenes: procedural scenes that are rendered, of seeds from ``seed`` on.
        repeats: runs of each, of which the quickest counts.
        cameras: of the stacks that are made from beginning to end.
        workers: processes that make them, one thread each.
        stacks: that each worker makes, in batches of ``batch``.
        cuda_batch: stacks at once on a GPU.
    """

    targets: Targets
    patch: Patch
    size: tuple[int, int] = (256, 256)
    n_slices: int = 10
    radius_px: float = 12.0
    scenes: int = 4
    seed: int = 7200
    repeats: int = 3
    cameras: tuple[str, ...] = ("pixel6", "random_camera")
    workers: int = 2
    stacks: int = 24
    batch: int = 2
    cuda_batch: int = 32
    scene: SceneConfig = field(default_factory=SceneConfig)


def quickest_s(work: Callable[[], object], repeats: int) -> float:
    """CPU seconds of the quickest of some runs of ``work``, after one that does not count."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


# --- one thread of a CPU ---------------------------------------------------------------------------------


def _scene(protocol: Protocol, seed: int, batch: int = 1, device: str = "cpu") -> list[Layer]:
    generator = torch.Generator(device).manual_seed(seed)
    return random_scenes(protocol.scene, batch, *protocol.size, FAR, NEAR, generator)


def _sweep(protocol: Protocol) -> tuple[Tensor, float]:
    """Focus (N,) and px per dioptre of the stacks that are rendered only."""
    return torch.linspace(FAR, NEAR, protocol.n_slices), 2 * protocol.radius_px / (NEAR - FAR)


def _from_rgbd(picture: Tensor, dioptre: Tensor, focus: Tensor, gain: float) -> Tensor:
    return render_stack(rgbd_layers(picture, dioptre), focus, gain)


def _patch(protocol: Protocol, seed: int) -> tuple[list[Layer], Tensor, Tensor]:
    """Green layers, focus (1,N) and px per dioptre (1,N) of a patch of the camera's own pixels."""
    camera = load_camera(protocol.patch.camera)
    if not isinstance(camera, CameraModel):
        raise ValueError(f"{NAME}: patch.camera {protocol.patch.camera!r} has no pictures; choose another")
    frame = Frame(protocol.patch.size, (camera.picture_height, camera.picture_width))
    sweep = camera.sweep(1, frame, np.random.default_rng(seed))
    ends = float(sweep.focus.min()), float(sweep.focus.max())
    layers = random_scenes(protocol.scene, 1, *frame.size, *ends, torch.Generator().manual_seed(seed))
    green = [Layer(layer.colour[:, 1:2], layer.alpha, layer.dioptre) for layer in layers]
    focus, gain = (torch.from_numpy(part).float() for part in (sweep.true_focus, sweep.coc_px_per_dioptre))
    return green, focus, gain


def cpu_part(protocol: Protocol, limit: int | None, say: Say) -> tuple[Table, list[Target]]:
    """Scenes, renders and the RGB-D path: CPU seconds per stack."""
    focus, gain = _sweep(protocol)
    count = min(protocol.scenes, limit or protocol.scenes)
    taken: dict[str, list[float]] = {}
    size = f"{protocol.size[1]}x{protocol.size[0]}"
    stack = f"render {protocol.n_slices} x {size} RGB"
    patch = f"render a patch of {protocol.patch.camera}, all its slices"
    for seed in range(protocol.seed, protocol.seed + count):
        say(f"{NAME}: CPU, seed {seed}")
        layers = _scene(protocol, seed)
        known = all_in_focus(layers), truth(layers)[0]
        works: dict[str, Callable[[], object]] = {
            f"make a scene {size}": partial(_scene, protocol, seed),
            stack: partial(render_stack, layers, focus, gain),
            patch: partial(render_stack, *_patch(protocol, seed)),
            f"RGB-D {size} to layers": partial(rgbd_layers, *known),
            f"RGB-D {size} to {protocol.n_slices} slices": partial(_from_rgbd, *known, focus, gain),
        }
        for name, work in works.items():
            taken.setdefault(name, []).append(quickest_s(work, protocol.repeats))
    mean = {name: float(np.mean(seconds)) for name, seconds in taken.items()}
    rows: list[list[Cell]] = [[name, mean[name], min(some), max(some)] for name, some in taken.items()]
    columns = {"work": "", "mean [s]": ".3f", "least [s]": ".3f", "most [s]": ".3f"}
    slices = int(_patch(protocol, protocol.seed)[1].shape[1])
    note = (
        f"CPU seconds of one thread, quickest of {protocol.repeats} runs, over {count} procedural scenes. "
        f"Blur radius up to {protocol.radius_px:g} px. The patch: {slices} slices of "
        f"{protocol.patch.size[1]}x{protocol.patch.size[0]} px, one green channel, the camera's own blur."
    )
    wanted = protocol.targets
    return Table("One thread", columns, rows, note), [
        Target(f"{stack} [CPU s]", mean[stack], "at most", wanted.render_s),
        Target(f"{patch} [CPU s]", mean[patch], "at most", wanted.patch_s),
    ]


# --- worker processes ------------------------------------------------------------------------------------


@dataclass
class _Worker:
    """State of one worker process."""

    barrier: Barrier | None = None


_worker = _Worker()


def _begin(barrier: Barrier) -> None:
    end_with_parent()
    torch.set_num_threads(1)
    _worker.barrier = barrier


def _supply(
    config: SimulationConfig, n_slices: int, stacks: int, batch: int, seed: int
) -> tuple[float, float]:
    """Make stacks from beginning to end; wall and CPU seconds from when all workers are ready."""
    generator = torch.Generator().manual_seed(seed)
    simulate_batch(config, generator, 1, n_slices=n_slices)
    assert _worker.barrier is not None
    _worker.barrier.wait()
    wall, cpu = time.perf_counter(), time.process_time()
    for first in range(0, stacks, batch):
        simulate_batch(config, generator, min(batch, stacks - first), n_slices=n_slices)
    return time.perf_counter() - wall, time.process_time() - cpu


def workers_part(protocol: Protocol, limit: int | None, say: Say) -> tuple[Table, list[Target]]:
    """Stacks per second of several processes: scene, blur, motion, noise and coding."""
    stacks = protocol.stacks if limit is None else min(protocol.stacks, limit)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(protocol.workers)
    rows: list[list[Cell]] = []
    targets = []
    with ProcessPoolExecutor(protocol.workers, context, _begin, (barrier,)) as pool:
        for camera in protocol.cameras:
            say(f"{NAME}: {protocol.workers} workers, {camera}")
            config = SimulationConfig(protocol.scene, camera, protocol.size)
            jobs = [
                pool.submit(_supply, config, protocol.n_slices, stacks, protocol.batch, protocol.seed + i)
                for i in range(protocol.workers)
            ]
            walls, cpus = zip(*(job.result() for job in jobs), strict=True)
            per_s = sum(stacks / wall for wall in walls)
            cpu_s = sum(cpus) / (protocol.workers * stacks)
            rows.append([camera, per_s, cpu_s, protocol.workers / cpu_s])
            what = f"{camera}: stacks per second, end to end"
            targets.append(Target(what, per_s, "at least", protocol.targets.supply_per_s))
    columns = {
        "camera": "",
        "stacks per second": ".2f",
        "CPU seconds per stack": ".3f",
        "stacks per second of idle cores": ".2f",
    }
    note = (
        f"{protocol.workers} workers of one thread, {stacks} stacks of {protocol.n_slices} x "
        f"{protocol.size[1]}x{protocol.size[0]} RGB each, in batches of {protocol.batch}: a new scene for "
        "every stack, blur, motion, noise and coding. By the clock, which needs idle cores; the last column "
        "is what they would give."
    )
    return Table("Worker processes", columns, rows, note), targets


# --- a GPU -----------------------------------------------------------------------------------------------


def _cuda_per_s(work: Callable[[], object], stacks: int, repeats: int) -> tuple[float, float]:
    """Stacks per second of the quickest of some runs, and peak memory [MB]."""
    work()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return stacks / min(taken), torch.cuda.max_memory_allocated() / 1e6


def cuda_part(protocol: Protocol, say: Say) -> tuple[Table, list[Target]]:
    """Batches on a GPU: rendering alone in two precisions, and everything."""
    say(f"{NAME}: GPU")
    count = protocol.cuda_batch
    focus, gain = _sweep(protocol)
    focus = focus.cuda()
    layers = _scene(protocol, protocol.seed, count, "cuda")
    half = [Layer(layer.colour.bfloat16(), layer.alpha.bfloat16(), layer.dioptre) for layer in layers]
    config = SimulationConfig(protocol.scene, protocol.cameras[-1], protocol.size)
    generator = torch.Generator("cuda").manual_seed(protocol.seed)
    works: dict[str, Callable[[], object]] = {
        "make scenes": partial(_scene, protocol, protocol.seed, count, "cuda"),
        "render, float32": partial(render_stack, layers, focus, gain),
        "render, bfloat16 in and out": partial(render_stack, half, focus, gain),
        "end to end": partial(simulate_batch, config, generator, count, n_slices=protocol.n_slices),
    }
    found = {name: _cuda_per_s(work, count, protocol.repeats) for name, work in works.items()}
    rows: list[list[Cell]] = [[name, *numbers] for name, numbers in found.items()]
    columns = {"work": "", "stacks per second": ".0f", "peak [MB]": ".0f"}
    note = (
        f"{torch.cuda.get_device_name()}, {count} stacks at once, {protocol.n_slices} x "
        f"{protocol.size[1]}x{protocol.size[0]} RGB, blur radius up to {protocol.radius_px:g} px "
        f"(end to end: {protocol.cameras[-1]}), quickest of {protocol.repeats}."
    )
    best = max(found["render, float32"][0], found["render, bfloat16 in and out"][0])
    target = Target("GPU: stacks rendered per second", best, "at least", protocol.targets.cuda_per_s)
    return Table("GPU", columns, rows, note), [target]


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """Time the CPU, the workers, and a GPU where there is one; ``limit`` scenes, and stacks per worker."""
    with one_torch_thread():
        parts = [cpu_part(protocol, limit, say), workers_part(protocol, limit, say)]
    if torch.cuda.is_available():
        parts.append(cuda_part(protocol, say))
    tables, targets = [table for table, _ in parts], [target for _, some in parts for target in some]
    return Report(NAME, options, asdict(protocol), tables, targets)
