import itertools
import math

import pytest
import torch

from dff.recipes import load_recipe
from dff.simulator.kernels import Levels, blur_levels, fft_size, kernel, spectrum
from dff.simulator.psf import PSF, Field, disparity_per_coc_px, share, transmission

KINDS = [
    PSF(),
    PSF("disc", softness=0.4),
    PSF("polygon", blades=5, rotation_deg=17),
    PSF("polygon", blades=8, softness=0.3),
    PSF("ring", order=6, hollow=0.9),
    PSF("gaussian"),
    PSF("super_gaussian", order=8),
]


def grid(kernel_):
    at = torch.arange(kernel_.shape[0], dtype=torch.float64) - kernel_.shape[0] // 2
    return at[:, None], at[None, :]


def mean_squared_radius(kernel_):
    y, x = grid(kernel_)
    return float((kernel_.double() * (y**2 + x**2)).sum())


def pupil(psf, place=(0.0, 0.0)):
    """Positions and light on a fine grid of the pupil, and the area of a cell."""
    at = ((torch.arange(900, dtype=torch.float64) + 0.5) / 450 - 1) * psf.reach
    return at, transmission(psf, at[None, :], at[:, None], place), float(at[1] - at[0]) ** 2


@pytest.mark.parametrize("psf", KINDS, ids=lambda psf: psf.kind)
@pytest.mark.parametrize("diameter", [1.5, 2.3, 4.4, 13.0, 36.0])
def test_kernels_have_sum_one_odd_size_and_nothing_negative(psf, diameter):
    for half in (None, "left", "right"):
        made = kernel(psf, diameter, half)
        assert made.dtype == torch.float32
        assert made.double().sum() == pytest.approx(1, abs=1e-6)
        assert made.shape[0] == made.shape[1]
        assert made.shape[0] % 2 == 1
        assert made.min() >= 0


@pytest.mark.parametrize("psf", KINDS, ids=lambda psf: psf.kind)
@pytest.mark.parametrize("diameter", [1.5, 2.3, 4.4, 13.0, 36.0])
def test_kernels_are_as_wide_as_their_pupil(psf, diameter):
    at, light, _ = pupil(psf)
    own = float((light * (at[:, None] ** 2 + at**2)).sum() / light.sum()) * diameter**2 / 4
    # pixels cannot hold a narrow ring: it comes out a little too narrow
    tolerance = 0.1 if psf.kind == "ring" and diameter < 4 else 0.004
    assert mean_squared_radius(kernel(psf, diameter)) == pytest.approx(own, rel=tolerance)


@pytest.mark.parametrize("psf", KINDS[:4], ids=lambda psf: psf.kind)
def test_disc_and_polygon_have_the_area_of_the_circle_of_confusion(psf):
    _, light, cell = pupil(psf)
    assert float(light.sum()) * cell == pytest.approx(math.pi, rel=2e-3)
    if not psf.softness:  # flat kernels: their height says their area too
        assert 1 / float(kernel(psf, 30.0).max()) == pytest.approx(math.pi * 30.0**2 / 4, rel=0.01)


@pytest.mark.parametrize("psf", [PSF(), *KINDS[5:]], ids=lambda psf: psf.kind)
def test_gaussians_have_the_second_moment_of_the_disc(psf):
    assert mean_squared_radius(kernel(psf, 20.0)) == pytest.approx(20**2 / 8, rel=0.01)


def test_super_gaussian_of_order_two_is_the_gaussian_and_a_high_order_nears_the_disc():
    assert torch.allclose(kernel(PSF("super_gaussian", order=2), 9.0), kernel(PSF("gaussian"), 9.0))
    steep, flat = kernel(PSF("super_gaussian", order=20), 30.0), kernel(PSF(), 30.0)
    assert steep.max() == pytest.approx(float(flat.max()), rel=0.03)


def test_ring_is_hollow_and_ends_where_the_disc_does():
    made = kernel(PSF("ring", order=6, hollow=0.9), 31.0)
    middle = made.shape[0] // 2
    row = made[middle]
    assert row[middle] == pytest.approx(0.1 * float(row.max()), rel=0.15)
    assert made.shape == kernel(PSF(), 31.0).shape
    assert abs(int(row.argmax()) - middle) >= 13


