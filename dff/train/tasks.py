"""What there is to train: which recipe says what, and which task does it."""

from __future__ import annotations

from pathlib import Path

from dff.recipes import load_recipe
from dff.simulator.photos import PhotoPack, load_photos
from dff.train.alignment_config import AlignmentTrainConfig
from dff.train.alignment_task import AlignmentTask
from dff.train.autofocus_config import AutofocusTrainConfig
from dff.train.autofocus_source import at_patches
from dff.train.autofocus_task import AutofocusTask
from dff.train.config import TrainConfig
from dff.train.dataset_config import DatasetTrainConfig
from dff.train.dataset_source import at_folder
from dff.train.dataset_task import DatasetTask
from dff.train.depth_task import DepthTask
from dff.train.focus_head_config import FocusHeadTrainConfig
from dff.train.focus_head_task import FocusHeadTask
from dff.train.joint_config import JointTrainConfig
from dff.train.joint_task import JointTask
from dff.train.step_config import (
    DiscriminatorTrainConfig,
    EstimatorTrainConfig,
    SpectrumTrainConfig,
    StepRunConfig,
)
from dff.train.step_task import DiscriminatorTask, EstimatorTask, SpectrumTask
from dff.train.task import Task

Config = (
    TrainConfig
    | AlignmentTrainConfig
    | JointTrainConfig
    | DatasetTrainConfig
    | EstimatorTrainConfig
    | DiscriminatorTrainConfig
    | SpectrumTrainConfig
    | FocusHeadTrainConfig
    | AutofocusTrainConfig
)

_CONFIGS: dict[str, type[Config]] = {
    "depth": TrainConfig,
    "alignment": AlignmentTrainConfig,
    "joint": JointTrainConfig,
    "focus_head": FocusHeadTrainConfig,
    "autofocus": AutofocusTrainConfig,
    "step_estimator": EstimatorTrainConfig,
    "step_discriminator": DiscriminatorTrainConfig,
    "step_spectrum": SpectrumTrainConfig,
}


def load_config(name: str) -> Config:
    """A training recipe by name or path; its ``task`` says what it trains, depth where it says nothing.

    Depth is trained on a data set where ``source.dataset`` names one, else on simulated stacks.

    Raises:
        ValueError: no such recipe, no such task, or settings that the task does not know.
    """
    text = load_recipe("train", name)
    task = text.get("task", "depth")
    if task not in _CONFIGS:
        raise ValueError(f"{name}: no task {task!r}; give {', '.join(_CONFIGS)}")
    source = text.get("source", {})
    if task == "depth" and isinstance(source, dict) and "dataset" in source:
        return load_recipe("train", name, DatasetTrainConfig)
    config: Config = load_recipe("train", name, _CONFIGS[task])
    return config


def with_data(config: Config, data: Path | None) -> tuple[Config, PhotoPack | None]:
    """What --data means to a recipe: the folder of its data set, or photographs to paint surfaces with.

    Raises:
        ValueError, FileNotFoundError: the data set is not given, not whole, or not there; no photographs.
    """
    if isinstance(config, AutofocusTrainConfig):
        return at_patches(config, data), None
    if not isinstance(config, DatasetTrainConfig):
        size = {"size": config.source.tile_px} if isinstance(config, StepRunConfig) else {}
        return config, None if data is None else load_photos(data, **size)
    return at_folder(config, data), None


def build_task(config: Config) -> Task:
    """The task that a recipe asks for."""
    if isinstance(config, JointTrainConfig):
        return JointTask(config)
    if isinstance(config, DatasetTrainConfig):
        return DatasetTask(config)
    if isinstance(config, AutofocusTrainConfig):
        return AutofocusTask(config)
    if isinstance(config, FocusHeadTrainConfig):
        return FocusHeadTask(config)
    if isinstance(config, EstimatorTrainConfig):
        return EstimatorTask(config)
    if isinstance(config, DiscriminatorTrainConfig):
        return DiscriminatorTask(config)
    if isinstance(config, SpectrumTrainConfig):
        return SpectrumTask(config)
    return AlignmentTask(config) if isinstance(config, AlignmentTrainConfig) else DepthTask(config)
