import json
import math
from dataclasses import replace

import pytest
import torch

from dff.recipes import load_recipe
from dff.simulator.sensor import Sensor

WIDE = Sensor(
    shot=(1e-4, 1e-2),
    bayer="random",
    red_gain=(1.9, 2.4),
    blue_gain=(1.5, 1.9),
    jpeg_quality=(70, 95),
    vignetting=(0.1, 0.5),
    vignetting_trend=(-0.1, 0.1),
    exposure_sd=0.02,
    exposure_trend=(-0.1, 0.1),
    contrast=(0.95, 1.04),
    flicker=(0.0, 0.05),
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_draws_fill_their_ranges():
    draw = WIDE.draw(seeded(), 2000, 3)
    for values, low, high in (
        (draw.shot, 1e-4, 1e-2),
        (draw.white_balance[:, 0], 1.9, 2.4),
        (draw.white_balance[:, 2], 1.5, 1.9),
        (draw.corner_loss[:, 1], 0.1, 0.5),
        (draw.contrast, 0.95, 1.04),
        (draw.flicker, 0, 0.05),
    ):
        slack = 0.02 * (high - low)
        assert low <= values.min() < low + slack
        assert high - slack < values.max() <= high * (1 + 1e-5)
    assert set(draw.jpeg_quality.tolist()) == set(range(70, 96))
    assert set(draw.phase.tolist()) == {0, 1, 2, 3}
    assert (draw.white_balance[:, 1] == 1).all()
    assert float(draw.shot.median()) == pytest.approx(1e-3, rel=0.1)


def test_read_noise_follows_shot_noise():
    """Brooks: ln read ~ N(2.18 ln shot + 1.2, 0.26). SIDD: log10 read ~ N(1.85 log10 shot + 0.3, 0.2)."""
    draw = WIDE.draw(seeded(), 4000, 2)
    rest = draw.read.log() - 2.18 * draw.shot.log()
    assert float(rest.mean()) == pytest.approx(1.2, abs=0.02)
    assert float(rest.std()) == pytest.approx(0.26, rel=0.05)
    draw = replace(WIDE, read_relation="sidd").draw(seeded(), 4000, 2)
    rest = draw.read.log10() - 1.85 * draw.shot.log10()
    assert float(rest.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(rest.std()) == pytest.approx(0.2, rel=0.05)


def test_noise_can_be_stated_in_three_ways():
    stated = Sensor(shot=(0, 0), read=(1e-5, 1e-5)).draw(seeded(), 2, 2)
    assert torch.equal(stated.shot, torch.zeros(2))
    assert stated.read.tolist() == pytest.approx([1e-5, 1e-5])
    by_iso = Sensor(iso=(400, 400), shot_at_iso_100=2e-4).draw(seeded(), 2, 2)
    assert by_iso.shot.tolist() == pytest.approx([8e-4, 8e-4])
    none = Sensor(shot=(0, 0)).draw(seeded(), 2, 2)
    assert float(none.shot.sum() + none.read.sum()) == 0


def test_what_drifts_follows_the_place_in_the_sweep():
    sensor = Sensor(vignetting=(0.3, 0.3), vignetting_trend=(0.2, 0.2), exposure_trend=(0.1, 0.1))
    ramp = torch.tensor([[0.0, 0.5, 1.0], [1.0, 0.25, 0.75]])
    draw = sensor.draw(seeded(), 2, 3, ramp)
    torch.testing.assert_close(draw.corner_loss, 0.2 + 0.2 * ramp)
    torch.testing.assert_close(draw.exposure, torch.exp(0.1 * (ramp - 0.5)))
    contrast = replace(WIDE, contrast=(0.9, 1.1)).draw(seeded(), 5, 5).contrast
    torch.testing.assert_close(contrast.diff(n=2), torch.zeros(5, 3), atol=1e-6, rtol=0)
    jitter = Sensor(exposure_sd=0.05).draw(seeded(), 500, 10).exposure.log()
    assert float(jitter.std()) == pytest.approx(0.05, rel=0.05)


def test_one_seed_is_one_draw_and_one_range_is_one_quantity():
    first, again, other = (WIDE.draw(seeded(seed), 3, 4).describe(1) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    fewer = replace(WIDE, vignetting=(0.0, 0.2), contrast=(1.0, 1.0)).draw(seeded(), 3, 4).describe(1)
    assert {name for name in first if first[name] != fewer[name]} == {"corner_loss", "contrast"}


def test_description_is_plain():
    told = WIDE.draw(seeded(), 2, 3).describe(0)
    assert json.loads(json.dumps(told)) == told
    assert told["bayer"] in ("RGGB", "GRBG", "GBRG", "BGGR")
    assert 1e-4 <= told["shot"] <= 1e-2
    assert len(told["exposure"]) == len(told["corner_loss"]) == 3
    assert isinstance(told["jpeg_quality"], int)


def test_half_a_pixel_is_noisier():
    draw = WIDE.draw(seeded(), 2, 3)
    half = draw.half_pixels()
    torch.testing.assert_close(half.shot, 2 * draw.shot)
    torch.testing.assert_close(half.read, 4 * draw.read)
    assert half.exposure is draw.exposure


def test_a_table_fills_it(tmp_path):
    path = tmp_path / "sensor.toml"
    path.write_text(
        'output = "raw_green"\nbit_depth = 16\nraw_bit_depth = 10\nblack_level_dn = 64\niso = [50, 1600]'
    )
    sensor = load_recipe("simulator/cameras", path, Sensor)
    assert sensor == Sensor(
        output="raw_green", bit_depth=16, raw_bit_depth=10, black_level_dn=64, iso=(50, 1600)
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shot": (0.0, 1e-3)}, "shot"),
        ({"iso": (800, 100)}, "iso"),
        ({"read": (-1e-6, 1e-6)}, "read"),
        ({"shot": (1e-3, math.inf)}, "shot"),
        ({"red_gain": (0.5, 1)}, "red_gain"),
        ({"vignetting": (0.2, 1.0)}, "vignetting"),
        ({"contrast": (1.1, 0.9)}, "contrast"),
        ({"row_noise": -0.1}, "row_noise"),
        ({"exposure_sd": math.nan}, "exposure_sd"),
        ({"shot_at_iso_100": 0.0}, "shot_at_iso_100"),
        ({"raw_bit_depth": 2}, "raw_bit_depth"),
        ({"black_level_dn": 64}, "black_level_dn 64 must be below white"),
        ({"raw_bit_depth": 4, "black_level_dn": 15}, "black_level_dn"),
        ({"jpeg_quality": (0, 90)}, "jpeg_quality"),
        ({"jpeg_quality": (80, 90), "bit_depth": 16}, "bit_depth 8"),
        ({"jpeg_quality": (80, 90), "output": "raw_green"}, "output rgb or bayer_rgb"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=f"Sensor: .*{message}"):
        Sensor(**wrong)


def test_ramp_has_its_shape():
    with pytest.raises(ValueError, match=r"ramp \(3,\) must be \(2, 3\)"):
        Sensor().draw(seeded(), 2, 3, torch.linspace(0, 1, 3))
