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
from dff.simulator.expose import expose_dual_pixel
from dff.simulator.layers import Layer, all_in_focus, truth
from dff.simulator.photos import PhotoPack
from dff.simulator.procedural import random_scenes
from dff.simulator.render import render_dual_pixel
from dff.simulator.scene_config import SceneConfig
from dff.simulator.sensor import SensorDraw
from dff.simulator.sweep import Sweep, inverse
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


@dataclass(frozen=True, eq=False)
class _Taken:
    """A region: light of the halves (K,h,w), truth of the reference slice, what was drawn."""

    left: np.ndarray
    right: np.ndarray
    dioptre: np.ndarray
    sharp: np.ndarray
    sweep: Sweep
    exposure: SensorDraw


def simulate_patches(config: PatchSetConfig, seed: int, photos: PhotoPack | None = None) -> list[PatchStack]:
    """The patches of one scene; the same settings, seed and photographs give the same patches.

    Patches without enough detail are left out, so there may be none.

    Args:
        config: what they are of.
        seed: of everything random.
        photos: to paint surfaces with.
    """
    with one_torch_thread():
        taken = _take(config, seed, photos)
    side = range(0, config.region - config.size + 1, config.size)
    patches = [_patch(config, taken, row, column) for row in side for column in side]
    return [patch for patch in patches if patch.snr >= config.least_snr]


def _take(config: PatchSetConfig, seed: int, photos: PhotoPack | None) -> _Taken:
    """As `dff.simulator.capture.capture`, but for the whole aperture's pictures, and on a CPU alone."""
    camera = config.model()
    frame = Frame(
        (config.region,) * 2, (camera.picture_height, camera.picture_width), reference_slice(camera)
    )
    generator = torch.Generator().manual_seed(seed)
    random = np.random.default_rng(seed)
    sweep = camera.sweep(1, frame, random)
    margin = sweep.margin(frame.size)
    far = float(random.uniform(sweep.focus[0, 0], sweep.focus[0, -1]))
    near = min(far + float(random.uniform(*config.depth_range)), float(sweep.focus[0, -1]))
    side = config.region + 2 * margin
    layers = random_scenes(config.scene, 1, side, side, far, near, generator, photos)
    green = [Layer(layer.colour[:, 1:2], layer.alpha, layer.dioptre) for layer in layers]
    focus, gain, ramp = (
        torch.from_numpy(part).float()
        for part in (sweep.true_focus, sweep.coc_px_per_dioptre / sweep.coefficients[..., 0], sweep.ramp)
    )
    exposure = sweep.sensor.draw(generator, 1, focus.shape[1], ramp)
    rendered = render_dual_pixel(green, focus, gain, psf=sweep.psf, field=sweep.field(margin))
    left, right = (
        torch.from_numpy(_moved(half[0, :, 0].numpy(), sweep, margin, config.region))[None, :, None]
        for half in rendered
    )
    whole = sweep.field()
    light_axis = (*whole.axis_px[::-1], whole.corner_px)
    halves = expose_dual_pixel(left, right, exposure, generator, light_axis)
    middle = slice(margin, margin + config.region), slice(margin, margin + config.region)
    return _Taken(
        left=halves[0][0, :, 0].numpy(),
        right=halves[1][0, :, 0].numpy(),
        dioptre=truth(layers)[0][0].numpy()[middle],
        sharp=all_in_focus(green)[0, 0].numpy()[middle],
        sweep=sweep,
        exposure=exposure,
    )


def _moved(light: np.ndarray, sweep: Sweep, margin: int, side: int) -> np.ndarray:
    """(K,side,side) what the slices see of (K,side+2m,side+2m), softened as lens and pixel do."""
    found = []
    for picture, matrix in zip(light, inverse(sweep.matrices[0]), strict=True):
        back = matrix.copy()
        back[:, 2] += margin
        moved = cv2.warpAffine(
            picture,
            back,
            (side, side),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        softness = float(sweep.softness_px[0])
        found.append(cv2.GaussianBlur(moved, (0, 0), softness) if softness else moved)
    return np.stack(found)


def _patch(config: PatchSetConfig, taken: _Taken, row: int, column: int) -> PatchStack:
    rows, columns = slice(row, row + config.size), slice(column, column + config.size)
    sweep = taken.sweep
    left, right = taken.left[:, rows, columns], taken.right[:, rows, columns]
    depth = taken.dioptre[rows, columns]
    dioptre = float(np.median(depth))
    step = float(np.ptp(sweep.focus[0])) / (sweep.focus.shape[1] - 1)
    spread = float(np.subtract(*np.percentile(depth, [90, 10]))) / step
    light = float((left.mean() + right.mean()) / 2)
    snr = _snr(taken.sharp[rows, columns], taken.exposure, light)
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


def _snr(sharp: np.ndarray, exposure: SensorDraw, light: float) -> float:
    """Deviation of the sharp picture's detail over that of the noise, both of the mean of the halves."""
    sharp = sharp.clip(0, 1)
    detail = float((sharp - cv2.GaussianBlur(sharp, (0, 0), DETAIL_PX)).std())
    halves = exposure.half_pixels()
    variance = float(halves.shot[0]) * light + float(halves.read[0])
    return detail / float(np.sqrt(variance / 4 + 1e-12))  # two green sites each, two halves
