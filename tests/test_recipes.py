"""Recipes: where they are found, what they fill, and what is refused in which words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from dff import recipes
from dff.recipes import find_recipe, load_recipe, recipe_names


@dataclass(frozen=True)
class Optim:
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["cosine", "flat"] = "cosine"


@dataclass(frozen=True)
class Crop:
    size_px: int

    def __post_init__(self) -> None:
        if self.size_px <= 0:
            raise ValueError(f"Crop: size_px must be positive, got {self.size_px}")


@dataclass(frozen=True)
class Train:
    dataset: str
    steps: int = 100
    optim: Optim = Optim()
    crop: Crop | None = None
    weights: tuple[float, ...] = ()
    names: list[str] = field(default_factory=list)
    scale: dict[str, float] = field(default_factory=dict)
    crops: tuple[Crop, ...] = ()
    out: Path | None = None
    seed: int | Literal["time"] = 0
    amp: bool = False
    extra: Any = None


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of one's own: dff/ with a pyproject.toml and train/ beside it."""
    (tmp_path / "dff" / "_recipes" / "train").mkdir(parents=True)
    (tmp_path / "train").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(recipes, "_PACKAGE", tmp_path / "dff")
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_checkout_comes_before_the_wheel(house: Path) -> None:
    mine = write(house / "train" / "ddff12.toml", "")
    write(house / "dff" / "_recipes" / "train" / "ddff12.toml", "")
    packed = write(house / "dff" / "_recipes" / "train" / "nyu.toml", "")
    assert recipe_names("train") == ("ddff12", "nyu")
    assert find_recipe("train", "ddff12") == mine
    assert find_recipe("train", "ddff12.toml") == mine
    assert find_recipe("train", "nyu") == packed


def test_a_folder_beside_an_installed_package_is_not_ours(house: Path) -> None:
    (house / "pyproject.toml").unlink()
    write(house / "train" / "someone_else.toml", "")
    assert recipe_names("train") == ()


def test_a_path_is_taken_as_it_is(house: Path) -> None:
    own = write(house / "own.toml", "steps = 3")
    assert find_recipe("train", own) == own
    assert load_recipe("train", str(own)) == {"steps": 3}


def test_a_miss_lists_what_is_known(house: Path) -> None:
    with pytest.raises(ValueError, match=r"train: no recipe 'ddf12'; known: none yet; or give the path"):
        find_recipe("train", "ddf12")
    write(house / "train" / "ddff12.toml", "")
    write(house / "train" / "nyu.toml", "")
    with pytest.raises(ValueError, match=r"did you mean 'ddff12'\? known: ddff12, nyu; or give"):
        find_recipe("train", "ddf12")
    with pytest.raises(ValueError, match="no kind 'trian'; choose from train, eval, simulator/cameras"):
        recipe_names("trian")


@pytest.mark.parametrize("kind", recipes.KINDS)
def test_every_recipe_of_the_house_is_valid_toml(kind: str) -> None:
    for name in recipe_names(kind):
        assert isinstance(load_recipe(kind, name), dict)


def test_fills_nested_frozen_dataclasses(house: Path) -> None:
    write(
        house / "train" / "full.toml",
        """
        dataset = "synthetic"
        weights = [1, 0.5]
        names = ["a", "b"]
        out = "runs/one"
        seed = "time"
        amp = true
        extra = [1, "x"]
        scale = {depth = 2}
        crops = [{size_px = 32}, {size_px = 64}]
        [optim]
        lr = 1
        betas = [0.5, 0.9]
        schedule = "flat"
        [crop]
        size_px = 224
        """,
    )
    recipe = load_recipe("train", "full", Train)
    assert recipe == Train(
        dataset="synthetic",
        optim=Optim(1.0, (0.5, 0.9), "flat"),
        crop=Crop(224),
        weights=(1.0, 0.5),
        names=["a", "b"],
        scale={"depth": 2.0},
        crops=(Crop(32), Crop(64)),
        out=Path("runs/one"),
        seed="time",
        amp=True,
        extra=[1, "x"],
    )
    assert isinstance(recipe.optim.lr, float)


