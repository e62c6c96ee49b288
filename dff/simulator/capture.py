"""The camera before layered scenes: blur, motion and sensor make focal stacks, and every truth is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dff.flow import affine_flow, unbiased, warp
from dff.simulator.camera_model import CameraModel, Frame
from dff.simulator.camera_prior import Camera, CameraPrior, load_camera
from dff.simulator.expose import expose, expose_dual_pixel
from dff.simulator.layers import Layer, Scene, all_in_focus, truth
from dff.simulator.procedural import random_scenes
from dff.simulator.render import render_dual_pixel, render_stack
from dff.simulator.scene_config import SceneConfig
from dff.simulator.simulated import Simulated, SimulatedBatch
from dff.simulator.sweep import Sweep, inverse
from dff.simulator.textures import to_display

if TYPE_CHECKING:
    from dff.simulator.photos import PhotoPack
    from dff.simulator.scene_pack import ScenePack

MIN_EDGE_SHARE = 0.02  # a depth step below this share of the sweep is no occlusion boundary


@dataclass(frozen=True)
class SimulationConfig:
    """One kind of simulated focal stacks of procedural scenes.

    Args:
        scene: what is in front of the camera.
        camera: a model, a prior, or the name of a recipe in simulator/cameras.
        size: (height, width) of the pictures.
        frame: (height, width) of the whole field of view at this scale; None: the pictures show all of it.
        reference: the slice that the truth belongs to and that does not move; negative counts from the end.
        beyond: how far the scene may reach out of the sweep at both ends, as a share of the sweep, drawn
            uniformly per stack from this (low, high); never past infinity.
        dual_pixel: also take the pictures of the left and the right half of the aperture.
    """

    scene: SceneConfig = field(default_factory=SceneConfig)
    camera: str | CameraPrior | CameraModel = field(default_factory=CameraPrior)
    size: tuple[int, int] = (192, 192)
    frame: tuple[int, int] | None = None
    reference: int = -1
    beyond: tuple[float, float] = (0.0, 0.0)
    dual_pixel: bool = False

    def __post_init__(self) -> None:
        self.crop()
        if not 0 <= self.beyond[0] <= self.beyond[1]:
            raise ValueError(f"SimulationConfig: beyond {self.beyond} must be 0 <= low <= high")

    def crop(self) -> Frame:
        """Which pixels of the camera these stacks take."""
        return Frame(self.size, self.frame, self.reference)

    def taken_with(self) -> Camera:
        """The camera, read from its recipe if it is a name."""
        return load_camera(self.camera) if isinstance(self.camera, str) else self.camera


def _move(pictures: Tensor, matrices: np.ndarray, margin: int) -> Tensor:
    """What the slices see: (B,N,C,H,W), from ``pictures`` (B,N,C,H+2m,W+2m) read at the inverse motion."""
    if not margin and np.array_equal(matrices, np.broadcast_to(np.eye(2, 3), matrices.shape)):
        return pictures
    tall, wide = pictures.shape[-2:]
    back = inverse(matrices)
    step = np.array([margin, margin], dtype=np.float64)
    shift = back[..., 2] + step - back[..., :2] @ step  # the same motion in pixels of the larger picture
    matrix = np.concatenate([back[..., :2], shift[..., None]], axis=-1).reshape(-1, 2, 3)
    flow = affine_flow(torch.from_numpy(matrix).to(pictures.device, torch.float32), tall, wide)
    moved = warp(pictures.flatten(0, 1), unbiased(flow))[..., margin : tall - margin, margin : wide - margin]
    return moved.unflatten(0, pictures.shape[:2])


def _soften(pictures: Tensor, sigma_px: np.ndarray) -> Tensor:
    """(B,N,C,H,W) blurred by a Gaussian of its own for each stack; the border is continued by reflection."""
    if not sigma_px.any():
        return pictures
    stacks = []
    for stack, sigma in zip(pictures, sigma_px, strict=True):
        reach = max(1, math.ceil(3 * sigma))
        at = torch.arange(-reach, reach + 1, device=pictures.device, dtype=pictures.dtype)
        taps = torch.softmax(-at.square() / (2 * max(float(sigma), 1e-3) ** 2), dim=0)
        flat = F.pad(stack.flatten(0, 1)[:, None], (reach,) * 4, mode="reflect")
        rows = F.conv2d(flat, taps[None, None, :, None])
        stacks.append(F.conv2d(rows, taps[None, None, None, :])[:, 0].reshape(stack.shape))
    return torch.stack(stacks)


def capture(
    layers: Sequence[Layer],
    sweep: Sweep,
    size: tuple[int, int],
    reference: int,
    generator: torch.Generator,
    *,
    valid: Tensor | None = None,
    dual_pixel: bool = False,
) -> SimulatedBatch:
    """Take the focal stacks of given scenes.

    Args:
        layers: (B,C,H',W') colour, (B,H',W') alpha and dioptre; the pictures are the middle of H' x W', and
            the margin round it must be the same on all sides, `Sweep.margin` px or more.
        sweep: focus, blur, motion and sensor of each of the B stacks.
        size: (height, width) of the pictures.
        reference: the slice that stands still, from 0.
        generator: seeded, for the noise; on the device of the layers.
        valid: (B,H',W') bool, where the scene's depth is known; None: everywhere.
        dual_pixel: also take what the left and the right half of the aperture see.

    Raises:
        ValueError: the scene is too small for the pictures and their motion.
    """
    (height, width), (tall, wide) = size, layers[0].alpha.shape[-2:]
    margin, needed = (tall - height) // 2, sweep.margin(size)
    if (tall - height, wide - width) != (2 * margin, 2 * margin) or margin < needed:
        raise ValueError(
            f"capture: a scene of {wide}x{tall} px is not {width}x{height} px with one margin of at least "
            f"{needed} px round it"
        )
    device = layers[0].alpha.device
    middle = ..., slice(margin, margin + height), slice(margin, margin + width)
    focus, gain, ramp = (
        torch.from_numpy(part).to(device, torch.float32)
        for part in (
            sweep.true_focus,
            sweep.coc_px_per_dioptre / sweep.coefficients[..., 0],  # the motion will scale the blur, too
            sweep.ramp,
        )
    )
    if sweep.sensor.is_green:
        layers = [Layer(layer.colour[..., 1:2, :, :], layer.alpha, layer.dioptre) for layer in layers]
    optics: dict[str, Any] = {"psf": sweep.psf, "field": sweep.field(margin)}
    exposure = sweep.sensor.draw(generator, focus.shape[0], focus.shape[1], ramp)

    def seen(light: Tensor) -> Tensor:
        return _soften(_move(light, sweep.matrices, margin), sweep.softness_px)

    whole = sweep.field()
    light_axis = *whole.axis_px[::-1], whole.corner_px
    images = expose(seen(render_stack(layers, focus, gain, **optics)), exposure, generator, light_axis)
    halves = None
    if dual_pixel:
        left, right = (seen(half) for half in render_dual_pixel(layers, focus, gain, **optics))
        halves = expose_dual_pixel(left, right, exposure, generator, light_axis)
    span = sweep.focus[:, -1:] - sweep.focus[:, :1]
    dioptre, edges = truth(layers, MIN_EDGE_SHARE * float(span.min()))
    known = torch.ones_like(edges) if valid is None else valid
    return SimulatedBatch(
        images=images,
        halves=halves,
        dioptre=dioptre[middle],
        aif=to_display(all_in_focus(layers)[middle]),
        edges=edges[middle],
        valid=known[middle],
        sweep=sweep,
        reference=reference,
        exposure=exposure,
    )


def scene_range(
    sweep: Sweep, beyond: tuple[float, float], random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Far and near end (B,) [dioptre] of scenes that reach out of the sweep by a share within ``beyond``."""
    first, last = sweep.focus[:, 0], sweep.focus[:, -1]
    out = random.uniform(*beyond, (2, first.size)) * (last - first)
    return np.maximum(0.0, first - out[0]), last + out[1]


