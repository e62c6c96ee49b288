"""The camera before a layered scene: sweep, breathing, motion, noise -> a FocalStack with its truth kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dff.camera import Lens
from dff.flow import affine_flow, affine_matrix, warp
from dff.simulator.layers import Layer, all_in_focus, render_stack, truth
from dff.simulator.procedural import SceneConfig, random_scene
from dff.simulator.textures import Draw, to_display
from dff.stack import FocalStack

BICUBIC_REACH = 3  # px that bicubic sampling needs beyond the outermost place that is read, and one to spare
MIN_EDGE_SHARE = 0.02  # a depth step below this share of the sweep is no occlusion boundary


@dataclass(frozen=True)
class SimulationConfig:
    """One kind of simulated focal stack.

    Args:
        scene: what is in front of the camera.
        n_slices: slices per stack, focused uniformly in dioptres from far to near.
        size: (height, width) in pixels.
        far_dioptre, near_dioptre: limits of the sweep and of the scene.
        max_coc_px: blur DIAMETER [px] at the far end when focused at the near end, drawn log-uniformly from
            this (low, high). Unused when ``lens`` is given: then the lens says.
        lens: optics of the camera; also breathes. None: blur from ``max_coc_px``, no breathing of its own.
        breathing_px: growth of the picture from the first to the last slice, in px at the left and right
            border, linear in dioptres.
        zoom_px, shift_px, rotation_deg: error of each slice, independent and uniform in +- this: image scale
            in px at the left and right border, shift in x and y, rotation about the centre.
        reference: the slice that the truth belongs to and that does not move; negative counts from the end.
        noise: shot noise variance per unit of linear light, drawn log-uniformly from this (low, high); read
            noise follows it. (0, 0) is none.
        gain_drift: deviation of the logarithm of each slice's exposure.
        bit_depth: 8 or 16 for integer pictures, 0 for float32.
    """

    scene: SceneConfig = field(default_factory=SceneConfig)
    n_slices: int = 10
    size: tuple[int, int] = (192, 192)
    far_dioptre: float = 0.3
    near_dioptre: float = 3.0
    max_coc_px: tuple[float, float] = (8.0, 24.0)
    lens: Lens | None = None
    breathing_px: float = 0.0
    zoom_px: float = 0.0
    shift_px: float = 0.0
    rotation_deg: float = 0.0
    reference: int = -1
    noise: tuple[float, float] = (1e-4, 2e-3)
    gain_drift: float = 0.0
    bit_depth: int = 8

    def __post_init__(self) -> None:
        if self.n_slices < 2 or not -self.n_slices <= self.reference < self.n_slices:
            raise ValueError(
                f"SimulationConfig: {self.n_slices} slices with reference {self.reference}; "
                "give at least 2 slices and a reference among them"
            )
        if min(self.size) < 16:
            raise ValueError(f"SimulationConfig: size {self.size} is too small; at least 16x16 px")
        if not 0 <= self.far_dioptre < self.near_dioptre:
            raise ValueError(
                f"SimulationConfig: far_dioptre {self.far_dioptre} must be >= 0 and below near_dioptre "
                f"{self.near_dioptre}"
            )
        if not 0 < self.max_coc_px[0] <= self.max_coc_px[1]:
            raise ValueError(f"SimulationConfig: max_coc_px {self.max_coc_px} must be 0 < low <= high")
        if not 0 <= self.noise[0] <= self.noise[1] or (self.noise[0] == 0) != (self.noise[1] == 0):
            raise ValueError(f"SimulationConfig: noise {self.noise} must be 0 < low <= high, or (0, 0)")
        for name in ("zoom_px", "shift_px", "rotation_deg", "gain_drift"):
            if getattr(self, name) < 0:
                raise ValueError(f"SimulationConfig: {name} must not be negative")
        if self.bit_depth not in (0, 8, 16):
            raise ValueError(f"SimulationConfig: bit_depth {self.bit_depth}; choose 0 (float), 8 or 16")


@dataclass(eq=False)
class Simulated:
    """A focal stack and everything that is known about it.

    Args:
        stack: the pictures (display values, gamma 2.2), far first, with ``focus`` in dioptres.
        dioptre: (H,W) float32 true inverse depth in the reference slice's frame.
        aif: (H,W,3) float32 all-in-focus picture in [0,1], gamma 2.2, free of noise, same frame.
        matrices: (N,2,3) float64, reference pixel (x,y,1) -> pixel of slice n showing the same point (pixel
            centres at integers).
        reference: index of the reference slice.
        edges: (H,W) bool, pixels on an occlusion boundary.
        coc_px_per_dioptre: (N,) blur diameter [px] per dioptre of defocus.
    """

    stack: FocalStack
    dioptre: np.ndarray
    aif: np.ndarray
    matrices: np.ndarray
    reference: int
    edges: np.ndarray
    coc_px_per_dioptre: np.ndarray


# --- focus and motion ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sweep:
    """What the camera does from slice to slice.

    Args:
        focus: (N,) dioptres, rising.
        coc_px_per_dioptre: (N,) blur diameter [px] per dioptre of defocus.
        matrices: (N,2,3) float64, reference pixel (x,y,1) -> slice pixel; the identity for the reference.
    """

    focus: np.ndarray
    coc_px_per_dioptre: np.ndarray
    matrices: np.ndarray

    def margin(self, size: tuple[int, int]) -> int:
        """Scene pixels needed beyond each border of (height, width) so that no slice looks past the end."""
        height, width = size
        corners = np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1], [1, 1, 1, 1]])
        seen = _inverse(self.matrices) @ corners
        limit = np.array([width - 1, height - 1])[:, None]
        beyond = max(float(-seen.min()), float((seen - limit).max()))
        return math.ceil(beyond) + BICUBIC_REACH if beyond > 0 else 0


def draw_sweep(config: SimulationConfig, draw: Draw) -> Sweep:
    """Focus ladder, blur and motion of one stack: the lens's breathing, and random errors on top."""
    n, half_width, reference = config.n_slices, config.size[1] / 2, config.reference % config.n_slices
    focus = np.linspace(config.far_dioptre, config.near_dioptre, n)
    zoom_px, x, y, turn_deg = (2 * draw.rand(4, n).double().cpu().numpy() - 1) * np.array(
        [[config.zoom_px], [config.shift_px], [config.shift_px], [config.rotation_deg]]
    )
    zoom_px[reference] = 0
    ramp = (focus - focus[reference]) / (focus[-1] - focus[0])
    scale = 1 + (config.breathing_px * ramp + zoom_px) / half_width
    coc = draw.log_uniform(*config.max_coc_px)
    gain = np.full(n, coc / (config.near_dioptre - config.far_dioptre))
    if config.lens is not None:
        relative_fov = config.lens.relative_fov(focus)
        scale *= relative_fov[reference] / relative_fov
        gain = np.asarray(config.lens.coc_px(focus + 1, focus))
    coefficients = torch.from_numpy(np.stack([x, y, np.deg2rad(turn_deg)], axis=1))
    matrices = affine_matrix(
        coefficients, ("x", "y", "rotation"), *config.size, torch.from_numpy(1 / scale)
    ).numpy()
    matrices[reference] = np.eye(2, 3)
    return Sweep(focus, gain, matrices)


