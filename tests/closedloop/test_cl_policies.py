"""Policies on clean focus curves with one peak: where they end, and after how many captures."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from dff.closedloop.controller import Controller, State
from dff.closedloop.policies import make_policy
from dff.closedloop.policy import Fail, Frame, Move, Policy, Scripted, Stop, Track
from dff.closedloop.rules import fit_bound, vertex
from dff.closedloop.scan import contrast_scan, scan_bound
from dff.closedloop.search import climb_bound, fibonacci, fibonacci_order, golden_bound
from dff.closedloop.steps import predict_once, predict_twice, settle, step_search

Curve = Callable[[float], float]
BOUNDS: dict[str, Callable[[int], float]] = {
    "global": lambda k: k,
    "fibonacci": lambda k: fibonacci_order(k, max(1, k // 500)),
    "golden": golden_bound,
    "hill-climb": climb_bound,
    "rule-based": lambda k: k,
    "curve-fit": fit_bound,
    "contrast-scan": lambda k: scan_bound(Track(np.arange(k))),
    "phase-loop": lambda k: 20,
}


def bell(peak: float, width: float) -> Curve:
    return lambda x: 1 / (1 + ((x - peak) / width) ** 2)


def drive(policy: Policy, curve: Curve, positions: int, start: float) -> tuple[Stop | Fail, list[float]]:
    """The end, and every index that was captured after the start."""
    track = Track(np.arange(positions))
    controller = Controller(policy, track)
    captured: list[float] = []
    at = start
    while True:
        action = controller.observe(Frame(at, curve(at)))
        if not isinstance(action, Move):
            return action, captured
        at = action.index
        captured.append(at)


@pytest.mark.parametrize("name", BOUNDS)  # the vote needs pictures
@pytest.mark.parametrize("positions", [2, 3, 5, 9, 49, 100])
def test_the_peak_is_reached_from_every_start_within_the_bound(name: str, positions: int) -> None:
    between = {"contrast-scan": positions / 48, "phase-loop": positions / 96}.get(name, 0.0)
    for peak in sorted({0, positions // 3, positions - 1}):
        phase = lambda frame, peak=peak: (peak - frame.index, 1000.0)  # noqa: E731
        policy = make_policy(name, phase)
        for width in (positions / 12, positions / 4):
            for start in range(0, positions, max(1, positions // 25)):
                end, captured = drive(policy, bell(peak, width), positions, float(start))
                flat = isinstance(end, Fail) and name == "contrast-scan"  # it wants a valley, too
                assert isinstance(end, Stop) or flat, (peak, start)
                assert abs(end.index - peak) <= between + (1.0 if flat else 0.0), (peak, width, start)
                assert len(captured) <= BOUNDS[name](positions), (peak, width, start)


def test_fibonacci_takes_thirteen_captures_on_1050_positions() -> None:
    assert [fibonacci_order(1050, t) for t in (1, 2, 5, 10)] == [15, 13, 11, 10]
    for peak in (3, 400, 1049):
        end, captured = drive(make_policy("fibonacci"), bell(peak, 60), 1050, 500.5)
        assert len(captured) == 13
        assert abs(end.index - peak) <= 2
    with pytest.raises(ValueError, match="1 or more"):
        drive(Scripted("f", partial(fibonacci, tolerance=0.5)), bell(3, 9), 20, 0.0)


def test_rule_based_ends_within_its_fine_step_on_1050_positions() -> None:
    for peak in (60, 500, 940):
        for start in (50.0, 350.0, 650.0, 950.0):
            end, captured = drive(make_policy("rule-based"), bell(peak, 60), 1050, start)
            assert abs(end.index - peak) <= 10
            assert len(captured) <= 105


def test_a_parabola_has_its_vertex() -> None:
    x = (1.0, 2.0, 5.0)
    assert vertex(x, tuple(-((v - 2.7) ** 2) for v in x)) == pytest.approx(2.7)
    assert vertex(x, (3.0, 1.0, 2.0)) == 1.0


def test_a_contrast_scan_fails_where_there_is_no_peak() -> None:
    end, _ = drive(make_policy("contrast-scan"), lambda x: 1 + 0.01 * math.sin(x), 49, 10.0)
    assert isinstance(end, Fail)
    assert "no peak" in end.reason
    fading = Scripted("scan", contrast_scan)
    seen = iter(np.linspace(1, 0.1, 60))
    end, _ = drive(fading, lambda x: float(next(seen)), 49, 10.0)
    assert isinstance(end, Fail)
    assert "not found again" in end.reason


def test_the_phase_loop_waits_for_an_agreed_sign_and_gives_up_without_phase() -> None:
    noisy = iter([1.0, -1.0, 1.0, 5.0, 5.0, 5.0, 0.0, 0.0, 0.0])
    end, captured = drive(make_policy("phase-loop", lambda _: (next(noisy), 1e9)), bell(15, 9), 49, 10.0)
    assert captured == pytest.approx([10.0] * 5 + [15.0] * 3)
    assert end.index == pytest.approx(15.0)
    end, captured = drive(make_policy("phase-loop", lambda _: (3.0, 0.0)), bell(15, 9), 49, 10.0)
    assert isinstance(end, Fail)
    assert captured == [10.0] * 5
    with pytest.raises(ValueError, match="dual-pixel"):
        make_policy("phase-loop")
    with pytest.raises(ValueError, match="policy 'foo'; choose from vote, global"):
        make_policy("foo")


# --- Algorithm 1 -----------------------------------------------------------------------------------------


def search(truth: float, *, positions: int = 101, depth: float = 0.5, limit: int = 8) -> Policy:
    def estimator(frame: Frame) -> float:
        return abs(frame.index - truth)

    def discriminator(frame: Frame) -> bool:
        return abs(frame.index - truth) <= depth

    script = partial(step_search, estimator=estimator, discriminator=discriminator, limit=limit)
    return Scripted("steps", script)


@pytest.mark.parametrize(
    ("truth", "start", "captured"),
    [
        (50, 50, []),
        (60, 50, [60]),  # the + side first, and accepted at once
        (40, 50, [60, 40]),
        (90, 40, [90]),  # the other side is outside
        (10, 60, [10]),
        (100, 50, [100]),  # right at the end is inside
        (0, 50, [100, 0]),
        (0, 100, [0]),
    ],
)
def test_exact_distances_need_two_captures_at_most(truth: int, start: int, captured: list[int]) -> None:
    assert drive(search(truth), bell(truth, 9), 101, float(start)) == (Stop(float(truth)), captured)


def test_algorithm_1_ends_whatever_it_is_told() -> None:
    def policy(estimator: Callable[[Frame], float]) -> Policy:
        return Scripted("s", partial(step_search, estimator=estimator, discriminator=lambda _: False))

    zero, captured = drive(policy(lambda _: 0.0), bell(3, 9), 101, 50.0)
    assert (zero.index, captured) == (50.0, [])
    cycle, captured = drive(policy(lambda _: 30.0), bell(3, 9), 101, 50.0)
    assert isinstance(cycle, Fail)
    assert len(captured) == len(set(captured)) <= 8
    lost, captured = drive(policy(lambda _: 1e3), bell(3, 9), 101, 50.0)  # both sides outside: at random
    assert isinstance(lost, Fail)
    assert len(captured) == 8
    assert "8 captures" in lost.reason


def test_equal_estimates_take_the_lesser_side_and_nothing_is_judged_twice() -> None:
    judged: list[float] = []

    def estimator(frame: Frame) -> float:
        judged.append(frame.index)
        return {50.0: 10.0, 60.0: 7.0, 40.0: 7.0}.get(frame.index, 1.0)

    script = partial(step_search, estimator=estimator, discriminator=lambda f: f.index == 47)
    assert drive(Scripted("s", script), bell(3, 9), 101, 50.0) == (Stop(47.0), [60.0, 40.0, 47.0])
    assert len(judged) == len(set(judged))


# --- predictors ------------------------------------------------------------------------------------------


def test_predictors_of_one_frame_of_several_and_in_two_steps() -> None:
    once = Scripted("once", partial(predict_once, predictor=lambda frames: 31.4))
    assert drive(once, bell(31, 9), 49, 7.0) == (Stop(31.4), [])
    three = Scripted("three", partial(predict_once, predictor=lambda f: 10 * len(f), frames=3))
    assert drive(three, bell(31, 9), 49, 7.0) == (Stop(30.0), [8.0, 9.0])
    assert drive(three, bell(31, 9), 49, 48.0) == (Stop(30.0), [46.0, 47.0])
    far = Scripted("far", partial(predict_once, predictor=lambda f: 99.0, frames=50))
    with pytest.raises(ValueError, match="50 frames on 49 positions"):
        drive(far, bell(31, 9), 49, 7.0)
    script = partial(predict_twice, first=lambda f: 30.0, second=lambda f: f[1].index + 1)
    assert drive(Scripted("two", script), bell(31, 9), 49, 7.0) == (Stop(31.0), [30.0])


def test_the_guard_stops_a_hunter() -> None:
    hunter = Scripted("hunter", partial(settle, adviser=lambda f, at: 31.0 if at < 20 else 12.0))
    track = Track(np.arange(49))
    controller = Controller(hunter, track)
    at, frames = 12.0, 0
    while controller.state is State.SCANNING:
        action = controller.observe(Frame(at, bell(30, 9)(at)))
        at, frames = action.index, frames + 1
    assert controller.state is State.FAILED
    assert controller.stopped
    assert "hunting" in controller.reason
    assert (at, frames) == (31.0, 7)  # four returns, then it rests where it was sharpest
