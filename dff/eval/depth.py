"""Depth: rendered stacks with truth in an unknown unit, and simulated stacks with truth in dioptres."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from dff.eval.depth_protocol import NAME, Protocol
from dff.eval.depth_rendered import rendered_part
from dff.eval.depth_simulated import simulated_part, tuned_sigma
from dff.eval.inputs import Say
from dff.eval.report import Report
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig

__all__ = ["NAME", "Protocol", "run"]


def run(
    protocol: Protocol, folder: Path | None, *, limit: int | None = None, options: str = "", say: Say = print
) -> Report:
    """Score at most ``limit`` simulated stacks and rendered scenes; without ``folder`` only the former."""
    config = load_recipe("simulator/scenes", protocol.scene, SimulationConfig)
    sigma = tuned_sigma(config, protocol.sml, say)
    parts = [simulated_part(protocol, config, sigma, limit, say)]
    if folder is not None:
        parts.insert(0, rendered_part(protocol, folder, sigma, limit, say))
    tables, targets = [table for table, _ in parts], [target for _, found in parts for target in found]
    return Report(NAME, options, asdict(protocol), tables, targets)
