"""Guided-filter decisions and the Laplacian pyramid: what both must do, and what is their own."""

import cv2
import numpy as np
import pytest

from dff import metrics, pipeline
from dff.classical import motion
from dff.classical.align import align_stack
from dff.classical.alignment import Alignment
from dff.fusion import GuidedConfig, check_method, fuse_guided, fuse_pyramid
from dff.fusion.guided import saliency, without_specks
from dff.fusion.pyramid import collapse, laplacian_pyramid, levels_of
from dff.stack import FocalStack

SIZE = (96, 128)
N = 3


def thirds():
    """Three (H,W,3) uint8 slices, each sharp in a third of the width, and the sharp picture."""
    random = np.random.default_rng(0)
    sharp = cv2.GaussianBlur(random.random((*SIZE, 3)), (0, 0), 0.8)
    sharp = np.clip(128 + 300 * (sharp - 0.5), 20, 235).astype(np.uint8)
    third = (np.arange(SIZE[1]) * N // SIZE[1])[None, :].repeat(SIZE[0], axis=0)
    slices = []
    for k in range(N):
        picture = sharp.copy()
        for q in range(N):
            if q != k:
                picture[third == q] = cv2.GaussianBlur(sharp, (0, 0), 1.5 * abs(q - k))[third == q]
        slices.append(picture)
    return slices, sharp


SLICES, SHARP = thirds()
BOTH = pytest.mark.parametrize("fuse", [fuse_guided, fuse_pyramid])


def fused(fuse, slices, **options):
    stack = FocalStack(slices)
    return fuse(stack, align_stack(stack, "none"), **options)


def as_type(picture, dtype):
    if np.dtype(dtype).kind == "f":
        return (picture / 255).astype(dtype)
    return picture.astype(dtype) * (np.iinfo(dtype).max // 255)


@BOTH
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("grey", [False, True])
def test_every_kind_of_picture(fuse, dtype, grey):
    slices = [as_type(picture[..., 1] if grey else picture, dtype) for picture in SLICES]
    sharp = as_type(SHARP[..., 1] if grey else SHARP, dtype)
    out = fused(fuse, slices)
    assert (out.dtype, out.shape) == (dtype, sharp.shape)
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    assert metrics.psnr(out / top, sharp / top) > 30
    assert metrics.gradients_kept(out, slices) > 0.93


@BOTH
def test_sixteen_bits_are_all_there(fuse):
    """Steps of less than one part in 255 survive."""
    fine = [as_type(p, np.uint16) + np.arange(SIZE[1], dtype=np.uint16)[None, :, None] for p in SLICES]
    assert len(np.unique(fused(fuse, fine))) > 2000


@BOTH
def test_within_the_range_of_the_slices(fuse):
    out = fused(fuse, SLICES)
    kernel = np.ones((3, 3), np.uint8)
    assert (out >= np.min([cv2.erode(p, kernel) for p in SLICES], axis=0)).all()
    assert (out <= np.max([cv2.dilate(p, kernel) for p in SLICES], axis=0)).all()
    assert metrics.outside_range(out, SLICES) < 0.002


@BOTH
@pytest.mark.parametrize("value", [0, 255])
def test_flat_ground_stays(fuse, value):
    assert (fused(fuse, [np.full(SIZE, value, np.uint8)] * N) == value).all()


@BOTH
def test_pixels_that_a_slice_does_not_show_come_from_the_others(fuse):
    random = np.random.default_rng(1)
    slices = [np.full(SIZE, 200, np.uint8), random.integers(0, 60, SIZE).astype(np.uint8)]
    matrices = np.array([motion.IDENTITY, motion.about_centre(1, 0, (40, 0), SIZE)])
    alignment = Alignment(matrices, 0, SIZE, "direct", ("reference", "ok"), np.full(2, np.nan))
    out = fuse(FocalStack(slices), alignment)
    assert (out[:, -20:] > 190).all()
    assert np.median(out[:, 20:60]) < 70


@BOTH
def test_one_slice_in_memory_at_a_time(fuse):
    class Lazy(list):
        """Slices that are made anew when asked for, and counted."""

        reads = 0

        def __getitem__(self, k):
            Lazy.reads += 1
            return SLICES[k].copy()

    stack = FocalStack(SLICES)
    alignment = align_stack(stack, "none")
    stack.slices = Lazy(SLICES)
    seen = []
    out = fuse(stack, alignment, progress=lambda *state: seen.append(state))
    assert Lazy.reads <= 2 * N + 1
    assert [state for state in seen if state[0] == "fuse"] == [("fuse", k, N) for k in range(1, N + 1)]
    assert np.array_equal(out, fused(fuse, SLICES))


def test_saliency_is_what_a_box_blur_takes_away():
    luma = np.zeros((21, 21), np.float32)
    luma[10, 10] = 1
    plain = saliency(luma, GuidedConfig(mean_px=3, radius_px=1, epsilon=1e6))
    # eps so large makes the guided filter two box means of 3 px; the detail sums to 8/9 + 8 * 1/9
    assert plain.sum() == pytest.approx(16 / 9, rel=1e-3)
    assert plain[10, 10] == plain.max()


def test_specks_go_to_their_nearest_neighbour():
    labels = np.zeros((20, 20), np.uint16)
    labels[:, 10:] = 2
    labels[3:5, 3:5] = 7
    labels[10, 15] = 0
    tidy = without_specks(labels, 10)
    assert set(np.unique(tidy)) == {0, 2}
    assert (tidy[:, :10] == 0).all()
    assert (tidy[:, 10:] == 2).all()
    assert np.array_equal(without_specks(labels, 1), labels)
    assert np.array_equal(without_specks(labels, 1e6), labels)  # nothing would be left


@pytest.mark.parametrize("wrong", [{"mean_px": 4}, {"radius_px": 0}, {"epsilon": 0.0}, {"speck_share": 1.0}])
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="GuidedConfig"):
        GuidedConfig(**wrong)


@pytest.mark.parametrize("shape", [(33, 50), (64, 48, 3)])
def test_pyramid_and_back(shape):
    image = np.random.default_rng(2).random(shape).astype(np.float32)
    bands = laplacian_pyramid(image, levels_of(shape[:2]))
    assert len(bands) == levels_of(shape[:2]) + 1
    np.testing.assert_allclose(collapse(bands), image, atol=1e-6)


@pytest.mark.parametrize("method", ["guided", "pyramid"])
def test_pipeline_needs_no_model(method):
    found = pipeline.fuse(FocalStack(SLICES), method=method, align="none", model="no such model")
    assert found.depth is None
    assert found.model is None
    report = found.report()
    assert report["fusion"] == method
    assert "model" not in report
    assert set(report["seconds"]) == {"align", "fuse"}
    assert metrics.psnr(found.aif / 255, SHARP / 255) > 30


def test_unknown_method():
    with pytest.raises(ValueError, match="choose from depth, guided, pyramid"):
        check_method("wavelet")
    with pytest.raises(ValueError, match="fusion method 'x'"):
        pipeline.fuse(FocalStack(SLICES), method="x")
