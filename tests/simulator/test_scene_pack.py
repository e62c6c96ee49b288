"""Packed scenes: what goes in comes out, and windows of them are scenes a camera can take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dff.simulator.layers import Layer, all_in_focus, truth
from dff.simulator.scene_pack import ScenePack, load_scenes

FAR, NEAR = torch.tensor([0.5, 0.0, 1.0]), torch.tensor([2.5, 1.0, 3.0])


def layers(seed: int, count: int = 3, side: int = 40) -> list[Layer]:
    """A sloping background and squares before it."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for k in range(count):
        alpha = torch.ones(side, side)
        if k:
            alpha = torch.zeros(side, side)
            alpha[4 * k : 4 * k + 20, 6 * k : 6 * k + 20] = 1
        slope = torch.linspace(0, 0.3, side)[:, None].expand(side, side)
        found.append(Layer(torch.rand(3, side, side, generator=generator), alpha, 0.4 + k + slope))
    return found


@pytest.fixture
def pack() -> ScenePack:
    return ScenePack.joined([ScenePack.of(f"plain_{k}", layers(k, 2 + k % 2)) for k in range(6)])


def test_a_file_gives_back_what_was_packed(pack: ScenePack, tmp_path: Path) -> None:
    found = load_scenes(pack.save(tmp_path / "scenes.safetensors"))
    assert found.names == pack.names
    for name in ("colour", "alpha", "depth"):
        assert torch.equal(getattr(found, name), getattr(pack, name))


def test_depth_runs_from_0_to_1_and_missing_layers_are_transparent(pack: ScenePack) -> None:
    for depth, alpha in zip(pack.depth, pack.alpha, strict=True):
        assert float(depth[alpha > 0].min()) == 0
        assert float(depth[alpha > 0].max()) == 1
    assert not pack.alpha[0, 2].any()
    assert (pack.alpha[:, 0] == 255).all()


def test_whole_windows_are_the_scene_but_for_light_and_mirroring() -> None:
    scene = layers(0)
    pack = ScenePack.of("plain_0", scene)
    made = pack.scenes(torch.Generator().manual_seed(0), 40, 40, FAR, NEAR)
    depth, picture = truth(scene)[0], all_in_focus(scene)
    share = (depth - depth.min()) / (depth.max() - depth.min())
    for b, found in enumerate(truth(made)[0]):
        wanted = FAR[b] + share * (NEAR[b] - FAR[b])
        mirrored = float((found - wanted).abs().max()) > 0.01
        torch.testing.assert_close(found.flip(-1) if mirrored else found, wanted, atol=2e-3, rtol=0)
        light = all_in_focus(made)[b]
        ratio = (light.flip(-1) if mirrored else light) / picture.clamp_min(0.01)
        bright = ratio[:, (picture > 0.1).all(0)]
        assert float((bright / bright.median(dim=1, keepdim=True).values - 1).abs().max()) < 0.01


def test_windows_differ_and_the_same_seed_gives_the_same(pack: ScenePack) -> None:
    one, other, third = (
        pack.scenes(torch.Generator().manual_seed(seed), 24, 32, FAR, NEAR) for seed in (1, 1, 2)
    )
    assert one[0].colour.shape == (3, 3, 24, 32)
    assert all(torch.equal(a.colour, b.colour) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[0].colour, third[0].colour)
    assert (one[0].alpha == 1).all()


def test_every_fifth_scene_is_held_out(pack: ScenePack) -> None:
    training, held_out = pack.split()
    assert held_out.names == ("plain_4",)
    assert training.names == tuple(f"plain_{k}" for k in (0, 1, 2, 3, 5))
    assert torch.equal(held_out.colour[0], pack.colour[4])


def test_what_cannot_be_read_or_cut_is_told(pack: ScenePack, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="render_scenes"):
        load_scenes(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no rendered scenes"):
        load_scenes(tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"123")
    with pytest.raises(ValueError, match="cannot be read"):
        load_scenes(tmp_path / "broken.safetensors")
    with pytest.raises(ValueError, match="do not fit"):
        pack.scenes(torch.Generator(), 41, 40, FAR, NEAR)
    with pytest.raises(ValueError, match="one size"):
        ScenePack.joined([pack, ScenePack.of("small", layers(0, side=30))])
