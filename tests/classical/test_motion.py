import cv2
import numpy as np
import pytest
import torch

from dff import flow
from dff.classical import motion

SIZE = (60, 90)
SOME = motion.about_centre(1.03, 0.02, (1.5, -2.25), SIZE)
OTHER = motion.about_centre(0.97, -0.01, (-0.5, 3.0), SIZE)


def blobs(size, dtype=np.float32, channels=(), sigma=2.0):
    picture = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(*size, *channels)), (0, 0), sigma)
    picture = (picture - picture.min()) / np.ptp(picture)
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return (picture * top).astype(dtype)


def at(matrix, x, y):
    return matrix @ np.array([x, y, 1.0])


# --- algebra ---------------------------------------------------------------------------------------------


def test_compose_does_the_inner_motion_first():
    assert np.allclose(at(motion.compose(SOME, OTHER), 7, 11), at(SOME, *at(OTHER, 7, 11)))


def test_invert_undoes():
    assert np.allclose(motion.compose(SOME, motion.invert(SOME)), motion.IDENTITY)
    assert np.allclose(motion.compose(motion.invert(SOME), SOME), motion.IDENTITY)


def test_about_centre_moves_the_centre_by_the_shift_alone():
    centre = (SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2
    assert np.allclose(at(SOME, *centre) - centre, (1.5, -2.25))
    grown = motion.about_centre(1.1, 0, (0, 0), SIZE)
    assert np.allclose(at(grown, 0, 0), np.array(centre) * (1 - 1.1))


def test_decompose_inverts_about_centre():
    zoom, rotation, shift = motion.decompose(SOME, SIZE)
    assert (zoom, rotation) == pytest.approx((1.03, 0.02))
    assert np.allclose(shift, (1.5, -2.25))


@pytest.mark.parametrize("rows", [motion.ROWS, motion.ROWS[:3], ("y",), ("rotation", "x")])
def test_coefficients_round_trip(rows):
    values = np.array([1.2, -0.7, 2.5, -1.9])[: len(rows)]
    matrix = motion.from_coefficients(values, rows, SIZE)
    assert np.allclose(motion.to_coefficients(matrix, rows, SIZE), values)


def test_no_coefficients_no_motion():
    assert np.array_equal(motion.from_coefficients(np.zeros(4), motion.ROWS, SIZE), motion.IDENTITY)


@pytest.mark.parametrize("row", motion.ROWS)
def test_basis_is_the_derivative_of_the_motion(row):
    small = 1e-5
    plus, minus = (motion.from_coefficients(np.array([s]), (row,), SIZE) for s in (small, -small))
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    places = np.stack([x, y, np.ones_like(x)], axis=-1)
    moved = places @ ((plus - minus) / (2 * small)).T
    ((field_x, field_y),) = motion.basis((row,), SIZE)
    assert np.allclose(moved[..., 0], np.broadcast_to(field_x, SIZE), atol=1e-6)
    assert np.allclose(moved[..., 1], np.broadcast_to(field_y, SIZE), atol=1e-6)


def test_one_coefficient_is_a_pixel_at_the_corner():
    for row in ("zoom", "rotation"):
        ((x, y),) = motion.basis((row,), SIZE)
        x, y = np.broadcast_to(x, SIZE), np.broadcast_to(y, SIZE)
        assert np.hypot(x[0, 0], y[0, 0]) == pytest.approx(1, abs=0.02)


def test_corners_moved():
    assert motion.corners_moved(SOME, SOME, SIZE) == 0
    there = motion.about_centre(1, 0, (3, 4), SIZE)
    assert motion.corners_moved(there, motion.IDENTITY, SIZE) == pytest.approx(5)
    grown = motion.about_centre(1.01, 0, (0, 0), (101, 101))
    assert motion.corners_moved(grown, motion.IDENTITY, (101, 101)) == pytest.approx(0.5 * 2**0.5)


# --- resizing: pixel centres at integers in both sizes ---------------------------------------------------


def test_rescale_and_back():
    assert np.allclose(motion.rescale(motion.rescale(SOME, 0.25), 4), SOME)
    assert np.allclose(motion.rescale(motion.IDENTITY, 0.37), motion.IDENTITY)


def test_rescale_keeps_the_centre():
    small = motion.rescale(motion.about_centre(1.1, 0.1, (2, -6), SIZE), 0.5)
    assert np.allclose(small, motion.about_centre(1.1, 0.1, (1, -3), (30, 45)))


@pytest.mark.parametrize("factor", [2, 3])
def test_reducing_then_warping_is_warping_then_reducing(factor):
    picture = blobs((90, 120), sigma=12)
    matrix = motion.about_centre(1.2, 0.1, (2.5, -1.5), (90, 120))

    def reduced(image):
        return cv2.resize(image, (120 // factor, 90 // factor), interpolation=cv2.INTER_AREA)

    def error(small_matrix):
        early = motion.warp(reduced(picture), small_matrix, linear=True)
        late = reduced(motion.warp(picture, matrix, linear=True))
        return np.abs(late - early)[8:-8, 8:-8].mean()

    corners_at_integers = matrix / np.array([[1, 1, factor]])
    assert error(motion.rescale(matrix, 1 / factor)) < 0.0008 < 0.0012 < error(corners_at_integers)


# --- pixels ----------------------------------------------------------------------------------------------


def test_inside():
    assert motion.inside(motion.IDENTITY, SIZE).all()
    right = motion.about_centre(1, 0, (2.5, 0), SIZE)
    seen = motion.inside(right, SIZE)
    assert seen[:, :-3].all()
    assert not seen[:, -3:].any()
    down = motion.inside(motion.about_centre(1, 0, (0, -4), SIZE), SIZE, margin=1)
    assert not down[:5].any()
    assert not down[:, 0].any()
    assert down[5:-1, 1:-1].all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.float16])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_warp_keeps_type_shape_and_range(dtype, channels):
    random = np.random.default_rng(0).random((*SIZE, *channels))
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    picture = (np.rint(random) * top).astype(dtype)  # black and white: bicubic overshoots
    out = motion.warp(picture, SOME)
    assert out.dtype == dtype
    assert out.shape == picture.shape
    assert np.isfinite(out).all()
    assert out.min() >= 0
    assert out.max() <= top


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64, np.float16])
def test_warp_of_every_type_is_that_of_float32(dtype, linear):
    picture = blobs(SIZE, dtype)
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    same = (picture.astype(np.float64) / top).astype(np.float32)
    expected = motion.warp(same, SOME, linear=linear)
    atol = {np.uint8: 1.5 / 255, np.uint16: 1e-3, np.float64: 1e-6, np.float16: 1e-3}[dtype]
    assert np.allclose(motion.warp(picture, SOME, linear=linear) / top, expected, atol=atol)


