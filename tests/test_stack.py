"""FocalStack and DepthMap: what they accept, keep, refuse, and say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from dff.camera import Lens
from dff.stack import DepthMap, FocalStack, check_positions, to_float


def pictures(count: int = 3, height: int = 4, width: int = 6, dtype: type = np.uint8) -> list[np.ndarray]:
    top = {np.uint8: 255, np.uint16: 65535}.get(dtype, 1)
    return [np.full((height, width, 3), top * k / count).astype(dtype) for k in range(count)]


class Lazy(Sequence):
    """Slices decoded on demand; counts how often."""

    def __init__(self, count: int) -> None:
        self.count, self.reads = count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, k: int) -> np.ndarray:
        if not 0 <= k < self.count:
            raise IndexError(k)
        self.reads += 1
        return np.full((4, 6, 3), 10 * k, np.uint8)


class TestToFloat:
    def test_each_depth_maps_its_full_range_to_one(self) -> None:
        for full in (np.uint8(255), np.uint16(65535), np.float64(1), np.float32(1)):
            image = to_float(np.full((2, 3, 3), full))
            assert image.dtype == np.float32
            assert image.max() == pytest.approx(1, abs=1e-6)

    def test_grey_becomes_three_equal_channels(self) -> None:
        grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
        image = to_float(grey)
        assert image.shape == (2, 3, 3)
        assert np.array_equal(image[..., 0], image[..., 2])


class TestFocalStack:
    def test_accepts_array_tensor_and_list(self) -> None:
        array = np.random.default_rng(0).random((3, 3, 4, 6)).astype(np.float32)
        from_array = FocalStack(array)
        from_tensor = FocalStack(torch.from_numpy(array).requires_grad_())
        from_list = FocalStack([image.transpose(1, 2, 0) for image in array])
        for stack in (from_array, from_tensor, from_list):
            assert (len(stack), stack.height, stack.width) == (3, 4, 6)
            assert np.array_equal(stack.images, array)
        assert np.array_equal(FocalStack(array[:, :1]).images[:, 2], array[:, 0])

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
    def test_keeps_the_bit_depth_and_reads_as_float(self, dtype: type) -> None:
        stack = FocalStack(pictures(dtype=dtype))
        assert stack.slices[0].dtype == dtype
        assert stack[1].dtype == np.float32
        assert stack[1].max() == pytest.approx(1 / 3, abs=0.01)
        assert stack.images.shape == (3, 3, 4, 6)
        assert stack.tensor().shape == (3, 3, 4, 6)
        assert stack.tensor().dtype == torch.float32

    def test_keeps_a_lazy_sequence_lazy(self) -> None:
        lazy = Lazy(4)
        stack = FocalStack(lazy, focus=[3.0, 2.0, 1.0, 0.5])
        assert stack.slices is lazy
        lazy.reads = 0
        turned = stack.far_first()
        assert lazy.reads == 0
        assert turned[0].max() == pytest.approx(30 / 255)
        assert lazy.reads == 1

    def test_units_and_positions(self) -> None:
        plain = FocalStack(pictures())
        assert (plain.unit, plain.origin) == ("index", "unknown")
        assert plain.positions.tolist() == [0, 1, 2]
        focused = FocalStack(pictures(), focus=[0, 1, 4])
        assert (focused.unit, focused.origin) == ("dioptre", "given")
        assert focused.positions.tolist() == [0, 1, 4]
        staged = FocalStack(pictures(), z_um=[-5, 0, 5], origin="OME PhysicalSizeZ")
        assert (staged.unit, staged.origin) == ("um", "OME PhysicalSizeZ")
        assert staged.positions.tolist() == [-5, 0, 5]
        assert "dioptre" in repr(focused)

    def test_subset_carries_everything_along(self) -> None:
        lens = Lens(0.05, 2.0, 5e-6)
        stack = FocalStack(
            pictures(4), [0.1, 0.2, 0.3, 0.4], lens, names=list("abcd"), origin="EXIF", exif=b"e", icc=b"i"
        )
        part = stack.subset([3, 1])
        assert part.names == ("d", "b")
        assert part.positions.tolist() == [0.4, 0.2]
        assert np.array_equal(part[0], stack[3])
        assert (part.lens, part.origin, part.exif, part.icc) == (lens, "EXIF", b"e", b"i")
        assert len(stack) == 4
        assert len(part.subset([1, 0])) == 2
        with pytest.raises(ValueError, match="at least 2 slices, 1 are left"):
            stack.subset([0])

    def test_far_first_sorts_by_position_and_keeps_an_unknown_order(self) -> None:
        near_first = FocalStack(pictures(), focus=[4, 1, 0], names=["near", "mid", "far"])
        assert near_first.far_first().names == ("far", "mid", "near")
        assert near_first.far_first().positions.tolist() == [0, 1, 4]
        staged = FocalStack(pictures(), z_um=[5, -5, 0])
        assert staged.far_first().positions.tolist() == [-5, 0, 5]
        unknown = FocalStack(pictures())
        assert unknown.far_first() is unknown

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            ([], "at least 2 slices, got 0"),
            (pictures(1), "at least 2 slices, got 1"),
            (
                [*pictures(2), np.zeros((5, 6, 3), np.uint8)],
                "slice 2: 6x5 px, but slice 0 is 6x4; all slices",
            ),
            ([np.zeros((4, 6, 4), np.uint8)] * 2, r"must be \(H,W\) or \(H,W,3\), got \(4, 6, 4\)"),
            ([np.zeros(4, np.uint8)] * 2, r"must be \(H,W\)"),
            (
                [np.zeros((4, 6)), np.full((4, 6), 1.5)],
                r"slice 1: float slices must lie in \[0,1\], found 1.5",
            ),
            ([np.zeros((4, 6)), np.full((4, 6), -0.1)], r"float slices must lie in \[0,1\]"),
            ([np.full((4, 6), np.nan)] * 2, "slice 0: the slice holds NaN"),
            (np.zeros((2, 4, 6)), r"give \(N,3,H,W\)"),
            (np.zeros((2, 2, 4, 6)), r"give \(N,3,H,W\)"),
        ],
    )
    def test_refuses_pictures_that_are_no_stack(self, images: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            FocalStack(images)

    def test_names_the_file_that_is_wrong(self) -> None:
        with pytest.raises(ValueError, match=r"b\.jpg: 6x5 px, but a\.jpg is 6x4"):
            FocalStack([pictures()[0], np.zeros((5, 6, 3), np.uint8)], names=["a.jpg", "b.jpg"])
        with pytest.raises(ValueError, match="1 names for 3 slices"):
            FocalStack(pictures(), names=["a"])

    @pytest.mark.parametrize(
        ("focus", "message"),
        [
            ([1, 2], r"focus \[dioptre\]: 2 values for 3 slices; give exactly one per slice"),
            ([1, 2, -1], "negative value -1"),
            ([1, 2, np.nan], "NaN or infinite"),
            ([1, 2, np.inf], "NaN or infinite"),
            ([2, 1, 2], "slices 0 and 2 have the same value 2; remove one"),
        ],
    )
    def test_refuses_focus_positions_that_cannot_be(self, focus: list, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            FocalStack(pictures(), focus=focus)

    def test_refuses_focus_and_stage_height_together(self) -> None:
        with pytest.raises(ValueError, match="not both"):
            FocalStack(pictures(), focus=[1, 2, 3], z_um=[1, 2, 3])

    def test_check_positions_allows_negative_stage_heights(self) -> None:
        assert check_positions([-2, 0, 2], 3, "z", signed=True).tolist() == [-2, 0, 2]
        with pytest.raises(ValueError, match="slices 0 and 1 have the same value"):
            check_positions([-2, -2, 2], 3, "z", signed=True)


def depth_map(index: list[list[float]], positions: list[float], unit: str) -> DepthMap:
    array = np.array(index)
    return DepthMap(array, np.ones_like(array), np.ones_like(array, dtype=bool), positions, unit)


class TestDepthMap:
    def test_value_is_read_off_the_ladder(self) -> None:
        depth = depth_map([[0, 0.5], [1.5, 2]], [0.0, 1.0, 4.0], "dioptre")
        assert depth.value.tolist() == [[0, 0.5], [2.5, 4]]
        assert depth.value.dtype == np.float32
        assert np.array_equal(depth.dioptre, depth.value)
        assert depth.height_um is None

    def test_metres_are_reciprocal_dioptres_and_infinite_at_zero(self) -> None:
        depth = depth_map([[0, 1, 2]], [0.0, 0.5, 4.0], "dioptre")
        assert depth.metres.tolist() == [[np.inf, 2.0, 0.25]]
        assert depth.metres.dtype == np.float32

    def test_stage_heights(self) -> None:
        depth = depth_map([[0, 1.5]], [-10.0, 0.0, 10.0], "um")
        assert depth.height_um.tolist() == [[-10, 5]]
        assert depth.dioptre is None
        assert depth.metres is None

    def test_unknown_focus_gives_the_index_itself(self) -> None:
        depth = depth_map([[0.25, 1.75]], [0, 1, 2], "index")
        assert depth.value.tolist() == [[0.25, 1.75]]
        assert (depth.dioptre, depth.metres, depth.height_um) == (None, None, None)

    def test_index_beyond_the_ladder_is_clamped(self) -> None:
        assert depth_map([[-1, 5]], [1.0, 2.0], "dioptre").value.tolist() == [[1, 2]]

    def test_types_are_made_uniform(self) -> None:
        depth = DepthMap([[0, 1]], [[0.5, 1]], [[1, 0]], [1, 2], "dioptre")
        assert (depth.index.dtype, depth.confidence.dtype) == (np.float32, np.float32)
        assert depth.valid.dtype == bool
        assert depth.positions.dtype == np.float64

    def test_refuses_shapes_and_units_that_do_not_fit(self) -> None:
        with pytest.raises(ValueError, match=r"must be one \(H,W\)"):
            DepthMap(np.zeros((2, 3)), np.zeros((2, 2)), np.zeros((2, 3)), [0, 1])
        with pytest.raises(ValueError, match=r"must be one \(H,W\)"):
            DepthMap(np.zeros(3), np.zeros(3), np.zeros(3), [0, 1])
        with pytest.raises(ValueError, match="unit 'feet'; choose from dioptre, um, index"):
            depth_map([[0]], [0, 1], "feet")


@pytest.mark.parametrize("kind", [np.float64, np.float16])
def test_other_floats_become_float32(kind):
    slices = [np.random.default_rng(k).random((8, 9, 3)).astype(kind) for k in range(2)]
    assert FocalStack(slices).slices[0].dtype == np.float32


@pytest.mark.parametrize("kind", [np.int32, bool])
def test_other_integers_are_refused(kind):
    with pytest.raises(ValueError, match="uint8, uint16 or float"):
        FocalStack([np.zeros((8, 9), kind), np.ones((8, 9), kind)])
