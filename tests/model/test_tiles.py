"""Tiles cover a picture, keep to the limit, and leave no seams."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dff.model.tiles import Mosaic, tile_plan

SIZES = [(1, 1), (64, 64), (97, 640), (500, 333), (1232, 1640), (33, 3000)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("most_pixels", [128 * 128, 300_000, 10**9])
def test_tiles_cover_the_picture_and_keep_to_the_limit(size: tuple[int, int], most_pixels: int) -> None:
    seen = np.zeros(size, int)
    for tile in tile_plan(size, most_pixels, overlap=64, multiple=32):
        part = seen[tile.box]
        part += 1
        assert tile.rows.start % 32 == tile.columns.start % 32 == 0
        padded = [-(-length // 32) * 32 for length in part.shape]
        assert padded[0] * padded[1] <= most_pixels
    assert seen.min() >= 1


def test_one_tile_where_one_is_enough() -> None:
    (tile,) = tile_plan((97, 640), 10**9, 64, 32)
    assert tile.box == (slice(0, 97), slice(0, 640))


def test_neighbours_overlap_as_asked() -> None:
    plan = tile_plan((32, 3000), 320 * 32, overlap=96, multiple=32)
    spans = sorted({(tile.columns.start, tile.columns.stop) for tile in plan})
    assert len(spans) > 3
    assert all(before[1] - after[0] >= 96 for before, after in pairwise(spans))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_mosaic_of_a_picture_is_the_picture(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).random(size, dtype=np.float32)
    mosaic = Mosaic(size, 64)
    for tile in tile_plan(size, 128 * 128, 64, 32):
        mosaic.add(tile, {"a": picture[tile.box], "b": 2 * picture[tile.box]})
    maps = mosaic.maps()
    np.testing.assert_allclose(maps["a"], picture, rtol=1e-5)
    np.testing.assert_allclose(maps["b"], 2 * picture, rtol=1e-5)


def test_tiles_that_disagree_blend_smoothly_and_their_rims_count_nothing() -> None:
    size = (32, 1000)
    mosaic = Mosaic(size, 96)
    for level, tile in enumerate(tile_plan(size, 32 * 320, 96, 32)):
        values = np.full((32, tile.columns.stop - tile.columns.start), float(level), np.float32)
        if tile.columns.start > 0:
            values[:, :24] = 1e9
        mosaic.add(tile, {"level": values})
    blended = mosaic.maps()["level"][0]
    assert blended.max() < 10
    assert np.diff(blended).min() >= 0
    assert np.diff(blended).max() < 0.05
