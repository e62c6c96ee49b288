import warnings
from dataclasses import replace

import numpy as np
import pytest

from dff.classical import motion, volume
from dff.classical.align import align_stack
from dff.classical.depth import DepthConfig, depth_from_focus, peak_index
from dff.classical.volume import VolumeConfig
from dff.stack import FocalStack

FOCUS = np.linspace(0.5, 3.5, 7)
SWEEP = 3.0
SIZE = (97, 131)


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def slope(size=SIZE, low=0.8, high=3.2):
    return np.tile(np.linspace(low, high, size[1], dtype=np.float32), (size[0], 1))


def find(stack, config=None, **options):
    return depth_from_focus(stack, align_stack(stack, "none"), config, **options)


def error(depth, truth):
    """Mean absolute error of the valid pixels, in the unit of the depth."""
    return float(np.abs(depth.value - truth)[depth.valid].mean())


def clean(depth):
    return (
        np.isfinite(depth.index).all()
        and np.isfinite(depth.confidence).all()
        and depth.index.min() >= 0
        and depth.index.max() <= depth.positions.size - 1
        and depth.confidence.min() >= 0
        and depth.confidence.max() <= 1
    )


# --- a slanted plane -------------------------------------------------------------------------------------


def test_slanted_plane(surface):
    known = surface(slope(), FOCUS)
    depth = find(known.stack)
    assert depth.unit == "dioptre"
    assert depth.index.shape == SIZE
    assert depth.index.dtype == depth.confidence.dtype == np.float32
    assert clean(depth)
    assert depth.valid.mean() > 0.95
    assert error(depth, known.dioptre) < 0.015 * SWEEP
    assert np.array_equal(depth.positions, FOCUS)


def test_plane_at_half_a_metre(surface):
    depth = find(surface(np.full((80, 100), 2.0), np.linspace(0.5, 4.0, 7)).stack)
    assert depth.valid.mean() > 0.95
    assert np.median(depth.metres[depth.valid]) == pytest.approx(0.5, rel=0.03)
    assert np.abs(depth.metres[depth.valid] - 0.5).mean() < 0.02


def test_uneven_ladder(surface):
    focus = np.array([0.5, 0.8, 1.4, 1.7, 2.4, 2.7, 3.5])
    known = surface(slope(), focus)
    assert error(find(known.stack), known.dioptre) < 0.02 * SWEEP


def test_stage_heights(surface):
    known = surface(slope(), FOCUS)
    stack = FocalStack(known.stack.slices, z_um=40 * FOCUS - 100)
    depth = find(stack)
    assert depth.unit == "um"
    assert depth.metres is None
    assert error(depth, 40 * known.dioptre - 100) < 0.015 * SWEEP * 40


def test_unknown_positions(surface):
    known = surface(slope(), FOCUS)
    depth = find(FocalStack(known.stack.slices))
    assert depth.unit == "index"
    assert depth.metres is None
    assert error(depth, (known.dioptre - 0.5) / 0.5) < 0.015 * 6


def test_the_input_order_does_not_matter(surface):
    known = surface(slope(), FOCUS)
    turned = FocalStack(known.stack.slices[::-1], FOCUS[::-1]).far_first()
    assert np.array_equal(find(turned).index, find(known.stack).index)


@pytest.mark.parametrize("change", ["grey", "16 bit", "16 bit grey", "float", "12 bit in 16"])
def test_pixel_types_agree(surface, change):
    known = surface(slope(), FOCUS)
    slices = known.stack.slices
    if "grey" in change:
        slices = [picture[..., 1] for picture in slices]
    if "16" in change:
        slices = [picture.astype(np.uint16) * (16 if "12" in change else 257) for picture in slices]
    if change == "float":
        slices = [picture.astype(np.float32) / 255 for picture in slices]
    depth = find(FocalStack(slices, FOCUS))
    assert depth.valid.mean() > 0.95
    assert error(depth, known.dioptre) < 0.02 * SWEEP


