"""The one flow of the project: what breathing, shift and shake do to a picture, and how it is undone.

A flow is *backward* and in pixels: ``aligned(p) = image(p + flow(p))``. Layout (B,2,H,W), channel 0 is x
(right), channel 1 is y (down). Pixel centres are integers, the image centre is c = ((W-1)/2, (H-1)/2).

A motion is a row of `BASIS` times a coefficient. With F = relative_fov + zoom, the place that is read is

    p + flow(p) = c + R(rotation) (p - c) / F + the sum of the other rows, coefficient times field,

so a positive coefficient moves the *place that is read* along its field: x = +1 reads one pixel to the
right, and the content moves one pixel to the left. A positive zoom reads nearer the centre and enlarges
the content, as a slice with a wider field of view needs.

Zoom, x and y are alpha, beta and gamma of Won & Jeon (ECCV 2022, section 2.1), with the exact scale 1/F
in place of 2 - F. The sign of beta and gamma is that of p + flow, opposite to reading at p - flow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional

Tensor = torch.Tensor


@dataclass(frozen=True)
class Motion:
    """One row of the basis.

    Args:
        field: (x, y, r) -> (flow_x, flow_y), with x, y [px] from the image centre and r [px] half the
            image diagonal. Of zoom and rotation, which act exactly, this is the derivative at 0.
        in_px: the coefficient is in pixels; otherwise it has no unit and serves every image size.
        affine: the row keeps lines parallel, so that it fits a 2x3 matrix.
    """

    field: Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
    in_px: bool = False
    affine: bool = True


BASIS: dict[str, Motion] = {
    "zoom": Motion(lambda x, y, r: (-x, -y)),
    "x": Motion(lambda x, y, r: (torch.ones_like(x), torch.zeros_like(y)), in_px=True),
    "y": Motion(lambda x, y, r: (torch.zeros_like(x), torch.ones_like(y)), in_px=True),
    # radian; the place that is read turns from x to y: clockwise on the screen
    "rotation": Motion(lambda x, y, r: (-y, x)),
    "anisotropy": Motion(lambda x, y, r: (x, -y)),
    "shear": Motion(lambda x, y, r: (y, x)),
    "radial": Motion(lambda x, y, r: (x * (x * x + y * y) / r**2, y * (x * x + y * y) / r**2), affine=False),
    "perspective_x": Motion(lambda x, y, r: (x * x / r, x * y / r), affine=False),
    "perspective_y": Motion(lambda x, y, r: (x * y / r, y * y / r), affine=False),
}
"""Motions by name, in their order. Without unit except x and y [px]; rotation is in radians."""

DEFAULT_NAMES = ("zoom", "x", "y")
_EXACT = ("zoom", "rotation")
_EDGE_PX = 1e-3  # a sample this little outside the image is rounding, not motion


def _check_names(names: Sequence[str], count: int | None = None) -> tuple[str, ...]:
    names = tuple(names)
    unknown = [name for name in names if name not in BASIS]
    if unknown:
        raise ValueError(f"flow basis: no motion called {unknown[0]!r}; choose from {', '.join(BASIS)}")
    if len(set(names)) != len(names):
        raise ValueError(f"flow basis: a motion is named twice in {', '.join(names)}")
    if count is not None and count != len(names):
        raise ValueError(f"flow basis: {count} coefficients for the {len(names)} motions {', '.join(names)}")
    return names


def _check_flow(flow: Tensor, name: str = "flow") -> None:
    if flow.ndim != 4 or flow.shape[1] != 2:
        raise ValueError(f"{name} must be (B,2,H,W), got {tuple(flow.shape)}")


def _at_least_float32(*dtypes: torch.dtype) -> torch.dtype:
    """Pixel positions need float32 even when coefficients or pictures are half precision."""
    wide = torch.float32
    for dtype in dtypes:
        wide = torch.promote_types(wide, dtype)
    return wide


def _centred(
    height: int, width: int, device: torch.device | str | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """x and y [px] of every pixel from the image centre, each (H,W)."""
    x = torch.arange(width, device=device, dtype=dtype) - (width - 1) / 2
    y = torch.arange(height, device=device, dtype=dtype) - (height - 1) / 2
    return x.expand(height, width), y[:, None].expand(height, width)


def basis_fields(
    names: Sequence[str],
    height: int,
    width: int,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Fields of the motions ``names``, (M,2,H,W): flow [px] per unit of each coefficient, near zero motion.

    Raises:
        ValueError: an unknown or repeated name.
    """
    x, y = _centred(height, width, device, dtype)
    half_diagonal = math.hypot(height, width) / 2
    fields = [torch.stack(BASIS[name].field(x, y, half_diagonal)) for name in _check_names(names)]
    return torch.stack(fields) if fields else x.new_zeros(0, 2, height, width)


