"""Tables 2, 4 and 5 of Wang et al. 2021 (arXiv 2002.12389) on simulated pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dff.calibration.table import DefocusTable
from dff.closedloop.defocused import DefocusedScene, Light, Part
from dff.closedloop.drive import Camera
from dff.closedloop.loop import runs
from dff.closedloop.policies import make_policy
from dff.closedloop.report import row
from dff.eval.closedloop_scenes import dead_leaves
from dff.eval.inputs import Say
from dff.eval.report import Cell, Report, Table, Target
from dff.recipes import load_recipe
from dff.simulator.photos import PhotoPack
from dff.stack import to_luma

NAME = "closed-loop-paper"
_TENENGRAD = "mean-gradient-magnitude"  # the contrast of the paper's rivals
_RIVALS = ("rule-based", "fibonacci")
_ROOM = 960  # px of a target's picture: the patch and what blurs into it


@dataclass(frozen=True)
class LightLevel:
    """One light: variance of noise per unit of light, and in the dark."""

    name: str
    shot: float
    read: float


@dataclass(frozen=True)
class Protocol:
    """What is run.

    Args:
        table: recipe of simulator/defocus.
        starts: lens positions.
        targets, light_targets: in Tables 4 and 5, and in Table 2.
        rival_targets: of the former, those that the rivals focus on.
        target_seed: of their places and distances.
        side: of the patch [px].
        least_contrast: deviation of display values that a target's patch has at least.
        most_captures, least_in_focus, least_in_lights, fibonacci, rule_based: what is wanted.
        lights: the first is that of Tables 4 and 5.
    """

    lights: tuple[LightLevel, ...]
    table: str = "imx274_1050"
    starts: tuple[int, ...] = (1100, 1400, 1700, 2000)
    targets: int = 18
    light_targets: int = 5
    rival_targets: int = 18
    target_seed: int = 0
    side: int = 512
    least_contrast: float = 0.05
    most_captures: float = 2.0
    least_in_focus: float = 0.95
    least_in_lights: float = 0.9
    fibonacci: int = 13
    rule_based: tuple[int, int] = (37, 87)


def target_picture(photos: PhotoPack | None, least: float, seed: int) -> np.ndarray:
    """(960,960) grey display values of a target: part of a photograph, or dead leaves."""
    random = np.random.default_rng([seed, 3])
    for _ in range(50):
        if photos is None:
            return dead_leaves(_ROOM, random, 900)
        tile = photos.tiles[int(random.integers(len(photos)))].permute(1, 2, 0).numpy()
        picture = to_luma(np.ascontiguousarray(tile))
        reach = max(0, picture.shape[0] - _ROOM)
        top, left = random.integers(0, reach + 1, 2)
        picture = picture[top : top + _ROOM, left : left + _ROOM]
        middle = picture[tuple(slice(side // 2 - 128, side // 2 + 128) for side in picture.shape)]
        if middle.std() >= least:
            return picture
    raise ValueError("--photos: none of them has a patch of enough contrast; give others")


def scene_of(
    protocol: Protocol, table: DefocusTable, photos: PhotoPack | None, seed: int, light: LightLevel
) -> DefocusedScene:
    """A target at a random distance under a light."""
    random = np.random.default_rng([seed, 4])
    focus = float(round(random.uniform(table.positions[0] + 50, table.positions[-1] - 50), -1))
    picture = target_picture(photos, protocol.least_contrast, seed) ** table.gamma
    noise = Light(light.shot, light.read)
    return DefocusedScene([Part(picture, focus)], table, light=noise, side=protocol.side, seed=seed)


def run(
    protocol: Protocol,
    photos: PhotoPack | None,
    weights: str,
    rival: str | None = None,
    *,
    limit: int | None = None,
    options: str = "",
    say: Say = print,
) -> Report:
    """Run the targets, ``limit`` of each table at most, with the step search of ``weights`` and ``rival``."""
    from dff.closedloop.learned import step_parts, step_policy

    table = load_recipe("simulator/defocus", protocol.table, DefocusTable)
    parts: dict[str, Any] = {}
    searched: dict[str, _Searched] = {name: _Searched([], []) for name in (weights, rival) if name}

    def told(name: str, scene: DefocusedScene) -> list[dict[str, Any]]:
        assert scene.blur_px_per_index is not None
        if name not in parts:
            parts[name] = step_parts(name, scene.blur_px_per_index)
        camera = Camera(scene, contrast=_TENENGRAD)
        places = [start - table.positions[0] for start in protocol.starts]
        return [row(one, scene) for one in runs(step_policy(parts[name]), camera, places)]

    efficiency: list[list[Cell]] = []
    counts: dict[str, list[int]] = {name: [] for name in _RIVALS}
    for target in range(protocol.targets)[:limit]:
        say(f"{NAME}: target {target + 1}")
        scene = scene_of(protocol, table, photos, protocol.target_seed + target, protocol.lights[0])
        for name, rows in searched.items():
            rows.usual.append(told(name, scene))
        cells: list[Cell] = [f"{target + 1} ({scene.truth:.0f})"]
        for name in _RIVALS:
            # after a reset to the end of the range, as the paper has it
            camera = Camera(scene, contrast=_TENENGRAD)
            made = runs(make_policy(name), camera, [0.0] if target < protocol.rival_targets else [])
            counts[name] += [one.captures for one in made]
            cells.append(made[0].captures if made else None)
        efficiency.append([*cells, *map(_cell, searched[weights].usual[-1])])

    lights: list[list[Cell]] = []
    for target in range(protocol.light_targets)[:limit]:
        for light in protocol.lights:
            say(f"{NAME}: {light.name} {target + 1}")
            scene = scene_of(protocol, table, photos, protocol.target_seed + 100 + target, light)
            label = f"{target + 1} ({scene.truth:.0f})"
            for name, rows in searched.items():
                rows.lights.append(told(name, scene))
            found = searched[weights].lights[-1]
            lights.append([label, light.name, *(scene.truth + one["error"] for one in found)])

    starts = [str(start) for start in protocol.starts]
    tables = [
        Table(
            "Captures after the first frame (Tables 4 and 5)",
            {"target (position)": "", **dict.fromkeys(_RIVALS, ".0f"), **dict.fromkeys(starts, "")},
            efficiency,
            "Numbers: the learned step search from that start; a star: more than the depth of field off. "
            "Rivals climb on the mean gradient, from the end of the range.",
        ),
        Table(
            "Where the step search ends (Table 2)",
            {"target (position)": "", "light": "", **dict.fromkeys(starts, ".0f")},
            lights,
        ),
    ]
    if rival:
        tables.append(_beside(searched))
    learned, under = searched[weights].flat
    low, high = protocol.rule_based
    targets = [
        Target("captures, learned, mean", _mean(learned), "at most", protocol.most_captures),
        Target("in focus, learned", _near(learned), "at least", protocol.least_in_focus),
        Target("in focus, learned, three lights", _near(under), "at least", protocol.least_in_lights),
        Target("captures, Fibonacci", float(np.mean(counts["fibonacci"])), "at most", protocol.fibonacci),
        Target("captures, rule based, fewest", float(min(counts["rule-based"])), "at least", low),
        Target("captures, rule based, most", float(max(counts["rule-based"])), "at most", high),
    ]
    return Report(NAME, options, asdict(protocol), tables, targets)


@dataclass(frozen=True)
class _Searched:
    """Rows of the step search, target by target: in the usual light, and in all of them."""

    usual: list[list[dict[str, Any]]]
    lights: list[list[dict[str, Any]]]

    @property
    def flat(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        usual, lights = ([one for rows in part for one in rows] for part in (self.usual, self.lights))
        return usual, lights


def _beside(searched: dict[str, _Searched]) -> Table:
    columns = {
        "step networks": "",
        "captures": ".2f",
        "in focus": ".3f",
        "in focus, three lights": ".3f",
        "error [positions]": ".1f",
    }
    rows: list[list[Cell]] = []
    for name, found in searched.items():
        usual, lights = found.flat
        off = float(np.mean([abs(one["error"]) for one in usual]))
        rows.append([name, _mean(usual), _near(usual), _near(lights), off])
    note = "Means over all targets and starts; two names: estimator and discriminator of Wang et al."
    return Table("Step networks", columns, rows, note)


def _cell(one: dict[str, Any]) -> str:
    return f"{one['captures']}{'' if abs(one['error_dof']) <= 1 else '*'}"


def _mean(rows: list[dict[str, Any]]) -> float:
    return float(np.mean([one["captures"] for one in rows]))


def _near(rows: list[dict[str, Any]]) -> float:
    return float(np.mean([abs(one["error_dof"]) <= 1 for one in rows]))
