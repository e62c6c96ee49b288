import pytest
import torch

from dff.recipes import load_recipe
from dff.simulator.layers import all_in_focus, visibility
from dff.simulator.photos import PhotoPack
from dff.simulator.procedural import random_scenes
from dff.simulator.scene_config import SceneConfig
from dff.simulator.shapes import SHAPES
from dff.simulator.surfaces import BACKGROUNDS
from dff.simulator.textures import TEXTURES

FAR, NEAR = 0.3, 3.0
PLAIN = SceneConfig(
    backgrounds=("slanted",),
    curved_share=0,
    standing_share=0,
    cluster_share=0,
    faded_share=0,
    flat_share=0,
    plain_share=0,
    shaded_share=0,
    dark_share=0,
    glossy_share=0,
    lights_share=0,
    shadow_share=0,
)


def changed(**options):
    return SceneConfig(**{**PLAIN.__dict__, **options})


def scenes(seed=0, config=None, batch=3, size=(72, 88), photos=None, far=FAR, near=NEAR):
    generator = torch.Generator().manual_seed(seed)
    return random_scenes(config or SceneConfig(), batch, *size, far, near, generator, photos)


def pack(level):
    tiles = torch.randint(0, 60, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte()
    tiles[:, 0] += level
    return PhotoPack(tiles, ("one", "two"))


@pytest.mark.parametrize("seed", range(6))
def test_scenes_are_sound(seed):
    layers = scenes(seed, photos=pack(90) if seed % 2 else None)
    assert 6 <= len(layers) <= 14
    assert bool((layers[0].alpha == 1).all())
    for layer in layers:
        assert layer.colour.shape == (3, 3, 72, 88)
        assert layer.alpha.shape == layer.dioptre.shape == (3, 72, 88)
        assert bool(layer.colour.isfinite().all())
        assert float(layer.colour.min()) >= 0
        assert 0 <= float(layer.alpha.min()) <= float(layer.alpha.max()) <= 1
        assert FAR <= float(layer.dioptre.min()) <= float(layer.dioptre.max()) <= NEAR


def test_every_scene_of_a_batch_has_its_own_depth_range():
    far, near = torch.tensor([0.1, 1.0, 2.0]), torch.tensor([0.5, 5.0, 2.0])
    for layer in scenes(far=far, near=near):
        assert bool((layer.dioptre.amin((1, 2)) >= far - 1e-6).all())
        assert bool((layer.dioptre.amax((1, 2)) <= near + 1e-6).all())


@pytest.mark.parametrize("seed", range(4))
def test_layers_do_not_cross(seed):
    layers = scenes(seed, SceneConfig(background_slant=(0.9, 0.9), object_slant=(0.5, 0.5)))
    for j, front in enumerate(layers):
        for back in layers[:j]:
            both = (front.alpha > 0.95) & (back.alpha > 0.95)
            assert bool((front.dioptre >= back.dioptre - 0.05)[both].all())


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_surfaces_are_smooth(kind):
    # over one pixel, a surface moves by what its slope says, without steps
    for layer in scenes(1, SceneConfig(backgrounds=(kind,))):
        down, across = torch.gradient(layer.dioptre, dim=(1, 2))
        assert float(torch.hypot(down, across).max()) < 0.12 * (NEAR - FAR)


def test_a_corner_is_a_floor_before_a_wall():
    config = changed(backgrounds=("corner",), objects=(0, 0), background_slant=(0, 0))
    wall, floor = scenes(2, config)
    shown = floor.alpha > 0.5
    assert bool(shown[:, -1].all())
    assert not bool(shown[:, 0].any())
    # they meet where both are equally far
    line = (shown[:, 1:] != shown[:, :-1]).nonzero(as_tuple=True)
    gap = (floor.dioptre - wall.dioptre)[line[0], line[1], line[2]]
    assert float(gap.abs().max()) < 0.1
    assert bool((floor.dioptre[:, -1] > wall.dioptre[:, -1] + 0.2).all())


def test_a_ground_comes_nearer_downwards():
    (ground,) = scenes(3, changed(backgrounds=("ground",), objects=(0, 0)))
    rise = ground.dioptre[:, -1].mean(1) - ground.dioptre[:, 0].mean(1)
    assert bool((rise > 0.2 * (NEAR - FAR)).all())


def test_standing_things_touch_the_ground_and_clustered_ones_are_close():
    def nearest_below(config, seed):
        """Dioptre step from an object to the ground under its lowest pixels."""
        ground, thing = scenes(seed, config, batch=8)
        steps = []
        for b in range(8):
            rows = (thing.alpha[b] > 0.9).any(1).nonzero()
            if len(rows) and int(rows[-1]) < 70:
                row = int(rows[-1])
                columns = thing.alpha[b, row] > 0.9
                steps.append((thing.dioptre[b, row] - ground.dioptre[b, row])[columns].mean().abs())
        return torch.stack(steps).median()

    options = {"backgrounds": ("ground",), "objects": (1, 1), "shapes": ("box",), "object_slant": (0, 0)}
    stands = nearest_below(changed(**options, standing_share=1), 5)
    floats = nearest_below(changed(**options), 5)
    assert float(stands) < 0.12 < float(floats)

    def spread(share):
        config = changed(objects=(6, 6), shapes=("ellipse",), object_slant=(0, 0), cluster_share=share)
        layers = scenes(4, config, batch=6)[1:]
        levels = torch.stack([layer.dioptre.median() for layer in layers])
        return levels.diff().median()

    assert float(spread(1.0)) < float(spread(0.0))


def test_the_seed_is_the_scene():
    first, again, other = scenes(4), scenes(4), scenes(5)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.colour, b.colour)
        assert torch.equal(a.alpha, b.alpha)
        assert torch.equal(a.dioptre, b.dioptre)
    assert not torch.equal(first[0].colour, other[0].colour)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_appears_with_a_soft_edge_and_unbroken_by_its_tile(shape):
    config = changed(objects=(1, 1), shapes=(shape,), object_size=(0.3, 0.6), background_slant=(0, 0))
    alpha = scenes(1, config, batch=8)[-1].alpha
    assert 0.002 < float(alpha.mean((1, 2)).median()) < 0.6
    assert bool(((alpha > 0.2) & (alpha < 0.8)).any())
    slope = torch.hypot(*torch.gradient(alpha, dim=(1, 2)))
    assert float(slope.max()) < 1


