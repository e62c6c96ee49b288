import numpy as np
import pytest

from dff.classical import motion
from dff.classical.ecc import ecc_chain
from dff.stack import FocalStack


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_finds_zoom_and_shift(breathing_slices, scale):
    stack = FocalStack(breathing_slices)
    seen = []
    matrices, failed = ecc_chain(stack, 1, scale=scale, progress=lambda *state: seen.append(state))
    assert failed == []
    assert np.array_equal(matrices[1], np.eye(2, 3))
    for k, step in ((0, -1), (2, 1)):
        truth = motion.about_centre(1 + 0.01 * step, 0, (step, -step), (200, 240))
        assert motion.corners_moved(matrices[k], truth, (200, 240)) < 0.1
    assert seen == [("align", 2, 3), ("align", 3, 3)]


def test_all_pixel_types_give_one_answer(breathing_slices):
    grey = [picture[..., 1] for picture in breathing_slices]
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


def test_a_blank_slice_fails_and_the_chain_goes_on(breathing_slices):
    blank = np.full_like(breathing_slices[0], 90)
    matrices, failed = ecc_chain(FocalStack([*breathing_slices[:2], blank, blank]), 0)
    assert failed == [2, 3]
    assert np.array_equal(matrices[2], matrices[1])
    assert np.array_equal(matrices[3], matrices[1])


def test_refuses_what_makes_no_sense(breathing_slices):
    stack = FocalStack(breathing_slices)
    with pytest.raises(ValueError, match="reference 3; the stack has slices 0 to 2"):
        ecc_chain(stack, 3)
    with pytest.raises(ValueError, match="scale 0"):
        ecc_chain(stack, 0, scale=0)
