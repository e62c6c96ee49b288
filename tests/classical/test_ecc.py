import cv2
import numpy as np
import pytest

from dff.classical import motion
from dff.classical.ecc import ecc_chain
from dff.stack import FocalStack

SIZE = (200, 240)
STEPS = (-1, 0, 1)


def pose(step):
    return motion.about_centre(1 + 0.01 * step, 0, (step, -step), SIZE)


@pytest.fixture(scope="module")
def slices():
    """Three slices that grow by 1 % from one to the next and drift by a pixel, the middle one at rest."""
    random = np.random.default_rng(0)
    layers = [cv2.GaussianBlur(random.normal(size=(*SIZE, 3)), (0, 0), sigma) for sigma in (1.5, 3, 6)]
    picture = np.clip(128 + 25 * sum(layer / layer.std() for layer in layers), 0, 255).astype(np.uint8)
    return [motion.warp(picture, motion.invert(pose(step))) for step in STEPS]


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_finds_zoom_and_shift(slices, scale):
    seen = []
    matrices, failed = ecc_chain(
        FocalStack(slices), 1, scale=scale, progress=lambda *state: seen.append(state)
    )
    assert failed == []
    assert np.array_equal(matrices[1], np.eye(2, 3))
    for matrix, step in zip(matrices, STEPS, strict=True):
        assert motion.corners_moved(matrix, pose(step), SIZE) < 0.1
    assert seen == [("align", 2, 3), ("align", 3, 3)]


def test_all_pixel_types_give_one_answer(slices):
    grey = [picture[..., 1] for picture in slices]
    results = [
        ecc_chain(FocalStack(pictures), 0)[0]
        for pictures in (
            grey,
            [picture.astype(np.uint16) * 257 for picture in grey],
            [picture.astype(np.float32) / 255 for picture in grey],
        )
    ]
    for other in results[1:]:
        assert np.allclose(results[0], other, atol=0.02)


def test_a_blank_slice_fails_and_the_chain_goes_on(slices):
    blank = np.full_like(slices[0], 90)
    matrices, failed = ecc_chain(FocalStack([*slices[:2], blank, blank]), 0)
    assert failed == [2, 3]
    assert np.array_equal(matrices[2], matrices[1])
    assert np.array_equal(matrices[3], matrices[1])


def test_refuses_what_makes_no_sense(slices):
    stack = FocalStack(slices)
    with pytest.raises(ValueError, match="reference 3; the stack has slices 0 to 2"):
        ecc_chain(stack, 3)
    with pytest.raises(ValueError, match="scale 0"):
        ecc_chain(stack, 0, scale=0)