def _linear_part(
    coefficients: Tensor, names: tuple[str, ...], relative_fov: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The exact rows as one matrix R(rotation) / F - 1: its diagonal and its lower-left entry, each (B,)."""
    batch = coefficients.shape[0]
    fov = coefficients.new_ones(batch)
    if relative_fov is not None:
        if relative_fov.shape != (batch,):
            raise ValueError(f"relative_fov must be ({batch},), got {tuple(relative_fov.shape)}")
        fov = relative_fov.to(coefficients)
    if "zoom" in names:
        fov = fov + coefficients[:, names.index("zoom")]
    if "rotation" not in names:
        return 1 / fov - 1, torch.zeros_like(fov)
    turn = coefficients[:, names.index("rotation")]
    return torch.cos(turn) / fov - 1, torch.sin(turn) / fov


def flow_from_coefficients(
    coefficients: Tensor,
    names: Sequence[str],
    height: int,
    width: int,
    relative_fov: Tensor | None = None,
) -> Tensor:
    """Flow of a motion given by its coefficients; zoom and rotation act exactly. (B,2,H,W) in pixels.

    Args:
        coefficients: (B,M), one column per name. All zero gives a flow of exactly zero.
        names: motions of the columns, from `BASIS`.
        relative_fov: (B,) field of view of each slice over that of the reference, or None for 1.
            relative_fov + zoom must stay above 0.

    Half-precision coefficients give a float32 flow: bfloat16 cannot hold a pixel position.

    Raises:
        ValueError: an unknown or repeated name, or shapes that disagree.
    """
    if coefficients.ndim != 2:
        raise ValueError(f"coefficients must be (B,M), got {tuple(coefficients.shape)}")
    names = _check_names(names, coefficients.shape[1])
    coefficients = coefficients.to(_at_least_float32(coefficients.dtype))
    x, y = _centred(height, width, coefficients.device, coefficients.dtype)
    grow, turn = (part[:, None, None] for part in _linear_part(coefficients, names, relative_fov))
    flow = torch.stack((grow * x - turn * y, turn * x + grow * y), dim=1)
    for m, name in enumerate(names):
        if name not in _EXACT:  # no einsum here: under autocast it would run in half precision
            field = basis_fields([name], height, width, flow.device, flow.dtype)
            flow = flow + coefficients[:, m, None, None, None] * field
    return flow


def scale_coefficients(coefficients: Tensor, names: Sequence[str], factor: float) -> Tensor:
    """Coefficients (B,M) of the same motion on an image resized by ``factor``: rows in pixels scale."""
    names = _check_names(names, coefficients.shape[-1])
    scale = [factor if BASIS[name].in_px else 1.0 for name in names]
    return coefficients * coefficients.new_tensor(scale)


def affine_matrix(
    coefficients: Tensor, names: Sequence[str], height: int, width: int, relative_fov: Tensor | None = None
) -> Tensor:
    """The same motion as `flow_from_coefficients`, as (B,2,3): (x,y,1) [px] -> the place that is read.

    Raises:
        ValueError: a row that no matrix can express (radial, perspective), or as in `flow_from_coefficients`.
    """
    names = _check_names(names, coefficients.shape[-1])
    bent = [name for name in names if not BASIS[name].affine]
    if bent:
        raise ValueError(f"affine_matrix: {', '.join(bent)} is not affine; use flow_from_coefficients")
    coefficients = coefficients.to(_at_least_float32(coefficients.dtype))
    column = dict(zip(names, coefficients.unbind(dim=1), strict=True))
    zero = coefficients.new_zeros(coefficients.shape[0])
    grow, turn = _linear_part(coefficients, names, relative_fov)
    stretch, shear = column.get("anisotropy", zero), column.get("shear", zero)
    xx, xy = 1 + grow + stretch, shear - turn
    yx, yy = shear + turn, 1 + grow - stretch
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    shift_x = column.get("x", zero) + centre_x - xx * centre_x - xy * centre_y
    shift_y = column.get("y", zero) + centre_y - yx * centre_x - yy * centre_y
    return torch.stack((torch.stack((xx, xy, shift_x), -1), torch.stack((yx, yy, shift_y), -1)), dim=1)


def affine_flow(matrix: Tensor, height: int, width: int) -> Tensor:
    """Flow (B,2,H,W) of a matrix (B,2,3) that takes (x,y,1) [px] to the place that is read.

    Raises:
        ValueError: the matrix is not (B,2,3).
    """
    if matrix.ndim != 3 or matrix.shape[1:] != (2, 3):
        raise ValueError(f"matrix must be (B,2,3), got {tuple(matrix.shape)}")
    matrix = matrix.to(_at_least_float32(matrix.dtype))
    change = matrix - torch.eye(2, 3, device=matrix.device, dtype=matrix.dtype)
    x = torch.arange(width, device=matrix.device, dtype=matrix.dtype)
    y = torch.arange(height, device=matrix.device, dtype=matrix.dtype)[:, None]
    xx, xy, shift = (change[:, :, i, None, None] for i in range(3))
    return xx * x + xy * y + shift


def _sample(images: Tensor, flow: Tensor, mode: str) -> Tensor:
    """``images`` read at p + flow(p); outside, the nearest edge pixel goes on for ever."""
    height, width = flow.shape[-2:]
    x, y = _centred(height, width, flow.device, flow.dtype)
    # grid_sample wants [-1,1] between the centres of the corner pixels
    grid_x = (x + flow[:, 0]) * (2 / max(width - 1, 1))
    grid_y = (y + flow[:, 1]) * (2 / max(height - 1, 1))
    grid = torch.stack((grid_x, grid_y), dim=-1)
    return functional.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=True)


def warp(images: Tensor, flow: Tensor, mode: str = "bicubic") -> Tensor:
    """Read ``images`` (B,C,H,W) at p + flow(p): (B,C,H,W) in the dtype of ``images``, differentiable.

    Outside the image the nearest edge pixel is repeated. Bicubic (Keys, a = -0.75, as in OpenCV) is
    clamped to the range [min, max] of each input channel, so it neither rings past white nor below black.
    Where the flow is zero the input comes back bit for bit.

    Args:
        flow: (B,2,H,W), or (1,2,H,W) for one motion of the whole batch.
        mode: "bicubic", "bilinear" or "nearest".

    Raises:
        ValueError: shapes that disagree, an unknown mode, or images that are not floating point.
    """
    _check_flow(flow)
    if mode not in ("bicubic", "bilinear", "nearest"):
        raise ValueError(f"warp: mode {mode!r}; choose from bicubic, bilinear, nearest")
    if images.ndim != 4 or images.shape[-2:] != flow.shape[-2:] or flow.shape[0] not in (1, images.shape[0]):
        raise ValueError(f"warp: images {tuple(images.shape)} do not fit the flow {tuple(flow.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"warp: images are {images.dtype}; convert them to floating point first")
    dtype = _at_least_float32(images.dtype, flow.dtype)
    flow = flow.to(dtype).expand(images.shape[0], -1, -1, -1)
    wide = images.to(dtype)
    result = _sample(wide, flow, mode)
    if mode == "bicubic":
        low, high = torch.aminmax(wide.detach().flatten(2), dim=2, keepdim=True)
        result = torch.clamp(result, low[..., None], high[..., None])
    # the value of the input, free of the rounding of grid_sample, with the gradient of the sampled picture
    exact = wide.detach() + (result - result.detach())
    still = (flow == 0).all(dim=1, keepdim=True)
    return torch.where(still, exact, result).to(images.dtype)


def unbiased(flow: Tensor) -> Tensor:
    """The flow with which bicubic `warp` reads round p + ``flow``(p) without bias, any shape, in pixels.

    The four weights of its kernel (a = -0.75) have their centre of mass up to 0.048 px beside the place asked
    for: t + t (1 - t) (1 - 2t) / 2 for a fraction t. This asks for the place whose centre is the wanted one;
    then pictures move by the flow to a thousandth of a pixel, and linear ramps are reproduced exactly.
    """
    whole = torch.floor(flow)
    wanted = flow - whole
    share = wanted
    for _ in range(3):  # Newton: the error is 4e-6 after two steps
        centre = share + share * (1 - share) * (1 - 2 * share) / 2
        share = share - (centre - wanted) / (1.5 - 3 * share + 3 * share * share)
    return whole + share


def valid_mask(flow: Tensor) -> Tensor:
    """(B,1,H,W) bool: True where p + flow(p) lies between the pixel centres of the image, edges included."""
    _check_flow(flow)
    height, width = flow.shape[-2:]
    x, y = _centred(height, width, flow.device, _at_least_float32(flow.dtype))
    inside_x = (x + flow[:, 0]).abs() <= (width - 1) / 2 + _EDGE_PX
    inside_y = (y + flow[:, 1]).abs() <= (height - 1) / 2 + _EDGE_PX
    return (inside_x & inside_y)[:, None]


def compose(first: Tensor, second: Tensor) -> Tensor:
    """The one flow of two warps, each (B,2,H,W): warp(image, compose(a, b)) = warp(warp(image, a), b).

    Exact for affine motions where ``second`` reads inside the image; beyond, ``first`` keeps its edge value.
    """
    _check_flow(first, "first")
    _check_flow(second, "second")
    return second + warp(first, second, mode="bilinear")


def invert(flow: Tensor, iterations: int = 10) -> Tensor:
    """The flow (B,2,H,W) that undoes ``flow``, by the fixed point g(p) = -flow(p + g(p)).

    Each step shrinks the error by the largest local stretch of the flow (|1/F - 1| for a zoom), so ten
    steps reach rounding for the motions of a focal stack. Where the inverse reads outside the image the
    edge value of ``flow`` stands in.
    """
    _check_flow(flow)
    inverse = -flow
    for _ in range(iterations):
        inverse = -warp(flow, inverse, mode="bilinear")
    return inverse


def corner_error(flow_a: Tensor, flow_b: Tensor) -> Tensor:
    """(B,) root mean square distance [px] between two flows over the four corner pixels."""
    _check_flow(flow_a, "flow_a")
    _check_flow(flow_b, "flow_b")
    if flow_a.shape[-2:] != flow_b.shape[-2:]:
        raise ValueError(f"corner_error: flows of {tuple(flow_a.shape)} and {tuple(flow_b.shape)}")
    gap = flow_a - flow_b
    corners = gap[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    return corners.square().sum(dim=1).mean(dim=1).sqrt()
