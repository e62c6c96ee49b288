"""Dual pixels of the simulator: do both halves make the whole, and does their disparity tell the defocus?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dff.eval.inputs import Say, Seeds
from dff.eval.report import Cell, Table, Target
from dff.eval.simulator_dots import GROUND, dots
from dff.eval.simulator_score import Likeness, procedural_layers
from dff.simulator.layers import Layer
from dff.simulator.psf import PSF, disparity_per_coc_px
from dff.simulator.render import render_dual_pixel, render_stack
from dff.simulator.scene_config import SceneConfig

SIDE_PX = 129
FAR, NEAR = 0.3, 3.0  # dioptres of the scenes
NEAR_FOCUS_PX = 3.0  # blur below which disparity is tabulated apart


@dataclass(frozen=True)
class DualPixel:
    """The dual-pixel part.

    Args:
        seeds: of the scenes rendered whole and by halves.
        psfs: kernels.
        radius_px: widest blur.
        size: (height, width) of the scenes.
        n_slices: from the widest blur behind the focus to the widest before it.
        whole_db: target, worst PSNR of the mean of both halves against the whole.
        slope_error: target, share by which disparity over blur may miss what the kernels predict.
    """

    seeds: Seeds
    psfs: tuple[PSF, ...]
    whole_db: float
    slope_error: float
    radius_px: float = 12.0
    size: tuple[int, int] = (192, 192)
    n_slices: int = 25


def likeness_of_whole(layers: list[Layer], focus: torch.Tensor, gain: float, psf: PSF) -> Likeness:
    """The mean of both halves against the full aperture, without a border of the widest blur's radius."""
    halves = render_dual_pixel(layers, focus, gain, psf)
    whole = render_stack(layers, focus, gain, psf)
    margin = int(gain * float(focus.max() - focus.min()) / 2) + 2
    return Likeness.of((halves[0] + halves[1]) / 2, whole, margin)


@dataclass(frozen=True, eq=False)
class Disparity:
    """Signed circle of confusion and shift of the right picture against the left one (N,) [px], and the slope
    that the kernels' centroids predict."""

    coc_px: np.ndarray
    shift_px: np.ndarray
    predicted: float

    @property
    def slope(self) -> float:
        """Least-squares line through the origin."""
        return float((self.coc_px @ self.shift_px) / (self.coc_px @ self.coc_px))

    @property
    def off_line_px(self) -> np.ndarray:
        """(N,) distance from that line."""
        return np.abs(self.shift_px - self.slope * self.coc_px)

    @property
    def right_sign(self) -> float:
        """Share of slices out of focus by a blur of 1 px or more whose disparity has its sign."""
        blurred = np.abs(self.coc_px) >= 1
        return float(np.mean(np.sign(self.shift_px[blurred]) == np.sign(self.coc_px[blurred])))


def disparity(psf: PSF, widest_px: float, n_slices: int) -> Disparity:
    """Of a dot, from behind the focus to before it, by the centroid of each picture's light."""
    coc = torch.linspace(-widest_px, widest_px, n_slices)
    size = SIDE_PX, SIDE_PX
    flat = Layer(dots(size, np.zeros((1, 2))), torch.ones(size), torch.ones(size))
    # one px per dioptre of defocus: a focus of 1 - c leaves a circle of c
    left, right = (
        picture[:, 1].double() - GROUND for picture in render_dual_pixel([flat], 1 - coc, 1.0, psf)
    )
    place = torch.arange(SIDE_PX, dtype=torch.float64)
    centroids = [(one.sum(1) * place).sum(1) / one.sum((1, 2)) for one in (left, right)]
    shift = (centroids[1] - centroids[0]).numpy()
    return Disparity(coc.double().numpy(), shift, disparity_per_coc_px(psf))


def dual_pixel_part(protocol: DualPixel, limit: int | None, say: Say) -> tuple[Table, list[Target]]:
    """Both halves against the whole, and disparity over signed blur."""
    seeds = protocol.seeds.take(limit)
    scenes = [procedural_layers(SceneConfig(), protocol.size, FAR, NEAR, seed) for seed in seeds]
    focus = torch.linspace(FAR, NEAR, 5)
    gain = 2 * protocol.radius_px / (NEAR - FAR)
    rows: list[list[Cell]] = []
    worst_whole, worst_slope, worst_sign = float("inf"), 0.0, 1.0
    for psf in protocol.psfs:
        say(f"dual pixel, {psf.kind}")
        whole = Likeness.pooled([likeness_of_whole(layers, focus, gain, psf) for layers in scenes])
        found = disparity(psf, 2 * protocol.radius_px, protocol.n_slices)
        wrong = abs(found.slope / found.predicted - 1)
        beyond = np.abs(found.coc_px) >= NEAR_FOCUS_PX
        rows.append(
            [
                _kernel_name(psf),
                float(whole.psnr_db.mean()),
                float(whole.psnr_db.min()),
                found.slope,
                found.predicted,
                float(found.off_line_px[beyond].max()),
                float(found.off_line_px[~beyond].max()),
                found.right_sign,
            ]
        )
        worst_whole = min(worst_whole, float(whole.psnr_db.min()))
        worst_slope = max(worst_slope, wrong)
        worst_sign = min(worst_sign, found.right_sign)
    columns = {
        "kernel": "",
        "(L+R)/2 against whole, mean [dB]": ".1f",
        "worst [dB]": ".1f",
        "disparity per px of blur": ".4f",
        "predicted": ".4f",
        f"off the line, blur >= {NEAR_FOCUS_PX:g} px [px]": ".3f",
        "below [px]": ".3f",
        "right sign": ".2f",
    }
    note = (
        f"Whole: {len(seeds)} procedural scenes, 5 slices, blur radius up to "
        f"{protocol.radius_px:g} px, gamma 2.2 values. Disparity: shift of a dot in the right picture "
        f"against the left one, by centroids, over {protocol.n_slices} signed circles of confusion up to "
        f"{2 * protocol.radius_px:g} px either way; line through the origin. Predicted: between the "
        "centroids of the half kernels. Blur below 1 px is rendered as none, so disparity starts late."
    )
    return Table("Dual pixel", columns, rows, note), [
        Target("dual pixel: (L+R)/2 against whole, worst [dB]", worst_whole, "at least", protocol.whole_db),
        Target("dual pixel: slope of disparity, share off", worst_slope, "at most", protocol.slope_error),
        Target("dual pixel: share of slices with the right sign", worst_sign, "at least", 1.0),
    ]


def _kernel_name(psf: PSF) -> str:
    return f"{psf.kind}, ramp {psf.split_ramp:g}, crosstalk {psf.crosstalk:g}"
