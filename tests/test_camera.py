"""Lens, its calibration, and the focus motor with its faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dff import optics
from dff.camera import FocusMotor, Lens, LensCalibration

PHONE = Lens(focal_length_m=0.00443, f_number=1.8, pixel_pitch_m=1.4e-6)
CALIBRATION = LensCalibration([0.0, 1.0, 4.0, 10.0], [100, 200, 400, 1000], camera="bench")


class TestLens:
    def test_passes_its_numbers_to_the_formulas(self) -> None:
        numbers = {"focal_length_m": 0.00443, "f_number": 1.8, "pixel_pitch_m": 1.4e-6}
        dioptre = np.array([0.0, 2.0, 6.0])
        assert np.allclose(PHONE.coc_px(dioptre, 2.0), optics.coc_px(dioptre, 2.0, **numbers))
        assert PHONE.hyperfocal(2.0) == pytest.approx(optics.hyperfocal(**numbers, max_coc_px=2.0))
        assert PHONE.depth_of_field(2.0) == pytest.approx(optics.depth_of_field(2.0, **numbers))

    def test_coc_broadcasts_depth_against_focus(self) -> None:
        blur = PHONE.coc_px(np.zeros((1, 4, 5)), np.array([0.0, 1.0, 2.0])[:, None, None])
        assert blur.shape == (3, 4, 5)

    def test_relative_fov_is_one_over_sensor_distance_normalised(self) -> None:
        lens = Lens(0.05, 2.0, 5e-6)
        focus = np.array([0.0, 1.0, 3.0])
        inverse_v = 1 / 0.05 - focus
        assert np.allclose(lens.relative_fov(focus), inverse_v / inverse_v.min())
        assert lens.relative_fov(focus)[-1] == 1
        assert np.array_equal(lens.relative_fov(focus[::-1]), lens.relative_fov(focus)[::-1])

    def test_breathing_of_a_measured_tablet(self) -> None:
        # image scale of 44 slices of a 2.95 mm voice-coil camera: 0.99869 + 0.00575 per dioptre
        lens = Lens(0.00295, 2.0, 1.12e-6, breathing=1.95)
        focus = np.linspace(0, 5, 44)
        scale = 1 / lens.relative_fov(focus)
        slope, offset = np.polyfit(focus, scale / scale[0], 1)
        assert slope == pytest.approx(0.00575, rel=0.02)
        assert offset == pytest.approx(1, abs=1e-3)

    def test_breathing_leaves_the_blur_alone(self) -> None:
        breathing = Lens(0.00443, 1.8, 1.4e-6, breathing=3.0)
        assert breathing.coc_px(1.0, 4.0) == PHONE.coc_px(1.0, 4.0)
        assert (breathing.relative_fov([0.0, 5.0]) > PHONE.relative_fov([0.0, 5.0])).any()

    def test_resized_measures_the_same_blur_in_larger_pixels(self) -> None:
        half = PHONE.resized(0.5)
        assert half.coc_px(0.0, 5.0) == pytest.approx(PHONE.coc_px(0.0, 5.0) / 2)
        assert half.focal_length_m == PHONE.focal_length_m
        with pytest.raises(ValueError, match="scale must be a positive number"):
            PHONE.resized(0)

    @pytest.mark.parametrize("name", ["focal_length_m", "f_number", "pixel_pitch_m"])
    @pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
    def test_refuses_numbers_no_lens_has(self, name: str, value: float) -> None:
        numbers = {"focal_length_m": 0.05, "f_number": 2.0, "pixel_pitch_m": 5e-6, name: value}
        with pytest.raises(ValueError, match=f"Lens: {name} must be a positive number"):
            Lens(**numbers)

    def test_refuses_breathing_and_focus_no_lens_has(self) -> None:
        with pytest.raises(ValueError, match="breathing must be finite"):
            Lens(0.05, 2.0, 5e-6, breathing=float("nan"))
        with pytest.raises(ValueError, match="finite and >= 0"):
            PHONE.relative_fov([0.0, -1.0])
        with pytest.raises(ValueError, match="finite and >= 0"):
            PHONE.coc_px(1.0, np.nan)
        with pytest.raises(ValueError, match="nearer than the focal length 50 mm"):
            Lens(0.05, 2.0, 5e-6).coc_px(1.0, 20.0)


class TestLensCalibration:
    def test_reads_off_its_own_steps(self) -> None:
        assert CALIBRATION.focus_of_index([0, 1, 2, 3]).tolist() == [0, 1, 4, 10]
        assert CALIBRATION.code_of_focus([0, 1, 4, 10]).tolist() == [100, 200, 400, 1000]
        assert CALIBRATION.focus_of_index(1.5) == 2.5
        assert CALIBRATION.code_of_focus(7.0) == 700

    @pytest.mark.parametrize("codes", [[100, 200, 400, 1000], [1000, 400, 200, 100]])
    def test_every_map_has_its_inverse(self, codes: list[int]) -> None:
        calibration = LensCalibration([0.0, 1.0, 4.0, 10.0], codes)
        focus = np.linspace(0, 10, 41)
        assert np.allclose(calibration.focus_of_index(calibration.index_of_focus(focus)), focus)
        assert np.allclose(calibration.focus_of_code(calibration.code_of_focus(focus)), focus)

    def test_clamps_beyond_the_calibrated_range(self) -> None:
        assert CALIBRATION.code_of_focus([-1.0, 99.0]).tolist() == [100, 1000]
        assert CALIBRATION.focus_of_code([0, 2000]).tolist() == [0, 10]
        assert CALIBRATION.index_of_focus([-1.0, 99.0]).tolist() == [0, 3]

    def test_survives_json(self, tmp_path: Path) -> None:
        CALIBRATION.save(tmp_path / "lens.json")
        back = LensCalibration.load(tmp_path / "lens.json")
        assert back.focus.tolist() == CALIBRATION.focus.tolist()
        assert back.motor_code.tolist() == CALIBRATION.motor_code.tolist()
        assert back.camera == "bench"

    def test_is_read_only(self) -> None:
        with pytest.raises(ValueError, match="read-only"):
            CALIBRATION.focus[0] = 3

    @pytest.mark.parametrize(
        ("focus", "code", "message"),
        [
            ([0.0], [1], "focus needs at least two"),
            ([0.0, np.nan], [1, 2], "focus needs at least two finite"),
            ([[0.0, 1.0]], [1, 2], "in one row"),
            ([0.0, 2.0, 1.0], [1, 2, 3], "focus must rise strictly"),
            ([1.0, 0.0], [1, 2], "focus must rise strictly"),
            ([0.0, 1.0, 2.0], [1, 3, 2], "motor_code must rise or fall strictly"),
            ([0.0, 1.0], [1, 1], "motor_code must rise or fall strictly"),
            ([0.0, 1.0], [1, 2, 3], "2 focus values but 3 motor codes"),
            ([-1.0, 1.0], [1, 2], "must be >= 0 dioptres"),
        ],
    )
    def test_refuses_ladders_that_cannot_be_inverted(self, focus: list, code: list, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            LensCalibration(focus, code)

    @pytest.mark.parametrize(
        "text",
        [
            "no json",
            "[1, 2]",
            '{"focus_dioptre": [0, 1]}',
            '{"focus_dioptre": [0, 1], "motor_code": null}',
            '{"focus_dioptre": [1, 0], "motor_code": [1, 2]}',
            '{"focus_dioptre": ["a", "b"], "motor_code": [1, 2]}',
        ],
    )
    def test_a_bad_file_is_named(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "lens.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"lens\.json: not a lens calibration"):
            LensCalibration.load(path)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"nothing\.json: no such calibration"):
            LensCalibration.load(tmp_path / "nothing.json")

    def test_temperature_and_posture_are_taken_off_and_put_back(self, tmp_path: Path) -> None:
        lens = LensCalibration([0.0, 15.0], [445.0, 925.0], "imx708", temperature_per_c=0.4, posture=6.0)
        assert float(lens.code_of_focus(5.0)) == pytest.approx(605.0)
        cold = float(lens.code_of_focus(5.0, temperature_c=0.0, pitch_deg=90.0))
        assert cold == pytest.approx(605.0 + 10.0 - 6.0)
        assert float(lens.focus_of_code(cold, temperature_c=0.0, pitch_deg=90.0)) == pytest.approx(5.0)
        motor = FocusMotor(lens, temperature_per_c=0.4, posture=6.0)
        assert float(motor.true_focus(cold, temperature_c=0.0, pitch_deg=90.0)) == pytest.approx(5.0)
        lens.save(tmp_path / "lens.json")
        back = LensCalibration.load(tmp_path / "lens.json", camera="imx708")
        assert (back.temperature_per_c, back.posture) == (0.4, 6.0)
        with pytest.raises(ValueError, match="finite numbers of codes"):
            LensCalibration([0.0, 1.0], [0.0, 1.0], posture=float("nan"))

    def test_the_file_of_another_camera_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "lens.json"
        LensCalibration([0.0, 1.0], [0.0, 1.0], "front").save(path)
        with pytest.raises(ValueError, match="of camera 'front', not of 'back'"):
            LensCalibration.load(path, camera="back")
        LensCalibration([0.0, 1.0], [0.0, 1.0]).save(path)
        with pytest.raises(ValueError, match="of no named camera"):
            LensCalibration.load(path, camera="back")

    def test_file_speaks_in_units(self, tmp_path: Path) -> None:
        CALIBRATION.save(tmp_path / "lens.json")
        assert set(json.loads((tmp_path / "lens.json").read_text())) == {
            "camera",
            "focus_dioptre",
            "motor_code",
        }


class TestFocusMotor:
    def test_a_perfect_motor_goes_where_it_is_told(self) -> None:
        motor = FocusMotor(CALIBRATION)
        focus = np.linspace(0, 10, 21)
        assert np.allclose(motor.true_focus(motor.command(focus)), focus)
        assert np.allclose(motor.true_focus(motor.command(focus), previous_code=500.0), focus)
        assert motor.trajectory(100, 400, np.array([-0.1, 0.0, 0.1])).tolist() == [100, 400, 400]

    def test_quantum_rounds_the_code(self) -> None:
        motor = FocusMotor(CALIBRATION, quantum=16)
        codes = motor.command(np.linspace(0, 10, 101))
        assert np.all(codes % 16 == 0)
        exact = CALIBRATION.code_of_focus(np.linspace(0, 10, 101))
        assert np.abs(codes - exact).max() <= 8

    def test_hysteresis_stops_short_on_the_side_it_came_from(self) -> None:
        motor = FocusMotor(CALIBRATION, hysteresis=10)
        assert motor.true_focus(700, previous_code=400) == CALIBRATION.focus_of_code(690)
        assert motor.true_focus(700, previous_code=1000) == CALIBRATION.focus_of_code(710)
        assert motor.true_focus(700) == CALIBRATION.focus_of_code(700)

    def test_a_move_within_the_hysteresis_does_not_move_the_lens(self) -> None:
        motor = FocusMotor(CALIBRATION, hysteresis=10)
        for target in (694, 700, 706):
            assert motor.true_focus(target, previous_code=700) == CALIBRATION.focus_of_code(700)

    def test_temperature_and_posture_shift_the_code(self) -> None:
        motor = FocusMotor(CALIBRATION, temperature_per_c=2.0, posture=30.0)
        assert motor.true_focus(500, temperature_c=35.0) == CALIBRATION.focus_of_code(520)
        assert motor.true_focus(500, pitch_deg=90.0) == CALIBRATION.focus_of_code(530)
        assert motor.true_focus(500, pitch_deg=-90.0) == CALIBRATION.focus_of_code(470)
        assert motor.true_focus(500, pitch_deg=30.0) == pytest.approx(CALIBRATION.focus_of_code(515))
        assert motor.true_focus(500) == CALIBRATION.focus_of_code(500)

    def test_ringing_overshoots_and_settles(self) -> None:
        motor = FocusMotor(CALIBRATION, ringing_hz=80.0, damping=0.2)
        time_s = np.linspace(-0.01, 0.2, 2000)
        code = motor.trajectory(200, 400, time_s)
        assert np.all(code[time_s < 0] == 200)
        assert motor.trajectory(200, 400, 0.0) == 200
        # first overshoot of a second-order step: exp(-pi z / sqrt(1 - z^2))
        overshoot = np.exp(-np.pi * 0.2 / np.sqrt(1 - 0.2**2))
        assert code.max() == pytest.approx(400 + 200 * overshoot, rel=1e-3)
        assert np.abs(code[time_s > 0.1] - 400).max() < 0.2
        peaks = np.flatnonzero((np.diff(code[:-1]) > 0) & (np.diff(code[1:]) < 0))
        period = np.diff(time_s[peaks]).mean()
        assert 1 / period == pytest.approx(80 * np.sqrt(1 - 0.2**2), rel=0.01)

    def test_ringing_is_smooth_at_the_start(self) -> None:
        motor = FocusMotor(CALIBRATION, ringing_hz=50.0, damping=0.5)
        early = motor.trajectory(0.0, 100.0, np.array([0.0, 1e-6]))
        assert (early[1] - early[0]) / 1e-6 < 10  # starts at rest

    @pytest.mark.parametrize("name", ["quantum", "hysteresis", "ringing_hz"])
    def test_refuses_negative_faults(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"{name} must not be negative"):
            FocusMotor(CALIBRATION, **{name: -1.0})

    @pytest.mark.parametrize("damping", [0.0, 1.0, -0.5])
    def test_refuses_damping_that_does_not_ring(self, damping: float) -> None:
        with pytest.raises(ValueError, match="damping"):
            FocusMotor(CALIBRATION, damping=damping)