def test_a_recipe_is_its_base_plus_the_difference(house: Path) -> None:
    write(house / "train" / "a.toml", 'dataset = "x"\nsteps = 5\n[optim]\nlr = 0.1\nschedule = "flat"\n')
    write(house / "train" / "b.toml", 'base = "a"\nsteps = 7\n')
    write(house / "train" / "c.toml", 'base = "b"\n[optim]\nlr = 0.2\n')
    recipe = load_recipe("train", "c", Train)
    assert recipe == Train(dataset="x", steps=7, optim=Optim(lr=0.2, schedule="flat"))
    elsewhere = house / "elsewhere"
    elsewhere.mkdir()
    same_name = write(elsewhere / "a.toml", 'base = "a"\nsteps = 1\n')
    beside = write(elsewhere / "d.toml", 'base = "a"\n')
    assert load_recipe("train", same_name, Train).optim.lr == 0.1
    assert load_recipe("train", beside, Train).steps == 1


def test_bases_that_do_not_work_are_refused(house: Path) -> None:
    write(house / "train" / "a.toml", 'base = "b"')
    write(house / "train" / "b.toml", 'base = "a"')
    write(house / "train" / "lost.toml", 'base = "nowhere"')
    write(house / "train" / "odd.toml", "base = 3")
    with pytest.raises(ValueError, match=r"its own base \(a.toml -> b.toml -> a.toml\)"):
        load_recipe("train", "a")
    with pytest.raises(ValueError, match=r"lost.toml: base: train: no recipe 'nowhere'"):
        load_recipe("train", "lost")
    with pytest.raises(ValueError, match="'base' must be the name"):
        load_recipe("train", "odd")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('dataset = "x"\nstep = 3', "step: unknown key; did you mean 'steps'? known: dataset, steps, optim"),
        ('dataset = "x"\n[optim]\nlrr = 3', "optim.lrr: unknown key; did you mean 'lr'? known: lr, betas"),
        ('dataset = "x"\nqqq = 3', "qqq: unknown key; known: dataset"),
        ("dataset = 3", "dataset: expected str, got 3"),
        ('dataset = "x"\nsteps = 1.5', "steps: expected int, got 1.5"),
        ('dataset = "x"\nsteps = true', "steps: expected int, got True"),
        ('dataset = "x"\namp = 1', "amp: expected bool, got 1"),
        ('dataset = "x"\n[optim]\nlr = "fast"', "optim.lr: expected float, got 'fast'"),
        ('dataset = "x"\n[optim]\nlr = true', "optim.lr: expected float, got True"),
        ('dataset = "x"\noptim = 3', "optim: expected a table, got 3"),
        ('dataset = "x"\ncrop = 3', "crop: expected Crop, got 3"),
        ('dataset = "x"\nscale = 3', "scale: expected a table, got 3"),
        ('dataset = "x"\nscale = {a = "b"}', "scale: expected float, got {'a': 'b'}"),
        ('dataset = "x"\nweights = 3', "weights: expected tuple[float, ...], got 3"),
        ('dataset = "x"\nseed = "now"', "seed: expected int or Literal['time'], got 'now'"),
        ('dataset = "x"\n[optim]\nbetas = [1]', "optim.betas: expected 2 values, got [1]"),
        (
            'dataset = "x"\n[optim]\nschedule = "up"',
            "optim.schedule: expected one of 'cosine', 'flat', got 'up'",
        ),
        ('dataset = "x"\n[crop]\nsize_px = -1', "crop: Crop: size_px must be positive, got -1"),
        ('dataset = "x"\ncrops = [{size_px = 1}, {size = 1}]', "crops[1].size: unknown key; did you mean"),
        ('dataset = "x"\n[crop]', "crop.size_px: missing, and it has no default"),
        ("", "dataset: missing, and it has no default"),
        ("dataset = ", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(house: Path, text: str, message: str) -> None:
    path = write(house / "train" / "bad.toml", text)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message}")):
        load_recipe("train", "bad", Train)
