"""The ablation: changes of a recipe, equal budgets, and nothing trained twice."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dff.eval import ablation, ablation_alignment
from dff.eval.__main__ import main
from dff.recipes import load_recipe
from dff.train.config import TrainConfig

TINY = """
recipe = "debug"
steps = 2
seeds = [0, 1]
held_out = { seed = 7, batches = 1, misalignment_px = [0.0], slices = [3] }
[[variants]]
name = "as it is"
group = "reference"
[[variants]]
name = "two places"
group = "loss"
change = { loss = { bins = 0.0 }, augment = { slices = [3, 3] } }
"""


def test_protocol_of_the_project_is_read_and_every_variant_fits_the_recipe():
    protocol = load_recipe("eval", ablation.NAME, ablation.Protocol)
    configs = {variant.name: ablation.variant_config(protocol, variant) for variant in protocol.variants}
    assert len({repr(config) for config in configs.values()}) == len(protocol.variants) >= 18
    assert {config.source.batch * config.steps for config in configs.values()} == {
        config.optimiser.decay for config in configs.values()
    }
    assert not configs["without prior"].network.prior
    assert configs["trained on 3"].augment.slices == (3, 3)
    assert configs["trained on 3"].augment.crop == configs["reference"].augment.crop


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {"prio": False}}, "network.prio: unknown key"),
        ({"network": 3}, "network: expected a table"),
        ({"steps": {"a": 1}}, "steps: expected a value"),
        ({"network": {"srd": "none"}}, "choose from srd"),
    ],
)
def test_wrong_changes_name_the_variant(change, message):
    protocol = load_recipe("eval", ablation.NAME, ablation.Protocol)
    with pytest.raises(ValueError, match=f"variant 'odd': .*{message}"):
        ablation.variant_config(protocol, ablation.Variant("odd", "", change))


def test_seeds_are_given_once_each():
    protocol = load_recipe("eval", ablation.NAME, ablation.Protocol)
    for seeds in ((), (1, 1)):
        with pytest.raises(ValueError, match="give at least one, and none twice"):
            replace(protocol, seeds=seeds)


def test_variants_need_names_of_their_own():
    variant = ablation.Variant("a b", "")
    with pytest.raises(ValueError, match="name of its own"):
        ablation.Protocol(
            "debug", 1, ablation.HeldOut(0, 1, (0.0,), (3,)), (variant, replace(variant, name="a-b"))
        )


def test_nothing_is_trained_twice(tmp_path, capsys, monkeypatch):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    # what a kill leaves behind: a folder without scores
    (tmp_path / "ablation" / "seed-0" / "two-places").mkdir(parents=True)
    arguments = ["ablation", "--protocol", str(recipe), "--out", str(tmp_path)]
    assert main(arguments) == 0
    first = (tmp_path / "ablation.md").read_text()
    assert "two places" in first
    monkeypatch.setattr(ablation, "trained_scores", None)  # may not be called again
    assert main(arguments) == 0
    assert (tmp_path / "ablation.md").read_text() == first
    assert capsys.readouterr().err.count(": kept") == 4


ALIGNMENT = """
recipe = "alignment_debug"
steps = 2
held_out_seed = 7
held_out_batches = 1
slices = [3]
[[variants]]
name = "as it is"
group = "reference"
[[variants]]
name = "averaged"
group = "motion from flow"
change = { network = { head = "pool" } }
"""


def test_alignment_is_ablated_alike(tmp_path, capsys, monkeypatch):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(ALIGNMENT)
    arguments = ["ablation-alignment", "--protocol", str(recipe), "--out", str(tmp_path)]
    assert main(arguments) == 0
    rows = json.loads((tmp_path / "ablation-alignment.json").read_text())["tables"][0]["rows"]
    assert [row["variant"] for row in rows] == ["as it is", "averaged", "not aligned"]
    assert all(row["rms, N=3 [px]"] > 0 for row in rows)
    assert rows[0]["median, N=3 [px]"] > 0
    assert rows[-1]["median, N=3 [px]"] is None
    monkeypatch.setattr(ablation_alignment, "_trained_scores", None)  # may not be called again
    assert main(arguments) == 0
    assert capsys.readouterr().err.count(": kept") == 2


def test_every_alignment_variant_of_the_project_fits_its_recipe():
    protocol = load_recipe("eval", ablation_alignment.NAME, ablation_alignment.Protocol)
    configs = {repr(ablation_alignment.variant_config(protocol, one.change)) for one in protocol.variants}
    assert len(configs) == len(protocol.variants) >= 8
    odd = replace(protocol, variants=(ablation.Variant("odd", "", {"network": {"head": "none"}}),))
    with pytest.raises(ValueError, match=r"variant 'odd': .*choose from"):
        ablation_alignment.run(odd, Path("unused"), None)


def test_scores_of_another_recipe_are_not_taken(tmp_path):
    path = tmp_path / ablation.SCORES
    path.write_text('{"key": "a", "scores": {"cpu_s": 1.0}}')
    assert ablation.kept_scores(path, "a") == {"cpu_s": 1.0}
    assert ablation.kept_scores(path, "b") is None
    assert ablation.kept_scores(tmp_path / "none", "a") is None


def test_what_scores_depend_on_is_known():
    protocol = load_recipe("eval", ablation.NAME, ablation.Protocol)
    config = load_recipe("train", "debug", TrainConfig)
    keys = {
        ablation.identity(config, protocol, 0, None),
        ablation.identity(config, protocol, 1, None),
        ablation.identity(replace(config, steps=3), protocol, 0, None),
        ablation.identity(config, replace(protocol, held_out=replace(protocol.held_out, seed=2)), 0, None),
    }
    assert len(keys) == 4
