"""Policies of autofocus on hard scenes: how often each is in focus, at what cost, and whether it hunts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import Any

import numpy as np

from dff.closedloop.drive import Camera
from dff.closedloop.loop import runs
from dff.closedloop.policies import DEFAULT, NAMES, NETWORKS, PHASE, make_policy, runnable
from dff.closedloop.policy import Policy
from dff.closedloop.report import row
from dff.eval.closedloop_scenes import Protocol, hard_scenes
from dff.eval.inputs import Say
from dff.eval.report import Cell, Report, Table, Target

NAME = "closed-loop"
Rows = dict[tuple[str, str], list[dict[str, Any]]]


def policy_names(protocol: Protocol) -> list[str]:
    """Those of the protocol, or all, that can run; not autofocus networks, which know another ladder."""
    return runnable(protocol.policies or NAMES, NETWORKS)


def policy_for(name: str, camera: Camera) -> Policy:
    """A policy for the scene before a camera."""
    scene: Any = camera.scene
    return make_policy(name, scene.phase() if name == PHASE else None, scene.blur_px_per_index)


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """Run every policy on ``limit`` scenes of every kind."""
    names = policy_names(protocol)
    rows: Rows = defaultdict(list)
    for kind in protocol.kinds:
        say(f"{NAME}: {kind.name}")
        for camera in hard_scenes(protocol, kind, limit):
            for name in names:
                made = runs(policy_for(name, camera), camera, map(float, protocol.starts))
                rows[name, kind.name] += [row(one, camera.scene) for one in made]
    kinds = [kind.name for kind in protocol.kinds]
    whole = {name: [one for kind in kinds for one in rows[name, kind]] for name in names}
    table = Table(
        "In focus, by kind of scene",
        {"policy": "", **dict.fromkeys(kinds, ".0%"), "all": ".1%"},
        [[name, *(_focused(rows[name, kind]) for kind in kinds), _focused(whole[name])] for name in names],
        "Share of runs that end within the depth of field of the middle depth of the region; "
        f"{len(whole[names[0]]) // len(kinds)} runs of each kind. Default of `dff focus-run`: {DEFAULT}.",
    )
    cost = Table(
        "Cost, over all kinds",
        {
            "policy": "", "failed": ".1%", "hunted": ".1%", "captures": ".1f", "seconds": ".2f",
            "travel [positions]": ".0f", "reversals": ".1f", "overshoot [positions]": ".1f",
            "median error [depths of field]": ".2f",
        },
        [_cost(name, whole[name]) for name in names],
        "Failed: the policy gave up, or the guard stopped it (hunted). Seconds: 10 ms exposure, 23.3 ms "
        "read-out, 50 ms from each move.",
    )  # fmt: skip
    rivals = [name for name in names if name != DEFAULT]
    targets = [
        Target(
            "in focus: the default less the best other [points]",
            100 * (_focused(whole[DEFAULT]) - max(_focused(whole[name]) for name in rivals)),
            "at least",
            1e-6,
        ),
        Target("the default hunts", _share(whole[DEFAULT], "hunted"), "at most", protocol.most_hunted),
    ]
    return Report(NAME, options, asdict(protocol), [table, cost], targets)


def _focused(rows: list[dict[str, Any]]) -> float:
    return float(np.mean([abs(one["error_dof"]) <= 1 for one in rows]))


def _share(rows: list[dict[str, Any]], name: str) -> float:
    return float(np.mean([one[name] for one in rows]))


def _cost(name: str, rows: list[dict[str, Any]]) -> list[Cell]:
    return [
        name,
        float(np.mean([one["state"] == "failed" for one in rows])),
        *(_share(rows, key) for key in ("hunted", "captures", "time_s", "travel", "reversals", "overshoot")),
        float(np.median([abs(one["error_dof"]) for one in rows])),
    ]
