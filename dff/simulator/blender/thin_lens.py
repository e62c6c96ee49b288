"""Focal slices straight from the path tracer: rays through the whole aperture of a thin lens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dff import optics
from dff.camera import Lens
from dff.simulator.blender.scene import BlenderScene
from dff.simulator.blender.session import RenderSettings, apply_settings, render
from dff.simulator.blender.view import open_pupil, set_view


def slice_focal_px(lens: Lens, focus: np.ndarray) -> np.ndarray:
    """Lens-to-sensor distance of each slice in pixels (N,): what a pinhole picture's focal length would be.

    With ``lens.breathing`` other than 1 the picture, blur included, is scaled beyond the thin lens's.
    """
    scale = optics.magnification(lens.focal_length_m, focus, lens.breathing)
    return np.asarray(lens.focal_length_m / lens.pixel_pitch_m * scale)


def render_thin_lens(
    scene: BlenderScene,
    lens: Lens,
    focus: Sequence[float] | np.ndarray,
    shift_px: Sequence[Sequence[float]] | np.ndarray | None = None,
    *,
    settings: RenderSettings | None = None,
    margin_px: int = 0,
    blades: int = 0,
    rotation_deg: float = 0.0,
) -> Tensor:
    """A focal stack of the scene as a real lens takes it.

    The lens moves from slice to slice, so the picture breathes; `slice_focal_px` over ``scene.view.focal_px``
    is the scale of a slice against the all-in-focus picture. Blur diameter per dioptre of defocus is
    aperture times `slice_focal_px`.

    Args:
        focus: (N,) true focus in dioptres, above 0. A camera that believes something else keeps its belief
            in its metadata.
        shift_px: (N,2) where the content of each slice moves, x right and y down: drift of the principal
            point. None for none.
        margin_px: frame round the picture.
        blades: of the aperture; below 3 it is round. ``rotation_deg`` turns it.

    Returns:
        (N,3,H,W) linear light.

    Raises:
        ValueError: focus at infinity or nearer than the focal length, or shifts that do not match.
    """
    settings = settings or RenderSettings()
    lens.coc_px(0.0, focus)  # checks the focus
    distances = np.asarray(focus, dtype=np.float64)
    shifts = np.zeros((distances.size, 2)) if shift_px is None else np.asarray(shift_px, dtype=np.float64)
    if distances.ndim != 1 or shifts.shape != (distances.size, 2):
        raise ValueError(
            f"render_thin_lens: focus {distances.shape} and shift_px {shifts.shape} must be (N,) and (N,2)"
        )
    if np.any(distances <= 0):
        raise ValueError("render_thin_lens: focus must be above 0 dioptres; give 0.001 for infinity")
    scene.check_current()
    view = scene.view
    slices = []
    for index, (focal_px, dioptre) in enumerate(zip(slice_focal_px(lens, distances), distances, strict=True)):
        shift = (float(shifts[index, 0]), float(shifts[index, 1]))
        set_view(
            (view.height_px, view.width_px), float(focal_px), margin_px=margin_px, shift_px=shift, at=view
        )
        open_pupil(lens.focal_length_m / lens.f_number, 1 / float(dioptre), blades, rotation_deg)
        apply_settings(replace(settings, seed=settings.seed + index))
        slices.append(torch.from_numpy(render()[0][..., :3].transpose(2, 0, 1).copy()))
    return torch.stack(slices)