def _inverse(matrices: np.ndarray) -> np.ndarray:
    linear = np.linalg.inv(matrices[:, :, :2])
    return np.concatenate([linear, -linear @ matrices[:, :, 2:]], axis=2)


def _move(picture: Tensor, inverse: np.ndarray, margin: int) -> Tensor:
    """What a slice sees: (3,H,W), the (3,H+2m,W+2m) ``picture`` read at ``inverse`` of each of its pixels."""
    tall, wide = picture.shape[-2:]
    step = np.array([margin, margin], dtype=np.float64)
    shift = inverse[:, 2] + step - inverse[:, :2] @ step  # the same motion in pixels of the larger picture
    matrix = torch.from_numpy(np.concatenate([inverse[:, :2], shift[:, None]], axis=1)).to(picture)
    moved = warp(picture[None], affine_flow(matrix[None], tall, wide))[0]
    return moved[:, margin : tall - margin, margin : wide - margin]


# --- sensor ----------------------------------------------------------------------------------------------


def _expose(linear: Tensor, gain: float, shot: float, draw: Draw) -> Tensor:
    """Linear light (3,H,W) -> display values with ``gain``, shot noise (variance per unit) and read noise.

    The variance of the read noise follows the shot noise as in Brooks et al. 2019, "Unprocessing Images for
    Learned Raw Denoising", section 3.
    """
    linear = linear * gain
    if shot > 0:
        read = math.exp(2.18 * math.log(shot) + 1.2)
        linear = linear + torch.sqrt(shot * linear + read) * draw.randn(*linear.shape)
    return to_display(linear)


