"""Colours of things: dark-tailed reflectances, restrained saturation, one light for a whole scene."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from dff.simulator.draws import Draws

WARM = (0.55, 0.05, -0.75)
"""Log RGB per unit of the warm-cool axis: most of the colour there is in natural pictures."""

GREEN = (-0.2, 0.2, -0.3)
MIDDLE_GREY = math.log(0.2)
DARKEST, LIGHTEST = math.log(0.012), math.log(0.9)
VIVID_SHARE = 0.08


@dataclass
class Paint:
    """How surfaces are coloured, for n of them; everything is in natural logarithms of linear light.

    Args:
        base: (n,3) colour.
        other: (n,3) step from it to the second colour of a pattern.
        grain: (n,3) change per unit of the first noise field.
        tint: (n,3) change per unit of the second one.
        ramp: (n,2) fall of the light per unit along x and y.
        fade: (n,) contrast that is left, 0..1.
        light: (n,3) colour and strength of the light, which photographs take on, too.
    """

    base: Tensor
    other: Tensor
    grain: Tensor
    tint: Tensor
    ramp: Tensor
    fade: Tensor
    light: Tensor

    def __getitem__(self, at: Tensor | list[int]) -> Paint:
        return Paint(*(getattr(self, one.name)[at] for one in fields(self)))


def _chroma(draws: Draws, count: int, spread: float, vivid_share: float = 0.0) -> Tensor:
    """(n,3) log RGB of a heavy-tailed departure from grey."""
    axes = torch.tensor([WARM, GREEN], device=draws.device)
    strength = spread * (0.6 * draws.normal((count, 1))).exp()
    strength = torch.where(draws.chance((count, 1), vivid_share), 4 * strength, strength).clamp_max(0.8)
    return strength * draws.normal((count, 2)).clamp(-2, 2) @ axes


def random_paints(
    draws: Draws, scenes: int, per_scene: int, fade: Tensor, plain: Tensor, dark: Tensor, muted: Tensor
) -> Paint:
    """Paints of ``per_scene`` surfaces in each scene, flattened scene by scene.

    Args:
        draws: of the scenes' light, of their palette, and of every surface.
        fade: (scenes*per_scene,) remaining contrast.
        plain: same shape, bool: no texture.
        dark: same shape, bool: down to the blackest things there are.
        muted: same shape, bool: less colourful, as large things mostly are.
    """
    count = scenes * per_scene
    light = _chroma(draws, scenes, 0.05) + draws.normal((scenes, 1), 0.3)
    palette = _chroma(draws, scenes, 0.08)
    light, palette = (one.repeat_interleave(per_scene, 0) for one in (light, palette))
    level = MIDDLE_GREY + draws.normal((count, 1), 0.7)
    level = torch.where(dark[:, None], draws.uniform((count, 1), DARKEST, DARKEST + 1.2), level)
    own = _chroma(draws, count, 0.16, VIVID_SHARE) * torch.where(muted, 0.5, 1.0)[:, None]
    base = (level + palette + own).clamp(DARKEST, LIGHTEST)
    step = draws.uniform((count, 1), 0.3, 1.7) * torch.where(draws.chance((count, 1), 0.5), 1.0, -1.0)
    other = (base + step + _chroma(draws, count, 0.08)).clamp(DARKEST, LIGHTEST) - base
    contrast = torch.where(plain, 0.0, fade)[:, None]
    grain = draws.uniform((count, 1), 0.06, 0.6) * (1 + _chroma(draws, count, 0.07))
    # soft light falls off more over a background's width than noise would tell
    ramp = draws.normal((count, 2), 0.22)
    return Paint(
        base=base + light,
        other=contrast * other,
        grain=contrast * grain,
        tint=contrast * _chroma(draws, count, 0.05),
        ramp=ramp,
        fade=contrast[:, 0],
        light=light,
    )
