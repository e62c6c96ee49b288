import cv2
import numpy as np
import pytest
import torch

from dff.simulator.mosaic import BAYER, demosaic, green_sites, mosaic

PHASES = torch.arange(4)


def picture(seed=0, size=64):
    """(1,1,3,H,W) soft coloured structure in [0,1]: mostly common to the three colours, as in photographs."""
    rng = np.random.default_rng(seed)
    common = cv2.GaussianBlur(rng.random((size, size)), (0, 0), 1.0)
    own = cv2.GaussianBlur(rng.random((size, size, 3)), (0, 0), 4.0)
    mixed = (common - 0.5)[..., None] * 1.2 + (own - 0.5) * 2 + 0.5
    return torch.from_numpy(mixed.clip(0, 1)).float().permute(2, 0, 1)[None, None]


@pytest.mark.parametrize("phase", range(4))
def test_layout_is_the_one_that_the_letters_say(phase):
    colours = torch.tensor([1.0, 2.0, 3.0])[:, None, None].expand(1, 1, 3, 4, 6)
    raw = mosaic(colours, torch.tensor([phase]))[0, 0, 0]
    letters = "".join("?RGB"[int(value)] for value in raw[:2, :2].flatten())
    assert letters == BAYER[phase]
    assert torch.equal(raw, raw[:2, :2].repeat(2, 3))


@pytest.mark.parametrize("method", ["bilinear", "malvar2004"])
def test_even_colours_and_grey_ramps_come_back_exactly(method):
    colours = torch.tensor([0.2, 0.5, 0.9])[:, None, None].expand(4, 2, 3, 8, 10)
    torch.testing.assert_close(demosaic(mosaic(colours, PHASES), PHASES, method), colours)
    ramp = torch.arange(12.0)[:, None] * 0.03 + torch.arange(14.0) * 0.02
    ramp = ramp.expand(4, 1, 3, 12, 14)
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(demosaic(mosaic(ramp, PHASES), PHASES, method)[inside], ramp[inside])


def test_what_a_site_saw_is_kept():
    raw = mosaic(picture().expand(4, -1, -1, -1, -1), PHASES)
    torch.testing.assert_close(mosaic(demosaic(raw, PHASES), PHASES), raw)


def test_layouts_are_shifts_of_one_another():
    """A crop from one pixel further down and right turns RGGB into BGGR, and nothing else."""
    whole, crop = picture(), picture()[..., 1:-1, 1:-1]
    rggb, bggr = torch.tensor([0]), torch.tensor([3])
    assert torch.equal(mosaic(whole, rggb)[..., 1:-1, 1:-1], mosaic(crop, bggr))
    ours = demosaic(mosaic(whole, rggb), rggb)[..., 4:-4, 4:-4]
    torch.testing.assert_close(ours, demosaic(mosaic(crop, bggr), bggr)[..., 3:-3, 3:-3])


def test_stacks_of_a_batch_do_not_meet():
    colours = torch.cat([picture(seed) for seed in range(4)]).expand(4, 3, -1, -1, -1)
    phases = torch.tensor([2, 0, 3, 3])
    together = demosaic(mosaic(colours, phases), phases)
    for b in range(4):
        one = slice(b, b + 1)
        torch.testing.assert_close(together[one], demosaic(mosaic(colours[one], phases[one]), phases[one]))


@pytest.mark.parametrize("phase", range(4))
def test_bilinear_agrees_with_opencv(phase):
    raw = (mosaic(picture(), torch.tensor([phase])) * 65535).round()
    code = getattr(cv2, f"COLOR_Bayer{BAYER[phase]}2RGB")
    theirs = cv2.demosaicing(raw[0, 0, 0].numpy().astype(np.uint16), code).astype(np.float32)
    ours = demosaic(raw, torch.tensor([phase]), "bilinear")[0, 0].permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs)[2:-2, 2:-2].max() <= 1


def test_malvar_keeps_more_detail_than_bilinear():
    colours, phase = picture(), torch.tensor([1])
    raw = mosaic(colours, phase)
    loss = {
        method: float((demosaic(raw, phase, method) - colours).square().mean())
        for method in ("bilinear", "malvar2004")
    }
    assert loss["malvar2004"] < loss["bilinear"] / 2


@pytest.mark.parametrize(("phase", "numbers"), [(0, (1, 4)), (1, (0, 5)), (2, (0, 5)), (3, (1, 4))])
def test_green_sites_are_the_green_ones(phase, numbers):
    green = torch.arange(16.0).view(1, 1, 1, 4, 4)
    sites = green_sites(green, torch.tensor([phase]))
    assert sites.shape == (1, 1, 2, 2, 2)
    assert tuple(sites[0, 0, :, 0, 0].tolist()) == numbers
    assert torch.equal(sites[0, 0, 0] - sites[0, 0, 0, 0, 0], torch.tensor([[0.0, 2.0], [8.0, 10.0]]))


@pytest.mark.parametrize("work", [mosaic, green_sites, demosaic])
def test_odd_sizes_are_refused(work):
    with pytest.raises(ValueError, match="7x6 px; width and height must be even"):
        work(torch.zeros(1, 1, 3 if work is mosaic else 1, 6, 7), torch.tensor([0]))
