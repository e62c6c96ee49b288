"""Simulated patches for autofocus: dual-pixel sweeps of small regions, with the slice in focus known.

Scenes of good light and contrast tell no two methods apart. So these are often dark, pale or noisy, the lens
misses its places, the scene moves within the patch as the lens breathes, and some patches have two depths.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch

from dff.simulator.camera_model import CameraModel, Frame
from dff.simulator.camera_prior import load_camera
from dff.simulator.capture import take_batch
from dff.simulator.layers import Scene
from dff.simulator.photos import PhotoPack
from dff.simulator.procedural import random_scenes
from dff.simulator.scene_config import SceneConfig
from dff.simulator.simulated import SimulatedBatch
from dff.simulator.sweep import Sweep
from dff.simulator.workers import one_torch_thread

DETAIL_PX = 4.0  # sigma: what is coarser is shading, not detail


def _scene() -> SceneConfig:
    """A few surfaces, gently sloped as so small a field of view sees them, often pale or dark."""
    return SceneConfig(
        objects=(0, 4),
        object_size=(0.3, 1.5),
        background_slant=(0.0, 0.15),
        object_slant=(0.0, 0.1),
        bumps=0.005,
        backgrounds=("wall", "slanted", "curved"),
        faded_share=0.5,
        fade=(0.03, 0.4),
        plain_share=0.1,
        dark_share=0.1,
        exposure=(0.03, 1.0),
    )


@dataclass(frozen=True)
class PatchSetConfig:
    """What the patches are of.

    Args:
        camera: a camera model of simulator/cameras.
        size: side of the patches [px].
        region: side of the region that is simulated at once and cut into patches side by side.
        scene: what is in front of the camera.
        depth_range: extent of a scene in depth [dioptre], drawn uniformly from this (low, high).
        least_snr: patches with less detail against the noise are left out, as a data set leaves out those
            whose measured depth it does not trust.
        hard_snr: patches with less than this are hard.
        hard_spread: and those whose depth spreads over more than this many steps of the ladder.

    Raises:
        ValueError: a size below 32 px, a region smaller than a patch, or ranges that cannot be.
    """

    camera: str = "pixel3"
    size: int = 64
    region: int = 128
    scene: SceneConfig = field(default_factory=_scene)
    depth_range: tuple[float, float] = (0.2, 3.0)
    least_snr: float = 0.15
    hard_snr: float = 2.5
    hard_spread: float = 3.0

    def __post_init__(self) -> None:
        if self.size < 32 or self.region < self.size:
            raise ValueError(
                f"patches of {self.size}, regions of {self.region} px; give 32 or more, regions as large"
            )
        if not 0 < self.depth_range[0] <= self.depth_range[1] or self.least_snr < 0:
            raise ValueError("PatchSetConfig: depth_range must be 0 < low <= high, least_snr 0 or more")

    def model(self) -> CameraModel:
        """The camera.

        Raises:
            ValueError: no such camera, or one whose pictures have no size.
        """
        camera = load_camera(self.camera)
        if not isinstance(camera, CameraModel):
            raise ValueError(f"patches: {self.camera!r} is no camera model; choose one, such as pixel3")
        return camera


@dataclass(frozen=True, eq=False)
class PatchStack:
    """One patch. Names and units as in `dff.data.af_patches`; ``left`` and ``right`` are light (K,h,w)."""

    left: np.ndarray
    right: np.ndarray
    index: int
    ladder_index: int
    dioptre: float
    spread: float
    depth: np.ndarray
    corner: tuple[int, int]
    true_focus: np.ndarray
    matrices: np.ndarray
    light: float
    snr: float
    hard: bool


def nearest(dioptre: float, focus: np.ndarray) -> int:
    """Index of the focus nearest in dioptres; the list need not rise, since a lens that jitters does not."""
    return int(np.abs(focus - dioptre).argmin())


def reference_slice(camera: CameraModel) -> int:
    """The middle of the ladder: the scene moves as little as can be at either end."""
    return camera.ladder.focus().size // 2


def simulate_patches(config: PatchSetConfig, seed: int, photos: PhotoPack | None = None) -> list[PatchStack]:
    """The patches of one scene; the same settings, seed and photographs give the same patches.

    Patches without enough detail are left out, so there may be none.

    Args:
        config: what they are of.
        seed: of everything random.
        photos: to paint surfaces with.
    """
    camera = config.model()
    frame = Frame(
        (config.region,) * 2, (camera.picture_height, camera.picture_width), reference_slice(camera)
    )
    generator = torch.Generator().manual_seed(seed)

    def scene(sweep: Sweep, random: np.random.Generator, height: int, width: int) -> Scene:
        ends = sweep.focus[:, 0], sweep.focus[:, -1]
        far = random.uniform(*ends)
        near = np.minimum(far + random.uniform(*config.depth_range, far.size), ends[1])
        low, high = (torch.from_numpy(end).float() for end in (far, near))
        return random_scenes(config.scene, 1, height, width, low, high, generator, photos), None

    with one_torch_thread():
        batch = take_batch(camera, frame, 1, generator, scene, dual_pixel=True)
    side = range(0, config.region - config.size + 1, config.size)
    patches = [_patch(config, batch, row, column) for row in side for column in side]
    return [patch for patch in patches if patch.snr >= config.least_snr]


def _patch(config: PatchSetConfig, batch: SimulatedBatch, row: int, column: int) -> PatchStack:
    rows, columns = slice(row, row + config.size), slice(column, column + config.size)
    sweep = batch.sweep
    assert batch.halves is not None
    left, right = (half[0, :, 0, rows, columns].numpy() for half in batch.halves)
    depth = batch.dioptre[0, rows, columns].numpy()
    dioptre = float(np.median(depth))
    step = float(np.ptp(sweep.focus[0])) / (sweep.focus.shape[1] - 1)
    spread = float(np.subtract(*np.percentile(depth, [90, 10]))) / step
    light = float((left.mean() + right.mean()) / 2)
    snr = _snr(batch, rows, columns, light)
    matrices = sweep.matrices[0].copy()
    corner = np.array([column, row], np.float64)
    matrices[..., 2] += matrices[..., :2] @ corner - corner
    return PatchStack(
        left=left,
        right=right,
        index=nearest(dioptre, sweep.true_focus[0]),
        ladder_index=nearest(dioptre, sweep.focus[0]),
        dioptre=dioptre,
        spread=spread,
        depth=depth,
        corner=(sweep.origin[1] + column, sweep.origin[0] + row),
        true_focus=sweep.true_focus[0],
        matrices=matrices,
        light=light,
        snr=snr,
        hard=snr < config.hard_snr or spread > config.hard_spread,
    )


def _snr(batch: SimulatedBatch, rows: slice, columns: slice, light: float) -> float:
    """Deviation of the sharp picture's detail over that of the noise, both of the mean of the halves."""
    sharp = batch.aif[0, -1, rows, columns].numpy() ** np.float32(2.2)
    detail = float((sharp - cv2.GaussianBlur(sharp, (0, 0), DETAIL_PX)).std())
    halves = batch.exposure.half_pixels()
    variance = float(halves.shot[0]) * light + float(halves.read[0])
    return detail / float(np.sqrt(variance / 4 + 1e-12))  # two green sites each, two halves
