"""A simulated scene: every frame is rendered where the lens truly stands."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dff.autofocus.disparity import zncc_disparity
from dff.autofocus.regions import Roi
from dff.closedloop.drive import View, blur_growth, region
from dff.closedloop.one_shot import Spot
from dff.closedloop.policy import Frame, Track
from dff.closedloop.scan import Phase
from dff.simulator.capture import SimulationConfig, capture, scene_range
from dff.simulator.moment import moment, without_motor_errors
from dff.simulator.procedural import random_scenes
from dff.simulator.psf import disparity_per_coc_px
from dff.stack import to_luma

_KEPT = 4000  # views of one scene
_SURE = 64.0  # confidence of phase where contrast is full


class SimulatedScene:
    """A random scene before a camera that can be focused anywhere. The same arguments give the same pictures.

    Args:
        config: what is drawn, and the camera; its motor's errors are left to `dff.closedloop.lens`.
        seed: of everything random.
        positions: number of lens positions over the camera's sweep.
        roi: the region; None: the middle.

    Attributes:
        truth: median dioptre of the region.
        share: of the region that is within the depth of field of ``truth``; little where it has two depths.
        lens: of the camera, for these pixels.
    """

    def __init__(
        self,
        config: SimulationConfig,
        seed: int = 0,
        *,
        positions: int = 49,
        roi: Roi | None = None,
    ) -> None:
        if positions < 2:
            raise ValueError(f"{positions} lens positions; give 2 or more")
        camera = without_motor_errors(config.taken_with())
        random = np.random.default_rng([seed, 0])
        generator = torch.Generator().manual_seed(seed)
        crop = config.crop()
        self._sweep = sweep = camera.sweep(1, crop, random, positions)
        self._size, self._whole, self._seed = crop.size, crop.whole, seed
        margin = sweep.margin(crop.size)
        far, near = (
            torch.from_numpy(end).to(torch.float32) for end in scene_range(sweep, config.beyond, random)
        )
        height, width = (side + 2 * margin for side in crop.size)
        self._layers = random_scenes(config.scene, 1, height, width, far, near, generator)
        ramp = torch.from_numpy(sweep.ramp)
        self._settings = sweep.sensor.draw(generator, 1, positions, ramp)
        self.track = Track(sweep.focus[0])
        self._roi = region(roi, *crop.size)
        self._views: dict[tuple[int, int, bool], View] = {}
        lens = sweep.lenses[0]
        assert lens is not None
        self.lens = lens
        depth = self._batch(float(self.track.positions[0]), 0, False)[1]
        depth = self._roi.crop(depth)
        self.truth = float(np.median(depth))
        far_end, near_end = self.lens.depth_of_field(self.truth)
        self.depth_of_field: float | None = (near_end - far_end) / 2
        self.blur_px_per_index: float | None = blur_growth(self.lens, self.track)
        self.share = float((np.abs(depth - self.truth) <= self.depth_of_field).mean())

    def view(self, position: float, shot: int, halves: bool) -> View:
        """The region with the lens at ``position`` [dioptre]; kept, so that asking again costs nothing."""
        key = round(position / self.track.span * 1e6), shot, halves
        if key not in self._views:
            if len(self._views) >= _KEPT:
                self._views.clear()
            self._views[key] = self._batch(position, shot, halves)[0]
        return self._views[key]

    def spot(self) -> Spot:
        """What one-shot networks are told of the region."""
        top, left = self._sweep.origin
        corner = left + self._roi.x, top + self._roi.y
        growth = math.nan if self.blur_px_per_index is None else self.blur_px_per_index
        blur_px = 2 * growth * self.track.last
        return Spot(corner, self._whole, self._settings.sensor.is_green, blur_px)

    def phase(self) -> Phase:
        """What tells the signed defocus [dioptre] of frames with halves, and a confidence from contrast."""
        sweep = self._sweep
        step = float(disparity_per_coc_px(sweep.psf) * np.median(sweep.coc_px_per_dioptre))

        def told(frame: Frame) -> tuple[float, float]:
            if frame.halves is None:
                raise ValueError("the phase loop needs frames with the halves of a dual-pixel sensor")
            left, right = frame.halves
            reach = min(12, (left.shape[-1] - 3) // 2)
            disparity = float(zncc_disparity(left, right, reach))
            contrast = float(left.std() / max(left.mean(), 1e-3))
            return disparity / step, _SURE * min(1.0, 4 * contrast)

        return told

    def _batch(self, position: float, shot: int, dual_pixel: bool) -> tuple[View, np.ndarray]:
        now = moment(self._sweep, self._settings, position)
        noise = np.random.SeedSequence([self._seed, round(position / self.track.span * 1e6), shot])
        generator = torch.Generator().manual_seed(int(noise.generate_state(1, np.uint64)[0] >> np.uint64(2)))
        batch = capture(self._layers, now, self._size, 0, generator, dual_pixel=dual_pixel)
        scale = batch.images.shape[-1] / batch.dioptre.shape[-1]  # raw green has half the size
        inside = Roi(*(round(scale * side) for side in vars(self._roi).values()))
        luma = [inside.crop(to_luma(_picture(one))) for one in (batch.images, *(batch.halves or ()))]
        halves = (luma[1], luma[2]) if len(luma) > 1 else None
        return View(luma[0], halves), batch.dioptre[0].numpy()


def _picture(images: Tensor) -> np.ndarray:
    """(1,1,C,H,W) -> (H,W,3) or (H,W)."""
    picture = images[0, 0].permute(1, 2, 0).contiguous().numpy()
    return np.asarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
