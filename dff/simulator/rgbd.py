"""Layers out of a picture and its depth: what hides what is found, what is hidden is filled in.

A picture with depth shows the front of a scene only. For defocus it is taken apart at its depth jumps into
layers (`dff.simulator.rgbd_order`), each continued behind the nearer ones by colours and depth from round
about. Pixels on a jump show both sides: how much of each is estimated from the colours (matting), so that no
rim of the near colour stays in the far layer. All in focus, the layers are the picture again.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.simulator.inpaint import fill_from_behind, push_pull
from dff.simulator.layers import Layer, visibility
from dff.simulator.rgbd_order import Jumps, layer_numbers, surface_order

MIN_JUMP = 0.04  # of the depth range, between neighbours: more than a slope
LEAST_JUMP_DIOPTRE = 1e-3  # what a flat scene's depth may tremble
RIM_TRUST = 0.3  # weight of mixed colours where a layer is filled
MATTE_NOISE = 0.03  # squared noise of colours over the squared colours
SHOWN_POWER = 2  # how much less a pixel that shows little of a layer counts when it is filled
LEAST_COVER = 1 / 256
ROUNDS = 4  # of spreading over the layers what the composite lacks
ROUNDING = 1e-6


def _range3(field: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest value in the 3x3 pixels round each of (...,H,W)."""
    flat = field.reshape(-1, 1, *field.shape[-2:])
    low, high = -F.max_pool2d(-flat, 3, 1, 1), F.max_pool2d(flat, 3, 1, 1)
    return low.reshape(field.shape), high.reshape(field.shape)


def _soft3(mask: Tensor) -> Tensor:
    """(B,H,W) bool -> its binomial 3x3 mean."""
    tap = torch.tensor([0.25, 0.5, 0.25], device=mask.device)
    padded = F.pad(mask[:, None].float(), (1, 1, 1, 1), mode="replicate")
    return F.conv2d(F.conv2d(padded, tap.view(1, 1, 3, 1)), tap.view(1, 1, 1, 3))[:, 0]


def _between(depth: Tensor, min_jump: Tensor) -> Tensor:
    """Pixels whose depth lies between a nearer and a farther neighbour, half a jump or more from either."""
    low, high = _range3(depth)
    return (high - depth > min_jump / 2) & (depth - low > min_jump / 2)


def _snapped(depth: Tensor, min_jump: Tensor) -> Tensor:
    """Ramps over a depth edge, two or three pixels wide, made steps: every pixel joins the nearer surface."""
    for _ in range(2):
        low, high = _range3(depth)
        nearest = torch.where(high - depth < depth - low, high, low)
        depth = torch.where(_between(depth, min_jump), nearest, depth)
    return depth


