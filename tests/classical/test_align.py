import json
import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dff.camera import Lens
from dff.classical import motion
from dff.classical.align import METHODS, align_stack, metadata_matrices
from dff.simulator.camera_model import CameraModel
from dff.simulator.camera_prior import CameraPrior
from dff.simulator.capture import SimulationConfig
from dff.simulator.ladder import Ladder
from dff.simulator.motion import Motion
from dff.simulator.scene_config import SceneConfig
from dff.simulator.sensor import Sensor
from dff.stack import FocalStack

SIZE = (128, 160)
OFF = ("faded", "flat", "plain", "dark", "lights", "shaded", "shadow", "curved", "standing", "cluster")
SCENE = SceneConfig(
    objects=(2, 3),
    shapes=("ellipse", "box", "star", "blob", "bars", "wire", "fence"),
    textures=("noise", "checks", "dots", "glyphs"),
    backgrounds=("slanted",),
    object_size=(0.2, 0.7),
    **{f"{name}_share": 0.0 for name in OFF},
)


def kind(size=SIZE, sensor=None, motion=None, **prior):
    """Stacks of `SCENE` with breathing, jitter and a little noise, unless told otherwise."""
    sensors = (replace(Sensor(), **(sensor or {})),)
    motion = replace(Motion(zoom_px=0.5, shift_px=1), **(motion or {}))
    usual = {"n_slices": (6, 6), "max_coc_px": (6, 8), "breathing_px": (3, 3)}
    return SimulationConfig(SCENE, CameraPrior(**(usual | prior), sensors=sensors, motion=motion), size)


BASE = kind()
STEADY = kind(motion={"zoom_px": 0, "shift_px": 0.3}, n_slices=(8, 8))


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def errors(found, known, slices=None):
    """Root mean square corner error [px] of every slice, seen from slice ``reference`` of both."""
    count = len(found)
    slices = range(count) if slices is None else slices
    start = motion.invert(known.matrices[found.reference])
    return np.array(
        [
            motion.corners_moved(found.matrices[k], motion.compose(known.matrices[k], start), SIZE)
            for k in slices
        ]
    )


def swapped(stack, k, picture):
    """The stack with another picture as slice ``k``."""
    return FocalStack([picture if i == k else s for i, s in enumerate(stack.slices)])


# --- good stacks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_zoom_and_shift(simulated, seed):
    known = simulated(BASE, seed)
    found = align_stack(known.stack)
    assert errors(found, known).max() < 0.15
    assert found.method == "direct"
    assert sorted(set(found.flags)) == ["ok", "reference"]
    assert not np.abs(found.rotation_deg).any()
    assert np.nanmax(found.residual_px) < 0.3


@pytest.mark.parametrize("seed", [0, 2])
def test_rotation_where_there_is_any(simulated, seed):
    known = simulated(kind(motion={"rotation_deg": 1}), seed)
    found = align_stack(known.stack)
    assert errors(found, known).max() < 0.15
    assert np.abs(found.rotation_deg).max() > 0.3


@pytest.mark.parametrize(
    "change",
    [
        {"motion": {"shift_px": 13.0}},  # 8 % of the width
        {"sensor": {"exposure_sd": 0.1}},
        {"sensor": {"bit_depth": 16}},
        {"sensor": {"bit_depth": 0}},
        {"n_slices": (2, 2)},
        {"n_slices": (3, 3)},
    ],
    ids=str,
)
def test_other_captures(simulated, change):
    known = simulated(kind(**change), 0)
    assert errors(align_stack(known.stack), known).max() < 0.15


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_grey(simulated, bit_depth):
    known = simulated(kind(sensor={"bit_depth": bit_depth}), 0)
    found = align_stack(FocalStack([picture[..., 1] for picture in known.stack.slices]))
    assert errors(found, known).max() < 0.15


def test_long_stack(simulated):
    """Above 20 slices neighbours are measured in one direction only."""
    known = simulated(kind(n_slices=(22, 22)), 0)
    assert errors(align_stack(known.stack), known).max() < 0.2


def test_large_slices_are_aligned_on_reduced_pictures(simulated):
    config = kind((321, 421), n_slices=(3, 3))
    known = simulated(config, 0)
    found = align_stack(known.stack, reference=2)
    worst = max(
        motion.corners_moved(a, b, config.size) for a, b in zip(found.matrices, known.matrices, strict=True)
    )
    assert worst < 0.2


