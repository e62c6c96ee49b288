"""The demo stack: a laid table, seen by a compact camera through a real focus sweep, with its truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dff.camera import Lens
from dff.formats.pictures import write_picture
from dff.formats.safe_write import atomic_path, check_folder
from dff.recipes import load_recipe
from dff.simulator.capture import Simulated, SimulationConfig, capture, draw_sweep
from dff.simulator.table import table_scene
from dff.simulator.textures import Draw

RECIPE_WIDTH = 640  # px, the picture width that the camera's pixel pitch belongs to
TRUTH = "truth"


def demo_stack(seed: int = 0, size: tuple[int, int] = (480, 640)) -> Simulated:
    """Ten slices of a laid table from 2 m to 0.25 m, blurred up to 13 px in diameter at 640 px width.

    Args:
        seed: varies motion, noise, the grain of all surfaces and the growth of the twigs.
        size: (height, width); the field of view stays that of the camera.
    """
    lens = load_recipe("simulator/cameras", "compact", Lens).resized(size[1] / RECIPE_WIDTH)
    config = replace(load_recipe("simulator/scenes", "demo", SimulationConfig), size=size, lens=lens)
    generator = torch.Generator().manual_seed(seed)
    sweep = draw_sweep(config, Draw(generator))
    layers = table_scene(config, sweep.margin(size), generator)
    return capture(layers, config, sweep, generator)


def _stack_toml(simulated: Simulated, lens: Lens) -> str:
    assert simulated.stack.focus is not None
    distances = ", ".join(f"{1 / dioptre:.6g}" for dioptre in simulated.stack.focus)
    return (
        "# Focus distance of each slice in metres, in the order of the file names.\n"
        f"focus_m = [{distances}]\n\n"
        "[lens]\n"
        f"focal_length_mm = {lens.focal_length_m * 1e3:.6g}\n"
        f"f_number = {lens.f_number:.6g}\n"
        f"pixel_pitch_um = {lens.pixel_pitch_m * 1e6:.6g}\n"
        f"breathing = {lens.breathing:.6g}\n"
    )


def write_demo(
    folder: str | Path, *, seed: int = 0, size: tuple[int, int] = (480, 640), overwrite: bool = False
) -> list[Path]:
    """Write the demo stack: JPEG slices, `stack.toml`, and the truth in a folder of its own.

    Args:
        folder: missing (its parent must exist) or empty; with ``overwrite``, files of the same names go.
        seed, size: as in `demo_stack`.

    Returns:
        The files written: the slices, stack.toml, truth/depth_truth.npz (dioptre, metres and edges (H,W) of
        slice ``reference``, matrices (N,2,3) from it to each slice, focus (N,) in dioptres) and
        truth/all_in_focus.png.

    Raises:
        FileNotFoundError, ValueError: the folder cannot be used; nothing is written.
    """
    folder = check_folder(folder, overwrite)
    simulated = demo_stack(seed, size)
    lens = simulated.stack.lens
    assert lens is not None
    (folder / TRUTH).mkdir(parents=True, exist_ok=True)
    files = [
        write_picture(picture, folder / f"slice_{k:02d}.jpg", overwrite=overwrite)
        for k, picture in enumerate(simulated.stack.slices)
    ]
    with atomic_path(folder / "stack.toml") as temporary:
        temporary.write_text(_stack_toml(simulated, lens), encoding="utf-8")
    depth_path = folder / TRUTH / "depth_truth.npz"
    with atomic_path(depth_path) as temporary:
        np.savez_compressed(
            temporary,
            dioptre=simulated.dioptre,
            metres=1 / simulated.dioptre,
            edges=simulated.edges,
            matrices=simulated.matrices,
            reference=np.array(simulated.reference),
            focus=simulated.stack.positions,
        )
    picture_path = write_picture(simulated.aif, folder / TRUTH / "all_in_focus.png", overwrite=overwrite)
    return [*files, folder / "stack.toml", depth_path, picture_path]
