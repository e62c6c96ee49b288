"""The spectrum network: bands against plain sums, and how blur and contrast show."""

from __future__ import annotations

import math

import pytest
import torch

from dff.calibration.degrade import blur
from dff.model.step_spectrum import (
    SpectrumConfig,
    SpectrumSteps,
    band_edges,
    labels,
    likeliest,
    spectrum,
    to_level,
    to_power,
)


def noise_patch() -> torch.Tensor:
    return torch.rand(1, 1, 512, 512, generator=torch.Generator().manual_seed(3))


def test_a_band_is_the_mean_logarithm_of_its_ring() -> None:
    patch = noise_patch()
    window = torch.hann_window(512, periodic=False)
    weighted = (patch - patch.mean())[0, 0] * window[:, None] * window
    power = torch.fft.fft2(weighted, norm="ortho")[:, :257].abs().square()
    down, across = torch.fft.fftfreq(512)[:, None], torch.fft.rfftfreq(512)[None]
    cycles = (down.square() + across.square()).sqrt() * 512
    edges = band_edges(64) * 512
    found = spectrum(patch)[0]
    for band in (30, 40, 62):
        ring = (cycles >= edges[band] * (1 + 1e-6)) & (cycles < edges[band + 1] * (1 - 1e-6))
        assert float(found[band]) == pytest.approx(float(to_level(power[ring]).mean()), abs=0.01)


def test_contrast_shifts_a_spectrum_and_blur_bends_it() -> None:
    patch = noise_patch()
    sharp = spectrum(patch)[0]
    fainter = spectrum(0.5 + 0.1 * (patch - 0.5))[0]
    assert (sharp - fainter).tolist() == pytest.approx([2 * math.log(10) / 5] * 64, abs=0.02)
    blurred = spectrum(blur(patch, torch.tensor([4.0])))[0]
    assert float((sharp - blurred)[:10].abs().max()) < 0.05
    assert float((sharp - blurred)[-10:].min()) > 0.5


def test_levels_and_powers_are_inverse() -> None:
    power = torch.tensor([1e-6, 1e-3, 10.0])
    torch.testing.assert_close(to_power(to_level(power)), power + 1e-9)


def test_the_network_tells_distances_and_refuses_odd_settings() -> None:
    net = SpectrumSteps(SpectrumConfig(hidden=(8,)))
    with torch.inference_mode():
        distance, logit = net.of_patches(noise_patch())
    assert distance.shape == logit.shape == (1,)
    assert float(distance) > 0
    with pytest.raises(ValueError, match="bands"):
        SpectrumConfig(bands=2)
    with pytest.raises(ValueError, match="above 2"):
        SpectrumConfig(positions=0)


def test_what_is_learned_as_a_distance_is_told_as_that_distance() -> None:
    config = SpectrumConfig()
    distance = torch.tensor([3.0, 20.0, 31.7, 400.0, 1000.0])
    wanted = labels(config, distance)
    torch.testing.assert_close(wanted.sum(1), torch.ones(5))
    torch.testing.assert_close(likeliest(config, wanted.log()), distance, rtol=0.01, atol=0)
    assert float(likeliest(config, labels(config, torch.zeros(1)).log())) < 2.3  # nearer than the first


def test_a_lone_class_is_not_drawn_to_others_far_from_it() -> None:
    config = SpectrumConfig()
    torn = 0.6 * labels(config, torch.tensor([50.0])) + 0.4 * labels(config, torch.tensor([500.0]))
    torch.testing.assert_close(likeliest(config, torn.log()), torch.tensor([50.0]), rtol=0.01, atol=0)
