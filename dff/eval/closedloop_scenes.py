"""The hard scenes of the closed-loop benchmark, and the cameras before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from dff.closedloop.drive import Camera
from dff.closedloop.lens import Timing, drawn_lens
from dff.closedloop.simulated import SimulatedScene
from dff.simulator.camera_model import CameraModel
from dff.simulator.camera_prior import load_camera
from dff.simulator.capture import SimulationConfig
from dff.simulator.scene_config import SceneConfig


@dataclass(frozen=True)
class Kind:
    """One kind of scenes.

    Args:
        scene: settings of `SceneConfig` that differ from the common ones.
        iso: of the camera, drawn from this; (0, 0): as its recipe has it.
        breathing: of the lens over that of a thin one; 0: as its recipe has it.
        faults: whether the lens has the faults of its recipe's motor: play, ringing, quantum, offsets.
        settle_s: from a move to the next exposure.
    """

    name: str
    scene: dict[str, Any] = field(default_factory=dict)
    iso: tuple[float, float] = (0.0, 0.0)
    breathing: float = 0.0
    faults: bool = False
    settle_s: float = 0.05


@dataclass(frozen=True)
class Protocol:
    """What is run.

    Args:
        camera: recipe of simulator/cameras, with a motor.
        size, frame, positions: as of `SimulationConfig` and `SimulatedScene`.
        first_seed, scenes: scenes of each kind, by their seeds.
        starts: positions to start from.
        most_hunted: share of the default policy's runs.
        common: settings of `SceneConfig` that all kinds have.
        policies: their names; those that take a learned part run where their weights are.
    """

    camera: str
    size: tuple[int, int]
    frame: tuple[int, int]
    kinds: tuple[Kind, ...]
    positions: int = 49
    first_seed: int = 0
    scenes: int = 8
    starts: tuple[int, ...] = (0, 24, 48)
    most_hunted: float = 0.01
    common: dict[str, Any] = field(default_factory=dict)
    policies: tuple[str, ...] = ()


def _scene(settings: dict[str, Any]) -> SceneConfig:
    lists = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    try:
        return SceneConfig(**lists)
    except TypeError as error:
        raise ValueError(f"scene: {error}") from None


def hard_scenes(protocol: Protocol, kind: Kind, limit: int | None = None) -> Iterator[Camera]:
    """A camera before each scene of a kind.

    Raises:
        ValueError: settings that a scene does not know, or a camera without a motor where faults are asked.
    """
    model = load_camera(protocol.camera)
    if not isinstance(model, CameraModel) or model.motor is None:
        raise ValueError(f"camera {protocol.camera}: this benchmark needs a named camera with a motor")
    sensor = model.sensor if kind.iso == (0.0, 0.0) else replace(model.sensor, iso=kind.iso)
    lens = replace(model.lens, breathing=kind.breathing) if kind.breathing else model.lens
    config = SimulationConfig(
        _scene(protocol.common | kind.scene),
        replace(model, sensor=sensor, lens=lens),
        protocol.size,
        protocol.frame,
    )
    with torch.inference_mode():
        for seed in range(protocol.first_seed, protocol.first_seed + (limit or protocol.scenes)):
            scene = SimulatedScene(config, seed, positions=protocol.positions)
            moving = drawn_lens(model.motor, scene.track, seed) if kind.faults else None
            yield Camera(scene, moving, Timing(settle_s=kind.settle_s))
