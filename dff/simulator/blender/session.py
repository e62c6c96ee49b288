"""The Blender process: its import, its one scene, its settings, and its chatter kept off the terminal."""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dff.simulator.blender.exr import read_passes


@dataclass(frozen=True)
class RenderSettings:
    """How Cycles renders.

    Args:
        samples: light paths per pixel.
        denoise: clean the result with Open Image Denoise.
        seed: of the noise; the same seed gives the same picture.
        bounces: of light between surfaces.
        threads: CPU threads, 0 for all.
    """

    samples: int = 64
    denoise: bool = True
    seed: int = 0
    bounces: int = 3
    threads: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1 or self.bounces < 0 or self.threads < 0:
            raise ValueError("RenderSettings: needs samples >= 1, bounces >= 0 and threads >= 0")


def require_bpy() -> Any:
    """The module `bpy`.

    Raises:
        ValueError: it is not installed.
    """
    if "bpy" not in sys.modules:
        # a worker inherits Blender's own insides on its path, where a package bpy lies that is none by itself
        sys.path[:] = [place for place in sys.path if "bpy" not in Path(place).parts]
    try:
        with quiet():  # it reports missing GPUs while it loads
            return importlib.import_module("bpy")
    except ImportError as error:
        raise ValueError(
            f"Blender scenes need the module bpy ({error}): "
            'pip install "dff[blender]" in an environment of Python 3.11'
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence standard output and error of the whole process, C code included."""
    libc = ctypes.CDLL(None)
    sys.stdout.flush()
    sys.stderr.flush()
    libc.fflush(None)
    saved = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        libc.fflush(None)  # else C's own buffer would speak later
        for number, handle in zip((1, 2), saved, strict=True):
            os.dup2(handle, number)
            os.close(handle)
        os.close(nowhere)


def empty_scene() -> Any:
    """Drop everything Blender holds; `bpy` with an empty scene set up for linear multilayer EXR."""
    bpy = require_bpy()
    with quiet():
        bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.caustics_reflective = False
    scene.cycles.caustics_refractive = False
    scene.cycles.sample_clamp_indirect = 5.0
    scene.view_settings.view_transform = "Raw"
    image = scene.render.image_settings
    image.media_type = "MULTI_LAYER_IMAGE"  # first: it decides which formats there are
    image.file_format = "OPEN_EXR_MULTILAYER"
    image.color_depth = "32"
    bpy.context.view_layer.use_pass_z = True
    return bpy


def apply_settings(settings: RenderSettings) -> None:
    """Set the scene's quality."""
    bpy = require_bpy()
    scene = bpy.context.scene
    cycles = scene.cycles
    cycles.samples = settings.samples
    cycles.use_denoising = settings.denoise
    cycles.seed = settings.seed % 2**31
    cycles.max_bounces = settings.bounces
    cycles.diffuse_bounces = settings.bounces
    cycles.glossy_bounces = settings.bounces
    scene.render.threads_mode = "FIXED" if settings.threads else "AUTO"
    if settings.threads:
        scene.render.threads = settings.threads


def render() -> tuple[np.ndarray, np.ndarray]:
    """Render what the scene's camera sees: (H,W,4) premultiplied linear RGBA, (H,W) planar depth [m].

    Depth is one sample per pixel, infinite where nothing is hit.
    """
    bpy = require_bpy()
    scene = bpy.context.scene
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "passes.exr"
        scene.render.filepath = str(path)
        with quiet():
            bpy.ops.render.render(write_still=True)
        return read_passes(path)