def _quantise(display: Tensor, bit_depth: int) -> np.ndarray:
    """(3,H,W) in [0,1] -> (H,W,3) uint8, uint16 or float32."""
    picture = display.permute(1, 2, 0).contiguous()
    if bit_depth == 0:
        return picture.cpu().numpy()
    top = 2**bit_depth - 1
    return (picture * top).round().cpu().numpy().astype(np.uint8 if bit_depth == 8 else np.uint16)


# --- the whole camera ------------------------------------------------------------------------------------


def capture(
    layers: Sequence[Layer], config: SimulationConfig, sweep: Sweep, generator: torch.Generator
) -> Simulated:
    """Take a focal stack of a given scene.

    Args:
        layers: (3,H',W') colour, (H',W') alpha and dioptre; the picture is the middle of H' x W', and the
            margin round it must be the same on all sides, `Sweep.margin` px or more.
        config: size, reference and sensor.
        sweep: focus, blur and motion.
        generator: seeded, for the noise.

    Raises:
        ValueError: the scene is too small for the picture and its motion.
    """
    height, width = config.size
    tall, wide = layers[0].alpha.shape[-2:]
    margin = (tall - height) // 2
    if (tall - height, wide - width) != (2 * margin, 2 * margin) or margin < sweep.margin(config.size):
        raise ValueError(
            f"capture: a scene of {wide}x{tall} px is not {width}x{height} px with one margin of at least "
            f"{sweep.margin(config.size)} px round it"
        )
    middle = slice(margin, margin + height), slice(margin, margin + width)
    slices = render_stack(layers, torch.from_numpy(sweep.focus), torch.from_numpy(sweep.coc_px_per_dioptre))
    draw = Draw(generator)
    shot = draw.log_uniform(*config.noise) if config.noise[1] > 0 else 0.0
    pictures = []
    for picture, inverse in zip(slices, _inverse(sweep.matrices), strict=True):
        gain = math.exp(config.gain_drift * float(draw.randn(1)))
        pictures.append(
            _quantise(_expose(_move(picture, inverse, margin), gain, shot, draw), config.bit_depth)
        )
    dioptre, edges = truth(layers, MIN_EDGE_SHARE * (config.near_dioptre - config.far_dioptre))
    return Simulated(
        stack=FocalStack(pictures, sweep.focus, config.lens, origin="simulated"),
        dioptre=dioptre[middle].cpu().numpy().astype(np.float32),
        aif=to_display(all_in_focus(layers))[:, *middle].permute(1, 2, 0).contiguous().cpu().numpy(),
        matrices=sweep.matrices,
        reference=config.reference % config.n_slices,
        edges=edges[middle].cpu().numpy(),
        coc_px_per_dioptre=sweep.coc_px_per_dioptre,
    )


def simulate(
    config: SimulationConfig,
    seed: int,
    *,
    photos: Sequence[np.ndarray] = (),
    device: str | torch.device = "cpu",
) -> Simulated:
    """A random scene seen through a focus sweep. The same config, seed and device give the same stack.

    Args:
        config: scene, camera, motion and sensor.
        seed: of everything random.
        photos: (H,W,3) uint8 pictures to cut textures from (optional).
        device: where to compute; random numbers differ between kinds of device.
    """
    generator = torch.Generator(device).manual_seed(seed)
    sweep = draw_sweep(config, Draw(generator))
    height, width = (side + 2 * sweep.margin(config.size) for side in config.size)
    limits = config.far_dioptre, config.near_dioptre
    layers = random_scene(config.scene, height, width, *limits, generator, photos)
    return capture(layers, config, sweep, generator)
