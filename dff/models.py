"""What finds depth: settings of the classical engine, or the weights of a network, by name or path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dff.classical.alignment import Alignment
from dff.classical.depth import DepthConfig, StepSink, depth_from_focus
from dff.recipes import load_recipe, recipe_names
from dff.stack import DepthMap, FocalStack, Progress
from dff.weights import SUFFIX, known_weights

if TYPE_CHECKING:
    from dff.model.infer import InferenceConfig

DEVICES = ("auto", "cpu", "cuda")
DEFAULT = "base"
"""What finds depth unless told otherwise: the most exact of the learned weights; "tiny" is quicker."""
FUSING = "tiny"
"""Whose depth `fuse` chooses slices by: its pictures are as sharp as by "base", in half of the time."""


class Model(Protocol):
    """Makes a depth map of the reference slice from a far-first stack and its alignment."""

    @property
    def name(self) -> str: ...

    def depth(
        self,
        stack: FocalStack,
        alignment: Alignment,
        *,
        progress: Progress | None = None,
        steps: StepSink | None = None,
    ) -> DepthMap: ...


@dataclass(frozen=True)
class ClassicalModel:
    """The engine without learning (see `dff.classical.depth.depth_from_focus`)."""

    name: str
    config: DepthConfig

    def depth(
        self,
        stack: FocalStack,
        alignment: Alignment,
        *,
        progress: Progress | None = None,
        steps: StepSink | None = None,
    ) -> DepthMap:
        return depth_from_focus(stack, alignment, self.config, progress=progress, steps=steps)


def _networks() -> list[str]:
    return sorted(name for name, entry in known_weights().items() if entry.network == "depth")


def _settings() -> list[str]:
    return [name for name in recipe_names("weights") if name != "index"]  # index.toml lists the networks


def is_learned(name: str) -> bool:
    """Whether a known name, or a path, is that of a network's weights."""
    return name in _networks() or Path(name).suffix == SUFFIX


def check_model(name: str) -> None:
    """Raise unless ``name`` is a known model or a file of the right kind; loads nothing.

    Raises:
        ValueError: it is not; the message lists the known ones.
    """
    known = [*_settings(), *_networks()]
    if name in known or name.removesuffix(".toml") in _settings():
        return
    kinds = f"a settings file (.toml) or weights ({SUFFIX})"
    if not Path(name).is_file():
        raise ValueError(f"model {name}: no such model; give {', '.join(known)}, {kinds}")
    if Path(name).suffix not in (".toml", SUFFIX):
        raise ValueError(f"{name}: not a model; give {', '.join(known)}, {kinds}")


def load_model(name: str, *, device: str = "auto", inference: InferenceConfig | None = None) -> Model:
    """A model by name or path, ready for any number of stacks.

    Args:
        name: "classical", a name of weights/index.toml, or the path of settings (.toml) or weights
            (.safetensors).
        device: "auto" (CUDA where there is one), "cpu" or "cuda"; the classical engine runs on the CPU.
        inference: how a network is run.

    Raises:
        ValueError: unknown, damaged or unfit model or device; the message says which names there are.
        FileNotFoundError: a known name whose file is missing.
    """
    if device not in DEVICES:
        raise ValueError(f"device {device!r}; choose auto, cpu or cuda")
    check_model(name)
    if is_learned(name):
        from dff.learned import load_learned_model  # the classical path does without torch

        return load_learned_model(name, device, inference)
    return ClassicalModel(name, load_recipe("weights", name, DepthConfig))
