import cv2
import numpy as np
import pytest

from dff.classical import motion, register
from dff.classical.pyramid import WorkPicture, work_picture, work_scale

SIZE = (150, 200)
POSE = motion.about_centre(1.02, 0.01, (2.3, -1.6), SIZE)
ROWS3 = motion.ROWS[:3]


def blobs(size=SIZE, seed=0):
    """(H,W) float32 in [0.1,0.9], spots of 1.5 to 6 px."""
    random = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(random.normal(size=size), (0, 0), sigma) for sigma in (1.5, 3, 6)]
    picture = sum(layer / layer.std() for layer in layers)
    return (0.1 + 0.8 * (picture - picture.min()) / np.ptp(picture)).astype(np.float32)


def pair(pose, blur=(0.0, 0.0), gain=1.0, offset=0.0):
    """Two work pictures, the second moved by ``pose``; blurred by these sigmas [px]."""
    big = blobs((SIZE[0] + 80, SIZE[1] + 80))
    moved = motion.warp(big, motion.about_centre(1, 0, (0, 0), big.shape))
    inverse = motion.invert(pose)
    shift = np.array([[1, 0, 40.0], [0, 1, 40.0]])
    inner = motion.compose(shift, motion.compose(inverse, motion.invert(shift)))
    moved = motion.warp(big, inner)
    first, second = (
        cv2.GaussianBlur(picture, (0, 0), sigma) if sigma else picture
        for picture, sigma in zip((big, moved), blur, strict=True)
    )
    cut = np.s_[40:-40, 40:-40]
    return WorkPicture(first[cut], 1.0), WorkPicture(np.clip(gain * second[cut] + offset, 0, 1), 1.0)


def error(found, truth):
    return motion.corners_moved(found.matrix, truth, SIZE)


def test_finds_zoom_shift_and_rotation():
    template, other = pair(POSE)
    found = register.register_pair(template, other, motion.ROWS)
    assert error(found, POSE) < 0.05
    assert found.correlation > 0.98
    refined = register.refine_pair(template, other, motion.ROWS, found.matrix, far=True)
    assert refined.residual_px < 0.1


def test_equal_pictures_do_not_move():
    picture, _ = pair(motion.IDENTITY)
    found = register.register_pair(picture, picture, motion.ROWS)
    assert error(found, motion.IDENTITY) < 1e-3
    assert found.correlation > 0.999


@pytest.mark.parametrize("blur", [(0.0, 2.0), (2.0, 0.0)])
def test_other_blur_is_not_read_as_motion(blur):
    pose = motion.about_centre(1.01, 0, (1.2, 0.7), SIZE)
    assert error(register.register_pair(*pair(pose, blur), ROWS3), pose) < 0.1


@pytest.mark.parametrize(("gain", "offset"), [(0.8, 0.0), (1.0, 0.05), (1.1, -0.03)])
def test_gain_and_offset_are_solved_along(gain, offset):
    assert error(register.register_pair(*pair(POSE, (0, 1), gain, offset), motion.ROWS), POSE) < 0.1


def test_a_start_is_refined():
    start = motion.compose(POSE, motion.about_centre(1, 0, (0.3, -0.4), SIZE))
    pictures = pair(POSE)
    found = register.refine_pair(*pictures, motion.ROWS, start, far=False)
    assert error(found, POSE) < 0.05
    assert error(register.refine_pair(*pictures, motion.ROWS, start, far=True), POSE) < 0.1


def test_information_tells_firm_from_unsure():
    """Stripes down the picture: x is well known, y is not."""
    x = np.tile(0.5 + 0.3 * np.sin(np.arange(SIZE[1], dtype=np.float32) / 3), (SIZE[0], 1))
    noise = 0.02 * np.random.default_rng(0).normal(size=(2, *SIZE)).astype(np.float32)
    found = register.register_pair(WorkPicture(x + noise[0], 1.0), WorkPicture(x + noise[1], 1.0), ("x", "y"))
    assert found.information[0, 0] > 20 * found.information[1, 1]
    assert np.allclose(found.information, found.information.T)


def test_another_scene_does_not_correlate():
    a, b = (WorkPicture(blobs(seed=seed), 1.0) for seed in (0, 1))
    assert register.register_pair(a, b, ROWS3).correlation < 0.4


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_plain_pictures_give_finite_answers(value):
    plain = WorkPicture(np.full(SIZE, value, np.float32), 1.0)
    for other in (plain, WorkPicture(blobs(), 1.0)):
        for found in (
            register.register_pair(plain, other, motion.ROWS),
            register.register_pair(other, plain, motion.ROWS),
        ):
            assert np.isfinite(found.matrix).all()
            assert np.isfinite(found.information).all()
            assert abs(found.correlation) < 0.2


# --- the pictures it works on ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "longest"), [((100, 150), 150), ((300, 200), 256), ((900, 1200), 400), ((3000, 4000), 512)]
)
def test_work_scale(size, longest):
    assert work_scale(size) * max(size) == pytest.approx(longest)


def test_work_picture_is_linear_light():
    grey = np.full((40, 60), 128, np.uint8)
    linear = (128 / 255) ** 2.2
    for image in (
        grey,
        np.repeat(grey[..., None], 3, axis=2),
        grey.astype(np.uint16) * 257,
        grey.astype(np.float32) / 255,
    ):
        picture = work_picture(image, 0.5, 2.2)
        assert picture.finest.shape == (20, 30)
        assert picture.finest.dtype == np.float32
        assert np.allclose(picture.finest, linear, atol=1e-3)
    assert np.allclose(work_picture(grey, 1.0, 1.0).finest, 128 / 255)


def test_pyramid_ends_before_it_is_too_small():
    levels = WorkPicture(blobs((160, 330)), 1.0).levels
    assert [level.size for level in levels] == [(160, 330), (80, 165), (40, 83)]
