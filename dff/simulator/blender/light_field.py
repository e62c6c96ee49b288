"""Light fields: one sharp picture from each of many places in the pupil, refocused afterwards at will.

Averaging the pictures, each shifted in proportion to its place, is what a lens does: every focus and every
smaller aperture comes from one set of renders (Ng et al., Light Field Photography, 2005, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.blender.scene import BlenderScene
from dff.simulator.blender.session import RenderSettings, apply_settings, render
from dff.simulator.blender.view import set_view

_FADE_PX = 16
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True, eq=False)
class LightField:
    """Pictures of one scene from places in a lens's pupil.

    Args:
        views: (V,3,H,W) linear light, with ``margin_px`` on every side.
        pupil_m: (V,2) place in the pupil of each view, x right and y down, sorted by distance to the centre
            and spread evenly, so that a smaller aperture is the first few.
        focal_px: focal length of the views in pixels.
        converged: dioptre at which the views agree without any shift.
        margin_px: frame round the picture, cut away by `refocus`.
    """

    views: Tensor
    pupil_m: Tensor
    focal_px: float
    converged: float
    margin_px: int

    def __post_init__(self) -> None:
        if self.views.ndim != 4 or self.views.shape[1] != 3 or self.pupil_m.shape != (len(self.views), 2):
            raise ValueError(
                f"LightField: views {tuple(self.views.shape)} and pupil_m {tuple(self.pupil_m.shape)} "
                "must be (V,3,H,W) and (V,2)"
            )


def pupil_places(count: int, diameter_m: float) -> np.ndarray:
    """(count,2) places spread evenly over a disc, from the middle outwards (Vogel's spiral)."""
    index = np.arange(count)
    radius = diameter_m / 2 * np.sqrt((index + 0.5) / count)
    return np.stack([radius * np.cos(index * _GOLDEN_ANGLE), radius * np.sin(index * _GOLDEN_ANGLE)], axis=-1)


def _moved(pictures: Tensor, shift_px: Tensor) -> Tensor:
    """Pictures (V,3,H,W) with their content moved by (V,2) px, in the frequency domain.

    They are continued by reflection that fades to their mean, so that opposite borders meet without a step.
    """
    height, width = pictures.shape[-2:]
    pad = min(_FADE_PX, height - 1, width - 1)
    padded = F.pad(pictures, (pad, pad, pad, pad), mode="reflect")
    mean = padded.mean(dim=(-2, -1), keepdim=True)
    ramp = torch.sin((torch.arange(pad, device=pictures.device) + 0.5) * (math.pi / 2 / pad)).square()
    rows, columns = (torch.cat([ramp, ramp.new_ones(n), ramp.flip(0)]) for n in (height, width))
    padded = mean + (padded - mean) * (rows[:, None] * columns).to(pictures)
    fy = torch.fft.fftfreq(height + 2 * pad, device=pictures.device)[None, :, None]
    fx = torch.fft.rfftfreq(width + 2 * pad, device=pictures.device)[None, None, :]
    turn = torch.exp(-2j * math.pi * (fx * shift_px[:, 0, None, None] + fy * shift_px[:, 1, None, None]))
    moved = torch.fft.irfft2(torch.fft.rfft2(padded) * turn[:, None], s=padded.shape[-2:])
    return moved[..., pad : pad + height, pad : pad + width]


def refocus(
    field: LightField,
    focus: Sequence[float] | Tensor,
    aperture_m: float | None = None,
    every: slice = slice(None),
) -> Tensor:
    """Focal slices (N,3,H,W), linear light, of an aperture up to the one that was rendered.

    The scale is that of the views for every focus (no breathing); blur diameter is
    focal_px * aperture_m * (dioptre - focus) pixels.

    Args:
        focus: (N,) dioptres.
        aperture_m: diameter; None for all views.
        every: which of the views to use, for estimates of the noise.

    Raises:
        ValueError: no view lies in the aperture, or the margin is too small for the shifts.
    """
    radius = field.pupil_m.norm(dim=1)
    chosen = torch.arange(len(radius))[every]
    if aperture_m is not None:
        chosen = chosen[radius[chosen] <= aperture_m / 2]
    if not len(chosen):
        raise ValueError(f"refocus: no view within an aperture of {aperture_m} m; render more views")
    pupil, margin = field.pupil_m[chosen], field.margin_px
    slices = []
    for dioptre in torch.as_tensor(focus).tolist():
        shift = (field.focal_px * (dioptre - field.converged) * pupil).to(field.views)
        if float(shift.abs().max()) > max(margin, 1e-3):
            raise ValueError(
                f"refocus: {dioptre:.3g} dioptres shifts a view by {float(shift.abs().max()):.1f} px, "
                f"more than its margin of {margin} px"
            )
        total = torch.zeros_like(field.views[0])
        for views, moves in zip(chosen.split(16), shift.split(16), strict=True):
            total += _moved(field.views[views], moves).sum(0)
        slices.append(total / len(chosen))
    stack = torch.stack(slices)
    return stack[..., margin : stack.shape[-2] - margin, margin : stack.shape[-1] - margin]


def render_light_field(
    scene: BlenderScene,
    aperture_m: float,
    views: int = 144,
    settings: RenderSettings | None = None,
) -> LightField:
    """Render a light field that can be refocused anywhere between the scene's limits.

    Args:
        aperture_m: diameter of the pupil.
        views: how many places in it; the blurred point of diameter c px becomes this many dots, so about
            c^2 / 8 views are needed for smooth blur.
        settings: by default 4 samples without denoising, for the noise averages out over the views.
    """
    settings = settings or RenderSettings(samples=4, denoise=False)
    bpy = scene.check_current()
    view = scene.view
    # What the pixel grid aliases is blurred by (dioptre - converged) + (focus - converged): converging in the
    # middle would leave it sharp in slices focused on the other side.
    converged = scene.far_dioptre
    margin = math.ceil(view.focal_px * aperture_m / 2 * (scene.near_dioptre - converged)) + 2
    pupil = pupil_places(views, aperture_m)
    pictures = []
    bpy.context.scene.render.use_persistent_data = True  # only the camera moves
    for index, (x, y) in enumerate(pupil.tolist()):
        # a point at the converged dioptre moves against the pinhole: shift it back
        back = (view.focal_px * converged * x, view.focal_px * converged * y)
        set_view(
            (view.height_px, view.width_px),
            view.focal_px,
            margin_px=margin,
            shift_px=back,
            offset_m=(x, y),
            at=view,
        )
        apply_settings(replace(settings, seed=settings.seed + index))
        pictures.append(torch.from_numpy(render()[0][..., :3].transpose(2, 0, 1).copy()))
    bpy.context.scene.render.use_persistent_data = False
    return LightField(
        torch.stack(pictures), torch.from_numpy(pupil).float(), view.focal_px, converged, margin
    )
