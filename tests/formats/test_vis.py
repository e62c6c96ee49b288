from pathlib import Path

import cv2
import numpy as np
import pytest

from dff.formats.vis import _ticks, colourise, write_vis
from dff.stack import DepthMap, Unit


def ramp(
    shape: tuple[int, int] = (64, 96),
    positions: np.ndarray | None = None,
    unit: Unit = "dioptre",
    low: float = 0.0,
    high: float = 1.0,
) -> DepthMap:
    """Depth rising from left to right over a part of the focus range."""
    positions = np.linspace(0, 3, 7) if positions is None else positions
    index = np.tile(np.linspace(low, high, shape[1]) * (len(positions) - 1), (shape[0], 1))
    return DepthMap(index, np.ones(shape), np.ones(shape, bool), positions, unit)


def test_near_is_warm_and_far_is_cold() -> None:
    image = colourise(ramp()).astype(int)
    assert image[30, 95, 0] > image[30, 95, 2] + 80
    assert image[30, 0, 2] > image[30, 0, 0] + 40


def test_the_range_is_that_of_the_stack_not_of_the_picture() -> None:
    whole, part = colourise(ramp()), colourise(ramp(low=0.5, high=0.5))
    assert np.abs(whole[30, 47].astype(int) - part[30, 0]).max() < 12
    # and colours are linear in dioptres, also where the slices are not
    uneven = ramp((8, 3), np.array([0.0, 0.1, 3.0]))
    even = ramp((8, 3), np.array([0.0, 3.0]))
    even.index[:, 1] = 0.1 / 3
    assert np.array_equal(colourise(uneven)[:, :3], colourise(even)[:, :3])


def test_unknown_pixels_are_grey_and_hatched() -> None:
    depth = ramp()
    depth.valid[10:30, 10:40] = False
    depth.index[40, 40] = np.nan
    image = colourise(depth)
    patch = image[10:30, 10:40]
    assert np.all(patch == patch[..., :1])
    assert len(np.unique(patch)) == 2
    assert np.ptp(image[40, 40]) == 0
    known = image[:64, :96][depth.valid & np.isfinite(depth.index)]
    assert np.all(np.ptp(known.astype(int), axis=-1) > 20)  # no known depth looks grey


@pytest.mark.parametrize("shape", [(1, 1), (9, 200), (32, 32), (200, 33), (480, 640), (1500, 2000)])
@pytest.mark.parametrize("unit", ["dioptre", "um", "index"])
def test_any_size(shape: tuple[int, int], unit: Unit) -> None:
    positions = {"dioptre": np.linspace(0.1, 9, 5), "um": np.linspace(-3, 1e3, 5), "index": np.arange(5.0)}
    depth = ramp(shape, positions[unit], unit)
    depth.valid[: shape[0] // 3] = False
    image = colourise(depth)
    assert image.dtype == np.uint8
    assert image.shape[0] == max(shape[0], 32)
    strip = image[:, shape[1] :]
    assert strip.shape[1] > 20
    assert strip.max() > 180  # it has ink


def test_ticks_are_right() -> None:
    for share, text in _ticks(ramp(positions=np.linspace(0, 4, 5)), 20):
        metres = np.inf if text == "inf" else float(text.removesuffix(" m"))
        assert share * 4 == pytest.approx(1 / metres, rel=1e-3)
    texts = [text for _, text in _ticks(ramp(positions=np.linspace(0, 4, 5)), 20)]
    assert {"0.25 m", "inf", "1 m", "2 m", "0.5 m"} <= set(texts)
    for share, text in _ticks(ramp(positions=np.linspace(-30, 70, 5), unit="um"), 8):
        assert -30 + 100 * share == pytest.approx(float(text.removesuffix(" um")))
    steps = [float(text) for _, text in _ticks(ramp(positions=np.arange(3.0), unit="index"), 20)]
    assert sorted(set(steps)) == [0, 1, 2]
    assert len(_ticks(ramp(positions=np.arange(100.0), unit="index"), 8)) <= 8 + 3


def test_two_slices_and_falling_heights() -> None:
    assert colourise(ramp(positions=np.array([0.0, 1.0]))).size
    falling = ramp(positions=np.array([50.0, 0.0]), unit="um")
    assert np.array_equal(colourise(falling)[:, :96], colourise(ramp())[:, :96])


def test_picture_stands_on_the_left() -> None:
    depth = ramp()
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    both = colourise(depth, picture)
    assert np.array_equal(both[:, :96], picture)
    assert np.array_equal(both[:, 96:], colourise(depth))
    assert np.array_equal(colourise(depth, picture[..., 0])[:, 5, 2], picture[:, 5, 0])
    with pytest.raises(ValueError, match="differ in size"):
        colourise(depth, picture[:10])


def test_write_vis(tmp_path: Path) -> None:
    path = write_vis(ramp(), tmp_path / "depth_vis.png")
    stored = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert np.array_equal(stored, colourise(ramp()))
    with pytest.raises(ValueError, match="pass --overwrite"):
        write_vis(ramp(), path)
    with pytest.raises(ValueError, match="unknown suffix"):
        write_vis(ramp(), tmp_path / "vis.exr")
    assert list(tmp_path.iterdir()) == [path]