def test_identity_returns_the_picture_itself():
    picture = blobs(SIZE, np.uint8)
    assert motion.warp(picture, motion.IDENTITY) is picture


def test_whole_pixel_shift_is_exact():
    picture = blobs(SIZE, np.uint8, (3,))
    out = motion.warp(picture, motion.about_centre(1, 0, (3, -2), SIZE))
    assert np.array_equal(out[2:, :-3], picture[:-2, 3:])
    assert np.array_equal(out[:2, :-3], np.repeat(picture[:1, 3:], 2, axis=0))  # edges repeated


# --- one motion in the whole house -----------------------------------------------------------------------


def test_matrix_is_that_of_the_flow():
    fov, turn, x, y = 1.04, -0.03, 1.25, -2.5
    coefficients = torch.tensor([[x, y, turn]], dtype=torch.float64)
    relative_fov = torch.tensor([fov], dtype=torch.float64)
    theirs = flow.affine_matrix(coefficients, ("x", "y", "rotation"), *SIZE, relative_fov)[0].numpy()
    assert np.allclose(motion.about_centre(1 / fov, turn, (x, y), SIZE), theirs)


def test_warp_is_that_of_the_flow():
    picture = blobs(SIZE)
    field = flow.affine_flow(torch.from_numpy(SOME)[None], *SIZE)
    theirs = flow.warp(torch.from_numpy(picture)[None, None], field)[0, 0].numpy()
    assert np.allclose(motion.warp(picture, SOME), theirs, atol=4e-3)  # OpenCV 4 reads at 1/32 px
    differ = motion.inside(SOME, SIZE) != flow.valid_mask(field)[0, 0].numpy()
    assert differ.sum() <= 2  # the flow's mask forgives a thousandth of a pixel
