"""The hard scenes of the closed-loop benchmark, and the cameras before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dff.calibration.table import DefocusTable, table_of_lens
from dff.closedloop.defocused import DefocusedScene, Light, Part
from dff.closedloop.drive import Camera
from dff.closedloop.lens import Timing, drawn_lens
from dff.closedloop.policy import Track
from dff.simulator.camera_model import CameraModel
from dff.simulator.camera_prior import load_camera

_ROUND = 2.2  # the parts' pictures are this much larger than the region


@dataclass(frozen=True)
class Kind:
    """One kind of scenes. Pairs are (low, high), drawn log-uniformly for each scene.

    Args:
        parts: fewest and most, each at a distance of its own, side by side.
        contrast: deviation of the pictures' light over its mean.
        exposure: mean light.
        shot: variance of the noise per unit of light; that in the dark is a thousandth of it.
        breathing: of the lens over that of a thin one; 0: as its recipe has it.
        faults: whether the lens has the faults of its recipe's motor: play, ringing, quantum, offsets.
        settle_s: from a move to the next exposure.
    """

    name: str
    parts: tuple[int, int] = (1, 1)
    contrast: tuple[float, float] = (0.3, 0.6)
    exposure: tuple[float, float] = (0.2, 0.3)
    shot: tuple[float, float] = (1e-4, 4e-4)
    breathing: float = 0.0
    faults: bool = False
    settle_s: float = 0.05


@dataclass(frozen=True)
class Protocol:
    """What is run.

    Args:
        camera: recipe of simulator/cameras, with a motor.
        side: of the region [px of the camera's full resolution].
        positions: of the lens, over the camera's ladder.
        blur_px: circle of confusion that ends the depth of field.
        first_seed, scenes: scenes of each kind, by their seeds.
        starts: positions to start from.
        most_hunted: share of the default policy's runs.
        policies: their names; empty: all.
    """

    kinds: tuple[Kind, ...]
    camera: str = "imx708"
    side: int = 96
    positions: int = 49
    blur_px: float = 1.0
    first_seed: int = 0
    scenes: int = 8
    starts: tuple[int, ...] = (0, 24, 48)
    most_hunted: float = 0.01
    policies: tuple[str, ...] = ()


def dead_leaves(side: int, random: np.random.Generator, leaves: int = 400) -> np.ndarray:
    """(side,side) in [0,1]: discs of all sizes hiding one another, as statistics of photographs go."""
    picture = np.full((side, side), 0.5)
    rows, columns = np.mgrid[:side, :side]
    radii = 1.5 * (side / 6) ** random.random(leaves)
    for radius, (y, x), grey in zip(
        np.sort(radii)[::-1], random.uniform(0, side, (leaves, 2)), random.random(leaves), strict=True
    ):
        top, left = (max(0, int(at - radius)) for at in (y, x))
        near = np.s_[top : int(y + radius) + 2, left : int(x + radius) + 2]
        picture[near][(rows[near] - y) ** 2 + (columns[near] - x) ** 2 <= radius**2] = grey
    return picture


def _log_uniform(ends: tuple[float, float], random: np.random.Generator) -> float:
    return float(np.exp(random.uniform(*np.log(ends))))


def _masks(count: int, side: int, random: np.random.Generator) -> list[np.ndarray]:
    """(side,side) bool each: stripes of random widths across the middle, upright or lying."""
    inner = side / _ROUND
    shares = random.uniform(0.5, 1.5, count)
    edges = (side - inner) / 2 + inner * np.cumsum(shares)[:-1] / shares.sum()
    at = np.searchsorted(edges, np.arange(side), side="right")
    stripes = np.tile(at, (side, 1))
    stripes = stripes.T if random.random() < 0.5 else stripes
    return [stripes == k for k in range(count)]


def hard_scene(
    protocol: Protocol, kind: Kind, model: CameraModel, table: DefocusTable, seed: int
) -> DefocusedScene:
    """One scene of a kind."""
    random = np.random.default_rng([seed, 7])
    count = int(random.integers(kind.parts[0], kind.parts[1] + 1))
    side = round(_ROUND * protocol.side)
    low, high = table.positions[0], table.positions[-1]
    focus = random.uniform(low + 0.08 * (high - low), high - 0.08 * (high - low), count)
    contrast, exposure = _log_uniform(kind.contrast, random), _log_uniform(kind.exposure, random)
    masks = _masks(count, side, random)
    parts = []
    for mask, at in zip(masks, focus, strict=True):
        leaves = dead_leaves(side, random)
        leaves = 1 + contrast * (leaves - leaves.mean()) / leaves.std()
        parts.append(Part(np.clip(exposure * leaves, 0, 1) * mask, float(at)))
    inner = np.s_[(side - protocol.side) // 2 : (side + protocol.side) // 2]
    depth = sum(mask[inner, inner] * at for mask, at in zip(masks, focus, strict=True))
    shot = _log_uniform(kind.shot, random)
    return DefocusedScene(
        parts,
        table,
        track=Track(np.linspace(low, high, protocol.positions)),
        truth=float(np.quantile(depth, 0.5, method="nearest")),
        light=Light(shot, shot / 1000),
        side=protocol.side,
        seed=seed,
    )


def hard_scenes(protocol: Protocol, kind: Kind, limit: int | None = None) -> Iterator[Camera]:
    """A camera before each scene of a kind.

    Raises:
        ValueError: a camera without a motor.
    """
    model = load_camera(protocol.camera)
    if not isinstance(model, CameraModel) or model.motor is None:
        raise ValueError(f"camera {protocol.camera}: this benchmark needs a named camera with a motor")
    lens = replace(model.lens, breathing=kind.breathing) if kind.breathing else model.lens
    ends = model.ladder.focus()
    focus = np.linspace(ends[0], ends[-1], 25)
    far, near = lens.depth_of_field(float(focus.mean()), protocol.blur_px)
    table = table_of_lens(
        lens,
        focus,
        list(focus),
        picture_width=model.picture_width,
        gamma=2.2,
        depth_of_field=(near - far) / 2,
    )
    for seed in range(protocol.first_seed, protocol.first_seed + (limit or protocol.scenes)):
        scene = hard_scene(protocol, kind, model, table, seed)
        moving = drawn_lens(model.motor, scene.track, seed) if kind.faults else None
        yield Camera(scene, moving, Timing(settle_s=kind.settle_s))
