"""How stacks of data sets are seen and scored: protocols, units, masks, means; numbers worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dff.data.ddff12 import DFV_FOCUS_PX, PX_METRES
from dff.data.sample import DepthSample, SampleUnit, Truth
from dff.data.smartphone import dioptres
from dff.eval.baselines.methods import Estimate
from dff.eval.dataset_protocol import (
    KIND,
    DatasetProtocol,
    check_same,
    choose_protocol,
    load_protocol,
    protocols_of,
)
from dff.eval.dataset_score import NothingToScoreError, View, aggregated, converted, mask_of, score, view
from dff.recipes import recipe_names

PLAIN = DatasetProtocol(dataset="ddff12", split="h5_val", unit="disparity_px", metrics=("mae", "mse"))


def a_sample(
    focus: np.ndarray, unit: SampleUnit = "dioptre", size: tuple[int, int] = (6, 8), **more: object
) -> DepthSample:
    images = [np.full((*size, 3), 10 * k, np.uint8) for k in range(len(focus))]
    return DepthSample("a", images, np.asarray(focus, float), unit, **more)  # type: ignore[arg-type]


def seen(depth: np.ndarray, valid: np.ndarray, sample: DepthSample, weight: np.ndarray | None = None) -> View:
    return View(sample, Truth(depth.astype(np.float32), valid, weight), np.ones(depth.shape, bool))


@pytest.mark.parametrize("name", recipe_names(KIND))
def test_every_protocol_that_ships_is_sound(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.fingerprint == load_protocol(name).fingerprint
    for row in protocol.published:
        assert row.source
        for metric, value in row.values.items():
            assert value > 0
            assert value <= 1 or not metric.startswith("delta")
    others = [one for other, one in protocols_of(protocol.dataset).items() if other != name]
    assert all(other.fingerprint != protocol.fingerprint for other in others)


def test_units_to_the_last_digit() -> None:
    metres = np.array([0.5, 1.0, 2.864, 7.0])
    ddff = a_sample(np.linspace(0.02, 0.28, 3), "disparity_px", dioptre_per_unit=1 / PX_METRES)
    assert round(PX_METRES, 6) == 0.141238
    assert converted(PX_METRES / metres, ddff, "metre") == pytest.approx(metres, rel=1e-15)
    assert converted(PX_METRES / metres, ddff, "dioptre") == pytest.approx(1 / metres, rel=1e-15)
    assert converted(np.array([0.15]), ddff, "sweep") == pytest.approx([0.5])
    levels = np.array([0, 51, 128, 255], np.uint8)
    phone = a_sample(np.array([0.25, 5.0, 9.8]), dioptre_per_unit=1.0)
    told = converted(dioptres(levels), phone, "metre")
    assert told == pytest.approx([20 / (100 - 99.8 * level / 255) for level in levels.tolist()], rel=1e-12)
    assert (told[0], told[-1]) == (pytest.approx(0.2), pytest.approx(100))
    assert converted(np.array([0.0]), phone, "metre") == math.inf
    with pytest.raises(ValueError, match="cannot be had in metre"):
        converted(levels, a_sample(np.array([1.0, 2]), "disparity_px"), "metre")


def test_which_pixels_count() -> None:
    depth = np.array([[0.5, 1, 2, 4]])
    valid = np.array([[True, True, True, False]])
    sample = a_sample(np.array([0.5, 1.0]), size=(1, 4), dioptre_per_unit=1.0)
    metric = replace(PLAIN, unit="metre", mask_range=(0.5, 1.0))
    truth, mask = mask_of(seen(depth, valid, sample), metric)
    assert truth.tolist() == [[2, 1, 0.5, 0]]
    assert mask.tolist() == [[False, True, True, False]]
    clipped = replace(metric, clip_truth=(0.0, 0.9), mask_range=None)
    truth, mask = mask_of(seen(depth, valid, sample), clipped)
    assert truth.tolist() == [[0.9, 0.9, 0.5, 0]]
    assert mask.tolist() == [[True, True, True, False]]
    with pytest.raises(NothingToScoreError, match="a: no true depth in the range"):
        mask_of(seen(depth, valid, sample), replace(metric, mask_range=(20.0, 30.0)))


def test_scores_by_hand() -> None:
    depth, guess = np.array([[1.0, 2, 0.5]]), np.array([[1.5, 2, 0.1]])
    sample = a_sample(np.array([0.5, 2.0]), size=(1, 3), dioptre_per_unit=1.0)
    one = seen(depth, np.array([[True, True, False]]), sample, np.array([[0.25, 1, 1]]))
    protocol = replace(
        PLAIN,
        unit="dioptre",
        metrics=("mae", "rmse", "log_rms", "delta1", "weighted_mae", "weighted_mse", "ause"),
        weighting="confidence",
    )
    found = score(
        Estimate(guess, np.array([[0.1, 0.9, 0.5]]), np.array([[True, False, True]])), one, protocol
    )
    assert found["mae"] == 0.25
    assert found["rmse"] == pytest.approx(math.sqrt(0.125))
    assert found["log_rms"] == pytest.approx(math.log(1.5) / math.sqrt(2))
    assert found["delta1"] == 0.5
    assert found["weighted_mae"] == pytest.approx(0.25 * 0.5 / 1.25)
    assert found["weighted_mse"] == pytest.approx(0.25 * 0.25 / 1.25)
    assert found["ause"] == 0
    assert (found["known"], found["pixels"], found["weight"]) == (0.5, 2, 1.25)
    silent = score(Estimate(guess - 1.5), one, replace(PLAIN, unit="dioptre", metrics=("log_rms", "ause")))
    assert math.isnan(silent["log_rms"])
    assert math.isnan(silent["ause"])
    clipped = replace(PLAIN, unit="dioptre", clip_prediction=(0.0, 1.25))
    assert score(Estimate(guess), one, clipped)["mae"] == pytest.approx((0.25 + 0.75) / 2)
    with pytest.raises(ValueError, match="NaN or infinite depth"):
        score(Estimate(guess * np.nan), one, replace(PLAIN, unit="dioptre"))
    with pytest.raises(ValueError, match="no confidence of its depth"):
        score(Estimate(guess), seen(depth, depth > 0, sample), protocol)


def test_means_over_stacks_and_over_pixels() -> None:
    protocol = replace(PLAIN, metrics=("mse", "rmse", "ause"))
    rows = [
        {"mse": 1.0, "rmse": 1.0, "ause": 0.5, "known": 1.0, "pixels": 300.0, "weight": math.nan},
        {"mse": 9.0, "rmse": 3.0, "ause": math.nan, "known": 0.0, "pixels": 100.0, "weight": math.nan},
    ]
    assert aggregated(rows, protocol) == {"mse": 5, "rmse": 2, "ause": 0.5, "known": 0.5}
    pooled = aggregated(rows, replace(protocol, aggregate="pooled"))
    assert pooled == pytest.approx({"mse": 3, "rmse": math.sqrt(3), "ause": 0.5, "known": 0.75})


def test_a_stack_as_the_protocol_wants_it() -> None:
    depth = np.arange(48.0).reshape(6, 8)
    sample = a_sample(
        np.linspace(0.0202, 0.2825, 10),
        "disparity_px",
        read_truth=lambda: Truth(depth.astype(np.float32), depth > 0),
    )
    cut = replace(PLAIN, slices=(0, 3, 9), focus=(0.02, 0.28), crop=(2, 4))
    one = view(sample, cut)
    assert [int(image[0, 0, 0]) for image in one.sample.images] == [0, 30, 90]
    assert one.sample.focus == pytest.approx(DFV_FOCUS_PX[[0, 3, 9]])
    assert one.truth is not None
    assert one.truth.depth.tolist() == depth[2:4, 2:6].tolist()
    assert len(view(sample, replace(PLAIN, slices=4)).sample) == 4
    for wrong in (replace(PLAIN, slices=11), replace(PLAIN, slices=(0, 10)), replace(PLAIN, crop=(7, 7))):
        with pytest.raises(ValueError, match="the protocol"):
            view(sample, wrong)


def test_pictures_are_brought_to_a_height() -> None:
    depth = np.arange(48, dtype=np.float32).reshape(6, 8) + 1
    holes = depth != 1
    sample = a_sample(
        np.array([1.0, 2.0]), read_truth=lambda: Truth(np.where(holes, depth, 0).astype(np.float32), holes)
    )
    cut = replace(PLAIN, unit="dioptre", height=3, crop=(3, 2))
    one = view(sample, cut)
    assert one.truth is not None
    # every second pixel, the lower right of the middle, then the two middle columns of four
    assert one.truth.depth.tolist() == depth[1::2, 1::2][:, 1:3].tolist()
    assert (one.sample.images[1].shape, one.sample.images[1].dtype) == ((3, 2, 3), np.uint8)
    assert (one.sample.images[1] == 10).all()
    floats = replace(sample, images=[image.astype(np.float32) / 255 for image in sample.images])
    assert view(floats, cut).sample.images[1] == pytest.approx(10 / 255, abs=1e-6)
    larger = view(sample, replace(cut, height=12, crop=None))
    assert larger.truth is not None
    assert larger.truth.depth.shape == (12, 16)
    assert larger.truth.depth[::2, ::2].tolist() == np.where(holes, depth, 0).tolist()


def test_slices_are_brought_to_the_reference() -> None:
    focus, focal_m = np.array([0.25, 5.0, 9.8]), 4.44e-3
    zoom = (1 - focal_m * focus) / (
        1 - focal_m * focus[-1]
    )  # scale of the nearest over that of each, inverse
    grey = np.tile(np.linspace(0, 250, 80), (60, 1)).astype(np.float32)[..., None].repeat(3, axis=2) / 255
    sample = DepthSample(
        "a",
        [grey] * 3,
        focus,
        "dioptre",
        read_truth=lambda: Truth(np.ones((60, 80), np.float32), np.ones((60, 80), bool)),
        dioptre_per_unit=1.0,
        focal_length_m=focal_m,
    )
    one = view(sample, replace(PLAIN, unit="dioptre", align="breathing"))
    across = [float(image[30, 70, 0] - image[30, 10, 0]) for image in one.sample.images]
    assert across[2] / across[0] == pytest.approx(zoom[0], rel=2e-3)
    assert one.shown.all()
    moved = np.repeat(np.array([[[1.0, 0, 4], [0, 1, 0]]]), 3, axis=0)
    moved[2, 0, 2] = 0
    known = view(replace(sample, matrices=moved), replace(PLAIN, unit="dioptre", align="known"))
    assert known.sample.images[0][30, 10, 0] == pytest.approx(grey[30, 14, 0], abs=1e-3)
    assert known.shown.sum() == 60 * 76
    for align in ("known", "breathing"):
        with pytest.raises(ValueError, match="not known"):
            view(replace(sample, focal_length_m=None), replace(PLAIN, unit="dioptre", align=align))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask_range": (2.0, 1.0)}, "smaller end first"),
        ({"slices": 1}, "at least 2"),
        ({"metrics": ("weighted_mae",)}, "weighting"),
        ({"metrics": ("edge_error",)}, "go together"),
    ],
)
def test_unsound_protocols_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **change)


def test_choosing_a_protocol(tmp_path: Path) -> None:
    assert choose_protocol("smartphone")[0] == "smartphone"
    assert choose_protocol("ddff12", split="h5_val")[0] == "ddff12_h5_val"
    own = tmp_path / "own.toml"
    own.write_text('base = "ddff12_h5_val"\nmask_range = [0.02, 0.28]\n')
    name, protocol = choose_protocol("ddff12", str(own))
    assert (name, protocol.mask_range) == ("own", (0.02, 0.28))
    for protocol_name, split, message in (
        (None, None, "do not compare; choose --protocol from"),
        (None, "train", "no protocol scores the split 'train'"),
        (None, "trian", "no split 'trian'"),
        ("ddff12_h5_val,ddff12_dfv_split", None, "give one at a time"),
        ("ddff12_h5_val", "dfv_split", "is for the split 'h5_val'"),
        ("smartphone", None, "is for smartphone, not for ddff12"),
        ("ddff12_h5val", None, "did you mean 'ddff12_h5_val'"),
    ):
        with pytest.raises(ValueError, match=message):
            choose_protocol("ddff12", protocol_name, split)
    with pytest.raises(ValueError, match="mask_range differ"):
        check_same("a", protocol.settings(), "b", load_protocol("ddff12_h5_val").settings(), "choose one")