def test_softness_widens_the_edge():
    rows = [kernel(PSF("disc", softness=soft), 40.0) for soft in (0.0, 0.5)]
    steps = [int(((row[row.shape[0] // 2] / row.max() - 0.5).abs() < 0.4).sum()) for row in rows]
    assert steps[0] <= 2
    assert 14 <= steps[1] <= 20  # 80 % of 10 px on both sides


def test_a_polygon_has_its_corners_where_it_is_turned_to():
    made = kernel(PSF("polygon", blades=4, rotation_deg=45), 41.0)
    middle = made.shape[0] // 2
    half_diagonal = math.sqrt(math.pi / 2) * 41 / 2
    reach = int((made[middle] > 0).nonzero().max()) - middle  # a corner lies straight to the right
    assert reach == pytest.approx(half_diagonal, abs=1.5)
    assert made[middle + 16, middle + 16] == 0
    upright = kernel(PSF("polygon", blades=4), 41.0)
    assert upright[middle + 16, middle + 16] > 0


@pytest.mark.parametrize("psf", KINDS, ids=lambda psf: psf.kind)
def test_up_to_one_pixel_is_no_blur(psf):
    for diameter in (0.0, 1.0, -1.0, 0.3):
        assert kernel(psf, diameter, "left").tolist() == [[1.0]]


@pytest.mark.parametrize("psf", KINDS, ids=lambda psf: psf.kind)
@pytest.mark.parametrize("diameter", [2.3, 13.0])
def test_halves_average_to_the_full_kernel_and_turn_behind_the_focus(psf, diameter):
    left, right, full = (kernel(psf, diameter, half) for half in ("left", "right", None))
    assert torch.allclose((left + right) / 2, full, atol=1e-8)
    for half, made in (("left", left), ("right", right), (None, full)):
        assert torch.equal(kernel(psf, -diameter, half), made.flip(0, 1))
    mirrored = psf.kind != "polygon" or psf.blades % 2 == 0
    if mirrored:
        assert torch.allclose(left.flip(1), right, atol=1e-7)
        assert torch.equal(full, full.flip(0, 1)) == psf.symmetric()


def distance_of_halves(psf, diameter):
    left, right = (kernel(psf, diameter, half).double() for half in ("left", "right"))
    return float(((right - left) * grid(left)[1]).sum())


@pytest.mark.parametrize("psf", KINDS, ids=lambda psf: psf.kind)
def test_distance_of_the_halves_is_proportional_to_the_signed_circle_of_confusion(psf):
    slope = disparity_per_coc_px(psf)
    for diameter in (-20.0, -3.0, 3.0, 4.4, 9.0, 36.0):
        assert distance_of_halves(psf, diameter) == pytest.approx(slope * diameter, rel=1e-3)
    # pixels hold less of a blur of their own size, of the right sign all the same
    assert 0.8 < distance_of_halves(psf, 2.3) / (2.3 * slope) <= 1.0001
    assert distance_of_halves(psf, -1.3) < -0.4 * 1.3 * slope


def test_symmetric_kinds_share_their_kernels():
    assert PSF().symmetric()
    assert not PSF().symmetric("left")
    assert not PSF("polygon", blades=5).symmetric()
    assert not PSF(cats_eye=0.5).symmetric()


def test_disparity_of_ideal_halves_and_of_mixed_ones():
    assert disparity_per_coc_px(PSF(split_ramp=0, crosstalk=0)) == pytest.approx(4 / (3 * math.pi), rel=1e-3)
    assert disparity_per_coc_px(PSF(split_ramp=2, crosstalk=0)) == pytest.approx(0.25, rel=1e-3)
    ideal, mixed = (disparity_per_coc_px(PSF(crosstalk=part)) for part in (0.0, 0.2))
    assert mixed == pytest.approx(0.6 * ideal, rel=1e-6)
    assert disparity_per_coc_px(PSF(crosstalk=0.5)) == pytest.approx(0, abs=1e-9)


def test_shares_of_the_pupil_are_balanced_even_when_it_is_lopsided():
    psf = PSF("polygon", blades=3)
    at, light, _ = pupil(psf)
    left = share(psf, at, "left")
    assert float((light * left).sum() / light.sum()) == pytest.approx(1, abs=1e-3)
    assert torch.allclose(left + share(psf, at, "right"), torch.tensor(2.0, dtype=torch.float64))
    assert torch.equal(share(psf, at, None), torch.ones_like(at))


def test_cats_eye_clips_towards_the_corner_only():
    psf = PSF(cats_eye=0.8)
    assert torch.equal(kernel(psf, 30.0), kernel(PSF(), 30.0))
    clipped = kernel(psf, 30.0, None, (1.0, 0.0))
    y, x = grid(clipped)
    spread = [float((clipped.double() * (along - (clipped * along).sum()) ** 2).sum()) for along in (x, y)]
    assert spread[1] > 1.5 * spread[0]  # a lemon, upright at the right end of the field
    assert float((clipped.double() * x).sum()) == pytest.approx(0.4 * 15, rel=0.03)
    steep = kernel(psf, 30.0, None, (0.0, 1.0))
    assert torch.allclose(steep, clipped.T, atol=1e-7)


def test_field_counts_from_the_axis():
    field = Field.middle((60, 80))
    assert field.axis_px == (39.5, 29.5)
    assert field.place(39.5 + 50, 29.5) == (1.0, 0.0)
    assert Field((10.0, 20.0), 5.0).place(5, 30) == (-1.0, 2.0)


def test_spectra_are_those_of_the_kernel_and_kept():
    device = torch.device("cpu")
    for psf, half in ((PSF(), None), (PSF(), "left"), (PSF("polygon", blades=5), None)):
        made = kernel(psf, 7.0, half)
        flat = torch.zeros(48, 40)
        flat[: made.shape[0], : made.shape[1]] = made
        flat = flat.roll((-(made.shape[0] // 2),) * 2, (0, 1))
        found = spectrum(psf, 7.0, half, (0.0, 0.0), (48, 40), device)
        assert torch.allclose(found + 0j, torch.fft.rfft2(flat), atol=1e-6)
        assert found.is_complex() != psf.symmetric(half)
        assert spectrum(psf, 7.0, half, (0.0, 0.0), (48, 40), device) is found


@pytest.mark.parametrize("size", [1, 17, 64, 97, 241, 289])
def test_fft_sizes_are_fast(size):
    chosen = fft_size(size)
    assert size <= chosen <= max(4, 1.25 * size)
    for prime in (2, 3, 5):
        while chosen % prime == 0:
            chosen //= prime
    assert chosen == 1


def test_levels_rise_from_one_past_the_maximum():
    levels = blur_levels(40.0)
    assert levels[0] == 1
    assert levels[-2] < 40 <= levels[-1]
    assert all(b > a for a, b in itertools.pairwise(levels))
    assert blur_levels(0.4) == (1.0,)


@pytest.mark.parametrize("signed", [False, True])
def test_levels_keep_the_second_moment_between_them(signed):
    levels = Levels(-9.0, 14.0, signed)
    coc = torch.linspace(-9, 14, 501, dtype=torch.float64)
    square = levels.square(coc)
    below, part = levels.pick(square)
    diameters = torch.tensor(levels.diameters, dtype=torch.float64)
    own = diameters * diameters.abs()
    mean = torch.lerp(own[below], own[below + 1], part)
    beyond = coc.abs() >= 1.2
    assert torch.allclose(mean[beyond], (coc * coc.abs() if signed else coc**2)[beyond])
    assert torch.allclose(mean[coc.abs() <= 1], torch.tensor(1.0, dtype=torch.float64))
    # blending all levels of a span comes to the same
    first, last = levels.span(-9.0, 14.0)
    blend = torch.full_like(coc, own[first])
    for j in range(first + 1, last + 1):
        blend = torch.lerp(blend, own[j].expand_as(blend), levels.share(square, j))
    assert torch.allclose(blend, mean)
    low, high = levels.span(2.0, 3.0)
    assert levels.diameters[low] <= 2 < 3 <= levels.diameters[high]
    assert levels.diameters[low + 1] > 2
    assert levels.span(-0.5, 0.9)[0] == levels.span(-0.5, 0.9)[1]


def test_a_camera_recipe_can_hold_one(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('kind = "polygon"\nblades = 7\nrotation_deg = 12\nsoftness = 0.1\n')
    assert load_recipe("simulator/cameras", path, PSF) == PSF("polygon", 7, 12.0, 0.1)
    path.write_text('kind = "polygon"\nblade = 7\n')
    with pytest.raises(ValueError, match="did you mean 'blades'"):
        load_recipe("simulator/cameras", path, PSF)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "star"}, "choose from disc, polygon, ring"),
        ({"blades": 2}, "3 or more"),
        ({"softness": 1.5}, "softness 1.5 must be between 0 and 1"),
        ({"kind": "super_gaussian", "order": 1.0}, "between 2 and 20"),
        ({"hollow": -0.1}, "hollow"),
        ({"cats_eye": 2.0}, "cats_eye"),
        ({"crosstalk": 0.6}, "crosstalk"),
        ({"rotation_deg": math.nan}, "rotation_deg"),
        ({"cutoff": math.nan}, "cutoff"),
    ],
)
def test_impossible_pupils_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        PSF(**wrong)


def test_a_field_has_a_size():
    with pytest.raises(ValueError, match="above 0"):
        Field((0.0, 0.0), 0.0)
