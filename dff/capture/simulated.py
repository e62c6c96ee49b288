"""A simulated scene before a camera that decides what to capture; it may move from shot to shot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dff.camera import Lens
from dff.capture.scene import LensDepth, Shot
from dff.classical import motion
from dff.closedloop.policy import Track
from dff.flow import affine_flow, unbiased, warp
from dff.simulator.capture import SimulationConfig, capture, scene_range
from dff.simulator.layers import Layer
from dff.simulator.moment import moment, without_motor_errors
from dff.simulator.procedural import random_scenes
from dff.simulator.simulated import SimulatedBatch

_SETTING_SLICES = 9  # places of the sweep at which the sensor's settings are drawn
_KEPT_STEPS = 4  # time steps whose moved layers are kept


@dataclass(frozen=True)
class Movement:
    """How scene and camera move, per time step. Pixels are those of the pictures.

    Args:
        camera_px: (x, y) way of the picture of what is nearest; the rest moves less, by its dioptres.
        axial_m: way of the camera towards the scene.
        objects_px: each object moves on its own as well, by up to this in a direction of its own.
    """

    camera_px: tuple[float, float] = (0.0, 0.0)
    axial_m: float = 0.0
    objects_px: float = 0.0

    def __post_init__(self) -> None:
        if self.objects_px < 0:
            raise ValueError("Movement: objects_px must not be negative")

    @property
    def still(self) -> bool:
        """Whether nothing moves at all."""
        return self == Movement()

    def margin(self, steps: int) -> int:
        """Pixels beyond each border that come into view within ``steps``, without axial movement."""
        return int(np.ceil(steps * (max(map(abs, self.camera_px)) + self.objects_px)))


class SimulatedScene:
    """A random scene that can be captured from any lens position. The same arguments give the same pictures.

    Shots have the lens's breathing undone, as far as the lens itself tells it.

    Args:
        config: what is drawn, and the camera; errors of its focus motor are left out.
        seed: of everything random.
        max_coc_px: diameter of blur [px] that counts as in focus.
        movement: between time steps.
        steps: time steps that will be asked for; they need scene beyond the picture's borders.
    """

    def __init__(
        self,
        config: SimulationConfig,
        seed: int,
        *,
        max_coc_px: float = 1.0,
        movement: Movement | None = None,
        steps: int = 1,
    ) -> None:
        camera = without_motor_errors(config.taken_with())
        random = np.random.default_rng([seed, 0])
        generator = torch.Generator().manual_seed(seed)
        crop = config.crop()
        self._sweep = sweep = camera.sweep(1, crop, random, _SETTING_SLICES)
        self.size, self._seed, self._reference = crop.size, seed, crop.index(_SETTING_SLICES)
        self.movement = movement or Movement()
        self._margin = sweep.margin(crop.size)
        world = self._margin + self.movement.margin(steps)
        ends = scene_range(sweep, config.beyond, random)
        far, near = (torch.from_numpy(end).to(torch.float32) for end in ends)
        height, width = (side + 2 * world for side in crop.size)
        self._layers = random_scenes(config.scene, 1, height, width, far, near, generator)
        self._headings = random.uniform(0, 2 * np.pi, len(self._layers))
        self._speeds = random.uniform(0, 1, len(self._layers))
        self._settings = sweep.sensor.draw(
            generator, 1, _SETTING_SLICES, torch.from_numpy(sweep.ramp).to(torch.float32)
        )
        self.track = Track(sweep.focus[0])
        lens = sweep.lenses[0]
        if lens is None:
            raise ValueError("a scene to capture needs a camera whose lens is known")
        self.lens: Lens | None = lens
        self._lens = lens
        self._depth = LensDepth(lens, max_coc_px)
        self._moved: dict[int, list[Layer]] = {}
        self._truths: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def half_depth(self, position: float) -> float:
        return self._depth(position)

    def stand(self, position: float) -> float:
        return float(np.clip(position, self.track.positions[0], self.track.positions[-1]))

    def take(self, position: float, step: int = 0) -> Shot:
        position = self.stand(position)
        batch = self._batch(position, step)
        picture = batch.images[0, 0].permute(1, 2, 0).contiguous().numpy()
        return Shot(position, motion.warp(picture, self._breathing(position)), step)

    def truth(self, step: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Dioptre (H,W) and the sharp picture (H,W,3) at a time step."""
        if step not in self._truths:
            batch = self._batch(float(self._sweep.focus[0, self._reference]), step)
            sharp = batch.aif[0].permute(1, 2, 0).contiguous().numpy()
            self._truths[step] = batch.dioptre[0].numpy(), sharp
        return self._truths[step]

    def covered(self, positions: list[float] | np.ndarray, step: int = 0) -> np.ndarray:
        """(H,W) bool: within the depth of field of a lens at one of ``positions``."""
        depth = self.truth(step)[0]
        shown = np.zeros(depth.shape, bool)
        for position in positions:
            shown |= np.abs(self._lens.coc_px(depth, position)) <= self._depth.max_coc_px + 1e-9
        return shown

    def _breathing(self, position: float) -> np.ndarray:
        reference = float(self._sweep.focus[0, self._reference])
        fov = self._lens.relative_fov(np.array([position, reference]))
        zoom = float(fov[1] / fov[0])
        matrix = motion.about_centre(zoom, 0.0, (0.0, 0.0), self._sweep.frame)
        origin = np.array(self._sweep.origin[::-1], np.float64)
        matrix[:, 2] += matrix[:, :2] @ origin - origin
        return np.eye(2, 3) if abs(zoom - 1) < 1e-9 else matrix

    def _batch(self, position: float, step: int) -> SimulatedBatch:
        entropy = [self._seed, round(position / self.track.span * 1e6), step]
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(2))
        generator = torch.Generator().manual_seed(seed)
        now = moment(self._sweep, self._settings, position)
        return capture(self._layers_at(step), now, self.size, 0, generator)

    def _layers_at(self, step: int) -> list[Layer]:
        """The layers as they stand at a time step, cut to what a frame needs."""
        if step not in self._moved:
            if len(self._moved) >= _KEPT_STEPS:
                self._moved.pop(next(iter(self._moved)))
            layers = self._layers
            if step and not self.movement.still:
                layers = [self._moved_layer(number, layer, step) for number, layer in enumerate(layers)]
            self._moved[step] = [_middle(layer, self.size, self._margin) for layer in layers]
        return self._moved[step]

    def _moved_layer(self, number: int, layer: Layer, step: int) -> Layer:
        cover = layer.alpha * (layer.alpha > 0.5)
        if not bool(cover.any()):
            return layer
        depth = float((layer.dioptre * cover).sum() / cover.sum())
        near = float(self.track.positions[-1])
        shift = step * depth / near * np.array(self.movement.camera_px)
        if number:  # the background stays where it is
            way = step * self.movement.objects_px * self._speeds[number]
            shift = shift + way * np.array([np.cos(self._headings[number]), np.sin(self._headings[number])])
        closer = 1 / max(1 - depth * self.movement.axial_m * step, 0.1)
        height, width = layer.alpha.shape[-2:]
        matrix = motion.invert(motion.about_centre(closer, 0.0, shift.tolist(), (height, width)))
        flow = unbiased(affine_flow(torch.from_numpy(matrix)[None].to(torch.float32), height, width))

        def moved(field: Tensor, mode: str = "bicubic") -> Tensor:
            return warp(field if field.ndim == 4 else field[:, None], flow, mode)

        dioptre = moved(layer.dioptre, "bilinear")[:, 0]
        if self.movement.axial_m:
            gone = self.movement.axial_m * step
            dioptre = dioptre / (1 - dioptre * gone).clamp_min(0.1)
        return Layer(moved(layer.colour), moved(layer.alpha)[:, 0].clamp(0, 1), dioptre)


def _middle(layer: Layer, size: tuple[int, int], margin: int) -> Layer:
    """The middle of a layer: a picture of ``size`` with ``margin`` round it."""
    rows, columns = (
        slice((whole - side) // 2 - margin, (whole - side) // 2 + side + margin)
        for whole, side in zip(layer.alpha.shape[-2:], size, strict=True)
    )
    cut = (..., rows, columns)
    return Layer(layer.colour[cut], layer.alpha[cut], layer.dioptre[cut])