def test_exposure_that_drifts_does_not_move_the_depth(surface):
    known = surface(slope(), FOCUS)
    gains = 1 + 0.2 * np.array([1, -1, 0, 1, -1, 1, 0])
    slices = [
        np.clip(picture * gain, 0, 255).astype(np.uint8)
        for picture, gain in zip(known.stack.slices, gains, strict=True)
    ]
    assert error(find(FocalStack(slices, FOCUS)), known.dioptre) < 0.025 * SWEEP


def test_moved_slices_once_aligned(surface):
    """Depth is found in the reference frame, with borders that not all slices show."""
    known = surface(slope(), FOCUS)
    poses = [motion.about_centre(1 + 0.01 * (k - 3), 0, (k - 3, 3 - k), SIZE) for k in range(7)]
    slices = [
        motion.warp(picture, motion.invert(pose))
        for picture, pose in zip(known.stack.slices, poses, strict=True)
    ]
    stack = FocalStack(slices, FOCUS)
    depth = depth_from_focus(stack, align_stack(stack, reference=3))
    assert clean(depth)
    assert error(depth, known.dioptre) < 0.03 * SWEEP


# --- how many slices, and how large ----------------------------------------------------------------------


def test_two_slices_tell_nearer_from_farther(surface):
    truth = np.where(np.arange(SIZE[1]) < SIZE[1] // 2, 1.0, 3.0) * np.ones((SIZE[0], 1))
    known = surface(truth, [1.0, 3.0], coc=5.0)
    depth = find(known.stack)
    assert clean(depth)
    assert depth.valid.mean() > 0.8
    assert (np.abs(depth.value - truth) < 1)[depth.valid].mean() > 0.95


def test_three_slices(surface):
    known = surface(slope(low=1.0, high=3.0), [1.0, 2.0, 3.0])
    depth = find(known.stack)
    assert clean(depth)
    assert error(depth, known.dioptre) < 0.25


@pytest.mark.parametrize("count", [256, 300])
def test_many_slices(surface, count):
    known = surface(slope((48, 64)), FOCUS)
    slices = [known.stack.slices[min(k * 7 // count, 6)] for k in range(count)]
    depth = find(FocalStack(slices))
    assert clean(depth)
    assert depth.valid.mean() > 0.9


@pytest.mark.parametrize(
    ("size", "work_pixels", "factor"), [((241, 321), 20_000, 2), ((481, 641), 20_000, 4)]
)
def test_large_pictures_are_solved_small(surface, monkeypatch, size, work_pixels, factor):
    monkeypatch.setattr(volume, "WORK_PIXELS", work_pixels)
    assert volume.work_factor(size) == factor
    known = surface(slope(size), FOCUS)
    depth = find(known.stack)
    assert depth.index.shape == depth.valid.shape == depth.confidence.shape == size
    assert clean(depth)
    assert error(depth, known.dioptre) < 0.02 * SWEEP
    assert (
        np.abs(depth.value - known.dioptre)[:, -factor:].mean() < 0.1 * SWEEP
    )  # columns cut by the reduction


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (16, 300)])
def test_tiny_pictures(size):
    random = np.random.default_rng(0)
    depth = find(FocalStack([random.integers(0, 256, size, dtype=np.uint8) for _ in range(4)]))
    assert depth.index.shape == size
    assert clean(depth)


# --- what is known and what is not -----------------------------------------------------------------------


def test_flat_half_is_unknown(surface):
    flat = np.zeros((96, 160), bool)
    flat[:, :80] = True
    depth = find(surface(slope((96, 160)), FOCUS, flat=flat).stack)
    assert clean(depth)
    assert depth.valid[:, 96:].mean() > 0.95
    assert depth.valid[:, :64].mean() < 0.1
    assert depth.confidence[:, 96:].mean() > 3 * depth.confidence[:, :64].mean()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_plain_stack_is_all_unknown(value):
    depth = find(FocalStack([np.full((60, 80, 3), value, np.uint8)] * 5, np.linspace(1, 3, 5)))
    assert clean(depth)
    assert not depth.valid.any()


def test_noise_alone_is_mostly_unknown():
    random = np.random.default_rng(0)
    slices = [np.clip(128 + 4 * random.normal(size=(96, 128)), 0, 255).astype(np.uint8) for _ in range(8)]
    depth = find(FocalStack(slices))
    assert clean(depth)
    assert depth.valid.mean() < 0.1


def test_equal_slices_are_unknown(surface):
    picture = surface(slope(), FOCUS).stack.slices[3]
    assert find(FocalStack([picture] * 5)).valid.mean() < 0.02


def test_a_black_slice_among_good_ones(surface):
    known = surface(slope(), FOCUS)
    slices = list(known.stack.slices)
    slices[0] = np.zeros_like(slices[0])
    depth = find(FocalStack(slices, FOCUS))
    assert clean(depth)
    assert error(depth, known.dioptre) < 0.05 * SWEEP


# --- the same again, and watched -------------------------------------------------------------------------


def test_deterministic(surface):
    known = surface(slope(), FOCUS)
    first, again = find(known.stack), find(known.stack)
    for name in ("index", "confidence", "valid"):
        assert np.array_equal(getattr(first, name), getattr(again, name))


def test_steps_and_progress(surface):
    known = surface(slope(), FOCUS)
    maps, seen = {}, []
    find(
        known.stack, steps=lambda name, a: maps.update({name: a}), progress=lambda *state: seen.append(state)
    )
    assert set(maps) == {"all_in_focus_luma", "peak_index", "peak_confidence", "filled"}
    for array in maps.values():
        assert array.shape == SIZE
        assert np.isfinite(array).all()
    assert seen == [*(("focus", k, 7) for k in range(1, 8)), ("depth", 1, 1)]


@pytest.mark.parametrize("measure", ["tenengrad", "laplacian-energy", "variance", "difference-of-gaussians"])
def test_every_measure_serves(surface, measure):
    known = surface(slope(), FOCUS)
    depth = find(known.stack, DepthConfig(volume=VolumeConfig(measure=measure)))
    assert clean(depth)
    assert error(depth, known.dioptre) < 0.1 * SWEEP


def test_unknown_measure(surface):
    config = replace(DepthConfig(), volume=VolumeConfig(measure="eyes"))
    with pytest.raises(ValueError, match="focus measure 'eyes'"):
        find(surface(slope(), FOCUS).stack, config)


# --- the peak of a curve ---------------------------------------------------------------------------------


def curves(positions, centre, floor=0.2):
    """(N,1,1) log of an energy whose reciprocal is a parabola about ``centre``."""
    return -np.log(floor + (positions - centre) ** 2)[:, None, None].astype(np.float32)


@pytest.mark.parametrize(
    "positions", [np.arange(6.0), np.array([0.5, 0.8, 1.4, 1.7, 2.4, 2.7]), np.array([-80, -30, 0, 10, 45.0])]
)
def test_peak_of_a_parabola_is_exact(positions):
    step = np.diff(positions)
    low, high = positions[0] + step[0] / 2, positions[-1] - step[-1] / 2
    for centre in np.linspace(low, high, 23):
        index = float(peak_index(curves(positions, centre), positions)[0, 0])
        exact = np.interp(centre, positions, np.arange(positions.size))
        assert index == pytest.approx(exact, abs=2e-3)


@pytest.mark.parametrize(("centre", "end"), [(-1.0, 0), (0.0, 0), (5.0, 5), (7.0, 5)])
def test_peak_at_the_ends_stays_there(centre, end):
    assert peak_index(curves(np.arange(6.0), centre), np.arange(6.0))[0, 0] == pytest.approx(end, abs=1e-4)


def test_peak_of_two_and_of_equal_slices():
    two = np.array([[[0.1, 0.5]], [[0.3, 0.2]]], np.float32)
    assert np.array_equal(peak_index(two, np.array([1.0, 3.0])), [[1, 0]])
    same = np.zeros((5, 2, 2), np.float32)
    assert np.isfinite(peak_index(same, np.arange(5.0))).all()


def test_peak_of_wild_curves_is_within_half_a_slice_of_the_best():
    wild = 8 * np.random.default_rng(0).normal(size=(7, 30, 40)).astype(np.float32)
    index = peak_index(wild, np.sort(np.random.default_rng(1).random(7)))
    assert np.isfinite(index).all()
    assert np.abs(index - wild.argmax(axis=0)).max() <= 0.5
