"""Closed test of calibration: simulate with known truth, calibrate, compare; and the cost of brute force."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import numpy as np
import torch

from dff.calibration.degrade import degrade
from dff.calibration.measure import differences, measure_table
from dff.calibration.search import Found, Limits, brute_force, coarse_to_fine
from dff.calibration.stack import calibrate_stack
from dff.calibration.table import DefocusTable
from dff.camera import Lens
from dff.eval.closedloop_scenes import dead_leaves
from dff.eval.inputs import Say
from dff.eval.report import Cell, Report, Table, Target
from dff.recipes import load_recipe
from dff.simulator.camera_model import CameraModel
from dff.simulator.capture import SimulationConfig, simulate_batch
from dff.simulator.ladder import Ladder
from dff.simulator.motion import Motion
from dff.simulator.scene_config import SceneConfig

NAME = "calibration"


@dataclass(frozen=True)
class Protocol:
    """What is simulated.

    Args:
        table: recipe of simulator/defocus, the truth.
        positions: calibrated with the fast search.
        side: of the pictures [px].
        noise: variance per unit of light, and in the dark.
        gamma: of the pictures.
        seed: of everything random.
        max_radius_error, max_scale_error, min_speed_up: what is wanted.
        brute_positions, brute_side, brute_scale: where both searches are run, and the scales that are tried.
        stack_breathing, stack_drift_px: truth of the stack.
    """

    table: str
    positions: tuple[float, ...]
    side: int
    brute_positions: tuple[float, ...]
    brute_side: int
    noise: tuple[float, float] = (1e-4, 1e-7)
    gamma: float = 2.4
    seed: int = 0
    max_radius_error: float = 0.5
    max_scale_error: float = 0.001
    brute_scale: tuple[float, float] = (0.98, 1.02)
    min_speed_up: float = 20.0
    stack_breathing: float = 1.8
    stack_drift_px: tuple[float, float] = (4.0, -2.5)


class _Bench:
    """Pictures of a test chart, in focus at one position and seen from another, rendered in full."""

    def __init__(
        self, table: DefocusTable, positions: tuple[float, ...], side: int, protocol: Protocol
    ) -> None:
        chart = dead_leaves(2 * side, np.random.default_rng(protocol.seed), 900) ** protocol.gamma
        self._light = torch.from_numpy(chart.astype(np.float32))[None, None]
        self._table, self._positions, self._side, self._protocol = table, positions, side, protocol

    def picture(self, a: int, b: int) -> np.ndarray:
        focus, lens = self._positions[a], self._positions[b]
        radius, scale = (float(of(focus, lens)) for of in (self._table.radius, self._table.scale_at))
        size = self._side, self._side
        light = degrade(self._light, torch.tensor([radius]), torch.tensor([scale]), *size, self._table.kernel)
        seen = light[0, 0].clamp_min(0).numpy()
        shot, read = self._protocol.noise
        random = np.random.default_rng([self._protocol.seed, a, b])
        seen = seen + np.sqrt(shot * seen + read) * random.standard_normal(seen.shape)
        levels = np.clip(seen, 0, 1) ** (1 / self._protocol.gamma) * 255
        return np.asarray(np.round(levels) / 255, np.float32)


def run(protocol: Protocol, *, limit: int | None = None, options: str = "", say: Say = print) -> Report:
    """Calibrate the table, at its first ``limit`` positions (2 at least), and a stack."""
    truth = load_recipe("simulator/defocus", protocol.table, DefocusTable)
    positions = protocol.positions[: None if limit is None else max(2, limit)]
    largest = max(float(truth.radius(a, b)) for a in positions for b in positions)
    limits = Limits(radius_px=1.1 * largest + 2, shift_px=4)
    bench = _Bench(truth, positions, protocol.side + 2 * round(limits.radius_px), protocol)
    rows: list[list[Cell]] = []

    def told(a: int, b: int, found: Found) -> None:
        radius, scale = (float(of(positions[a], positions[b])) for of in (truth.radius, truth.scale_at))
        say(f"{NAME}: {positions[a]:.0f} from {positions[b]:.0f}")
        rows.append(
            [positions[a], positions[b], radius, found.radius_px - radius, scale, found.scale - scale]
        )

    start = time.process_time()
    made = measure_table(
        bench.picture,
        positions,
        picture_width=truth.picture_width,
        gamma=protocol.gamma,
        limits=limits,
        told=told,
    )
    fast_s = (time.process_time() - start) / len(rows)
    radius_error, scale_error = differences(made, truth)
    agree, ratio, brute_rows = _against_brute(protocol, truth, say)
    stack_rows, breathing_error = _stack(protocol)
    tables = [
        Table(
            "Defocus table, found less true",
            {
                "in focus at": ".0f", "lens at": ".0f", "radius [px]": ".2f", "error [px]": "+.3f",
                "scale": ".4f", "error": "+.5f",
            },
            rows,
            f"Coarse to fine, {fast_s:.2f} s of CPU a pair; {protocol.side} px and the blur's margin.",
        ),
        Table(
            "Brute force beside it",
            {"in focus at": ".0f", "lens at": ".0f", "radius, brute [px]": ".2f", "fast [px]": ".3f",
             "scale, brute": ".4f", "fast": ".5f", "brute [s]": ".2f", "fast [s]": ".3f"},
            brute_rows,
            "Brute force tries radii every 0.5 px and scales every 0.001; CPU seconds.",
        ),
        Table(
            "One stack of nine slices, 0.3 to 5 dioptres",
            {"": "", "true": ".4f", "found": ".4f"},
            stack_rows,
            "What `dff calibrate` tells. The gain of reported focus is found where the breathing is given; "
            "from the pictures alone the two cannot be told apart.",
        ),
    ]  # fmt: skip
    targets = [
        Target("largest error of radius [px]", radius_error, "at most", protocol.max_radius_error),
        Target("largest error of scale", scale_error, "at most", protocol.max_scale_error),
        Target("fast against brute force, radius [px]", agree[0], "at most", protocol.max_radius_error),
        Target("fast against brute force, scale", agree[1], "at most", protocol.max_scale_error),
        Target("brute force takes, times as long", ratio, "at least", protocol.min_speed_up),
        Target("error of breathing [share]", breathing_error, "at most", 0.05),
    ]
    return Report(NAME, options, asdict(protocol), tables, targets)


def _against_brute(
    protocol: Protocol, truth: DefocusTable, say: Say
) -> tuple[tuple[float, float], float, list[list[Cell]]]:
    positions = protocol.brute_positions
    largest = max(float(truth.radius(a, b)) for a in positions for b in positions)
    limits = Limits(radius_px=np.ceil(1.2 * largest + 1), scale=protocol.brute_scale, shift_px=4)
    bench = _Bench(truth, positions, protocol.brute_side, protocol)
    rows: list[list[Cell]] = []
    for a in range(len(positions) - 1):
        b = len(positions) - 1
        say(f"{NAME}: brute force, {positions[a]:.0f} from {positions[b]:.0f}")
        found, spent = [], []
        for search in (brute_force, coarse_to_fine):
            start = time.process_time()
            found.append(search(bench.picture(a, a), bench.picture(a, b), protocol.gamma, limits))
            spent.append(time.process_time() - start)
        slow, fast = found
        ends = [slow.radius_px, fast.radius_px, slow.scale, fast.scale, *spent]
        rows.append([positions[a], positions[b], *ends])
    values = np.array([row[2:] for row in rows], float)
    agree = float(np.abs(values[:, 0] - values[:, 1]).max()), float(np.abs(values[:, 2] - values[:, 3]).max())
    return agree, float(values[:, 4].sum() / values[:, 5].sum()), rows


def _stack(protocol: Protocol) -> tuple[list[list[Cell]], float]:
    lens = Lens(0.006, 2.0, 9e-6, protocol.stack_breathing)
    ladder = Ladder(far_dioptre=0.3, near_dioptre=5.0, n_slices=9)
    camera = CameraModel(lens, 320, 240, ladder, motion=Motion(drift_px=protocol.stack_drift_px))
    config = SimulationConfig(SceneConfig(objects=(1, 2)), camera, (240, 320))
    generator = torch.Generator().manual_seed(protocol.seed)
    stack = simulate_batch(config, generator, 1).stack(0).stack
    found = calibrate_stack(stack.far_first(), breathing=protocol.stack_breathing)
    assert found.breathing is not None
    assert found.gain is not None
    span = float(np.ptp(found.focus))
    drift = [one * span for one in found.drift_px_per_dioptre]
    rows: list[list[Cell]] = [
        ["breathing over a thin lens", protocol.stack_breathing, found.breathing],
        ["drift of the centre, x [px]", protocol.stack_drift_px[0], drift[0]],
        ["drift of the centre, y [px]", protocol.stack_drift_px[1], drift[1]],
        ["gain of reported focus, breathing given", 1.0, found.gain],
    ]
    return rows, abs(found.breathing / protocol.stack_breathing - 1)
