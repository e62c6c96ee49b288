"""`dff simulate`: focal stacks with their truth, as many as asked for."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dff.commands.outputs import Outputs, json_text
from dff.commands.simulate_options import Simulate
from dff.commands.terminal import Terminal
from dff.formats.units import convert, parse_quantity
from dff.simulator.camera_model import CameraModel, Frame
from dff.simulator.camera_prior import Camera, load_camera
from dff.simulator.dataset import Dataset, Run, plan, write_dataset
from dff.simulator.manifest import simulated_folders
from dff.simulator.photos import load_photos
from dff.simulator.preview import contact_sheet
from dff.simulator.simulated import Simulated
from dff.simulator.sources import BlenderScenes, ProceduralScenes, RgbdScenes, SceneSource
from dff.simulator.stack_files import read_simulated

SHEET_ROWS, MOST_ROWS = 4, 12
_OF_SCENE = {
    "procedural": ("photos",),
    "rgbd": ("data", "depth_unit"),
    "blender": ("kind", "textures", "hdri", "meshes"),
}


def simulate(options: Simulate) -> None:
    """Simulate into ``out``, or only the sheet ``preview``."""
    started = time.perf_counter()
    with Terminal(options.quiet, options.json).working() as terminal:
        outputs = Outputs([], options.overwrite)
        outputs.check_picture("preview", options.preview)
        report: dict[str, Any] = {"command": "simulate", "folder": options.out}
        if options.out is None:
            _refuse_without_out(options)
            dataset = _dataset(options, options.n or SHEET_ROWS)
            dataset.check()
            stacks = list(_made(dataset, terminal))
        else:
            if options.n is None:
                raise ValueError("say how many stacks, such as --n 1000")
            dataset = _dataset(options, options.n)
            run = plan(dataset, options.out, resume=options.resume, shard=_shard(options.shard))
            _write(run, options.workers, terminal)
            report |= {"stacks": len(run.mine), "made": len(run.todo)}
            folders = simulated_folders(run.folder)[:SHEET_ROWS] if "preview" in outputs else []
            stacks = [read_simulated(folder) for folder in folders]
        if "preview" in outputs:
            outputs.picture("preview", contact_sheet(stacks))
        seconds = time.perf_counter() - started
        report |= {"preview": options.preview, "seconds": round(seconds, 3)}
        if options.json:
            print(json_text(report), end="")
        if options.out is not None:
            size = f"{dataset.crop.size[1]}x{dataset.crop.size[0]} px"
            rate = f", {len(run.todo) / seconds:.2g} a second" if run.todo else ", all of them there already"
            terminal.say(f"{len(run.mine)} stacks of {size} in {options.out}/ (made {len(run.todo)}{rate})")
        if options.preview is not None:
            terminal.say(f"look at {options.preview}")


def _refuse_without_out(options: Simulate) -> None:
    if options.preview is None:
        raise ValueError("nothing to write; give --out DIR, or --preview FILE.png for a sheet to look at")
    for name in ("resume", "shard"):
        if getattr(options, name):
            raise ValueError(f"--{name} goes with --out; there is nothing to go on with")
    if options.n is not None and options.n > MOST_ROWS:
        raise ValueError(
            f"--n {options.n}: without --out there is only a sheet, of {MOST_ROWS} stacks at most"
        )


def _made(dataset: Dataset, terminal: Terminal) -> Iterator[Simulated]:
    for index in range(dataset.n):
        terminal.progress("simulate", index, dataset.n)
        yield dataset.stack(index)


def _write(run: Run, workers: int, terminal: Terminal) -> None:
    try:
        write_dataset(run, workers=workers, progress=terminal.progress)
    except KeyboardInterrupt:
        terminal.stop()
        terminal.warn(
            f"stopped with {run.done} of {len(run.mine)} stacks, all of them whole; to go on, "
            "give the same command with --resume"
        )
        raise


# --- from options to settings ----------------------------------------------------------------------------


def _dataset(options: Simulate, n: int) -> Dataset:
    camera = load_camera(options.camera)
    near, far = (_dioptre(options, name) for name in ("near", "far"))
    return Dataset(
        source=_source(options),
        camera=camera,
        camera_name=Path(options.camera).stem,
        crop=_crop(options, camera),
        n=n,
        seed=options.seed,
        n_slices=options.slices,
        far_dioptre=far,
        near_dioptre=near,
        dual_pixel=options.dual_pixel,
        device=_device(options.device),
    )


def _source(options: Simulate) -> SceneSource:
    for scene, names in _OF_SCENE.items():
        for name in names:
            if scene != options.scene and getattr(options, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} is for --scene {scene}, not {options.scene}")
    if options.scene == "procedural":
        return ProceduralScenes(photos=None if options.photos is None else load_photos(options.photos))
    if options.scene == "rgbd":
        if options.data is None:
            raise ValueError("--scene rgbd needs pictures with their depth: give --data DIR")
        return RgbdScenes(Path(options.data), options.depth_unit)
    textures, hdri, meshes = (
        None if folder is None else Path(folder)
        for folder in (options.textures, options.hdri, options.meshes)
    )
    return BlenderScenes(options.kind or BlenderScenes.kind, textures, hdri, meshes)


def _crop(options: Simulate, camera: Camera) -> Frame:
    match = re.fullmatch(r"(\d+)(?:[xX](\d+))?", options.size)
    if match is None:
        raise ValueError(f"--size {options.size}: give width and height in px, such as 640x480")
    width, height = int(match[1]), int(match[2] or match[1])
    if options.frame_width is None:
        return Frame((height, width))
    shape = (
        camera.picture_height / camera.picture_width if isinstance(camera, CameraModel) else height / width
    )
    return Frame((height, width), (round(options.frame_width * shape), options.frame_width))


def _dioptre(options: Simulate, name: str) -> float | None:
    text = getattr(options, name)
    if text is None:
        return None
    kind, values = convert([parse_quantity(text, "m", f"--{name}")], 1, f"--{name}")
    if kind != "dioptre":
        raise ValueError(f"--{name} {text}: give a distance, such as 30cm or 5m")
    return float(values[0])


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 1
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise ValueError(f"--shard {text}: give which part of how many, such as 1/4")
    return int(match[1]), int(match[2])


def _device(name: str) -> str:
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise ValueError("--device cuda: no CUDA device here; use --device cpu")
    return "cpu"
