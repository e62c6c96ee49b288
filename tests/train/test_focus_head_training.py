"""Training of the autofocus head: what is seen, regions, true index, the loop, export and use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dff.model.focus_head import FocusHeadConfig, FocusNetwork, load_focus_network
from dff.model.focus_head_halves import HalvesConfig
from dff.recipes import load_recipe
from dff.train import checkpoint
from dff.train.distributed import World
from dff.train.export import Arguments, export
from dff.train.focus_head_config import FocusHeadSourceConfig, FocusHeadTrainConfig
from dff.train.focus_head_source import (
    FocusHeadSource,
    consecutive,
    draw,
    random_regions,
    seen_sets,
    sets_of,
    true_index,
)
from dff.train.focus_head_task import FocusHeadTask, backbone, region_logits
from dff.train.loop import RunOptions, half_precision, train
from dff.train.tasks import build_task, load_config

WORLD = World(0, 1, torch.device("cpu"))


@pytest.fixture
def recipe() -> FocusHeadTrainConfig:
    return load_recipe("train", "af_head_debug", FocusHeadTrainConfig)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_windows_stop_at_the_near_end() -> None:
    assert consecutive(6, 3, torch.tensor([0, 3, 5])).tolist() == [[0, 1, 2], [3, 4, 5], [3, 4, 5]]


def test_sets_are_rising_distinct_and_of_the_numbers_asked_for() -> None:
    config = FocusHeadSourceConfig(frames=(1, 3, 9), scattered=(4,), starts=3)
    sets = seen_sets(config, 9, 2, generator())
    assert {name: tuple(chosen.shape) for name, chosen in sets.items()} == {
        "1": (2, 3, 1),
        "3": (2, 3, 3),
        "4 scattered": (2, 3, 4),
        "all": (2, 1, 9),
    }
    for name, chosen in sets.items():
        assert bool((chosen.diff(dim=2) > 0).all()), name
        assert 0 <= int(chosen.min()) <= int(chosen.max()) < 9
    assert all(len(set(row.tolist())) == 3 for row in sets["1"][..., 0])  # all starts differ


def test_regions_overlap_the_picture_and_some_reach_out() -> None:
    config = FocusHeadSourceConfig(regions=200, region_px=(4, 40), outside_share=0.5)
    boxes = random_regions(config, (30, 50), 2, generator())
    assert torch.equal(boxes, boxes.round())
    inside = torch.minimum(boxes[..., 2:], torch.tensor([50, 30])) - boxes[..., :2].clamp_min(0)
    assert bool((inside > 0).all())
    assert bool((boxes[..., :2] < 0).any())


def test_true_index_is_the_median_in_dioptres_where_the_lens_stood() -> None:
    dioptre = torch.tensor([[1.0, 1.0, 3.0], [1.0, 3.0, 3.0]])[None]
    focus, regions = torch.tensor([[0.9, 2.0, 2.9]]), torch.tensor([[[0.0, 0, 2, 2], [1, 0, 9, 9]]])
    everywhere = torch.ones(1, 2, 3, dtype=torch.bool)
    assert true_index(dioptre, everywhere, regions, focus).tolist() == [[0, 2]]
    known = everywhere.clone()
    known[0, :, 2] = False
    assert true_index(dioptre, known, regions[:, 1:], focus).tolist() == [[0]]


def test_the_loop_trains_resumes_and_exports(recipe: FocusHeadTrainConfig, tmp_path: Path) -> None:
    recipe = replace(recipe, steps=4, checkpoint_every=2)
    for run in "ab":
        (tmp_path / run).mkdir()
    first = train(recipe, RunOptions(out=tmp_path / "a", steps=2), WORLD, say=lambda _: None)
    assert first.step == 2
    train(recipe, RunOptions(out=tmp_path / "a", resume=True), WORLD, say=lambda _: None)
    train(recipe, RunOptions(out=tmp_path / "b"), WORLD, say=lambda _: None)
    whole, parts = (load_file(tmp_path / run / checkpoint.NAME) for run in ("b", "a"))
    assert all(torch.allclose(whole[name], parts[name], atol=1e-5) for name in whole)
    before = backbone(recipe).state_dict()
    assert {f"network/depth.{name}" for name in before} <= set(whole)

    out = tmp_path / "head.safetensors"
    export(Arguments(tmp_path / "b" / checkpoint.NAME, out))
    network = load_focus_network(out)
    assert isinstance(network, FocusNetwork)
    assert (tmp_path / "b" / "validation.png").is_file()


def test_the_part_for_halves_is_trained_alone(recipe: FocusHeadTrainConfig, tmp_path: Path) -> None:
    recipe = replace(recipe, steps=2)
    for run in "ab":
        (tmp_path / run).mkdir()
    train(recipe, RunOptions(out=tmp_path / "a"), WORLD, say=lambda _: None)
    head = tmp_path / "head.safetensors"
    export(Arguments(tmp_path / "a" / checkpoint.NAME, head, half=False))

    halves = HalvesConfig(widths=(4, 8, 8), depths=(1, 1, 1), cues=8, channels=8, votes=8, blocks=1)
    beside = replace(recipe, halves=halves, head_weights=str(head), alone=1.0)
    train(beside, RunOptions(out=tmp_path / "b"), WORLD, say=lambda _: None)
    whole = tmp_path / "whole.safetensors"
    export(Arguments(tmp_path / "b" / checkpoint.NAME, whole, half=False))
    before, after = load_file(head), load_file(whole)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert load_focus_network(whole).halves is not None
    assert bool((after["halves.residual.weight"] != 0).any())
    again = FocusHeadTask(replace(beside, head_weights=str(whole))).network()  # to go on
    assert torch.equal(again.state_dict()["halves.read.weight"], after["halves.read.weight"])
    (tmp_path / "c").mkdir()
    kept = replace(beside, head_weights=str(whole), cues_kept=True)
    train(kept, RunOptions(out=tmp_path / "c"), WORLD, say=lambda _: None)
    last = checkpoint.part(load_file(tmp_path / "c" / checkpoint.NAME), "averaged/")
    same = {name for name, tensor in after.items() if torch.equal(last[name], tensor)}
    assert {name for name in after if name.startswith(("head.", "halves.look", "halves.cues"))} <= same
    assert "halves.read.weight" not in same
    with pytest.raises(ValueError, match="need halves"):
        replace(recipe, alone=1.0)
    with pytest.raises(ValueError, match="come together"):
        replace(recipe, halves=halves)
    with pytest.raises(ValueError, match="leave joint out"):
        replace(beside, joint=True)
    with pytest.raises(ValueError, match="of another make-up"):
        FocusHeadTask(replace(beside, head=FocusHeadConfig(channels=8))).network()


def test_agreement_counts_from_the_half_on(recipe: FocusHeadTrainConfig) -> None:
    torch.manual_seed(0)
    task = build_task(recipe)
    assert isinstance(task, FocusHeadTask)
    network = task.network()
    torch.nn.init.normal_(network.head.residual.weight, std=0.5)
    source = task.source(0, 0, None, torch.device("cpu"))
    precision = half_precision(recipe, torch.device("cpu"))
    for step, counts in ((0, False), (recipe.steps - 1, True)):
        batch = source(step)
        while len(batch["places"]) == len(batch["blur_px"]):  # the whole stack is one set: it agrees
            batch = source(step := step + 1) | {"progress": batch["progress"]}
        parts = task.loss(network, batch, precision)
        assert (float(parts["total"].detach()) > float(parts["ordinal"]) + 1e-6) is counts


def test_pictures_and_kept_maps_give_the_same_logits(recipe: FocusHeadTrainConfig) -> None:
    joint = replace(recipe, joint=True)
    torch.manual_seed(0)
    network = FocusHeadTask(recipe).network().eval()
    precision = half_precision(recipe, torch.device("cpu"))
    found = []
    for config in (recipe, joint):
        source = FocusHeadSource(config, 0, network)
        made = source.stacks(5, whole=True)
        assert sets_of(made) == ["1", "2", "3 scattered", "all"]
        batch = draw(config.source, made, "2", generator(1))
        with torch.inference_mode():
            found.append(region_logits(network, batch, precision))
    assert torch.allclose(found[0], found[1], atol=1e-4)


def test_the_recipe_that_ships_is_well_formed_and_bad_ones_are_refused() -> None:
    config = load_config("af_head")
    assert isinstance(config, FocusHeadTrainConfig)
    assert config.backbone == "tiny"
    with pytest.raises(ValueError, match="not a depth network of size nano"):
        backbone(replace(config, size="nano"))
    with pytest.raises(ValueError, match="give one that is 1 or more"):
        FocusHeadSourceConfig(frames=(), scattered=(), whole=False)
    with pytest.raises(ValueError, match="region_px"):
        FocusHeadSourceConfig(region_px=(9, 3))
