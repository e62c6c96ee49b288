"""The flow: known values, inverse, composition, gradients, and agreement with OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from dff import flow as fl

AFFINE = tuple(name for name, motion in fl.BASIS.items() if motion.affine)
ALL = tuple(fl.BASIS)


def smooth_picture(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """(1,C,H,W) float64 in [0,1], waves of 12 px and longer."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64), indexing="ij"
    )
    waves = [
        0.5 + 0.25 * torch.sin(x / (2.5 + c) + c) + 0.25 * torch.cos(y / (3 + c) - x / 9)
        for c in range(channels)
    ]
    return torch.stack(waves)[None]


def coefficients(names: tuple[str, ...], scale: float = 1.0, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """Random float64 coefficients (B,M): a few percent without unit, a few pixels with."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(batch, len(names), generator=generator, dtype=torch.float64) * 2 - 1
    return values * scale * torch.tensor([2.0 if fl.BASIS[name].in_px else 0.03 for name in names])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (8, 1), (5, 7), (48, 72), (33, 64)])
def test_zero_coefficients_give_a_flow_of_exactly_zero(height: int, width: int) -> None:
    flow = fl.flow_from_coefficients(torch.zeros(3, len(ALL)), ALL, height, width)
    assert flow.shape == (3, 2, height, width)
    assert torch.equal(flow, torch.zeros_like(flow))


def test_zoom_is_exact_one_over_f() -> None:
    # 353 px wide: the corner pixel lies 176 px from the centre; 176 (1 - 1/1.05) = 8.38, linearised 8.80
    flow = fl.flow_from_coefficients(torch.tensor([[0.05]]), ("zoom",), 353, 353)
    assert flow[0, 0, 0, 0].item() == pytest.approx(8.381, abs=1e-3)
    assert flow[0, 1, 0, 0].item() == pytest.approx(8.381, abs=1e-3)
    assert flow[0, 0, -1, -1].item() == pytest.approx(-8.381, abs=1e-3)
    assert flow[0, :, 176, 176].abs().max() == 0


def test_relative_fov_adds_to_zoom() -> None:
    fov = torch.tensor([1.02, 1.05], dtype=torch.float64)
    alpha = torch.tensor([[0.03], [0.0]], dtype=torch.float64)
    flow = fl.flow_from_coefficients(alpha, ("zoom",), 40, 60, relative_fov=fov)
    assert torch.allclose(flow[0], flow[1], atol=1e-12)
    assert flow[0, 0, 0, 0].item() == pytest.approx(29.5 * (1 - 1 / 1.05))
    without_zoom_row = fl.flow_from_coefficients(torch.zeros(2, 1), ("x",), 40, 60, relative_fov=fov)
    assert without_zoom_row[1, 0, 0, 0].item() == pytest.approx(29.5 * (1 - 1 / 1.05), abs=1e-5)


def test_positive_zoom_enlarges_and_positive_x_y_read_to_the_right_and_below() -> None:
    image = torch.zeros(1, 1, 21, 21)
    image[0, 0, 10, 14] = 1.0
    read_right = fl.flow_from_coefficients(torch.tensor([[3.0, 2.0]]), ("x", "y"), 21, 21)
    assert fl.warp(image, read_right)[0, 0, 8, 11] == 1  # the content moved left and up
    doubled = fl.flow_from_coefficients(torch.tensor([[1.0]]), ("zoom",), 21, 21)
    assert fl.warp(image, doubled)[0, 0, 10, 18] == pytest.approx(1, abs=1e-5)  # 4 px from the centre -> 8 px


def test_rotation_is_exact_and_turns_from_x_to_y() -> None:
    flow = fl.flow_from_coefficients(torch.tensor([[math.pi / 2]]), ("rotation",), 11, 11)
    # the pixel right of the centre is read below the centre
    assert torch.allclose(flow[0, :, 5, 10], torch.tensor([-5.0, 5.0]), atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_every_field_is_the_derivative_of_the_flow_at_rest(name: str) -> None:
    step = 1e-6
    moved = fl.flow_from_coefficients(torch.tensor([[step]], dtype=torch.float64), (name,), 15, 24)
    field = fl.basis_fields([name], 15, 24, dtype=torch.float64)
    assert torch.allclose(moved[0] / step, field[0], atol=1e-4)


def test_basis_fields_known_values() -> None:
    fields = fl.basis_fields(["zoom", "x", "y", "anisotropy", "shear", "radial"], 3, 5)
    assert fields.shape == (6, 2, 3, 5)
    corner = fields[:, :, 2, 4]  # 2 px right of the centre, 1 px below
    radial = 5 / (34 / 4)  # r^2 over a quarter of the squared diagonal
    expected = [[-2, -1], [1, 0], [0, 1], [2, -1], [1, 2], [2 * radial, radial]]
    assert torch.allclose(corner, torch.tensor(expected))
    assert fl.basis_fields([], 3, 5).shape == (0, 2, 3, 5)


@pytest.mark.parametrize("names", [ALL, fl.DEFAULT_NAMES])
def test_coefficients_go_between_pyramid_levels(names: tuple[str, ...]) -> None:
    coarse = coefficients(names)
    fine = fl.scale_coefficients(coarse, names, 2.0)
    flow_coarse = fl.flow_from_coefficients(coarse, names, 16, 24)
    flow_fine = fl.flow_from_coefficients(fine, names, 32, 48)
    # 2x2 fine pixels surround each coarse one; their mean flow is that of its centre (up to curvature)
    shrunk = torch.nn.functional.avg_pool2d(flow_fine, 2) / 2
    assert torch.allclose(shrunk, flow_coarse, atol=1e-3)
    assert names[0] == "zoom"
    assert fine[0, 0] == coarse[0, 0]


@pytest.mark.parametrize(("height", "width"), [(31, 45), (32, 40)])
def test_affine_matrix_is_the_same_motion(height: int, width: int) -> None:
    values = coefficients(AFFINE, batch=4)
    fov = torch.tensor([1.0, 1.02, 1.1, 0.97], dtype=torch.float64)
    matrix = fl.affine_matrix(values, AFFINE, height, width, fov)
    assert matrix.shape == (4, 2, 3)
    flow = fl.flow_from_coefficients(values, AFFINE, height, width, fov)
    assert torch.allclose(fl.affine_flow(matrix, height, width), flow, atol=1e-10)


@pytest.mark.parametrize("name", ["radial", "perspective_x", "perspective_y"])
def test_rows_that_are_not_affine_have_no_matrix(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is not affine"):
        fl.affine_matrix(torch.zeros(1, 2), ("zoom", name), 8, 8)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear", "nearest"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (37, 101)])
def test_identity_flow_returns_the_input_bit_for_bit(mode: str, height: int, width: int) -> None:
    image = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    assert torch.equal(fl.warp(image, torch.zeros(2, 2, height, width), mode), image)


def test_zero_flow_still_has_a_gradient() -> None:
    flow = torch.zeros(1, 2, 9, 9, requires_grad=True)
    ramp = (torch.arange(9.0) / 10).expand(1, 1, 9, 9)
    fl.warp(ramp, flow)[..., 3:6, 3:6].sum().backward()
    assert flow.grad is not None
    # at a pixel centre the kernel's slope is 0.75 of (right - left)
    assert torch.allclose(flow.grad[0, 0, 3:6, 3:6], torch.tensor(0.15), atol=1e-5)


def test_whole_pixel_shift_moves_pixels_and_repeats_the_edge() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    shift = fl.flow_from_coefficients(torch.tensor([[2.0, 0.0]]), ("x", "y"), 3, 4)
    for mode in ("bicubic", "bilinear", "nearest"):
        moved = fl.warp(image, shift, mode)
        expected = torch.tensor([[2, 3, 3, 3], [6, 7, 7, 7], [10, 11, 11, 11]]).float()
        assert torch.allclose(moved[0, 0], expected, atol=1e-5)


def test_one_flow_serves_the_whole_batch() -> None:
    image = torch.rand(3, 2, 12, 16, dtype=torch.float64)
    flow = fl.flow_from_coefficients(coefficients(fl.DEFAULT_NAMES), fl.DEFAULT_NAMES, 12, 16)
    assert torch.equal(fl.warp(image, flow), fl.warp(image, flow.repeat(3, 1, 1, 1)))


def test_bicubic_stays_within_the_range_of_its_input() -> None:
    image = torch.zeros(1, 2, 16, 16)
    image[:, 0, :, 8:] = 1.0
    image[:, 1, :, 8:] = 0.5
    flow = torch.full((1, 2, 16, 16), 0.5)
    warped = fl.warp(image, flow)
    assert warped.amin() == 0
    assert warped.amax(dim=(2, 3)).tolist() == [[1.0, 0.5]]


@pytest.mark.parametrize(("height", "width"), [(63, 81), (64, 96)])
def test_warp_agrees_with_opencv(height: int, width: int) -> None:
    image = smooth_picture(height, width)
    matrix = fl.affine_matrix(coefficients(AFFINE, seed=3), AFFINE, height, width)
    ours = fl.warp(image, fl.affine_flow(matrix, height, width))
    theirs = cv2.warpAffine(
        np.ascontiguousarray(image[0].permute(1, 2, 0).float().numpy()),
        matrix[0].numpy(),
        (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    difference = np.abs(ours[0].permute(1, 2, 0).numpy() - theirs)
    assert difference.max() < 2 / 255  # OpenCV rounds positions to 1/32 px


def test_inverse_undoes_every_motion_in_the_interior() -> None:
    image = smooth_picture(96, 128)
    flow = fl.flow_from_coefficients(coefficients(ALL, seed=5), ALL, 96, 128)
    back = fl.warp(fl.warp(image, flow), fl.invert(flow))
    assert (back - image)[..., 16:-16, 16:-16].abs().max() < 0.01
    round_trip = fl.compose(flow, fl.invert(flow))
    assert round_trip[..., 16:-16, 16:-16].abs().max() < 2e-3


def test_inverse_of_a_zoom_is_the_reciprocal_zoom() -> None:
    flow = fl.flow_from_coefficients(torch.tensor([[0.1]], dtype=torch.float64), ("zoom",), 41, 61)
    grown = torch.tensor([[1 / 1.1 - 1]], dtype=torch.float64)
    expected = fl.flow_from_coefficients(grown, ("zoom",), 41, 61)
    assert torch.allclose(fl.invert(flow)[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4], atol=1e-8)


def test_composition_is_one_warp_for_two() -> None:
    a, b = (fl.affine_matrix(coefficients(AFFINE, seed=s), AFFINE, 60, 80) for s in (1, 2))
    last_row = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    product = torch.cat((a[0], last_row)) @ torch.cat((b[0], last_row))
    both = fl.compose(fl.affine_flow(a, 60, 80), fl.affine_flow(b, 60, 80))
    expected = fl.affine_flow(product[None, :2], 60, 80)
    assert torch.allclose(both[..., 8:-8, 8:-8], expected[..., 8:-8, 8:-8], atol=1e-9)
    image = smooth_picture(60, 80)
    twice = fl.warp(fl.warp(image, fl.affine_flow(a, 60, 80)), fl.affine_flow(b, 60, 80))
    assert (fl.warp(image, both) - twice)[..., 16:-16, 16:-16].abs().max() < 0.03  # the second blur of two


def test_valid_mask_marks_what_is_read_inside() -> None:
    assert fl.valid_mask(torch.zeros(2, 2, 5, 7)).all()
    flow = torch.zeros(1, 2, 5, 7)
    flow[:, 0] = 2.5
    flow[:, 1] = -1
    mask = fl.valid_mask(flow)
    assert mask.shape == (1, 1, 5, 7)
    assert mask.dtype == torch.bool
    expected = torch.zeros(5, 7, dtype=torch.bool)
    expected[1:, :4] = True
    assert torch.equal(mask[0, 0], expected)


def test_corner_error_is_the_rms_over_four_corners() -> None:
    zero = torch.zeros(2, 2, 6, 9)
    flow = zero.clone()
    flow[0, 0] = 3.0
    flow[0, 1] = 4.0
    flow[1, 0, 0, 0] = 6.0  # one corner of four: sqrt(36 / 4)
    flow[1, :, 2:4, 2:4] = 100.0
    assert torch.allclose(fl.corner_error(flow, zero), torch.tensor([5.0, 3.0]))
    assert torch.equal(fl.corner_error(flow, flow), torch.zeros(2))


def test_gradients_of_the_flow_are_right() -> None:
    values = coefficients(ALL, batch=2).requires_grad_()
    fov = torch.tensor([1.01, 1.04], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c, f: fl.flow_from_coefficients(c, ALL, 4, 5, f), (values, fov))
    affine = coefficients(AFFINE, batch=2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda c, f: fl.affine_flow(fl.affine_matrix(c, AFFINE, 4, 5, f), 4, 5), (affine, fov)
    )


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_gradients_of_the_warp_are_right(mode: str) -> None:
    generator = torch.Generator().manual_seed(7)
    image = torch.rand(1, 1, 6, 7, dtype=torch.float64, generator=generator)
    image[0, 0, 0, :2] = torch.tensor([-9.0, 9.0])  # a wide range, so that no clamp is active
    flow = 0.3 + 0.4 * torch.rand(1, 2, 6, 7, dtype=torch.float64, generator=generator)
    flow[..., :3, :3] += 1  # keeps clear of the two extreme pixels
    assert torch.autograd.gradcheck(
        lambda i, f: fl.warp(i, f, mode)[..., 1:, 3:], (image.requires_grad_(), flow.requires_grad_())
    )


def test_gradient_reaches_coefficients_through_the_warp() -> None:
    image = smooth_picture(24, 32).float()
    target = fl.warp(
        image, fl.flow_from_coefficients(torch.tensor([[0.02, 0.5, -0.4]]), fl.DEFAULT_NAMES, 24, 32)
    )
    values = torch.zeros(1, 3, requires_grad=True)
    optimiser = torch.optim.LBFGS([values], lr=1, max_iter=30, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        flow = fl.flow_from_coefficients(
            fl.scale_coefficients(values, fl.DEFAULT_NAMES, 20), fl.DEFAULT_NAMES, 24, 32
        )
        error = (fl.warp(image, flow) - target)[..., 3:-3, 3:-3].square().mean() * 1e3
        error.backward()
        return error

    optimiser.step(loss)
    found = fl.scale_coefficients(values.detach(), fl.DEFAULT_NAMES, 20)
    assert torch.allclose(found, torch.tensor([[0.02, 0.5, -0.4]]), atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_pictures_half_and_positions_float32(dtype: torch.dtype) -> None:
    values = torch.tensor([[0.05, 1.5, -2.25]], dtype=dtype)
    flow = fl.flow_from_coefficients(values, fl.DEFAULT_NAMES, 64, 640)
    assert flow.dtype == torch.float32
    exact = fl.flow_from_coefficients(values.double(), fl.DEFAULT_NAMES, 64, 640)
    assert (flow - exact).abs().max() < 1e-3
    image = smooth_picture(64, 640).to(dtype)
    warped = fl.warp(image, flow)
    assert warped.dtype == dtype
    assert (warped.float() - fl.warp(image.float(), flow)).abs().max() < 0.01


def test_autocast_does_not_round_positions() -> None:
    values = torch.tensor([[0.031, 1.57, -2.23, 0.011]])
    names = ("zoom", "x", "y", "radial")
    image = smooth_picture(40, 600).float()
    plain_flow = fl.flow_from_coefficients(values, names, 40, 600)
    plain = fl.warp(image, plain_flow)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        flow = fl.flow_from_coefficients(values, names, 40, 600)
        warped = fl.warp(image, flow)
    assert torch.equal(flow, plain_flow)
    assert torch.equal(warped, plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_cpu() -> None:
    values = coefficients(ALL, batch=2).float()
    image = smooth_picture(48, 65).float().repeat(2, 1, 1, 1)
    flow = fl.flow_from_coefficients(values, ALL, 48, 65)
    flow_cuda = fl.flow_from_coefficients(values.cuda(), ALL, 48, 65)
    assert torch.allclose(flow_cuda.cpu(), flow, atol=1e-4)
    assert torch.allclose(fl.warp(image.cuda(), flow_cuda).cpu(), fl.warp(image, flow), atol=1e-4)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="no motion called 'zom'; choose from zoom, x, y"):
        fl.basis_fields(["zom"], 4, 4)
    with pytest.raises(ValueError, match="named twice"):
        fl.flow_from_coefficients(torch.zeros(1, 2), ("x", "x"), 4, 4)
    with pytest.raises(ValueError, match="2 coefficients for the 3 motions zoom, x, y"):
        fl.flow_from_coefficients(torch.zeros(1, 2), fl.DEFAULT_NAMES, 4, 4)
    with pytest.raises(ValueError, match=r"coefficients must be \(B,M\)"):
        fl.flow_from_coefficients(torch.zeros(3), fl.DEFAULT_NAMES, 4, 4)
    with pytest.raises(ValueError, match=r"relative_fov must be \(1,\)"):
        fl.flow_from_coefficients(torch.zeros(1, 3), fl.DEFAULT_NAMES, 4, 4, torch.ones(2))
    with pytest.raises(ValueError, match=r"matrix must be \(B,2,3\)"):
        fl.affine_flow(torch.eye(3)[None], 4, 4)
    image, flow = torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 4)
    with pytest.raises(ValueError, match="mode 'lanczos'"):
        fl.warp(image, flow, "lanczos")
    with pytest.raises(ValueError, match="do not fit"):
        fl.warp(image, torch.zeros(1, 2, 4, 5))
    with pytest.raises(ValueError, match="do not fit"):
        fl.warp(image.repeat(3, 1, 1, 1), flow.repeat(2, 1, 1, 1))
    with pytest.raises(ValueError, match=r"flow must be \(B,2,H,W\)"):
        fl.valid_mask(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="convert them to floating point"):
        fl.warp(image.to(torch.uint8), flow)
    with pytest.raises(ValueError, match="corner_error"):
        fl.corner_error(flow, torch.zeros(1, 2, 4, 5))


def test_unbiased_reading_moves_by_the_flow():
    ramp = torch.arange(40.0).expand(1, 1, 40, 40)
    shift = torch.linspace(-1.5, 1.5, 61)
    flow = torch.zeros(61, 2, 40, 40)
    flow[:, 0] = shift[:, None, None]
    inside = (..., slice(4, -4))
    wanted = (ramp + shift[:, None, None, None])[inside]
    stack = ramp.expand(61, 1, 40, 40)
    assert (fl.warp(stack, flow)[inside] - wanted).abs().max() > 0.04
    assert (fl.warp(stack, fl.unbiased(flow))[inside] - wanted).abs().max() < 1e-4
    assert torch.equal(fl.unbiased(torch.zeros(3, 2)), torch.zeros(3, 2))
