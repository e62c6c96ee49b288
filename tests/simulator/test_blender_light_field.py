"""Refocusing a light field, against what its geometry says; no Blender needed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dff.simulator.blender.light_field import LightField, pupil_places, refocus

SIZE, MARGIN, FOCAL_PX, APERTURE_M, CONVERGED = 48, 12, 200.0, 0.02, 2.0


def _dots(x: Tensor, y: Tensor) -> Tensor:
    """(V,3,H,W) one soft white dot per view at (x, y) px from the middle."""
    side = SIZE + 2 * MARGIN
    at = torch.arange(side) - (side - 1) / 2
    gauss = [torch.exp(-((at - middle[:, None]) ** 2) / (2 * 1.5**2)) for middle in (x, y)]
    return (gauss[1][:, :, None] * gauss[0][:, None, :])[:, None].expand(-1, 3, -1, -1)


def _field(dioptre: float, views: int = 150, x: float = 3.25, y: float = -5.5) -> LightField:
    """A dot at a depth: seen from a place in the pupil, it moves against that place."""
    pupil = torch.from_numpy(pupil_places(views, APERTURE_M)).float()
    moved = -FOCAL_PX * (dioptre - CONVERGED) * pupil
    return LightField(_dots(x + moved[:, 0], y + moved[:, 1]), pupil, FOCAL_PX, CONVERGED, MARGIN)


def _moments(picture: Tensor) -> tuple[float, float, float]:
    """Centre x, y and mean squared distance from it of the light in (H,W)."""
    at = torch.arange(SIZE) - (SIZE - 1) / 2
    light = picture / picture.sum()
    x, y = float((light.sum(0) * at).sum()), float((light.sum(1) * at).sum())
    spread = (light * ((at[None, :] - x) ** 2 + (at[:, None] - y) ** 2)).sum()
    return x, y, float(spread)


@pytest.mark.parametrize("dioptre", [0.5, 2.0, 3.7])
def test_focused_dot_is_the_dot(dioptre: float) -> None:
    slices = refocus(_field(dioptre), [dioptre])
    sharp = _dots(torch.tensor([3.25]), torch.tensor([-5.5]))[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert slices.shape == (1, 3, SIZE, SIZE)
    torch.testing.assert_close(slices, sharp, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("focus", "aperture_m"), [(0.8, None), (3.6, None), (0.8, 0.01), (3.6, 0.014)])
def test_blur_is_a_disc_of_the_lens(focus: float, aperture_m: float | None) -> None:
    dioptre = 2.2
    x, y, spread = _moments(refocus(_field(dioptre), [focus], aperture_m)[0, 0])
    coc_px = FOCAL_PX * (aperture_m or APERTURE_M) * (dioptre - focus)
    assert (x, y) == pytest.approx((3.25, -5.5), abs=0.03)
    # a disc's mean squared radius is diameter^2 / 8; the dot's own adds up
    assert spread == pytest.approx(coc_px**2 / 8 + 2 * 1.5**2, rel=0.03)


def test_light_is_kept() -> None:
    field = _field(1.0)
    sums = refocus(field, [0.6, 2.0, 3.0]).sum((1, 2, 3))
    torch.testing.assert_close(sums, field.views[0].sum().expand(3), rtol=1e-3, atol=0)


def test_halves_of_the_views_agree_about() -> None:
    field = _field(1.0)
    even, odd = (refocus(field, [2.0], every=slice(start, None, 2)) for start in (0, 1))
    assert not torch.equal(even, odd)
    torch.testing.assert_close(even, odd, atol=0.02, rtol=0)


def test_pupil_is_filled_evenly_from_the_middle() -> None:
    places = torch.from_numpy(pupil_places(400, 0.02))
    radius = places.norm(dim=1)
    assert bool((radius.diff() > 0).all())
    assert float(radius.max()) <= 0.01
    # an even disc: half of the places within 1/sqrt(2) of the radius, and no side is heavier
    assert int((radius <= 0.01 / math.sqrt(2)).sum()) == pytest.approx(200, abs=1)
    assert float(places.mean(0).norm()) < 2e-4


def test_what_cannot_be_refocused_is_said() -> None:
    field = _field(1.0, views=20)
    with pytest.raises(ValueError, match=r"more than its margin of 12 px"):
        refocus(field, [9.0])
    with pytest.raises(ValueError, match="no view within an aperture"):
        refocus(field, [2.0], aperture_m=1e-6)
    with pytest.raises(ValueError, match="must be"):
        LightField(field.views, field.pupil_m[:3], FOCAL_PX, CONVERGED, MARGIN)
