import math
from dataclasses import replace

import pytest
import torch

from dff.simulator.expose import expose, expose_dual_pixel
from dff.simulator.jpeg import jpeg
from dff.simulator.sensor import Sensor
from dff.simulator.textures import to_display, to_linear

LEVELS = torch.tensor([0.06, 0.12, 0.25, 0.4, 0.6, 0.75])
SHOT, READ = 1e-3, 4e-5
NOISY = Sensor(shot=(SHOT, SHOT), read=(READ, READ), bit_depth=0)
CLEAN = Sensor(shot=(0, 0), bit_depth=0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def patches(channels=3, size=192, batch=1):
    """Flat patches, one of `LEVELS` in each slice: (B,6,C,S,S)."""
    return LEVELS[:, None, None, None].expand(batch, -1, channels, size, size).contiguous()


def shot_at(sensor, pictures, seed=0, **how):
    generator = seeded(seed)
    return expose(pictures, sensor.draw(generator, *pictures.shape[:2]), generator, **how)


def scene(batch=1, n_slices=2, channels=3, size=(48, 64)):
    return torch.rand(batch, n_slices, channels, *size, generator=seeded(7))


# --- noise -----------------------------------------------------------------------------------------------


def test_noise_grows_with_light_as_stated():
    variance = to_linear(shot_at(NOISY, patches())).var(dim=(0, 2, 3, 4))
    torch.testing.assert_close(variance, SHOT * LEVELS + READ, rtol=0.03, atol=0)


def test_noise_of_the_mosaic():
    """What a red site saw is kept by the demosaicing; white balance multiplies it together with its noise."""
    sensor = replace(NOISY, output="bayer_rgb", red_gain=(2.0, 2.0))
    linear = to_linear(shot_at(sensor, patches()))
    red, green = linear[0, :, 0, ::2, ::2], linear[0, :, 1, ::2, 1::2]
    torch.testing.assert_close(green.var(dim=(1, 2)), SHOT * LEVELS + READ, rtol=0.06, atol=0)
    wanted = 4 * (SHOT * LEVELS / 2 + READ)
    torch.testing.assert_close(red.var(dim=(1, 2)), wanted, rtol=0.06, atol=0)
    off = (linear.mean(dim=(0, 3, 4)) - LEVELS[:, None]).abs().amax(dim=1)
    assert (off < 4 * torch.sqrt(wanted / red[0].numel())).all()


@pytest.mark.parametrize(("output", "size"), [("raw_green", 384), ("green", 192)])
def test_green_is_the_mean_of_two_sites(output, size):
    green = shot_at(replace(NOISY, output=output), patches(1, size))
    assert green.shape == (1, 6, 1, 192, 192)
    torch.testing.assert_close(green.var(dim=(0, 2, 3, 4)), (SHOT * LEVELS + READ) / 2, rtol=0.04, atol=0)
    torch.testing.assert_close(green.mean(dim=(0, 2, 3, 4)), LEVELS, rtol=2e-3, atol=0)


@pytest.mark.parametrize("bit_depth", [0, 8, 16])
def test_light_is_kept_in_the_mean(bit_depth):
    mean = to_linear(shot_at(replace(NOISY, bit_depth=bit_depth), patches())).mean(dim=(0, 2, 3, 4))
    torch.testing.assert_close(mean, LEVELS, rtol=2e-3, atol=0)


def test_dual_pixel_halves():
    """Each has twice the shot and four times the read noise; their mean has the shot noise of the whole."""
    generator = seeded()
    draw = replace(NOISY, output="green").draw(generator, 1, 6)
    left, right = expose_dual_pixel(patches(1), patches(1), draw, generator)
    wanted = 2 * SHOT * LEVELS + 4 * READ
    for half in (left, right):
        torch.testing.assert_close(half.var(dim=(0, 2, 3, 4)), wanted / 2, rtol=0.05, atol=0)
    mean = ((left + right) / 2).var(dim=(0, 2, 3, 4))
    torch.testing.assert_close(mean, (SHOT * LEVELS + 2 * READ) / 2, rtol=0.05, atol=0)


def test_rows_and_fixed_patterns():
    """Rows change from slice to slice, a fixed pattern does not, and both have the stated strength."""
    sensor = replace(NOISY, row_noise=0.5, fixed_pattern=0.5)
    linear = to_linear(shot_at(sensor, torch.full((2, 40, 1, 64, 64), 0.4)))
    over_slices = linear.mean(dim=1)
    assert float(over_slices.std()) == pytest.approx(
        math.sqrt(READ / 4 + (SHOT * 0.4 + READ * 1.25) / 40), rel=0.05
    )
    assert abs(float(torch.corrcoef(over_slices.flatten(1))[0, 1])) < 0.05
    rows = (linear - over_slices[:, None]).mean(dim=-1)
    assert float(rows.std()) == pytest.approx(math.sqrt(READ / 4 + (SHOT * 0.4 + READ) / 64), rel=0.07)
    grain = to_linear(shot_at(replace(CLEAN, gain_pattern=0.01), torch.full((1, 2, 1, 64, 64), 0.4)))
    assert torch.equal(grain[:, 0], grain[:, 1])
    assert float(grain.std()) == pytest.approx(0.004, rel=0.05)


# --- converter, colours, file ----------------------------------------------------------------------------


def test_black_level_round_trip():
    sensor = replace(CLEAN, output="green", raw_bit_depth=10, black_level_dn=64)
    light = torch.linspace(0, 1.2, 100).view(1, 1, 1, 10, 10)
    subtracted = shot_at(sensor, light)
    assert float((subtracted - light.clamp(0, 1)).abs().max()) <= 0.5 / (1023 - 64) + 1e-6
    kept = shot_at(replace(sensor, subtract_black=False), light) * 1023
    assert float(kept[0, 0, 0, 0, 0]) == pytest.approx(64, abs=1e-3)
    assert float(kept.max()) == pytest.approx(1023, abs=1e-3)
    torch.testing.assert_close(kept, kept.round(), atol=1e-3, rtol=0)


def test_the_black_level_saves_the_noise_below_black():
    dark = torch.zeros(1, 1, 1, 128, 128)
    with_level = replace(
        NOISY, output="green", raw_bit_depth=12, black_level_dn=256, subtract_black=False, bit_depth=16
    )
    assert float(shot_at(with_level, dark).mean()) * 4095 == pytest.approx(256, abs=0.5)
    without = shot_at(replace(with_level, black_level_dn=0), dark)
    assert float(without.mean()) * 4095 > 5


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_values_are_those_of_the_bit_depth(bit_depth):
    top = 2**bit_depth - 1
    for output in ("rgb", "bayer_rgb", "raw_green", "green"):
        pictures = shot_at(Sensor(output=output, bit_depth=bit_depth, contrast=(0.9, 1.1)), 1.1 * scene())
        assert pictures.dtype == torch.float32
        assert pictures.min() >= 0
        assert pictures.max() <= 1
        assert torch.equal(pictures, (pictures * top).round() / top)


def test_without_noise_the_picture_is_the_light():
    light = scene()
    torch.testing.assert_close(shot_at(CLEAN, light), to_display(light))
    torch.testing.assert_close(shot_at(CLEAN, light.bfloat16()), to_display(light.bfloat16().float()))
    torch.testing.assert_close(shot_at(replace(CLEAN, red_gain=(2, 2)), 1.5 * light), to_display(1.5 * light))
    grey = light[:, :, :1]
    torch.testing.assert_close(shot_at(CLEAN, grey), to_display(grey))
    green = shot_at(replace(CLEAN, output="raw_green", bayer="GRBG"), light)[0, 0, 0]
    mean = (light[0, 0, 1, ::2, ::2] + light[0, 0, 1, 1::2, 1::2]) / 2
    torch.testing.assert_close(green, mean)


def test_saturated_light_stays_white_through_the_mosaic():
    light = torch.full((1, 1, 3, 16, 16), 3.0)
    sensor = replace(CLEAN, output="bayer_rgb", red_gain=(2.2, 2.2), blue_gain=(1.6, 1.6))
    torch.testing.assert_close(shot_at(sensor, light), torch.ones_like(light))


def test_contrast_turns_round_mid_grey():
    sensor = replace(CLEAN, contrast=(0.9, 0.9))
    display = torch.tensor([0.1, 0.5, 0.9])[:, None, None].expand(1, 1, 3, 4, 4)
    wanted = torch.tensor([0.14, 0.5, 0.86])[:, None, None].expand(1, 1, 3, 4, 4)
    torch.testing.assert_close(shot_at(sensor, to_linear(display)), wanted)


def test_jpeg_comes_last():
    sensor = replace(NOISY, bit_depth=8, jpeg_quality=(60, 90))
    light = scene(batch=2)
    generator = seeded()
    draw = sensor.draw(generator, 2, 2)
    state = generator.get_state()
    pictures = expose(light, draw, generator)
    generator.set_state(state)
    plain = expose(light, replace(draw, sensor=replace(sensor, jpeg_quality=(0, 0))), generator)
    assert torch.equal(pictures, jpeg(plain, draw.jpeg_quality[:, None]))
    assert not torch.equal(pictures, plain)


# --- shading ---------------------------------------------------------------------------------------------


def test_corners_lose_what_was_drawn():
    sensor = replace(CLEAN, output="green", vignetting=(0.4, 0.4), vignetting_trend=(0.2, 0.2))
    flat = torch.full((1, 3, 1, 41, 61), 0.5)
    shaded = shot_at(sensor, flat)
    corners = shaded[0, :, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(corners, 0.5 * (1 - torch.tensor([0.3, 0.4, 0.5]))[:, None].expand(-1, 4))
    torch.testing.assert_close(shaded[0, :, 0, 20, 30], torch.full((3,), 0.5))
    assert (shaded[0, 0, 0, 20, 30:].diff() < 0).all()


def test_crops_lie_in_the_field():
    sensor = replace(CLEAN, output="green", vignetting=(0.5, 0.5), flicker=(0.1, 0.1))
    flat = torch.full((2, 3, 1, 40, 60), 0.5)
    generator = seeded()
    draw = sensor.draw(generator, 2, 3)
    whole = expose(flat, draw, generator)
    centre_y, centre_x, radius = 19.5, 29.5, math.hypot(39, 59) / 2
    field = torch.tensor([[centre_y - 8, centre_x - 30, radius], [centre_y - 20, centre_x - 4, radius]])
    crops = expose(flat[..., :16, :20], draw, generator, field)
    torch.testing.assert_close(crops[0], whole[0, ..., 8:24, 30:50])
    torch.testing.assert_close(crops[1], whole[1, ..., 20:36, 4:24])
    one = expose(flat[..., :16, :20], draw, generator, (centre_y - 8, centre_x - 30, radius))
    torch.testing.assert_close(one[0], crops[0])


def test_flicker_runs_down_the_rows():
    sensor = replace(CLEAN, output="green", flicker=(0.1, 0.1), flicker_cycles=(4, 4))
    band = shot_at(sensor, torch.full((1, 5, 1, 200, 30), 0.5))
    assert torch.equal(band, band[..., :1].expand_as(band))
    assert float(band.max()) == pytest.approx(0.55, abs=1e-3)
    assert float(band.min()) == pytest.approx(0.45, abs=1e-3)
    assert not torch.allclose(band[0, 0], band[0, 1], atol=0.01)


def test_exposure_multiplies_the_light():
    sensor = replace(CLEAN, output="green", exposure_sd=0.1)
    generator = seeded()
    draw = sensor.draw(generator, 2, 4)
    mean = expose(torch.full((2, 4, 1, 4, 4), 0.3), draw, generator).mean(dim=(2, 3, 4))
    torch.testing.assert_close(mean, 0.3 * draw.exposure)


# --- whole -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("output", ["rgb", "bayer_rgb", "raw_green", "green"])
def test_one_seed_is_one_stack_and_the_input_stays(output, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    sensor = Sensor(
        output=output,
        raw_bit_depth=10,
        black_level_dn=64,
        bayer="random",
        vignetting=(0.1, 0.3),
        row_noise=0.2,
    )
    light = scene(batch=3).to(device)
    before = light.clone()
    results = []
    for seed in (0, 0, 1):
        generator = torch.Generator(device).manual_seed(seed)
        results.append(expose(light, sensor.draw(generator, 3, 2), generator))
    assert results[0].device.type == device
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(light, before)


@pytest.mark.parametrize(
    ("sensor", "shape", "message"),
    [
        (Sensor(), (1, 3, 3, 8, 8), r"must be \(1, 2\) stacks and slices"),
        (Sensor(), (2, 3, 8, 8), "then CxHxW"),
        (Sensor(), (1, 2, 2, 8, 8), "2 channels"),
        (Sensor(output="bayer_rgb"), (1, 2, 1, 8, 8), "need three"),
        (Sensor(red_gain=(2, 2)), (1, 2, 1, 8, 8), "need three"),
        (Sensor(output="raw_green"), (1, 2, 3, 7, 8), "8x7 px; width and height must be even"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(sensor, shape, message):
    generator = seeded()
    with pytest.raises(ValueError, match=message):
        expose(torch.zeros(shape), sensor.draw(generator, 1, 2), generator)
