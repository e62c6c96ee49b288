import io

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from dff.simulator.jpeg import jpeg


def photograph(height=91, width=133, seed=0):
    """(H,W,3) uint8: fine grain, soft colour, sharp edges of saturated colours; odd sizes on purpose."""
    rng = np.random.default_rng(seed)
    base = cv2.GaussianBlur(rng.random((height, width, 3)), (0, 0), 6) * 6 - 2.5
    picture = base + 0.25 * (cv2.GaussianBlur(rng.random((height, width)), (0, 0), 0.7) - 0.5)[..., None]
    for _ in range(8):
        y, x = rng.integers(0, height - 20), rng.integers(0, width - 20)
        picture[y : y + rng.integers(5, 40), x : x + rng.integers(5, 40)] = rng.random(3)
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def by_pillow(picture, quality, subsampling):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file)).astype(np.float64)


def by_us(picture, quality, subsampling="4:2:0"):
    planes = torch.from_numpy(picture.reshape(*picture.shape[:2], -1).copy()).permute(2, 0, 1) / 255
    decoded = jpeg(planes, torch.tensor(quality), subsampling) * 255
    return decoded.permute(1, 2, 0).reshape(picture.shape).double().numpy()


def rms(a, b):
    return float(np.sqrt(np.mean((a - b) ** 2)))


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
@pytest.mark.parametrize("quality", [30, 60, 75, 85, 95])
def test_decodes_to_what_libjpeg_decodes_to(quality, subsampling):
    """All but the roundings of libjpeg's whole-number DCT."""
    for seed in range(3):
        picture = photograph(seed=seed)
        theirs, ours = by_pillow(picture, quality, subsampling), by_us(picture, quality, subsampling)
        assert rms(ours, theirs) < 255 * 10 ** (-43 / 20)
        assert rms(ours, picture) == pytest.approx(rms(theirs, picture), rel=0.01)


def test_grey_pictures():
    picture = photograph()[..., 1]
    theirs, ours = by_pillow(picture, 80, 0), by_us(picture, 80)
    assert rms(ours, theirs) < 255 * 10 ** (-48 / 20)
    assert rms(ours, picture) == pytest.approx(rms(theirs, picture), rel=0.01)


def test_every_picture_has_its_own_quality():
    pictures = torch.from_numpy(photograph()).permute(2, 0, 1)[None, None] / 255
    pictures = pictures.expand(2, 3, -1, -1, -1)
    quality = torch.tensor([[95], [40]])
    together = jpeg(pictures, quality)
    assert together.shape == pictures.shape
    assert torch.equal(together[0, 2], jpeg(pictures[0, 0], torch.tensor(95)))
    assert torch.equal(together[1, 0], jpeg(pictures[0, 0], torch.tensor(40)))


def test_values_are_those_of_eight_bits():
    decoded = jpeg(torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0)), torch.tensor(50))
    assert decoded.min() >= 0
    assert decoded.max() <= 1
    assert torch.equal(decoded, (decoded * 255).round() / 255)


def test_flat_pictures_survive_and_quality_stops_at_its_ends():
    flat = torch.full((1, 9, 9), 128 / 255)
    assert torch.equal(jpeg(flat, torch.tensor(10)), flat)
    picture = photograph()
    assert np.array_equal(by_us(picture, 0), by_us(picture, 1))
    assert np.array_equal(by_us(picture, 120), by_us(picture, 100))
    assert rms(by_us(picture, 100, "4:4:4"), picture) < 1


def test_channels_are_checked():
    with pytest.raises(ValueError, match="jpeg: 2 channels"):
        jpeg(torch.zeros(2, 8, 8), torch.tensor(80))
