import json
import math

import numpy as np
import pytest

from dff.classical import motion
from dff.classical.alignment import Alignment, resolve_reference

SIZE = (60, 80)
FLAGS = ("ok", "jump", "reference", "poor")


def poses():
    return np.array(
        [
            motion.about_centre(1 + 0.01 * k, 0.002 * k, (0.5 * k, -k), SIZE) if k else motion.IDENTITY
            for k in (-2, -1, 0, 1)
        ]
    )


def some(residual=(0.1, math.nan, 0.0, 0.25)):
    return Alignment(poses(), 2, SIZE, "direct", FLAGS, np.array(residual))


def test_zoom_rotation_and_shift():
    found = some()
    assert len(found) == 4
    assert np.allclose(found.zoom, [0.98, 0.99, 1, 1.01])
    assert np.allclose(found.rotation_deg, np.degrees([-0.004, -0.002, 0, 0.002]))
    assert np.allclose(found.shift_px, [(-1, 2), (-0.5, 1), (0, 0), (0.5, -1)])


def test_seen_from_another_slice():
    found, moved = some(), some().seen_from(0)
    assert moved.reference == 0
    assert np.array_equal(moved.matrices[0], motion.IDENTITY)
    assert moved.flags == ("reference", "jump", "ok", "poor")
    for k in range(4):
        there = motion.compose(moved.matrices[k], found.matrices[0])
        assert np.allclose(there, found.matrices[k])
    back = moved.seen_from(2)
    assert np.allclose(back.matrices, found.matrices)
    assert back.reference == 2
    assert np.array_equal(back.residual_px, found.residual_px, equal_nan=True)


def test_subset():
    found = some()
    part = found.subset([1, 2, 3])
    assert part.reference == 1
    assert part.flags == FLAGS[1:]
    assert np.array_equal(part.matrices, found.matrices[1:])
    assert np.array_equal(part.residual_px, found.residual_px[1:], equal_nan=True)
    moved = found.seen_from(1).subset([0, 1])
    assert np.allclose(moved.matrices, found.subset([0, 1, 2]).seen_from(1).matrices[:2])


def test_subset_without_the_reference_is_refused():
    with pytest.raises(ValueError, match="in list"):
        some().subset([0, 1])


def test_warp_and_mask_belong_together():
    found = some()
    picture = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    assert found.warp(picture, 2) is picture
    assert found.valid_mask(2).all()
    assert np.array_equal(found.warp(picture, 3), motion.warp(picture, found.matrices[3]))
    mask = found.valid_mask(3)  # enlarged, so that less of it is inside
    assert mask.shape == SIZE
    assert 0.9 < mask.mean() < 1
    assert not mask[0].any()


def test_report_is_strict_json():
    rows = some().report(["a", "b", "c", "d"])
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [row["name"] for row in rows] == list("abcd")
    assert [row["flag"] for row in rows] == list(FLAGS)
    assert [row["residual_px"] for row in rows] == [0.1, None, 0.0, 0.25]
    assert rows[0] == {
        "name": "a",
        "zoom": 0.98,
        "shift_px": [-1.0, 2.0],
        "rotation_deg": -0.2292,
        "residual_px": 0.1,
        "flag": "ok",
    }


# --- the reference ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given"), [("first", 0), ("middle", 2), ("last", 3), (1, 1), ("1", 1), (np.int64(2), 2)]
)
def test_named_and_numbered(asked, given):
    assert resolve_reference(asked, poses(), ("ok",) * 4) == given


def test_auto_is_the_smallest_field_of_view_that_fits():
    assert resolve_reference("auto", poses(), ("ok",) * 4) == 3
    assert resolve_reference("auto", poses(), FLAGS) == 2


def test_auto_is_the_middle_of_equal_fields_of_view():
    still = np.repeat(motion.IDENTITY[None], 5, axis=0)
    assert resolve_reference("auto", still, ("ok",) * 5) == 2
    still[2, 0, 0] = 0.9
    assert resolve_reference("auto", still, ("ok",) * 5) in (1, 3)
    assert resolve_reference("auto", still[:2], ("ok",) * 2) == 0
    assert resolve_reference("auto", still[:2], ("poor",) * 2) == 0


@pytest.mark.parametrize("asked", ["best", "1.5", "", None, "-"])
def test_unknown_reference(asked):
    with pytest.raises(
        ValueError, match=r"^reference .*; choose auto, first, middle, last or a slice number$"
    ):
        resolve_reference(asked, poses(), FLAGS)


@pytest.mark.parametrize("asked", [4, -1, "17"])
def test_reference_out_of_range(asked):
    with pytest.raises(ValueError, match=f"^reference {asked}: the stack has slices 0 to 3$"):
        resolve_reference(asked, poses(), FLAGS)


def test_a_poor_reference_is_told():
    with pytest.warns(UserWarning, match="reference last: this slice does not fit its neighbours"):
        assert resolve_reference("last", poses(), FLAGS) == 3