@pytest.mark.parametrize("kind", TEXTURES)
def test_every_texture_appears(kind):
    colour = scenes(0, changed(objects=(0, 0), textures=(kind,)), photos=pack(90))[0].colour
    detail = (colour - torch.nn.functional.avg_pool2d(colour, 9, 1, 4, count_include_pad=False)).std((2, 3))
    contrast = (detail / colour.mean((2, 3))).amax(1)
    assert float(contrast.max()) < 0.03 if kind == "flat" else float(contrast.median()) > 0.02


def test_photographs_are_used_and_without_them_others_stand_in():
    config = changed(objects=(0, 0), textures=("photo",))
    colour = scenes(0, config, photos=pack(190))[0].colour
    assert bool((colour[:, 0].mean((1, 2)) > 2 * colour[:, 1].mean((1, 2))).all())
    assert float(scenes(0, config)[0].colour.std((2, 3)).min()) > 0.003


@pytest.fixture
def unmetered(monkeypatch):
    """Light as drawn, to be compared between scenes."""
    monkeypatch.setattr("dff.simulator.procedural._metered", lambda layers, *_: layers)


def test_the_light_suits_the_camera():
    config = changed(exposure=(0.5, 0.6), lights_share=0.0, dark_share=0.5)
    picture = all_in_focus(scenes(0, config, batch=6)).mean(1)
    bright = picture.flatten(1).quantile(0.95, dim=1)
    assert 0.4 < float(bright.min()) <= float(bright.max()) < 0.7


def test_shares_do_what_they_say(unmetered):
    def colours(**options):
        return scenes(3, changed(objects=(0, 0), textures=("flat",), **options), batch=6)[0].colour

    base = colours()
    assert float(colours(dark_share=1).mean()) < 0.3 * float(base.mean())
    lit = colours(lights_share=1)
    assert float(lit.max()) > 2
    assert float(lit.median()) < 1
    plain = scenes(3, changed(plain_share=1, textures=("checks",), objects=(4, 4), shapes=("ellipse",)))
    flat = scenes(3, changed(flat_share=1, textures=("checks",), objects=(4, 4), shapes=("ellipse",)))

    def unevenness(layers):
        seen = [layer.colour[:, 1][layer.alpha > 0.99] for layer in layers[1:]]
        return torch.stack([one.std() / one.mean() for one in seen if len(one) > 50]).mean()

    assert float(unevenness(plain)) > 0.05
    assert float(plain[0].colour.std((2, 3)).max()) < float(flat[0].colour.std((2, 3)).max())


def test_objects_cast_shadows_on_what_is_behind(unmetered):
    def share_darkened(seed):
        options = {"objects": (2, 2), "textures": ("flat",), "shapes": ("ellipse",), "backgrounds": ("wall",)}
        sunny, shady = (scenes(seed, changed(**options, shadow_share=share)) for share in (0.0, 1.0))
        ratio = shady[0].colour / sunny[0].colour
        assert float(ratio.max()) <= 1 + 1e-4
        assert float(ratio.min()) > 0.1
        assert torch.allclose(shady[-1].colour, sunny[-1].colour)  # nothing is before the nearest
        return (ratio[:, 0] < 0.9).float().mean()

    assert max(float(share_darkened(seed)) for seed in range(3)) > 0.02


def test_most_of_a_default_scene_is_neither_empty_nor_full():
    layers = scenes(0, batch=8)
    objects = visibility(layers)[2:].sum(0).mean((1, 2))
    assert 0.15 < float(objects.mean()) < 0.7


def test_recipes_can_hold_every_key(tmp_path):
    recipe = tmp_path / "mine.toml"
    lines = [f"{name} = {list(v) if isinstance(v, tuple) else v}" for name, v in PLAIN.__dict__.items()]
    recipe.write_text("\n".join(lines))
    assert load_recipe("simulator/scenes", recipe, SceneConfig) == PLAIN


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shapes": ("cube",)}, "shapes cube; choose from"),
        ({"textures": ()}, "textures is empty"),
        ({"backgrounds": ("sky",)}, "backgrounds sky; choose from"),
        ({"objects": (5, 2)}, "low <= high"),
        ({"fade": (0.0, 0.4)}, "above 0"),
        ({"faded_share": 1.5}, r"\[0,1\]"),
        ({"shadow_share": -0.1}, r"shadow_share must lie in \[0,1\]"),
    ],
)
def test_bad_configurations_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        SceneConfig(**change)


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="far must be at most near"):
        scenes(far=2.0, near=1.0)
    with pytest.raises(ValueError, match="at least 1 of 16x16"):
        scenes(batch=0)
    with pytest.raises(ValueError, match="at least 1 of 16x16"):
        scenes(size=(8, 64))
    elsewhere = PhotoPack(torch.zeros(1, 3, 8, 8, dtype=torch.uint8, device="meta"), ("none",))
    with pytest.raises(ValueError, match="photographs on meta"):
        scenes(photos=elsewhere)
