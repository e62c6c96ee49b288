import math

import pytest
import torch
from layer_scenes import SIZE, disc_alpha, display, dot, noise, plane, psnr

from dff.simulator.layers import all_in_focus
from dff.simulator.lens_sampling import pupil_points, render_exact
from dff.simulator.psf import PSF, disparity_per_coc_px, transmission


def moments(picture):
    """Light, centroid (x, y) and mean squared distance from it, of (H,W)."""
    light = picture.double()
    y, x = torch.arange(light.shape[0])[:, None], torch.arange(light.shape[1])
    total = light.sum()
    middle = float((light * x).sum() / total), float((light * y).sum() / total)
    spread = float((light * ((x - middle[0]) ** 2 + (y - middle[1]) ** 2)).sum() / total)
    return float(total), middle, spread


def test_points_spread_evenly_over_the_pupil():
    psf = PSF("polygon", blades=6)
    x, y = pupil_points(psf, 500)
    light = transmission(psf, x, y)
    assert float(light.sum()) >= 0.98 * 500  # the polygon has the disc's area
    assert float(torch.hypot(x, y).max()) <= psf.reach
    assert abs(float((light * x).sum())) < 2
    quarter = (x > 0) & (y > 0)
    assert float(light[quarter].sum() / light.sum()) == pytest.approx(0.25, abs=0.01)


def test_a_frontal_plane_is_convolved_with_the_disc():
    texture, coc = noise(3, grain=3), 7.0
    exact = render_exact([plane(texture, 1.0)], torch.tensor([0.0]), coc)[0]
    # the spectrum of the continuous disc, on the period of the reflected picture
    period = torch.cat([texture, texture[..., 1:-1].flip(-1)], -1)
    period = torch.cat([period, period[..., 1:-1, :].flip(-2)], -2).double()
    side = period.shape[-1]
    along = torch.fft.fftfreq(side, dtype=torch.float64)
    t = (math.pi * coc * torch.hypot(along[:, None], along[None, :])).clamp_min(1e-9)
    true = torch.fft.ifft2(torch.fft.fft2(period) * 2 * torch.special.bessel_j1(t) / t).real
    assert psnr(exact, true[..., :SIZE, :SIZE].float()) > 53


def test_in_focus_nothing_moves():
    scene = [plane(noise(0), 1.0), plane(noise(1), 1.0, disc_alpha(20))]
    exact = render_exact(scene, torch.tensor([1.0]), 20.0)[0]
    assert torch.allclose(exact, all_in_focus(scene), atol=1e-5)


@pytest.mark.parametrize("half", [None, "left", "right"])
def test_a_point_on_a_slanted_surface_blurs_by_its_own_depth(half):
    slope = torch.linspace(0, 2, SIZE)[None, :].expand(SIZE, SIZE)
    seen = plane(dot(48, 64), slope)
    coc = 12.0 * (float(slope[0, 64]) - 0.5)
    picture = render_exact([seen], torch.tensor([0.5]), 12.0, PSF(), half, samples=500)[0, 0]
    _, (x, y), spread = moments(picture)
    sign = {None: 0, "left": -1, "right": 1}[half]
    assert x - 64 == pytest.approx(sign * coc * disparity_per_coc_px(PSF()) / 2, abs=0.3)
    assert y == pytest.approx(48, abs=0.05)
    if half is None:
        # a surface that comes nearer to the right is seen larger from the left: second order in the slope
        assert spread == pytest.approx(coc**2 / 8, rel=0.05)


def test_halves_average_to_the_whole():
    scene = [plane(noise(5), 0.0), plane(noise(6), 1.0, disc_alpha(24))]
    focus = torch.tensor([0.3])
    for psf in (PSF(), PSF("polygon", blades=5, rotation_deg=9)):
        left, right, full = (
            render_exact(scene, focus, 9.0, psf, h, samples=100) for h in ("left", "right", None)
        )
        assert torch.allclose((left + right) / 2, full, atol=2e-3)


def test_occlusion_is_that_of_straight_rays():
    # a bright half plane before a dark one: the share of the pupil that it covers
    edge = (torch.arange(SIZE) >= 48).float().expand(SIZE, SIZE)
    scene = [plane(0.0, 0.0), plane(1.0, 1.0, edge)]
    row = render_exact(scene, torch.tensor([0.0]), 20.0, samples=1000)[0, 0, 48].double()
    at = ((torch.arange(SIZE) - 47.5) / 10).clamp(-1, 1).double()
    share = 0.5 + (at * torch.sqrt(1 - at**2) + torch.asin(at)) / math.pi
    assert (row - share).abs().max() < 0.01
    # and the other way round the sharp edge hides the blurred background for good
    behind = render_exact(
        [plane(noise(1), 0.0), plane(0.0, 1.0, edge)], torch.tensor([1.0]), 20.0, samples=50
    )
    assert behind[0, :, :, 52:].abs().max() < 1e-6


def test_more_samples_and_finer_layers_change_little():
    scene = [plane(noise(5), 0.5), plane(noise(6), 1.5, disc_alpha(24))]
    focus = torch.tensor([0.2])
    coarse = render_exact(scene, focus, 8.0)
    fine = render_exact(scene, focus, 8.0, samples=700, supersample=4)
    assert psnr(coarse, fine) > 55
    assert display(coarse).isfinite().all()


def test_what_it_cannot_do_it_says():
    layer, focus = plane(0.5, 0.0), torch.tensor([1.0])
    with pytest.raises(ValueError, match="at least one layer"):
        render_exact([], focus, 1.0)
    with pytest.raises(ValueError, match="without batch"):
        render_exact([layer], focus[None], 1.0)
    with pytest.raises(ValueError, match="1 or more"):
        render_exact([layer], focus, 1.0, samples=0)
    with pytest.raises(ValueError, match="cat's eye"):
        render_exact([layer], focus, 1.0, PSF(cats_eye=0.5), "left")
