"""Training batches of rendered scenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dff.recipes import load_recipe
from dff.simulator.layers import Layer
from dff.simulator.scene_pack import ScenePack
from dff.train.__main__ import main
from dff.train.config import TrainConfig
from dff.train.depth_task import DepthTask, with_scenes
from dff.train.render_scenes import main as render
from dff.train.source import SimulatedSource, validation_batches


def fabricated(side: int = 96) -> ScenePack:
    """Red walls with a near square: easily told from procedural scenes."""
    scenes = []
    for k in range(6):
        alpha = torch.zeros(side, side)
        alpha[side // 4 : side // 2, side // 4 : side // 2] = 1
        red = torch.zeros(3, side, side)
        red[0] = 0.3
        wall = Layer(red, torch.ones(side, side), torch.full((side, side), 0.5))
        scenes.append(ScenePack.of(f"plain_{k}", [wall, Layer(red, alpha, torch.full((side, side), 3.0))]))
    return ScenePack.joined(scenes)


def sharing(config: TrainConfig, share: float) -> TrainConfig:
    return replace(config, source=replace(config.source, rendered_share=share, reuse=1))


def redness(images: torch.Tensor) -> float:
    return float(images[:, :, 0].mean() - images[:, :, 1:].mean())


def test_a_share_of_the_batches_shows_rendered_scenes(config: TrainConfig) -> None:
    source = SimulatedSource(sharing(config, 0.5), seed=0, scenes=fabricated())
    plain = SimulatedSource(sharing(config, 0.0), seed=0)
    rendered = []
    for seed in range(12):
        made = source.make(seed)
        rendered.append(redness(made["images"]) > 0.35)
        assert set(made["target_u"].shape) == {config.source.batch, 48}
        if not rendered[-1]:
            assert torch.equal(made["images"], plain.make(seed)["images"])
    assert 2 <= sum(rendered) <= 10


def test_rendered_batches_are_functions_of_the_step_with_depth_in_the_sweep(config: TrainConfig) -> None:
    config = sharing(config, 1.0)
    one, other = (SimulatedSource(config, seed=3, scenes=fabricated()) for _ in range(2))
    one(0)
    assert torch.equal(one(1)["images"], other(1)["images"])
    made = one.make(0)
    assert bool(made["valid"].all())
    for target in made["target_u"]:  # the wall at the far end of the sweep, the square at the near one
        assert float(target.min()) < 0.1
        assert float(target.max()) > 0.9


def test_validation_stays_procedural(config: TrainConfig) -> None:
    rendered, plain = (validation_batches(sharing(config, share), 0)[0] for share in (1.0, 0.0))
    assert torch.equal(rendered["images"], plain["images"])


def test_the_task_trains_on_all_but_every_fifth_scene(config: TrainConfig, tmp_path: Path) -> None:
    path = fabricated().save(tmp_path / "scenes.safetensors")
    task = DepthTask(with_scenes(sharing(config, 1.0), path))
    assert task.scenes is not None
    assert len(task.scenes) == 5
    assert redness(task.source(0, 0, None, torch.device("cpu"))(0)["images"]) != 0


def test_a_share_without_a_file_is_told_and_the_reverse(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["--dataset", "synthetic_rendered", "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()
    with pytest.raises(ValueError, match="give --scenes"):
        SimulatedSource(sharing(config, 0.1), seed=0)
    with pytest.raises(ValueError, match="takes none"):
        with_scenes(config, tmp_path / "scenes.safetensors")
    with pytest.raises(FileNotFoundError, match="no such file"):
        with_scenes(sharing(config, 0.1), tmp_path / "scenes.safetensors")
    with pytest.raises(ValueError, match="rendered_share"):
        sharing(config, 1.5)


def test_the_recipe_goes_on_from_synthetic() -> None:
    recipe, base = (load_recipe("train", name, TrainConfig) for name in ("synthetic_rendered", "synthetic"))
    assert replace(recipe, source=replace(recipe.source, rendered_share=0.0)) == base
    assert recipe.source.rendered_share == 0.3


def test_rendering_tells_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render([str(tmp_path / "scenes.png")]) == 2
    assert "suffix" in capsys.readouterr().err
    assert render([str(tmp_path / "scenes.safetensors"), "--kinds", "sea"]) == 2
    assert "sea" in capsys.readouterr().err
    assert render([str(tmp_path / "scenes.safetensors"), "--textures", str(tmp_path)]) == 2
    assert "--photos" in capsys.readouterr().err