def test_what_is_left_over_is_told_in_pixels_of_the_slice():
    """The second slice wobbles by up to 4 px, which no zoom, shift and rotation can express."""
    random = np.random.default_rng(0)
    layers = [cv2.GaussianBlur(random.normal(size=(600, 800)), (0, 0), sigma) for sigma in (4, 8, 16)]
    picture = np.clip(0.5 + 0.1 * sum(layer / layer.std() for layer in layers), 0, 1).astype(np.float32)
    y, x = np.mgrid[:600, :800].astype(np.float32)
    wobble = 4 * np.sin(2 * np.pi * y / 300)
    found = align_stack(FocalStack([picture, cv2.remap(picture, x + wobble, y, cv2.INTER_LINEAR)]))
    assert np.nanmax(found.residual_px) == pytest.approx(np.median(np.abs(wobble)), rel=0.35)


def test_one_stack_one_answer(simulated):
    known = simulated(BASE, 0)
    first, again = align_stack(known.stack), align_stack(known.stack)
    assert np.array_equal(first.matrices, again.matrices)
    assert first.flags == again.flags


def test_progress_rises_to_its_total(simulated):
    known = simulated(BASE, 0)
    black = swapped(known.stack, 1, np.zeros_like(known.stack.slices[0]))
    for stack in (known.stack, black):
        seen = []
        align_stack(stack, progress=lambda *state, seen=seen: seen.append(state))
        stages, done, totals = zip(*seen, strict=True)
        assert set(stages) == {"align"}
        assert list(done) == sorted(done)
        assert set(totals) == {done[-1]}


# --- reference -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "given"), [("first", 0), ("middle", 3), ("last", 5), (1, 1), ("auto", 5)])
def test_reference(simulated, asked, given):
    known = simulated(BASE, 0)
    found = align_stack(known.stack, reference=asked)
    assert found.reference == given
    assert found.flags[given] == "reference"
    assert np.array_equal(found.matrices[given], motion.IDENTITY)
    assert errors(found, known).max() < 0.15


def test_the_reference_changes_only_where_it_is_seen_from(simulated):
    known = simulated(BASE, 0)
    first, last = (align_stack(known.stack, reference=name) for name in ("first", "last"))
    assert np.allclose(first.seen_from(5).matrices, last.matrices)


@pytest.mark.parametrize("method", METHODS)
def test_bad_reference_is_refused_before_any_work(simulated, method):
    stack = replace_lens(simulated(BASE, 0).stack)
    with pytest.raises(ValueError, match=r"^reference 'best'; choose auto, first"):
        align_stack(stack, method, reference="best", progress=pytest.fail)
    with pytest.raises(ValueError, match=r"^reference 6: the stack has slices 0 to 5$"):
        align_stack(stack, method, reference=6, progress=pytest.fail)


# --- slices that do not belong ---------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 5])
def test_a_foreign_slice_is_bridged_over(simulated, k):
    """3 is the slice that the chain begins with."""
    known = simulated(BASE, 0)
    found = align_stack(swapped(known.stack, k, simulated(BASE, 100).stack.slices[2]))
    others = [i for i in range(6) if i != k]
    assert [i for i, flag in enumerate(found.flags) if flag == "poor"] == [k]
    assert found.reference != k
    assert errors(found, known, others).max() < 0.15
    assert errors(found, known, [k]).max() < 3  # it takes the motion of the slices around it
    assert np.isnan(found.residual_px[k])


def test_a_foreign_first_slice(simulated):
    known = simulated(BASE, 1)
    stack = swapped(known.stack, 0, simulated(BASE, 100).stack.slices[2])
    found = align_stack(stack)
    assert found.flags[0] == "poor"
    assert errors(found, known, range(1, 6)).max() < 0.15
    with pytest.warns(UserWarning, match="reference first: this slice does not fit"):
        assert align_stack(stack, reference="first").reference == 0


@pytest.mark.parametrize("value", [0, 255])
def test_a_black_or_white_slice(simulated, value):
    known = simulated(BASE, 0)
    found = align_stack(swapped(known.stack, 2, np.full_like(known.stack.slices[0], value)))
    assert found.flags[2] == "poor"
    assert errors(found, known, [0, 1, 3, 4, 5]).max() < 0.15


@pytest.mark.parametrize("k", [2, 5])
def test_a_hiccup_is_told_and_aligned(simulated, k):
    known = simulated(STEADY, 1)
    leap = motion.about_centre(1 / 1.015, 0, (0, 0), SIZE)
    found = align_stack(swapped(known.stack, k, motion.warp(known.stack.slices[k], leap)), reference="first")
    assert found.flags == ("reference", *("jump" if i == k else "ok" for i in range(1, 8)))
    truth = motion.compose(motion.invert(leap), known.matrices[k])
    truth = motion.compose(truth, motion.invert(known.matrices[0]))
    assert motion.corners_moved(found.matrices[k], truth, SIZE) < 0.15


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_steady_stacks_have_no_hiccups(simulated, seed):
    found = align_stack(simulated(STEADY, seed).stack, reference="first")
    assert found.flags == ("reference", *["ok"] * 7)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("value", [0, 1])