def _filled(
    dioptre: Tensor, valid: Tensor | None, min_jump: Tensor | float | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Depth (B,H,W) without holes, its far end and its range (B,1,1), and the least jump (B,1,1)."""
    valid = torch.ones_like(dioptre, dtype=torch.bool) if valid is None else valid.expand(dioptre.shape)
    if not bool((torch.isfinite(dioptre) | ~valid).all()):
        raise ValueError("RGB-D: depth is not finite where it is valid; mark such pixels invalid")
    depth = fill_from_behind(dioptre.float(), valid).reshape(-1, *dioptre.shape[-2:])
    far, near = depth.amin((-2, -1), keepdim=True), depth.amax((-2, -1), keepdim=True)
    span = (near - far).clamp_min(ROUNDING)
    if min_jump is None:
        return depth, far, span, (MIN_JUMP * span).clamp_min(LEAST_JUMP_DIOPTRE)
    jump = torch.as_tensor(min_jump, dtype=depth.dtype, device=depth.device)
    return depth, far, span, jump.expand(dioptre.shape[:-2]).reshape(-1, 1, 1)


def rgbd_layers(
    colour: Tensor,
    dioptre: Tensor,
    valid: Tensor | None = None,
    *,
    n_layers: int = 8,
    min_jump: Tensor | float | None = None,
) -> list[Layer]:
    """Layers of a picture with depth, for `dff.simulator.render.render_stack`.

    Args:
        colour: (...,3,H,W) linear light, all in focus.
        dioptre: (...,H,W); anything outside ``valid``.
        valid: (...,H,W) bool, False in holes of the depth: they are filled from behind. None: no holes.
        n_layers: most layers; fewer are made where fewer serve.
        min_jump: dioptres between neighbouring pixels that make an occlusion, a number or (...); None is
            `MIN_JUMP` of the depth range. Of use is what blurs neighbours differently by a pixel or so.

    Returns:
        Back to front, the first opaque. `all_in_focus` of them is ``colour`` to rounding, and `truth` the
        depth given, but for holes and for means over a depth edge, which join a surface. In a batch, every
        scene has layers as many as the deepest; those it does not need are transparent.

    Raises:
        ValueError: shapes that do not fit, less than 1 layer, or depth that is not finite where valid.
    """
    shape = tuple(dioptre.shape)
    if len(shape) < 2 or tuple(colour.shape) != (*shape[:-2], 3, *shape[-2:]) or min(shape[-2:]) < 2:
        raise ValueError(
            f"rgbd_layers: colour {tuple(colour.shape)} and dioptre {shape} must be (...,3,H,W) and (...,H,W)"
        )
    if n_layers < 1:
        raise ValueError(f"rgbd_layers: n_layers {n_layers} must be 1 or more")
    picture = colour.reshape(-1, 3, *shape[-2:]).float()
    depth, far, span, jump = _filled(dioptre, valid, min_jump)
    depth = _snapped(depth, jump)
    jumps = Jumps.of((depth - far) / span, jump / span)
    number = layer_numbers(surface_order(jumps), jumps, n_layers)
    layers = _layers(picture, depth, number, jumps)
    return [
        Layer(
            layer.colour.reshape(colour.shape).to(colour.dtype),
            layer.alpha.reshape(shape).to(colour.dtype),
            layer.dioptre.reshape(shape).to(dioptre.dtype),
        )
        for layer in layers
    ]


def _layers(picture: Tensor, depth: Tensor, number: Tensor, jumps: Jumps) -> list[Layer]:
    """Layers of (B,...) from the number of the layer that each pixel shows."""
    count = int(number.max()) + 1
    levels = torch.arange(count, device=number.device)[:, None, None, None]
    shown = number == levels  # (K,B,H,W)
    inner, outer = torch.zeros_like(shown), torch.zeros_like(shown)
    for k in range(1, count):
        # the rim of a layer: its own pixels at a jump to something behind, and the pixels beyond that jump
        inner[k] = jumps.across(number < k) & shown[k]
        outer[k] = jumps.across(shown[k]) & (number < k)
    rim = (inner | outer).any(0)

    weight = torch.where(rim, RIM_TRUST, 1.0) * shown
    both = torch.cat([picture, depth[:, None]], dim=1)
    filled = push_pull(both.expand(count, *both.shape), weight[:, :, None])
    colours = torch.where((shown & ~rim)[:, :, None], picture, filled[:, :, :3])
    lost = ~shown.any(-1, keepdim=True).any(-2, keepdim=True)  # a layer that this scene has not
    surfaces = torch.where(shown | lost, depth, filled[:, :, 3])

    # behind what is nearer, a layer goes on as far as it is the nearest of those seen round about
    known = (number <= levels)[:, :, None].float()
    reach = push_pull(shown[:, :, None].float(), known)[:, :, 0]
    cover = (shown | ((number > levels) & (reach > 0.5))).float()
    cover[0] = 1
    behind = colours[0]
    for k in range(1, count):
        edge = _matte(picture, colours[k], behind, shown[k])
        cover[k] = torch.where(inner[k] | outer[k], edge, cover[k])
        behind = torch.lerp(behind, colours[k], cover[k][:, None])

    layers = [Layer(*parts) for parts in zip(colours, cover, surfaces, strict=True)]
    seen = visibility(layers)
    colours = _balanced(picture, colours, seen, rim)
    trust = seen[:, :, None] ** SHOWN_POWER
    colours = torch.where(trust == 0, push_pull(colours, trust), colours)
    return [Layer(*parts) for parts in zip(colours, cover, surfaces, strict=True)]


def _matte(picture: Tensor, front: Tensor, back: Tensor, shown: Tensor) -> Tensor:
    """(B,H,W) how much of ``front`` makes ``picture`` over ``back``, by least squares over the channels.

    Where the two colours tell nothing, it is the share of the 3x3 pixels round about that show the front.
    """
    contrast = front - back
    noise = MATTE_NOISE * (front.square() + back.square()).sum(1) + ROUNDING
    fit = ((picture - back) * contrast).sum(1) + noise * _soft3(shown)
    cover = fit / (contrast.square().sum(1) + noise)
    # almost all or nothing is all or nothing
    return ((cover - LEAST_COVER) / (1 - 2 * LEAST_COVER)).clamp(0, 1)


def _balanced(picture: Tensor, colours: Tensor, seen: Tensor, rim: Tensor) -> Tensor:
    """Colours (K,B,3,H,W), changed least on the rim so that, each as far as seen, they give the picture."""
    wanted = picture.transpose(0, 1)[:, rim]  # (3,M)
    parts = colours.transpose(1, 2)[:, :, rim]  # (K,3,M)
    share = seen[:, rim][:, None]  # (K,1,M)
    step = share / share.square().sum(0)
    for _ in range(ROUNDS):
        lacking = wanted - (share * parts).sum(0)
        parts = (parts + step * lacking).clamp_min(0)
    lacking = (wanted - (share * parts).sum(0)).abs().amax(0)
    parts = torch.where(lacking > ROUNDING, wanted, parts)  # rare: clamped too often
    balanced = colours.clone()
    balanced.transpose(1, 2)[:, :, rim] = parts
    return balanced
