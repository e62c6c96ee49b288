"""Closed test: pictures blurred and scaled by known amounts, found by brute force and coarse to fine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dff.calibration.degrade import degrade
from dff.calibration.measure import measure_table
from dff.calibration.search import Limits, brute_force, coarse_to_fine

GAMMA = 2.4


def pictures(
    radius: float, scale: float, side: int = 150, kernel: str = "disc"
) -> tuple[np.ndarray, np.ndarray]:
    """A texture sharp and defocused, as display values of 8 bit."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(1, 1, 60, 60, generator=generator)
    light = torch.nn.functional.interpolate(coarse, size=(300, 300), mode="bicubic").clamp(0.02, 1)

    def taken(r: float, s: float) -> np.ndarray:
        made = degrade(light, torch.tensor([r]), torch.tensor([s]), side, side, kernel)[0, 0].numpy()
        return np.round(255 * np.clip(made, 0, 1) ** (1 / GAMMA)).astype(np.float32) / 255

    return taken(0.0, 1.0), taken(radius, scale)


@pytest.mark.parametrize(("radius", "scale"), [(0.0, 1.0), (2.3, 1.006), (7.4, 0.975)])
def test_fast_search_finds_the_truth(radius: float, scale: float) -> None:
    found = coarse_to_fine(*pictures(radius, scale), GAMMA, Limits(radius_px=12, shift_px=3))
    assert found.radius_px == pytest.approx(radius, abs=0.1)
    assert found.scale == pytest.approx(scale, abs=5e-4)


def test_brute_force_agrees_and_takes_many_more_tries() -> None:
    limits = Limits(radius_px=4, scale=(0.996, 1.01), shift_px=2)
    shown = pictures(2.0, 1.004)
    slow, fast = brute_force(*shown, GAMMA, limits), coarse_to_fine(*shown, GAMMA, limits)
    assert (slow.radius_px, slow.scale) == pytest.approx((2.0, 1.004))
    assert fast.radius_px == pytest.approx(slow.radius_px, abs=0.5)
    assert fast.scale == pytest.approx(slow.scale, abs=1e-3)


def test_gamma_matters() -> None:
    sharp, blurred = pictures(5.0, 1.0)
    right = coarse_to_fine(sharp, blurred, GAMMA, Limits(radius_px=12, shift_px=3))
    wrong = coarse_to_fine(sharp, blurred, 1.0, Limits(radius_px=12, shift_px=3))
    assert right.score > wrong.score


def test_a_gaussian_is_found_as_one() -> None:
    limits = Limits(radius_px=6, shift_px=3, kernel="gaussian")
    found = coarse_to_fine(*pictures(2.0, 1.01, kernel="gaussian"), GAMMA, limits)
    assert found.radius_px == pytest.approx(2.0, abs=0.1)
    assert found.scale == pytest.approx(1.01, abs=5e-4)


def test_a_table_is_measured_pair_by_pair() -> None:
    shown = {(a, b): pictures(3.0 * abs(a - b), 1 + 0.01 * (b - a)) for a in (0, 1) for b in (0, 1)}
    table = measure_table(
        lambda a, b: shown[a, b][1],
        (0.0, 10.0),
        picture_width=640,
        gamma=GAMMA,
        limits=Limits(radius_px=8, shift_px=3),
    )
    assert table.radius_px[0] == pytest.approx((0.0, 3.0), abs=0.1)
    assert table.scale[1] == pytest.approx((0.99, 1.0), abs=5e-4)
    assert float(table.radius(0.0, 5.0)) == pytest.approx(1.5, abs=0.1)


def test_pictures_that_cannot_be_used_are_refused() -> None:
    sharp, blurred = pictures(1.0, 1.0)
    with pytest.raises(ValueError, match="too small for blur of 80 px; give"):
        coarse_to_fine(sharp, blurred, GAMMA, Limits(radius_px=80))
    with pytest.raises(ValueError, match="one size"):
        brute_force(sharp, blurred[:100], GAMMA)
    with pytest.raises(ValueError, match="grey"):
        brute_force(np.dstack([sharp] * 3), np.dstack([blurred] * 3), GAMMA)
    with pytest.raises(ValueError, match="low <= 1"):
        Limits(scale=(1.1, 1.2))
