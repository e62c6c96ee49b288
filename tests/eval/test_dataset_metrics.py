"""Every metric of `dff eval` as it is scored, against plain second implementations, to 1e-6."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from dff.data.sample import DepthSample, Truth
from dff.eval.baselines.methods import Estimate
from dff.eval.dataset_protocol import DatasetProtocol
from dff.eval.dataset_score import View, aggregated, score

HEIGHT, WIDTH = 23, 31
LOW, HIGH, STEP = 0.2, 1.5, 0.3
PROTOCOL = DatasetProtocol(
    dataset="smartphone",
    split="test",
    unit="dioptre",
    metrics=(
        *("mae", "mse", "rmse", "log_rms", "abs_rel", "sq_rel", "delta1", "delta2", "delta3"),
        *("bumpiness", "weighted_mae", "weighted_mse", "edge_error", "ause"),
    ),
    mask_range=(LOW, HIGH),
    weighting="confidence",
    edge_step=STEP,
)


def a_stack(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth, where it is known, weight, answer, and confidence."""
    rng = np.random.default_rng(seed)
    truth = np.where(np.arange(WIDTH) < 14, 0.4, 1.1) + 0.3 * rng.random((HEIGHT, WIDTH))
    valid = rng.random((HEIGHT, WIDTH)) < 0.9
    truth[0, :4] = 1.9  # outside the range
    guess = truth * rng.uniform(0.6, 1.6, truth.shape)
    return np.where(valid, truth, 0), valid, rng.random(truth.shape), guess, rng.random(truth.shape)


def scored(seed: int) -> dict[str, float]:
    truth, valid, weight, guess, confidence = a_stack(seed)
    images = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 3
    sample = DepthSample("a", images, np.array([0.2, 0.8, 1.6]), "dioptre", dioptre_per_unit=1.0)
    known = Truth(truth.astype(np.float32), valid, weight.astype(np.float32))
    return score(Estimate(guess, confidence), View(sample, known, np.ones(truth.shape, bool)), PROTOCOL)


def second(seed: int) -> dict[str, float]:
    """The same pixel by pixel."""
    truth, valid, weight, guess, confidence = a_stack(seed)
    truth, weight = truth.astype(np.float32).astype(float), weight.astype(np.float32).astype(float)
    pixels = [
        (y, x) for y in range(HEIGHT) for x in range(WIDTH) if valid[y, x] and LOW <= truth[y, x] <= HIGH
    ]
    n = len(pixels)
    error = {p: guess[p] - truth[p] for p in pixels}
    ratio = {p: max(guess[p] / truth[p], truth[p] / guess[p]) for p in pixels}
    found = {
        "mae": sum(abs(e) for e in error.values()) / n,
        "mse": sum(e * e for e in error.values()) / n,
        "log_rms": math.sqrt(sum((math.log(guess[p]) - math.log(truth[p])) ** 2 for p in pixels) / n),
        "abs_rel": sum(abs(error[p]) / truth[p] for p in pixels) / n,
        "sq_rel": sum(error[p] ** 2 / truth[p] for p in pixels) / n,
        **{f"delta{k}": sum(r < 1.25**k for r in ratio.values()) / n for k in (1, 2, 3)},
    }
    found["rmse"] = math.sqrt(found["mse"])
    total = sum(weight[p] for p in pixels)
    found["weighted_mae"] = sum(weight[p] * abs(error[p]) for p in pixels) / total
    found["weighted_mse"] = sum(weight[p] * error[p] ** 2 for p in pixels) / total
    found["bumpiness"] = _bumpiness(np.where(valid, truth, 0), guess, pixels)
    found["edge_error"] = _edge_error(truth, error, pixels)
    found["ause"] = _ause(error, confidence, pixels)
    return found


def _bumpiness(truth: np.ndarray, guess: np.ndarray, pixels: list[tuple[int, int]]) -> float:
    smooth, slope = np.array([3, 10, 3]) / 16, np.array([-1, 0, 1])

    def derivative(field: np.ndarray, axis: int) -> np.ndarray:
        along = ndimage.correlate1d(field, slope, axis=axis, mode="reflect")
        return ndimage.correlate1d(along, smooth, axis=1 - axis, mode="reflect")

    gap = guess - truth
    parts = [derivative(derivative(gap, i), j) ** 2 for i in (0, 1) for j in (0, 1)]
    norm = np.sqrt(sum(parts))
    return 100 * sum(min(norm[p], 0.05) for p in pixels) / len(pixels)


def _edge_error(truth: np.ndarray, error: dict[tuple[int, int], float], pixels: list) -> float:
    there, edge = set(pixels), set()
    for y, x in pixels:
        for other in ((y, x + 1), (y + 1, x)):
            if other in there and abs(truth[y, x] - truth[other]) > STEP:
                edge |= {(y, x), other}
    near = [p for p in pixels if any(max(abs(p[0] - y), abs(p[1] - x)) <= 2 for y, x in edge)]
    return sum(abs(error[p]) for p in near) / len(near)


def _ause(error: dict[tuple[int, int], float], confidence: np.ndarray, pixels: list) -> float:
    def curve(order: list[float]) -> list[float]:
        return [
            sum(order[: (left := max(1, math.ceil(len(order) * (1 - i / 100) - 1e-9)))]) / left
            for i in range(100)
        ]

    ours = curve([abs(error[p]) for p in sorted(pixels, key=lambda p: -confidence[p])])
    best = curve(sorted(abs(e) for e in error.values()))
    return sum(a - b for a, b in zip(ours, best, strict=True)) / 100 / ours[0]


@pytest.mark.parametrize("seed", range(3))
def test_every_metric_agrees_with_a_second_implementation(seed: int) -> None:
    found, expected = scored(seed), second(seed)
    assert set(expected) == set(PROTOCOL.metrics)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6, rel=1e-6), name


def test_means_over_stacks_agree_too() -> None:
    rows, plain = [scored(seed) for seed in range(3)], [second(seed) for seed in range(3)]
    for name, value in aggregated(rows, PROTOCOL).items():
        if name in PROTOCOL.metrics:
            assert value == pytest.approx(sum(one[name] for one in plain) / 3, abs=1e-6), name
