import importlib.util
import pickle

import cv2
import numpy as np
import pytest
import torch

from dff.simulator.layers import all_in_focus, truth
from dff.simulator.photos import PhotoPack
from dff.simulator.sources import BlenderScenes, ProceduralScenes, RgbdScenes, digest

FAR, NEAR = 0.5, 4.0


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(seed: int = 0) -> PhotoPack:
    tiles = np.random.default_rng(seed).integers(0, 256, (2, 3, 40, 40), dtype=np.uint8)
    return PhotoPack(torch.from_numpy(tiles), ("a", "b"))


@pytest.fixture
def pairs(tmp_path):
    """Two pictures whose left half is at 1 m and whose right half is at 2 m, with a hole."""
    (tmp_path / "image").mkdir()
    (tmp_path / "depth").mkdir()
    for k in range(2):
        grain = np.random.default_rng(k).integers(60, 200, (48, 64, 3), dtype=np.uint8)
        depth = np.full((48, 64), 1000, dtype=np.uint16)
        depth[:, 32:] = 2000
        depth[20:28, 10:20] = 0
        cv2.imwrite(str(tmp_path / f"image/{k}.png"), grain)
        cv2.imwrite(str(tmp_path / f"depth/{k}.png"), depth)
    return tmp_path


def assert_same(one, other):
    (layers, valid), (others, valid_too) = one, other
    assert len(layers) == len(others)
    for a, b in zip(layers, others, strict=True):
        for name in ("colour", "alpha", "dioptre"):
            assert torch.equal(getattr(a, name), getattr(b, name))
    assert (valid is None and valid_too is None) or torch.equal(valid, valid_too)


@pytest.mark.parametrize("kind", ["procedural", "photos", "rgbd"])
def test_scenes_keep_to_size_limits_and_seed(kind, pairs):
    source = {
        "procedural": ProceduralScenes(),
        "photos": ProceduralScenes(photos=photos()),
        "rgbd": RgbdScenes(pairs, "mm"),
    }[kind]
    source.check()
    scene = source.layers(generator(), 32, 40, FAR, NEAR)
    layers, valid = scene
    assert all(layer.alpha.shape == (1, 32, 40) and layer.colour.shape == (1, 3, 32, 40) for layer in layers)
    dioptre, _ = truth(layers)
    assert dioptre.min() >= FAR - 1e-4
    assert dioptre.max() <= NEAR + 1e-4
    assert (valid is None) == (kind != "rgbd")
    assert_same(scene, source.layers(generator(), 32, 40, FAR, NEAR))
    assert_same(scene, pickle.loads(pickle.dumps(source)).layers(generator(), 32, 40, FAR, NEAR))
    others = [source.layers(generator(seed), 32, 40, FAR, NEAR)[0] for seed in range(1, 4)]
    assert not any(torch.equal(all_in_focus(other), all_in_focus(layers)) for other in others)


def test_rgbd_fills_the_sweep_and_marks_holes(pairs):
    source = RgbdScenes(pairs, "mm")
    scenes = [source.layers(generator(seed), 32, 40, FAR, NEAR) for seed in range(6)]
    for layers, valid in scenes:
        assert valid.shape == (1, 32, 40)
        dioptre = truth(layers)[0][valid]
        off = torch.minimum((dioptre - FAR).abs(), (dioptre - NEAR).abs())
        assert off.max() <= 0.021 * (NEAR - FAR)
        assert (off < 1e-5).float().mean() > 0.98
        assert {round(float(end), 3) for end in (dioptre.min(), dioptre.max())} == {FAR, NEAR}
        assert all_in_focus(layers).min() > 0.001  # holes have colour, too
    assert any(not bool(valid.all()) for _, valid in scenes)
    sides = {bool(truth(layers)[0][0, 0, 0] == NEAR) for layers, _ in scenes}
    assert sides == {False, True}  # mirrored or not


def test_rgbd_of_little_depth(pairs):
    for k in range(2):
        depth = np.zeros((48, 64), dtype=np.uint16)
        depth[24, 32] = 700
        cv2.imwrite(str(pairs / f"depth/{k}.png"), depth)
    layers, valid = RgbdScenes(pairs, "mm").layers(generator(), 48, 64, FAR, NEAR)
    assert int(valid.sum()) <= 1
    assert torch.isfinite(truth(layers)[0]).all()


def test_bad_pairs_are_found_before_any_work(pairs):
    with pytest.raises(ValueError, match="its depth is not known"):
        RgbdScenes(pairs).check()
    np.save(pairs / "depth/1.npy", np.full((48, 64), -1.0))
    (pairs / "depth/1.png").unlink()
    with pytest.raises(ValueError, match=r"1\.npy: holds negative depth"):
        RgbdScenes(pairs, "m").check()


def test_a_description_tells_contents_not_places(pairs, tmp_path):
    told = RgbdScenes(pairs, "mm").describe()
    assert (told["kind"], told["depth_unit"], told["files"]) == ("rgbd", "mm", 4)
    moved = pairs.rename(pairs.with_name(pairs.name + "_moved"))
    assert RgbdScenes(moved, "mm").describe() == told
    (moved / "image/1.png").write_bytes(b"")
    assert RgbdScenes(moved, "mm").describe() != told
    assert str(tmp_path) not in str(told)


def test_photographs_are_told_by_their_pixels():
    told = [
        ProceduralScenes(photos=pack).describe()["photos"] for pack in (photos(), photos(), photos(1), None)
    ]
    assert told[0] == told[1]
    assert told[0]["tiles"] == 2
    assert told[2] != told[0]
    assert told[3] is None


def test_digest(tmp_path):
    (tmp_path / "a").write_text("12")
    (tmp_path / "b").write_text("1")
    one = digest([tmp_path / "a", tmp_path / "b"], tmp_path)
    assert one["files"] == 2
    (tmp_path / "b").write_text("123")
    assert digest([tmp_path / "a", tmp_path / "b"], tmp_path) != one


@pytest.mark.skipif(importlib.util.find_spec("bpy") is not None, reason="bpy is installed")
def test_blender_says_what_it_needs(tmp_path):
    with pytest.raises(ValueError, match="is unknown; choose from"):
        BlenderScenes(kind="kitchen").check()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        BlenderScenes(hdri=tmp_path / "nowhere").check()
    with pytest.raises(ValueError, match=r"Python 3\.11"):
        BlenderScenes().check()


@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="bpy is not installed")
def test_blender_scenes():
    source = BlenderScenes(kind="prims", samples=2)
    scene = source.layers(generator(), 32, 40, 0.0, NEAR)
    assert scene[0][0].alpha.shape == (1, 32, 40)
    assert truth(scene[0])[0].max() <= NEAR * 1.001
    assert_same(scene, source.layers(generator(), 32, 40, 0.0, NEAR))
