import pytest
import torch

from dff.simulator.draws import Draws
from dff.simulator.paints import random_paints
from dff.simulator.surfaces import foreshortened
from dff.simulator.textures import (
    DRAWN,
    noise_fields,
    pixel_grid,
    texture,
    to_display,
    to_linear,
)

N = 6


def paints(draws, fade=1.0, plain=False, dark=False):
    flags = (torch.full((N,), one) for one in (plain, dark, False))
    return random_paints(draws, 2, 3, torch.full((N,), fade), *flags)


def drawn(kind, seed=0, side=72, **options):
    draws = Draws(torch.Generator().manual_seed(seed))
    paint = paints(draws, **options)
    y, x = pixel_grid(side, side, "cpu")
    x, y = (one.expand(N, side, side) for one in (x, y))
    return texture(draws, kind, x, y, torch.full((N,), side / 2.0), paint)


@pytest.mark.parametrize("kind", DRAWN)
def test_every_texture_has_contrast_except_flat(kind):
    picture = drawn(kind)
    assert picture.shape == (N, 3, 72, 72)
    assert float(picture.min()) > 0
    # one light falls on all of it: only what is left after that is texture
    coarse = torch.nn.functional.avg_pool2d(picture, 9, 1, 4, count_include_pad=False)
    contrast = ((picture - coarse).std((2, 3)) / picture.mean((2, 3))).amax(1)
    if kind == "flat":
        assert float(contrast.max()) < 0.02
    else:
        assert float(contrast.median()) > 0.04


def test_a_faded_texture_keeps_its_light_and_loses_contrast():
    full, faded = (drawn("checks", fade=fade).log() for fade in (1.0, 0.1))
    ratio = (faded.std((2, 3)) / full.std((2, 3))).median()
    assert float(ratio) < 0.4
    assert torch.equal(drawn("checks", plain=True, fade=0.3), drawn("checks", plain=True, fade=1.0))


def test_colours_are_restrained_and_dark_ones_are_dark():
    colours = torch.cat([drawn("flat", seed).mean((2, 3)) for seed in range(40)])
    display = to_display(colours)
    saturation = (display.amax(1) - display.amin(1)) / display.amax(1)
    assert 0.05 < float(saturation.median()) < 0.35
    assert float((saturation > 0.8).float().mean()) < 0.1
    dark = torch.cat([drawn("flat", seed, dark=True).mean((2, 3)) for seed in range(10)])
    assert float(dark.mean()) < 0.2 * float(colours.mean())


def test_the_seed_is_the_texture():
    assert torch.equal(drawn("pebbles", 3), drawn("pebbles", 3))
    assert not torch.equal(drawn("pebbles", 3), drawn("pebbles", 4))


def test_unknown_textures_are_refused():
    with pytest.raises(ValueError, match="choose from"):
        drawn("marble")


def test_noise_follows_its_exponent_and_its_two_fields_are_independent():
    draws = Draws(torch.Generator().manual_seed(0))
    slope = torch.tensor([1.0, 1.0, 0.5])
    fields = noise_fields(draws, 256, 256, slope, torch.tensor([1e4, 16.0, 1e4]))
    assert fields.shape == (3, 2, 256, 256)
    assert float(fields.mean().abs()) < 1e-4
    assert float(fields[2].std()) == pytest.approx(1, abs=0.02)
    power = torch.fft.fft2(fields[:, 0]).abs().square()
    frequency = torch.hypot(*torch.meshgrid(*[torch.fft.fftfreq(256)] * 2, indexing="ij"))

    def band(item, low, high):
        return float(power[item][(frequency > low) & (frequency < high)].mean())

    assert band(0, 0.02, 0.03) / band(0, 0.08, 0.12) == pytest.approx(16, rel=0.4)
    assert band(2, 0.02, 0.03) / band(2, 0.08, 0.12) == pytest.approx(4, rel=0.4)
    assert band(1, 0.01, 0.02) / band(1, 0.04, 0.06) == pytest.approx(1, rel=0.4)
    # long waves are few, so two unrelated fields of slope 1 correlate a little
    assert abs(float((fields[2, 0] * fields[2, 1]).mean())) < 0.1


def test_noise_has_any_size():
    draws = Draws(torch.Generator().manual_seed(0))
    assert noise_fields(draws, 37, 53, torch.ones(2), torch.full((2,), 30.0)).shape == (2, 2, 37, 53)


def test_display_and_linear_values_are_inverse():
    values = torch.linspace(0, 1, 11)
    assert torch.allclose(to_display(to_linear(values)), values, atol=1e-6)


def test_textures_on_a_ground_get_smaller_with_distance():
    side = 128
    rows = torch.linspace(1.0, 3.0, side)[None, :, None].expand(1, side, side)
    stripes = (torch.arange(side) % 8 < 4).float().expand(1, 1, side, side)
    slope = torch.tensor([[0.0, 2.0 / side]])
    laid = foreshortened(stripes, rows, slope, torch.ones(1))[0, 0]

    def crossings(row):
        return int(((laid[row, 1:] > 0.5) != (laid[row, :-1] > 0.5)).sum())

    near, far = crossings(side - 2), crossings(side // 3)
    assert near == pytest.approx(16, abs=3)  # half as dense as the stripes were
    assert far > 1.4 * near
    assert float(laid.min()) >= -1e-5
    assert float(laid.max()) <= 1 + 1e-5
