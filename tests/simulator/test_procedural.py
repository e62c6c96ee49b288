import numpy as np
import pytest
import torch

from dff.simulator.procedural import SHAPES, SceneConfig, random_scene
from dff.simulator.textures import TEXTURES, Draw, faded, power_noise, texture


def scene(seed=0, config=None, photos=()):
    generator = torch.Generator().manual_seed(seed)
    return random_scene(config or SceneConfig(), 80, 96, 0.3, 3.0, generator, photos)


def photo(level):
    picture = np.random.default_rng(0).integers(0, 60, (70, 50, 3)).astype(np.uint8)
    picture[..., 0] += level
    return picture


@pytest.mark.parametrize("seed", range(8))
def test_scenes_are_sound(seed):
    layers = scene(seed)
    assert 4 <= len(layers) <= 8
    assert bool((layers[0].alpha == 1).all())
    for layer in layers:
        assert layer.colour.shape == (3, 80, 96)
        assert layer.alpha.shape == layer.dioptre.shape == (80, 96)
        assert bool((layer.colour >= 0).all())
        assert bool((layer.colour <= 1).all())
        assert bool((layer.alpha >= 0).all())
        assert bool((layer.alpha <= 1).all())
        assert bool((layer.dioptre >= 0.3).all())
        assert bool((layer.dioptre <= 3.0).all())


@pytest.mark.parametrize("seed", range(8))
def test_layers_do_not_cross(seed):
    layers = scene(seed, SceneConfig(background_slant=(0.9, 0.9), object_slant=(0.5, 0.5)))
    for j, front in enumerate(layers):
        for back in layers[:j]:
            both = (front.alpha > 0.95) & (back.alpha > 0.95)
            assert bool((front.dioptre >= back.dioptre - 0.05)[both].all())


def test_the_seed_is_the_scene():
    first, again, other = scene(4), scene(4), scene(5)
    assert all(torch.equal(a.colour, b.colour) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].colour, other[0].colour)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_every_shape_covers_something_with_a_soft_edge(shape):
    config = SceneConfig(objects=(1, 1), shapes=(shape,), object_size=(0.6, 0.6), background_slant=(0, 0))
    layers = [scene(seed, config)[1] for seed in range(6)]
    shares = [float(layer.alpha.mean()) for layer in layers]
    assert 0.001 < np.median(shares) < 0.6
    assert any(bool(((layer.alpha > 0.2) & (layer.alpha < 0.8)).any()) for layer in layers)
    slope = max(float(torch.hypot(*torch.gradient(layer.alpha)).max()) for layer in layers)
    assert slope < 1


@pytest.mark.parametrize("kind", TEXTURES)
def test_every_texture_has_contrast_except_flat(kind):
    draw = Draw(torch.Generator().manual_seed(1))
    pictures = [texture(draw, kind, 64, 72, [photo(100)]) for _ in range(4)]
    for picture in pictures:
        assert picture.shape == (3, 64, 72)
        assert float(picture.min()) > 0
        assert float(picture.max()) < 1
        contrast = float(picture.std(dim=(-2, -1)).max())
        assert contrast < 1e-6 if kind == "flat" else contrast > 0.02


def test_photographs_are_cut_and_enlarged_to_fit():
    config = SceneConfig(objects=(0, 0), textures=("photo",), faded_share=0)
    colour = scene(0, config, [photo(190)])[0].colour
    assert float(colour[0].mean()) > 0.4  # the red of the picture, in linear light
    assert float(colour[1].mean()) < 0.1


def test_without_photographs_others_stand_in():
    config = SceneConfig(textures=("photo",), flat_share=0, faded_share=0)
    assert float(scene(0, config)[0].colour.std()) > 0.01


def test_fading_keeps_the_mean():
    picture = texture(Draw(torch.Generator().manual_seed(0)), "noise", 64, 64)
    pale = faded(picture, 0.1)
    assert torch.allclose(pale.mean((1, 2)), picture.mean((1, 2)), atol=1e-5)
    assert torch.allclose(pale.std((1, 2)), 0.1 * picture.std((1, 2)), rtol=1e-3)


def test_power_noise_follows_its_exponent():
    field = power_noise(Draw(torch.Generator().manual_seed(0)), 1, 256, 256, 1.0)[0]
    assert float(field.std()) == pytest.approx(1, abs=1e-4)
    power = torch.fft.fft2(field).abs().square()
    frequency = torch.hypot(*torch.meshgrid(*[torch.fft.fftfreq(256)] * 2, indexing="ij"))

    def band(low, high):
        return float(power[(frequency > low) & (frequency < high)].mean())

    assert band(0.02, 0.03) / band(0.08, 0.12) == pytest.approx(16, rel=0.4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shapes": ("cube",)}, "shapes cube; choose from"),
        ({"textures": ()}, "textures is empty"),
        ({"objects": (5, 2)}, "low <= high"),
        ({"fade": (0.0, 0.4)}, "above 0"),
        ({"faded_share": 1.5}, r"\[0,1\]"),
    ],
)
def test_bad_scenes_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        SceneConfig(**change)


def test_bad_photographs_and_textures_are_refused():
    draw = Draw(torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="uint8"):
        texture(draw, "photo", 20, 20, [np.zeros((9, 9, 3), dtype=np.float32)])
    with pytest.raises(ValueError, match="choose from"):
        texture(draw, "marble", 20, 20)
