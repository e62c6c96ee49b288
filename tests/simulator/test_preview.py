import numpy as np
import pytest

from dff.camera import Lens
from dff.simulator.preview import contact_sheet
from dff.simulator.simulated import Simulated
from dff.stack import FocalStack

HEAD, GAP = 20, 6


def stack(size=(40, 64), value=128, dtype=np.uint8, channels=3, shift=0.0, n=6) -> Simulated:
    shape = size if channels == 1 else (*size, 3)
    slices = [np.full(shape, value, dtype=dtype) for _ in range(n)]
    focus = np.linspace(0.0, 5.0, n)
    dioptre = np.broadcast_to(np.linspace(0, 5, size[1], dtype=np.float32), size)
    valid = np.ones(size, dtype=bool)
    valid[: size[0] // 2, : size[1] // 2] = False
    return Simulated(
        stack=FocalStack(slices, focus, Lens(0.004, 1.8, 1e-5)),
        dioptre=dioptre,
        aif=np.full((*size, channels), 0.25, dtype=np.float32),
        matrices=np.tile(np.eye(2, 3), (n, 1, 1)),
        reference=n - 1,
        edges=np.zeros(size, dtype=bool),
        valid=valid,
        coc_px_per_dioptre=np.ones(n),
        true_focus=focus + shift,
        coefficients=np.zeros((n, 4)),
        halves=None,
        parameters={},
    )


def tile(sheet: np.ndarray, column: int, size=(40, 64), row: int = 0) -> np.ndarray:
    top, left = row * (size[0] + HEAD + GAP) + HEAD, column * (size[1] + GAP)
    return sheet[top : top + size[0], left : left + size[1]]


def test_slices_then_sharp_then_depth():
    simulated = stack()
    for k, picture in enumerate(simulated.stack.slices):
        picture[:] = 10 * k
    sheet = contact_sheet([simulated], tile_px=64, slices=4)
    assert sheet.dtype == np.uint8
    for column, k in enumerate((0, 2, 3, 5)):
        assert np.all(tile(sheet, column) == 10 * k)
    assert np.all(tile(sheet, 4) == 64)
    depth = tile(sheet, 5).astype(int)
    assert depth[30, -1, 0] > depth[30, -1, 2] + 50  # near is red
    assert depth[30, 0, 2] > depth[30, 0, 0] + 20  # far is blue
    unknown = depth[:20, :32]
    assert np.all(unknown[..., 0] == unknown[..., 2])  # grey hatch


def test_small_pictures_grow_by_whole_factors_and_large_ones_shrink():
    small = contact_sheet([stack()], tile_px=128, slices=2)
    assert np.all(tile(small, 0, (80, 128)) == 128)
    large = contact_sheet([stack((200, 320))], tile_px=64, slices=2)
    assert np.all(tile(large, 0) == 128)


def test_raw_green_is_shown_with_a_gamma():
    sheet = contact_sheet([stack(dtype=np.uint16, channels=1, value=16384)], tile_px=64, slices=2)
    assert np.all(tile(sheet, 0) == round(255 * 0.25 ** (1 / 2.2)))
    assert np.all(tile(sheet, 2) == 64)  # the all-in-focus picture has its gamma


def test_rows_of_all_shapes_fit_one_sheet():
    stacks = [stack(), stack((64, 40), n=2), stack((20, 30), channels=1)]
    assert contact_sheet(stacks, tile_px=64, slices=3).shape[0] == 40 + 64 + 40 + 3 * (HEAD + GAP)


def test_the_columns_of_all_rows_are_alike():
    sheet = contact_sheet([stack(), stack(n=2)], tile_px=64, slices=4)
    assert np.all(tile(sheet, 2, row=1) == 24)
    assert np.all(tile(sheet, 4, row=1) == 64)


def test_titles_tell_reported_and_true_focus():
    heads = [contact_sheet([stack(shift=shift)], tile_px=256)[:HEAD] for shift in (0.0, 0.3)]
    assert (heads[1] > 100).sum() > (heads[0] > 100).sum()


def test_nothing_is_no_sheet():
    with pytest.raises(ValueError, match="no stack"):
        contact_sheet([])
