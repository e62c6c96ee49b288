import numpy as np
import pytest

from dff.classical import motion, volume
from dff.classical.align import align_stack
from dff.classical.alignment import Alignment
from dff.classical.volume import VolumeConfig, contrast_confidence, focus_volume
from dff.stack import FocalStack

CONFIG = VolumeConfig()
FOCUS = np.array([0.5, 1.5, 2.5, 3.5])


@pytest.fixture
def stack(surface):
    """Three steps in depth, sharp in slices 0, 1 and 3."""
    truth = np.repeat(np.array([0.5, 1.5, 3.5]), 32)[None, :].repeat(64, axis=0)
    return surface(truth, FOCUS, coc=5.0).stack


def still(stack):
    return align_stack(stack, "none")


@pytest.mark.parametrize(
    ("size", "factor"),
    [((100, 100), 1), ((480, 640), 1), ((800, 800), 1), ((1000, 1000), 2), ((3000, 4000), 6), ((9, 9), 1)],
)
def test_work_factor(size, factor):
    assert volume.work_factor(size) == factor


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(31, 45), (31, 45, 3)])
def test_reduced_luma(dtype, shape):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    picture = (np.random.default_rng(0).random((31, 45)) * top).astype(dtype)
    image = picture if len(shape) == 2 else np.repeat(picture[..., None], 3, axis=2)
    small = volume.reduced_luma(image, 4)
    assert small.shape == (7, 11)
    assert small.dtype == np.float32
    expected = picture[:28, :44].astype(np.float64).reshape(7, 4, 11, 4).mean(axis=(1, 3)) / top
    assert np.allclose(small, expected, atol=1 / 255)
    assert np.allclose(volume.reduced_luma(image, 1), picture / top, atol=1 / 255)


def test_sharpest_where_in_focus(stack):
    found = focus_volume(stack, still(stack), CONFIG)
    assert found.curves.shape == (4, 64, 96)
    assert found.curves.dtype == np.float32
    assert found.factor == 1
    best = found.curves.argmax(axis=0)
    for columns, k in ((slice(6, 26), 0), (slice(38, 58), 1), (slice(70, 90), 3)):
        assert (best[:, columns] == k).mean() > 0.97
    assert (found.seen == 4).all()
    assert found.fine_confidence.min() >= 0
    assert found.fine_confidence.max() <= 1


def test_luma_is_all_in_focus(stack):
    found = focus_volume(stack, still(stack), CONFIG)
    slices = [volume.reduced_luma(picture, 1) for picture in stack.slices]
    for columns, k in ((slice(6, 26), 0), (slice(38, 58), 1), (slice(70, 90), 3)):
        # the tone range is stretched to [0,1]
        assert np.corrcoef(found.luma[:, columns].ravel(), slices[k][:, columns].ravel())[0, 1] > 0.99


def test_slices_that_do_not_show_a_pixel_say_nothing(stack):
    matrices = np.repeat(motion.IDENTITY[None], 4, axis=0)
    matrices[1, 0, 2] = 20  # slice 1 does not show the last 20 columns
    alignment = Alignment(
        matrices, 0, (64, 96), "direct", ("reference", "ok", "ok", "ok"), np.full(4, np.nan)
    )
    found = focus_volume(stack, alignment, CONFIG)
    assert (found.seen[:, :76] == 4).all()
    assert (found.seen[:, 76:] == 3).all()
    assert np.isfinite(found.curves).all()
    assert (found.curves[1, :, 78:] <= found.curves[:, :, 78:].min(axis=0) + 0.1).all()


def test_tone_range_does_not_matter(stack):
    """12 bits in a 16-bit file look nearly black."""
    dim = FocalStack([picture.astype(np.uint16) * 16 for picture in stack.slices], FOCUS)
    full = FocalStack([picture.astype(np.uint16) * 257 for picture in stack.slices], FOCUS)
    curves = [focus_volume(one, still(one), CONFIG).curves for one in (dim, full)]
    assert np.allclose(*curves, atol=0.1)


def test_large_pictures_are_reduced(stack, monkeypatch):
    monkeypatch.setattr(volume, "WORK_PIXELS", 1600)
    found = focus_volume(stack, still(stack), CONFIG)
    assert found.factor == 2
    assert found.curves.shape == (4, 32, 48)
    assert found.luma.shape == found.seen.shape == found.fine_confidence.shape == (32, 48)
    assert (found.curves.argmax(axis=0)[:, 3:13] == 0).mean() > 0.9


def test_confidence_of_known_curves():
    config = VolumeConfig(low_contrast=0.4, high_contrast=1.4)
    contrast = np.array([0.0, 0.4, 0.9, 1.4, 9.0], np.float32)
    curve = np.zeros((10, 1, 5), np.float32)
    curve[4] = contrast
    assert np.allclose(contrast_confidence(curve, config), [[0, 0, 0.5, 1, 1]], atol=1e-6)


def test_more_slices_must_stand_out_more():
    """The best of many equally noisy slices stands out by chance."""
    confidence = []
    for count in (5, 10, 40):
        curve = np.zeros((count, 1, 1), np.float32)
        curve[0] = 0.6
        confidence.append(float(contrast_confidence(curve, CONFIG)[0, 0]))
    assert confidence[0] > confidence[1] > confidence[2]
    smoothed = float(contrast_confidence(curve, CONFIG, passes=4)[0, 0])
    assert smoothed > confidence[2]
