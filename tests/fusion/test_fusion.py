import cv2
import numpy as np
import pytest

from dff import metrics
from dff.classical import motion
from dff.classical.align import align_stack
from dff.classical.alignment import Alignment
from dff.fusion import fuse
from dff.stack import DepthMap, FocalStack

SIZE = (60, 96)
N = 4


def staircase():
    """Four (H,W,3) uint8 slices, each sharp in one quarter of the width; the sharp picture; its depth."""
    random = np.random.default_rng(0)
    sharp = cv2.GaussianBlur(random.random((*SIZE, 3)), (0, 0), 0.7)
    sharp = np.clip(128 + 300 * (sharp - 0.5), 20, 235).astype(np.uint8)
    quarter = np.repeat(np.arange(N), SIZE[1] // N)[None, :].repeat(SIZE[0], axis=0)
    slices = []
    for k in range(N):
        picture = sharp.copy()
        for q in range(N):
            if q != k:
                picture[quarter == q] = cv2.GaussianBlur(sharp, (0, 0), 1.2 * abs(q - k))[quarter == q]
        slices.append(picture)
    return slices, sharp, quarter.astype(np.float32)


SLICES, SHARP, INDEX = staircase()


def depth_of(index):
    return DepthMap(index, np.ones(SIZE), np.ones(SIZE, bool), np.arange(float(N)))


def as_type(pictures, dtype):
    if np.dtype(dtype).kind == "f":
        return [(picture / 255).astype(dtype) for picture in pictures]
    return [picture.astype(dtype) * (np.iinfo(dtype).max // 255) for picture in pictures]


def fused(slices, index=INDEX, **options):
    stack = FocalStack(slices)
    return fuse(stack, align_stack(stack, "none"), depth_of(index), **options)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("grey", [False, True])
def test_every_kind_of_picture(dtype, grey):
    slices = as_type([picture[..., 1] if grey else picture for picture in SLICES], dtype)
    sharp = as_type([SHARP[..., 1] if grey else SHARP], dtype)[0]
    out = fused(slices)
    assert out.dtype == dtype
    assert out.shape == sharp.shape
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    assert metrics.psnr(out / top, sharp / top) > 35


def test_sharper_than_any_slice():
    out = fused(SLICES)
    kept = [metrics.gradients_kept(picture, SLICES) for picture in SLICES]
    assert metrics.gradients_kept(out, SLICES) > 0.97
    assert metrics.gradients_kept(out, SLICES) > max(kept) + 0.1
    assert metrics.psnr(out / 255, SHARP / 255) > max(
        metrics.psnr(picture / 255, SHARP / 255) for picture in SLICES
    )


def test_never_leaves_the_range_of_the_slices():
    out, stacked = fused(SLICES).astype(int), np.stack(SLICES).astype(int)
    assert (out >= stacked.min(axis=0)).all()
    assert (out <= stacked.max(axis=0)).all()
    assert metrics.outside_range(fused(SLICES), SLICES) == 0


def test_small_errors_of_the_depth_are_mended():
    off = INDEX + 0.6 * np.sign(np.random.default_rng(1).normal(size=SIZE)).astype(np.float32)
    out = fused(SLICES, np.clip(off, 0, N - 1))
    assert metrics.gradients_kept(out, SLICES) > 0.95


def test_what_is_sharp_is_found_nearly_two_slices_off():
    off = np.where(INDEX < N / 2, INDEX + 1.7, INDEX - 1.7).astype(np.float32)
    assert metrics.gradients_kept(fused(SLICES, off), SLICES) > 0.95


def test_noise_on_flat_ground_averages_out():
    random = np.random.default_rng(2)
    slices = [np.clip(128 + random.normal(0, 8, (*SIZE, 3)), 0, 255).astype(np.uint8) for _ in range(N)]
    assert fused(slices).std() < 0.8 * np.mean([picture.std() for picture in slices])


def test_the_depth_decides_between_equally_flat_slices():
    """Plain slices of rising brightness: only the depth says which one is meant."""
    slices = [np.full((*SIZE, 3), 50 * (k + 1), np.uint8) for k in range(N)]
    out = fused(slices)
    for k in range(N):
        assert np.abs(out[k == INDEX].astype(int) - 50 * (k + 1)).max() < 30


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_stay(value):
    assert (fused([np.full(SIZE, value, np.uint8)] * N) == value).all()


def test_long_stack_far_from_the_reference():
    """Weights of slices far from the depth vanish in float32; something must be left."""
    slices = [np.full(SIZE, 100 + k, np.uint8) for k in range(60)]
    stack = FocalStack(slices)
    depth = DepthMap(np.full(SIZE, 55.0), np.ones(SIZE), np.ones(SIZE, bool), np.arange(60.0))
    alignment = align_stack(stack, "none", reference="first")
    out = fuse(stack, alignment, depth)
    assert (np.abs(out.astype(int) - 155) <= 2).all()
    alignment.matrices[1:, 0, 2] = 40  # the last 40 columns are in the reference alone
    out = fuse(stack, alignment, depth)
    assert (out[:, -40:] == 100).all()
    assert (np.abs(out[:, :-40].astype(int) - 155) <= 2).all()


def test_in_the_reference_frame():
    poses = np.array([motion.about_centre(1 + 0.02 * k, 0, (2 * k, -k), SIZE) for k in (-1, 0, 1, 2)])
    slices = [motion.warp(p, motion.invert(pose)) for p, pose in zip(SLICES, poses, strict=True)]
    flags = ("ok", "reference", "ok", "ok")
    alignment = Alignment(poses, 1, SIZE, "direct", flags, np.full(N, np.nan))
    stack = FocalStack(slices)
    out = fuse(stack, alignment, depth_of(INDEX))
    inner = np.s_[8:-8, 8:-8]
    assert metrics.psnr(out[inner] / 255, SHARP[inner] / 255) > 26
    assert metrics.psnr(fused(slices)[inner] / 255, SHARP[inner] / 255) < 22  # as they lie


def test_slices_that_do_not_show_a_pixel_are_not_used_there():
    slices = [np.full(SIZE, 200, np.uint8), np.full(SIZE, 20, np.uint8)]
    stack = FocalStack(slices)
    matrices = np.array([motion.IDENTITY, motion.about_centre(1, 0, (30, 0), SIZE)])
    alignment = Alignment(matrices, 0, SIZE, "direct", ("reference", "ok"), np.full(2, np.nan))
    depth = DepthMap(np.ones(SIZE), np.ones(SIZE), np.ones(SIZE, bool), np.arange(2.0))
    out = fuse(stack, alignment, depth)
    assert (out[:, -30:] == 200).all()
    assert (out[:, :-30] < 110).all()


def test_progress_and_no_change_to_the_slices():
    before = [picture.copy() for picture in SLICES]
    seen = []
    first = fused(SLICES, progress=lambda *state: seen.append(state))
    assert seen == [("fuse", k, N) for k in range(1, N + 1)]
    assert all(np.array_equal(a, b) for a, b in zip(before, SLICES, strict=True))
    assert np.array_equal(first, fused(SLICES))
