"""A depth network on whole stacks: tiles, long stacks, tones, precision. Untrained it follows its prior."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from dff.model.infer import (
    PRECISIONS,
    InferenceConfig,
    Precision,
    _refined,
    bytes_per_pixel,
    infer,
    probability_within,
    runs_in_half,
)
from dff.model.long_stacks import (
    interleaved,
    trust_in_windows,
    two_of,
    weighted_mean,
    window_share,
    windows,
)
from dff.model.network import SIZES, DepthNetwork, load_depth_network
from dff.model.tiles import Box

CONFIG = InferenceConfig(overlap=64, precision="float32")  # the same on every processor


@pytest.fixture(scope="module")
def network() -> DepthNetwork:
    torch.manual_seed(0)
    return DepthNetwork(SIZES["nano"]).eval()


@pytest.fixture(scope="module")
def stirred(network: DepthNetwork) -> DepthNetwork:
    """With random weights where an untrained network has zeros: all of it has a say, surroundings too."""
    torch.manual_seed(1)
    stirred = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in stirred.parameters():
            if parameter.ndim == 4 and not parameter.any():
                parameter.normal_(std=0.01)
    return stirred


def ramp_stack(n: int, height: int, width: int, blur: float = 8) -> tuple[list[np.ndarray], np.ndarray]:
    """Noise that is sharp at the left in the first slice and at the right in the last; and its depth."""
    grain = np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.float32)
    depth = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    blurred = [grain, *(cv2.GaussianBlur(grain, (0, 0), sigma) for sigma in (0.5, 1.0, 2.0, 4.0, 8.0))]
    slices = []
    for place in np.linspace(0, 1, n):
        level = np.clip(np.abs(depth - place) * blur, 0, 5)
        picture = sum(
            (np.clip(1 - np.abs(level - k), 0, 1)[..., None] * image for k, image in enumerate(blurred)),
            np.zeros_like(grain),
        )
        slices.append(np.rint(picture).astype(np.uint8))
    return slices, depth


class Spy:
    """Notes what is given to a network."""

    def __init__(self, network: DepthNetwork) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.tones: list[Any] = []
        self._hook = network.register_forward_pre_hook(self._note)

    def _note(self, module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        del module
        self.shapes.append(tuple(arguments[0].shape))
        self.tones.append(arguments[2])

    def __enter__(self) -> Spy:
        return self

    def __exit__(self, *error: object) -> None:
        self._hook.remove()


# --- tiles -----------------------------------------------------------------------------------------------


def test_tiled_is_the_same_as_whole(stirred: DepthNetwork) -> None:
    slices, _ = ramp_stack(3, 160, 500)
    slices = [np.concatenate([picture[:, :250], picture[:, 250:] // 4], axis=1) for picture in slices]
    whole = infer(stirred, slices, np.arange(3.0), CONFIG)
    tiny_tiles = replace(CONFIG, tile_bytes=160 * 256 * bytes_per_pixel(stirred, 3), overlap=128)
    tiled = infer(stirred, slices, np.arange(3.0), tiny_tiles)
    assert whole.tiles == 1
    assert tiled.tiles >= 3
    off = np.abs(tiled.u - whole.u)
    assert off[:, :100].max() < 1e-5
    assert off.max() < 0.04
    assert off.mean() < 2e-3
    assert np.abs(np.log(tiled.scale / whole.scale)).mean() < 0.01


def test_tiles_and_parts_are_given_the_tone_of_the_whole_stack(network: DepthNetwork) -> None:
    """The right half is dark."""
    slices, _ = ramp_stack(14, 64, 500)
    slices = [np.concatenate([picture[:, :250], picture[:, 250:] // 4], axis=1) for picture in slices]
    with Spy(network) as spy:
        infer(network, slices, np.arange(14.0), replace(CONFIG, tile_bytes=1))
    assert len(spy.tones) > 8
    values = np.stack(slices) / 255
    mean = values.mean(axis=(0, 1, 2))
    for tones in spy.tones:
        np.testing.assert_allclose(tones.mean[0], mean, rtol=1e-4)
        np.testing.assert_allclose(tones.deviation[0], np.sqrt(np.square(values - mean).mean()), rtol=1e-4)


@pytest.mark.parametrize("n", [2, 5, 14])
def test_memory_keeps_to_its_bound_at_any_size_and_number(network: DepthNetwork, n: int) -> None:
    limit = 12 * bytes_per_pixel(network, 1) * 128 * 128
    config = replace(CONFIG, tile_bytes=limit)
    slices = [np.zeros((100, 500, 3), np.uint8)] * n
    with Spy(network) as spy:
        infer(network, slices, np.arange(float(n)), config)
    assert len(spy.shapes) > (1 if n > 2 else 0)
    for batch, count, _, height, width in spy.shapes:
        padded = -(-height // 32) * 32 * -(-width // 32) * 32
        assert batch == 1
        assert count <= config.slices
        assert bytes_per_pixel(network, count) * padded <= limit


# --- long stacks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "most"), [(2, 12), (12, 12), (13, 12), (20, 12), (49, 10), (100, 12), (9, 3)]
)
def test_interleaved_parts_are_all_slices_and_span_the_sweep(count: int, most: int) -> None:
    parts = interleaved(count, most)
    assert set().union(*parts) == set(range(count))
    for part in parts:
        assert part == sorted(set(part))
        assert len(part) <= most
        assert (part[0], part[-1]) == (0, count - 1)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(("count", "length"), [(13, 12), (20, 12), (49, 12), (100, 12), (9, 3), (30, 5)])
def test_windows_cover_every_depth(count: int, length: int) -> None:
    runs = windows(count, length)
    index = np.linspace(0, count - 1, 1001, dtype=np.float32)[None]
    shares = [window_share(index, run, count) for run in runs]
    assert all(len(run) == length and run == list(range(run[0], run[-1] + 1)) for run in runs)
    assert np.sum(shares, axis=0).min() >= 0.5
    for run, share in zip(runs, shares, strict=True):
        assert index[share > 0].min() >= run[0] - 0.5
        assert index[share > 0].max() <= run[-1] + 0.5


def test_the_surer_part_has_the_larger_say() -> None:
    u = np.array([0.3, 0.4], np.float32)[:, None, None]
    found, scale = weighted_mean(u, np.array([0.1, 0.1], np.float32)[:, None, None])
    assert found.item() == pytest.approx(0.35)
    assert scale.item() == pytest.approx(0.15)  # a part's own, and how far it lies off
    assert weighted_mean(u, np.array([0.1, 0.01], np.float32)[:, None, None])[0].item() > 0.398


def test_windows_are_trusted_where_the_first_depth_is_sure_to_lie_in_them() -> None:
    scale, reach = np.array([0.01, 0.01, 0.05, 0.2]), np.full(4, 0.1)
    trust = trust_in_windows(scale, np.array([0.001, 0.1, 0.005, 0.001]), reach)
    assert trust[0] > 0.85
    assert trust[1] < 0.02  # the windows know less
    assert 0.4 < trust[2] < 0.5
    assert trust[3] == 0


@pytest.mark.parametrize("n", [2, 3, 12, 13, 30, 100])
def test_any_number_of_slices(network: DepthNetwork, n: int) -> None:
    slices, depth = ramp_stack(n, 64, 96)
    found = infer(network, slices, np.linspace(1, 4, n), CONFIG)
    assert found.u.shape == found.scale.shape == (64, 96)
    assert found.u.min() >= 0
    assert found.u.max() <= 1
    assert (found.parts == 1) == (n <= CONFIG.slices)
    if n > 2:
        assert np.abs(found.u - depth)[:, 8:-8].mean() < 0.2


def test_windows_sharpen_what_is_sure() -> None:
    slices, depth = ramp_stack(30, 64, 128, blur=60)
    place, network = np.linspace(0, 1, 30), load_depth_network("base")
    two_passes = infer(network, slices, place, CONFIG)
    first = [
        infer(network, [slices[k] for k in part], place[part], CONFIG) for part in two_of(interleaved(30, 10))
    ]
    rough, _ = weighted_mean(np.stack([f.u for f in first]), np.stack([f.scale for f in first]))
    assert np.abs(two_passes.u - depth).mean() < 0.8 * np.abs(rough - depth).mean()


def test_windows_that_no_pixel_needs_are_not_computed() -> None:
    rough, sure = np.full((4, 4), 0.1, np.float32), np.full((4, 4), 0.01, np.float32)
    asked: list[list[int]] = []

    def ask(part: list[int], box: Box) -> tuple[np.ndarray, np.ndarray]:
        asked.append(part)
        return rough[box], rough[box]

    u, _ = _refined(rough, sure, windows(40, 10), np.arange(40.0), ask, 128)
    assert all(part[0] <= 4 <= part[-1] for part in asked)
    assert bool((u < rough).all())
    asked.clear()
    unsure = _refined(rough, 50 * sure, windows(40, 10), np.arange(40.0), ask, 128)
    assert not asked
    np.testing.assert_array_equal(unsure[0], rough)


def test_windows_are_looked_at_where_they_are_needed(network: DepthNetwork) -> None:
    """A ramp: each window is needed in a strip, and margins of 64 px are enough for it."""
    slices, _ = ramp_stack(30, 64, 512, blur=60)
    near, far = (infer(network, slices, np.arange(30.0), replace(CONFIG, overlap=px)) for px in (64, 512))
    assert np.abs(near.u - far.u).mean() < 1e-3
    boxes: list[Box] = []
    ramp = np.tile(np.linspace(0, 1, 512, dtype=np.float32), (64, 1))

    def ask(part: list[int], box: Box) -> tuple[np.ndarray, np.ndarray]:
        boxes.append(box)
        return ramp[box], ramp[box]

    _refined(ramp, np.full_like(ramp, 0.01), windows(30, 10), np.arange(30.0), ask, 64)
    widths = [columns.stop - columns.start for _, columns in boxes]
    assert max(widths) < 400
    assert all(columns.start % 32 == 0 for _, columns in boxes)


# --- views -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("views", "axis"), [(2, 1), (4, 0), (8, 0)])
def test_what_is_mirrored_has_the_mirrored_depth(stirred: DepthNetwork, views: int, axis: int) -> None:
    slices, _ = ramp_stack(5, 64, 96)
    config = replace(CONFIG, views=views)
    found = infer(stirred, slices, np.arange(5.0), config)
    mirrored = [np.ascontiguousarray(np.flip(picture, axis)) for picture in slices]
    other = infer(stirred, mirrored, np.arange(5.0), config)
    np.testing.assert_allclose(np.flip(other.u, axis), found.u, atol=1e-4)
    np.testing.assert_allclose(np.flip(other.scale, axis), found.scale, atol=1e-4)
    single = infer(stirred, mirrored, np.arange(5.0), CONFIG)
    assert np.abs(np.flip(single.u, axis) - found.u).max() > 1e-3


def test_eight_views_do_not_mind_turning(stirred: DepthNetwork) -> None:
    slices, _ = ramp_stack(5, 64, 96)
    config = replace(CONFIG, views=8)
    turned = [np.ascontiguousarray(np.rot90(picture)) for picture in slices]
    found, other = (infer(stirred, stack, np.arange(5.0), config) for stack in (slices, turned))
    np.testing.assert_allclose(other.u, np.rot90(found.u), atol=1e-4)


# --- tones, types, precision -----------------------------------------------------------------------------


def test_depth_does_not_depend_on_how_pictures_are_stored(network: DepthNetwork) -> None:
    slices, _ = ramp_stack(4, 64, 64)
    usual = infer(network, slices, np.arange(4.0), CONFIG).u
    wide = infer(network, [s.astype(np.uint16) * 257 for s in slices], np.arange(4.0), CONFIG).u
    real = infer(network, [s.astype(np.float32) / 255 for s in slices], np.arange(4.0), CONFIG).u
    np.testing.assert_allclose(wide, usual, atol=1e-4)
    np.testing.assert_allclose(real, usual, atol=1e-4)


def test_twelve_bits_in_sixteen_are_not_black(network: DepthNetwork) -> None:
    slices, _ = ramp_stack(4, 64, 64)
    dark = infer(network, [s.astype(np.uint16) * 16 for s in slices], np.arange(4.0), CONFIG)
    half = infer(network, [(s // 2).astype(np.uint8) for s in slices], np.arange(4.0), CONFIG)
    assert np.abs(dark.u - half.u).mean() < 0.02


def test_only_the_ratio_of_steps_counts(network: DepthNetwork) -> None:
    slices, _ = ramp_stack(5, 64, 64)
    place = np.array([0.0, 1, 2, 5, 9])
    one = infer(network, slices, place, CONFIG)
    other = infer(network, slices, 3e-3 * place - 0.1, CONFIG)
    np.testing.assert_allclose(one.u, other.u, atol=1e-4)


def test_bfloat16_is_close(network: DepthNetwork) -> None:
    slices, _ = ramp_stack(5, 64, 96)
    exact = infer(network, slices, np.arange(5.0), replace(CONFIG, precision="float32"))
    rough = infer(network, slices, np.arange(5.0), replace(CONFIG, precision="bfloat16"))
    assert rough.u.dtype == np.float32
    assert np.abs(exact.u - rough.u).mean() < 0.03


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("asked", PRECISIONS)
def test_auto_is_half_precision_where_the_device_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, asked: Precision, known: bool
) -> None:
    monkeypatch.setattr("dff.model.infer.computes_in_half", lambda device: known)
    half = asked == "bfloat16" or (asked == "auto" and known)
    assert runs_in_half(asked, torch.device("cpu")) == half


def test_contrast_of_faint_stacks_is_raised(network: DepthNetwork) -> None:
    slices, _ = ramp_stack(5, 64, 96)
    shares = np.stack(slices) / np.float32(255)

    def seen(deviation: float) -> np.ndarray:
        faint = 0.6 + (shares - shares.mean()) * np.float32(deviation / shares.std())
        return infer(network, list(np.rint(65535 * faint).astype(np.uint16)), np.arange(5.0), CONFIG).u

    np.testing.assert_allclose(seen(0.005), seen(0.02), atol=2e-3)
    assert np.abs(seen(0.001) - seen(0.02)).max() > 4e-3  # not without end


def test_deterministic(network: DepthNetwork) -> None:
    slices, _ = ramp_stack(14, 64, 64)
    first, again = (infer(network, slices, np.arange(14.0), CONFIG) for _ in range(2))
    assert np.array_equal(first.u, again.u)


def test_confidence_is_the_probability_of_a_small_error() -> None:
    scale = np.array([1e-9, 0.05, 0.1, 1.0], np.float32)
    errors = np.random.default_rng(0).laplace(0, scale, (100_000, 4))
    told = probability_within(0.1, scale)
    np.testing.assert_allclose(told, (np.abs(errors) <= 0.1).mean(axis=0), atol=0.01)
    assert ((told >= 0) & (told <= 1)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"overlap": 100}, "overlap 100; give a multiple of 32"),
        ({"views": 3}, "views 3; choose from 1, 2, 4, 8"),
        ({"precision": "int8"}, "precision 'int8'; choose from auto, float32, bfloat16"),
        ({"slices": 2}, "slices at least 3"),
        ({"tile_bytes": 0}, "tile_bytes"),
    ],
    ids=str,
)
def test_bad_settings(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)