def take_batch(
    camera: Camera,
    crop: Frame,
    batch: int,
    generator: torch.Generator,
    scene: Callable[[Sweep, np.random.Generator, int, int], Scene],
    *,
    n_slices: int | None = None,
    dual_pixel: bool = False,
) -> SimulatedBatch:
    """Draw sweeps of a camera, set up scenes for them, and take their focal stacks.

    Args:
        camera, crop, n_slices: as for the camera's ``sweep``.
        batch: number of stacks.
        generator: seeded, of everything random; on the device to work on.
        scene: makes the scenes of the sweeps it is given, (sweep, random, height, width) with the margin that
            their motion needs.
        dual_pixel: as for `capture`.
    """
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    random = np.random.default_rng(int(seed))
    sweep = camera.sweep(batch, crop, random, n_slices)
    margin = sweep.margin(crop.size)
    height, width = (side + 2 * margin for side in crop.size)
    layers, valid = scene(sweep, random, height, width)
    reference = crop.index(sweep.focus.shape[1])
    return capture(layers, sweep, crop.size, reference, generator, valid=valid, dual_pixel=dual_pixel)


def simulate_batch(
    config: SimulationConfig,
    generator: torch.Generator,
    batch: int,
    *,
    photos: PhotoPack | None = None,
    scenes: ScenePack | None = None,
    n_slices: int | None = None,
) -> SimulatedBatch:
    """Random scenes seen through focus sweeps, all on the generator's device.

    Args:
        config: scene, camera, motion and sensor.
        generator: seeded; the same config, seed, batch and kind of device give the same stacks.
        batch: number of stacks; all have the same number of slices and one shape of blur.
        photos: pictures to cut textures from, on the same device (optional).
        scenes: rendered ones to take instead, on the same device (optional).
        n_slices: instead of what the camera says.
    """

    def scene(sweep: Sweep, random: np.random.Generator, height: int, width: int) -> Scene:
        ends = scene_range(sweep, config.beyond, random)
        far, near = (torch.from_numpy(end).to(generator.device, torch.float32) for end in ends)
        if scenes is not None:
            return scenes.scenes(generator, height, width, far, near), None
        return random_scenes(config.scene, batch, height, width, far, near, generator, photos), None

    camera, crop = config.taken_with(), config.crop()
    return take_batch(camera, crop, batch, generator, scene, n_slices=n_slices, dual_pixel=config.dual_pixel)


def simulate(
    config: SimulationConfig,
    seed: int,
    *,
    photos: PhotoPack | None = None,
    device: str | torch.device = "cpu",
) -> Simulated:
    """One random scene seen through a focus sweep. The same config, seed and device give the same stack.

    Args:
        config: scene, camera, motion and sensor.
        seed: of everything random.
        photos: pictures to cut textures from (optional).
        device: where to compute; random numbers differ between kinds of device.
    """
    generator = torch.Generator(device).manual_seed(seed)
    return simulate_batch(config, generator, 1, photos=photos).stack(0)
