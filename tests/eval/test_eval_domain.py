import cv2
import numpy as np
import pytest

from dff.eval import domain
from dff.eval.domain_measures import (
    REACH,
    Portrait,
    block_noise,
    edge_blur_px,
    focus_curves,
    noise_curve,
    power_spectrum,
    strong_edges,
)
from dff.formats.plot import PAPER, Line, Plot, draw, legend
from dff.recipes import load_recipe

TINY = """
size = [96, 128]
seeds = { first = 0, count = 2 }
[[comparisons]]
name = "tiny"
real = ["blobs"]
simulated = ["lytro_ddff12"]
"""


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_protocol_of_the_project_is_read():
    protocol = load_recipe("eval", domain.NAME, domain.Protocol)
    assert all(one.real and one.simulated for one in protocol.comparisons)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("degrees", [0, 30])
def test_width_of_an_edge(random, sigma, degrees):
    finer, side = 4, 96
    y, x = np.mgrid[: side * finer, : side * finer] / finer - side / 2
    turn = np.radians(degrees)
    step = np.where(x * np.cos(turn) + y * np.sin(turn) > 0.1, 0.8, 0.2).astype(np.float32)
    soft = cv2.GaussianBlur(step, (0, 0), sigma * finer)
    picture = cv2.resize(soft, (side, side), interpolation=cv2.INTER_AREA)
    picture += random.normal(0, 0.003, picture.shape).astype(np.float32)
    edges = strong_edges(picture, np.ones(picture.shape, bool), random)
    assert len(edges) > 40
    assert edges[:, 2].mean() == pytest.approx(np.cos(turn), abs=0.05)
    width, steepness = edge_blur_px(picture, edges)
    # pixels and bilinear samples widen it by about half a pixel
    assert np.nanmedian(width) == pytest.approx(np.hypot(sigma, 0.5), rel=0.08)
    assert np.median(steepness) == pytest.approx(0.6 / np.sqrt(2 * np.pi) / np.hypot(sigma, 0.4), rel=0.1)
    lost, _ = edge_blur_px(0.5 + 0.05 * (picture - 0.5), edges)
    assert np.isnan(lost).all()


def test_noise_of_flat_and_sloping_blocks(random):
    ramp = np.linspace(0.2, 0.7, 256)[None, :, None] * np.ones((256, 1, 3))
    noisy = ramp + random.normal(0, 4 / 255, (256, 256, 1))
    mean, deviation = block_noise(noisy.astype(np.float32))
    assert mean.size == 256
    assert np.median(deviation) == pytest.approx(4 / 255, rel=0.05)
    assert np.ptp(mean) > 0.4
    noisy[:, :128] = 1
    assert block_noise(noisy.astype(np.float32))[0].size == 128  # clipped blocks say nothing


def test_noise_is_read_off_the_flattest_blocks(random):
    mean = random.uniform(0.3, 0.4, 1000)
    deviation = np.where(np.arange(1000) < 400, 2 / 255, 20 / 255)
    brightness, noise = noise_curve(mean, deviation)
    assert noise[np.isfinite(noise)] == pytest.approx(2.0)
    assert np.abs(brightness[np.isfinite(noise)] - 0.35).max() < 0.1


def portrait(curves: np.ndarray) -> Portrait:
    nothing = np.zeros(1)
    return Portrait(curves, nothing, nothing, nothing, nothing, nothing, nothing, nothing)


def test_focus_curves_stand_on_their_peaks(random):
    texture = random.uniform(size=(120, 160)).astype(np.float32)
    blurs = [2.0, 1.2, 0.7, 0.0001, 0.7, 1.2, 2.0]
    slices = [cv2.GaussianBlur(texture, (0, 0), blur) for blur in blurs]
    curves = focus_curves(slices, np.ones(texture.shape, bool), random)
    assert (curves[:, REACH] == 1).all()
    one = portrait(curves)
    low, middle, high = one.curve
    assert np.isnan(middle[[0, 1, 2, -3, -2, -1]]).all()  # three slices to either side, no more
    assert middle[3:10] == pytest.approx(middle[3:10][::-1])
    assert (low[3:10] <= high[3:10]).all()
    assert 1 < one.half_width < 2
    assert 0 < one.floor < 0.01


def test_half_width_by_hand():
    curve = np.full((1, 2 * REACH + 1), np.nan)
    curve[0, REACH - 2 : REACH + 3] = [0.1, 0.75, 1, 0.25, 0.1]
    found = portrait(curve)
    assert found.half_width == pytest.approx((1 + 0.25 / 0.65) + 0.5 / 0.75)
    assert found.floor == pytest.approx(0.1)
    curve[0, : REACH + 1] = 1
    assert np.isnan(portrait(curve).half_width)


@pytest.mark.parametrize("exponent", [0.0, -2.0, -3.0])
def test_slope_of_a_spectrum(random, exponent):
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512))
    frequency[0, 0] = 1
    white = np.fft.fft2(random.normal(size=(512, 512)))
    picture = np.fft.ifft2(white * frequency ** (exponent / 2)).real.astype(np.float32)
    nothing = np.zeros(1)
    one = Portrait(nothing, nothing, nothing, nothing, nothing, *power_spectrum(picture), nothing)
    assert one.slope == pytest.approx(exponent, abs=0.15)


def test_plots_draw_lines_and_leave_gaps():
    red = (255, 0, 0)
    y = np.array([0.5, 0.5, np.nan, 0.5, 0.5])
    plot = Plot("title", "x", (0, 4), (0, 1), [Line(np.arange(5.0), y, red)])
    drawn = draw(plot, 120, 160).astype(int)
    assert drawn.shape == (120, 160, 3)
    coloured = (drawn[..., 0] - drawn[..., 1] > 120).any(axis=0)
    columns = np.flatnonzero(coloured)
    assert columns[0] < 50
    assert columns[-1] > 145
    assert not coloured[80:110].any()
    assert (draw(Plot("", "", (0, 1), (0, 1)), 120, 160)[40, 80] == PAPER).all()
    assert legend([("a", red, True)], 100).shape == (24, 100, 3)


def test_end_to_end(tmp_path, write_slices, breathing_slices):
    slices = [cv2.GaussianBlur(one, (0, 0), s) for one, s in zip(breathing_slices, (2, 0.4, 2), strict=True)]
    write_slices(tmp_path / "data" / "blobs", slices)
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    protocol = load_recipe("eval", recipe, domain.Protocol)
    report = domain.run(
        protocol, tmp_path / "data", tmp_path / "pages", limit=1, options="", say=lambda line: None
    )
    names = [row[1] for row in report.tables[0].rows]
    assert names == ["blobs (real)", "lytro_ddff12 (simulated)"]
    assert "seeds 0 to 0" in report.tables[0].note
    page = cv2.imread(str(tmp_path / "pages" / "tiny.jpg"))
    assert page.shape[1] > 900
    assert page.std() > 10
