"""Defocus tables: the thin lens they come from, between their positions, and as files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dff.calibration.measure import differences, fitted_lens, save_camera
from dff.calibration.table import DefocusTable, drive_focus, table_of_lens
from dff.camera import Lens
from dff.recipes import load_recipe
from dff.simulator.camera_model import CameraModel
from dff.simulator.camera_prior import load_camera

LENS = Lens(0.025, 2.4, 1.62e-6, 1.5)
POSITIONS = np.arange(1050.0, 2101.0, 150.0)
FOCUS = drive_focus(LENS, POSITIONS, 0.1, 2.5)


@pytest.fixture(scope="module")
def table() -> DefocusTable:
    return table_of_lens(LENS, FOCUS, POSITIONS, picture_width=3840, camera="bench")


def test_a_drive_moves_the_sensor_evenly() -> None:
    distance = 1 / (1 / LENS.focal_length_m - FOCUS)
    assert np.ptp(np.diff(distance)) < 1e-9
    assert FOCUS[[0, -1]] == pytest.approx([0.1, 2.5])


def test_the_table_is_that_of_the_lens(table: DefocusTable) -> None:
    assert np.asarray(table.radius_px)[1, 3] == pytest.approx(abs(LENS.coc_px(FOCUS[1], FOCUS[3])) / 2)
    assert np.asarray(table.scale)[0, -1] > 1  # it sees larger when nearer
    assert 160 < table.largest_px < 210  # "larger than 160 pixels"
    assert table.px_per_position == pytest.approx(table.largest_px / 1050, rel=0.05)


def test_between_positions_blur_goes_straight_through_zero(table: DefocusTable) -> None:
    assert float(table.radius(1275.0, 1275.0)) == pytest.approx(0.0, abs=0.1)
    away = [float(table.radius(1275.0, 1275.0 + d)) for d in (-20, -10, 10, 20)]
    assert away == pytest.approx([20 * 0.19, 10 * 0.19, 10 * 0.19, 20 * 0.19], rel=0.08)
    assert table.radius(1275.0, np.array([1100.0, 1500.0])).shape == (2,)
    assert float(table.scale_at(1275.0, 1275.0)) == pytest.approx(1.0, abs=1e-3)


def test_a_file_gives_the_table_back_and_ships_one(tmp_path: Path, table: DefocusTable) -> None:
    table.save(tmp_path / "mine.toml")
    back = load_recipe("simulator/defocus", tmp_path / "mine.toml", DefocusTable)
    radius, scale = differences(table, back)
    assert radius < 1e-3
    assert scale < 1e-5
    assert back.camera == "bench"
    shipped = load_recipe("simulator/defocus", "imx274_1050", DefocusTable)
    assert (shipped.positions[0], shipped.positions[-1], len(shipped.positions)) == (1050, 2100, 22)
    assert differences(table, shipped)[0] < 0.5


def test_a_lens_and_a_camera_come_out_of_a_table(tmp_path: Path, table: DefocusTable) -> None:
    lens = fitted_lens(table, FOCUS, 0.025, 1.62e-6)
    assert (lens.f_number, lens.breathing) == pytest.approx((2.4, 1.5), rel=1e-6)
    save_camera(tmp_path / "c.toml", lens, FOCUS, (2160, 3840), drift_px=(1.0, -2.0), name="bench")
    camera = load_camera(str(tmp_path / "c.toml"))
    assert isinstance(camera, CameraModel)
    assert camera.lens.f_number == pytest.approx(2.4)
    assert camera.motion.drift_px == (1.0, -2.0)
    with pytest.raises(ValueError, match="rising dioptres"):
        fitted_lens(table, FOCUS[::-1], 0.025, 1.62e-6)


def test_what_cannot_be_a_table_is_refused(table: DefocusTable) -> None:
    with pytest.raises(ValueError, match="rising"):
        replace(table, positions=table.positions[::-1])
    with pytest.raises(ValueError, match="8x8"):
        replace(table, scale=table.scale[:3])
    with pytest.raises(ValueError, match="not negative"):
        replace(table, radius_px=tuple(tuple(-one for one in row) for row in table.radius_px))
