import numpy as np
import pytest

from dff.classical.regularise import GuidedFilter, edge_weights, fill, total_variation

RANDOM = np.random.default_rng(0)
GUIDE = RANDOM.random((40, 50)).astype(np.float32)


def step_picture(height=32, width=40, low=0.2, high=0.8):
    picture = np.full((height, width), low, np.float32)
    picture[:, width // 2 :] = high
    return picture


# --- guided filter ---------------------------------------------------------------------------------------


def test_guided_filter_of_a_constant():
    assert np.allclose(GuidedFilter(GUIDE, 3, 1e-3)(np.full_like(GUIDE, 0.3)), 0.3, atol=1e-5)


def test_guided_filter_of_its_own_guide():
    assert np.allclose(GuidedFilter(GUIDE, 3, 1e-7)(GUIDE), GUIDE, atol=1e-3)


def test_guided_filter_of_a_linear_map_of_the_guide():
    slope, offset = GuidedFilter(GUIDE, 4, 1e-7).coefficients(0.1 + 2 * GUIDE)
    assert np.allclose(slope, 2, atol=1e-3)
    assert np.allclose(offset, 0.1, atol=1e-3)


def test_guided_filter_smooths_on_flat_guide_and_keeps_the_guides_edge():
    guide = step_picture()
    noisy = guide + 0.1 * RANDOM.normal(size=guide.shape).astype(np.float32)
    out = GuidedFilter(guide, 3, 1e-3)(noisy)
    assert np.abs(out - guide)[:, 2:-2].max() < 0.12
    assert (out - guide).std() < 0.3 * (noisy - guide).std()
    assert (out[:, 20] - out[:, 19]).min() > 0.45


# --- filling ---------------------------------------------------------------------------------------------


def test_fill_keeps_what_is_sure():
    value = RANDOM.random((33, 47)).astype(np.float32)
    assert np.allclose(fill(value, np.ones_like(value)), value, atol=0.03)


def test_fill_bridges_a_hole_smoothly():
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    value, confidence = ramp.copy(), np.ones_like(ramp)
    value[12:36, 20:44], confidence[12:36, 20:44] = 9, 1e-4
    out = fill(value, confidence)
    assert np.abs(out - ramp).max() < 0.2
    assert np.abs(np.diff(out, axis=1)).max() < 0.1


def test_fill_of_nothing_known_is_flat():
    out = fill(np.full((20, 30), 0.4, np.float32), np.full((20, 30), 1e-4, np.float32))
    assert np.isfinite(out).all()
    assert np.allclose(out, 0.4, atol=0.01)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (5, 4), (97, 131)])
def test_fill_of_any_size(size):
    out = fill(np.full(size, 0.5, np.float32), np.ones(size, np.float32))
    assert out.shape == size
    assert np.allclose(out, 0.5, atol=1e-3)


# --- total variation -------------------------------------------------------------------------------------


def test_edge_weights():
    right, down = edge_weights(step_picture(), 0.04)
    assert right.shape == down.shape == (32, 40)
    assert right[:, 19].max() < 0.1
    assert np.allclose(right[:, :15], 1.02)
    assert np.allclose(down, 1.02)


def objective(u, value, confidence, weights, strength, huber):
    """What `total_variation` says it minimises; a huber step costs |d|, and d^2 / 2h + h / 2 below h."""

    def cost(step):
        size = np.abs(step)
        return np.where(size > huber, size - huber / 2, size**2 / (2 * huber))

    smooth = (weights[0][:, :-1] * cost(np.diff(u, axis=1))).sum()
    smooth += (weights[1][:-1] * cost(np.diff(u, axis=0))).sum()
    return float((confidence * np.abs(u - value)).sum() + strength * smooth)


@pytest.mark.parametrize(("strength", "huber"), [(0.2, 0.002), (0.5, 0.05)])
def test_total_variation_against_a_slow_reference(strength, huber):
    """L-BFGS on the same cost, its corner at |0| rounded off ever more sharply."""
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(3)
    value, confidence = random.random((2, 12, 12))
    weights = edge_weights(random.random((12, 12)).astype(np.float32), 0.3)

    def rounded(flat, epsilon):
        u = flat.reshape(12, 12)
        far = np.sqrt((u - value) ** 2 + epsilon**2)
        slope = confidence * (u - value) / far
        for axis, weight in ((1, weights[0][:, :-1]), (0, weights[1][:-1])):
            pull = strength * weight * np.clip(np.diff(u, axis=axis) / huber, -1, 1)
            before, after = np.zeros((2, 12, 12))
            (before[:, :-1] if axis else before[:-1])[...] = pull
            (after[:, 1:] if axis else after[1:])[...] = pull
            slope += after - before
        cost = objective(u, u, confidence, weights, strength, huber) + float((confidence * far).sum())
        return cost, slope.ravel()

    best = value.ravel()
    for epsilon in (1e-1, 1e-2, 1e-3, 1e-4):
        best = optimize.minimize(rounded, best, (epsilon,), "L-BFGS-B", jac=True, options={"maxiter": 500}).x
    least = objective(best.reshape(12, 12), value, confidence, weights, strength, huber)
    solved = total_variation(
        value.astype(np.float32),
        confidence.astype(np.float32),
        weights,
        strength=strength,
        start=value,
        iterations=3000,
        huber=huber,
    )
    found = objective(solved.astype(np.float64), value, confidence, weights, strength, huber)
    assert found <= least * 1.005
    assert found < 0.9 * objective(value, value, confidence, weights, strength, huber)


def plain(size):
    return np.ones(size, np.float32), np.ones(size, np.float32)


def test_total_variation_leaves_flat_ground_alone():
    value = np.full((20, 25), 0.4, np.float32)
    out = total_variation(value, np.ones_like(value), plain(value.shape), strength=0.5, start=value)
    assert np.allclose(out, 0.4, atol=1e-6)


def test_total_variation_removes_a_spot_and_keeps_a_step():
    value = step_picture()
    spotted = value.copy()
    spotted[10, 10] = 1.0
    out = total_variation(
        spotted, np.ones_like(value), plain(value.shape), strength=0.3, start=spotted, iterations=300
    )
    assert np.allclose(out, value, atol=0.02)


def test_total_variation_reaches_pixels_without_data():
    value, confidence = step_picture(), np.ones((32, 40), np.float32)
    value[8:24, 4:14], confidence[8:24, 4:14] = 0.9, 0
    start = fill(value, confidence)
    out = total_variation(value, confidence, plain(value.shape), strength=0.3, start=start, iterations=300)
    assert np.allclose(out, step_picture(), atol=0.03)


def test_total_variation_bridges_with_a_slope_not_a_stair():
    ramp = np.tile(np.linspace(0.3, 0.32, 21, dtype=np.float32), (8, 1))
    confidence = np.zeros_like(ramp)
    confidence[:, [0, -1]] = 1
    stair = np.where(np.arange(21) < 10, ramp[:, :1], ramp[:, -1:])
    out = total_variation(ramp, confidence, plain(ramp.shape), strength=0.3, start=stair, iterations=1500)
    assert np.allclose(out, ramp, atol=1e-3)