def test_flat_stack_is_left_as_it_is_with_a_warning(dtype, value):
    stack = FocalStack([np.full((64, 80), value, dtype)] * 4)
    with pytest.warns(UserWarning, match="alignment failed: no slice fits its neighbours"):
        found = align_stack(stack)
    assert np.allclose(found.matrices, motion.IDENTITY)
    assert found.flags.count("poor") == 3


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 3), (16, 300)])
def test_tiny_pictures_do_not_crash(size):
    random = np.random.default_rng(0)
    stack = FocalStack([random.integers(0, 256, size, dtype=np.uint8) for _ in range(3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = align_stack(stack)
    assert np.isfinite(found.matrices).all()


def test_report_is_strict_json(simulated):
    known = simulated(BASE, 0)
    stack = swapped(known.stack, 2, np.zeros_like(known.stack.slices[0]))
    for method in ("direct", "ecc", "none"):
        rows = align_stack(stack, method).report(stack.names)
        assert json.loads(json.dumps(rows, allow_nan=False)) == rows
        assert len(rows) == 6


# --- the other methods -----------------------------------------------------------------------------------

LENS = Lens(focal_length_m=0.012, f_number=12.0, pixel_pitch_m=40e-6, breathing=2.0)
SWEEP = Ladder(far_dioptre=0.3, near_dioptre=4.0, n_slices=6)


def breathing(lens=LENS, **motion):
    return replace(BASE, camera=CameraModel(lens, SIZE[1], SIZE[0], SWEEP, motion=Motion(**motion)))


BREATHING = breathing()


def replace_lens(stack, lens=LENS):
    return FocalStack(stack.slices, stack.focus, lens)


def test_metadata_is_the_breathing_of_the_lens(simulated):
    known = simulated(BREATHING, 0)
    found = align_stack(known.stack, "metadata")
    assert found.method == "metadata"
    assert errors(found, known).max() < 1e-6
    assert found.reference == 5  # the nearest focus, the smallest field of view
    assert np.isnan(found.residual_px).all()
    predicted = metadata_matrices(known.stack)
    assert np.allclose(predicted[0], motion.IDENTITY)


def test_metadata_needs_lens_and_focus(simulated):
    known = simulated(BREATHING, 0)
    for stack in (
        FocalStack(known.stack.slices, lens=LENS),
        FocalStack(known.stack.slices, known.stack.focus),
    ):
        with pytest.raises(ValueError, match=r"needs the lens and the focus distances.*--align direct"):
            align_stack(stack, "metadata")


def test_direct_starts_from_the_metadata(simulated):
    """6 % of zoom between neighbours are too much to find from nothing, and little once expected."""
    strong = replace(LENS, breathing=7.0)
    known = simulated(breathing(strong, shift_px=1), 0)
    found = align_stack(known.stack)
    assert np.ptp(found.zoom) > 0.2
    assert errors(found, known).max() < 0.3


def test_a_lens_that_cannot_focus_there_is_not_used(simulated):
    known = simulated(BASE, 0)
    stack = replace_lens(known.stack, Lens(0.5, 4.0, 40e-6))
    with pytest.warns(UserWarning, match="the lens does not fit the focus distances"):
        assert errors(align_stack(stack), known).max() < 0.15


def test_none_moves_nothing(simulated):
    found = align_stack(simulated(BASE, 0).stack, "none")
    assert np.array_equal(found.matrices, np.repeat(motion.IDENTITY[None], 6, axis=0))
    assert found.method == "none"
    assert found.flags.count("ok") == 5


def test_ecc(simulated):
    known = simulated(BASE, 0)
    found = align_stack(known.stack, "ecc")
    assert found.method == "ecc"
    assert errors(found, known).max() < 0.5
    black = align_stack(swapped(known.stack, 0, np.zeros_like(known.stack.slices[0])), "ecc")
    assert black.flags[0] == "poor"
    assert black.reference != 0


def test_unknown_method(simulated):
    with pytest.raises(ValueError, match=r"^align 'sift'; choose from auto, metadata, ecc, direct, none$"):
        align_stack(simulated(BASE, 0).stack, "sift")
