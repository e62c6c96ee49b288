import json
import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dff import metrics
from dff.models import FUSING
from dff.pipeline import align, fuse, predict
from dff.simulator.camera_prior import CameraPrior
from dff.simulator.capture import SimulationConfig, simulate
from dff.simulator.motion import Motion
from dff.simulator.scene_config import SceneConfig
from dff.simulator.sensor import Sensor
from dff.stack import FocalStack

SIZE = (96, 128)
N = 5
CONFIG = SimulationConfig(
    scene=SceneConfig(
        objects=(2, 2),
        shapes=("ellipse", "box", "star"),
        textures=("noise",),
        backgrounds=("slanted",),
        faded_share=0,
        flat_share=0,
        plain_share=0,
        dark_share=0,
        background_slant=(0.6, 0.6),
    ),
    camera=CameraPrior(
        n_slices=(N, N),
        max_coc_px=(8, 8),
        breathing_px=(2, 2),
        motion=Motion(shift_px=1),
        sensors=(Sensor(shot=(1e-4, 1e-4)),),
    ),
    size=SIZE,
)
ROW = {"name", "zoom", "shift_px", "rotation_deg", "residual_px", "flag", "position"}
REPORT = {
    "model",
    "size",
    "unit",
    "unit_words",
    "positions_from",
    "reference",
    "alignment",
    "known_share",
    "slices",
    "seconds",
}


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def without_lens(known):
    known.stack = FocalStack(known.stack.slices, known.stack.focus)
    return known


@pytest.fixture(scope="module")
def known():
    """A stack with its truth, without its lens: nothing is known of the motion."""
    return without_lens(simulate(CONFIG, 0))


@pytest.fixture(scope="module")
def with_stranger(known):
    """Slice 1 shows another scene."""
    slices = list(known.stack.slices)
    slices[1] = simulate(CONFIG, 50).stack.slices[1]
    return FocalStack(slices, known.stack.focus, names=[f"img{k}.png" for k in range(N)])


# --- end to end ------------------------------------------------------------------------------------------


def test_predict(known):
    result = predict(known.stack, reference=known.reference)
    depth = result.depth
    assert depth.unit == "dioptre"
    assert depth.index.shape == SIZE
    assert depth.valid.mean() > 0.8
    assert metrics.mae(depth.value, known.dioptre, depth.valid & ~known.edges) < 0.05 * 2.7
    assert result.aif.shape == (*SIZE, 3)
    assert result.aif.dtype == np.uint8
    aligned = [result.alignment.warp(picture, k) for k, picture in enumerate(result.stack.slices)]
    assert metrics.gradients_kept(result.aif, aligned) > max(
        metrics.gradients_kept(picture, aligned) for picture in aligned
    )
    assert metrics.psnr(result.aif / 255, known.aif) > 25
    assert result.used == list(range(N))
    assert result.model == "base"
    assert set(result.seconds) == {"align", "depth", "fuse"}
    assert all(value > 0 for value in result.seconds.values())


def test_predict_is_deterministic(known):
    first, again = predict(known.stack), predict(known.stack)
    assert np.array_equal(first.depth.index, again.depth.index)
    assert np.array_equal(first.aif, again.aif)


def test_without_the_picture(known):
    result = predict(known.stack, aif=False)
    assert result.aif is None
    assert set(result.seconds) == {"align", "depth"}


def test_fuse_is_predict(known):
    one, other = fuse(known.stack, align="none"), predict(known.stack, model=FUSING, align="none")
    assert np.array_equal(one.aif, other.aif)
    assert np.array_equal(one.depth.index, other.depth.index)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_grey_of_other_depths(known, dtype):
    top = 1 if dtype == np.float32 else 65535
    slices = [(picture[..., 1] / 255 * top).astype(dtype) for picture in known.stack.slices]
    result = predict(FocalStack(slices, known.stack.focus))
    assert result.aif.dtype == dtype
    assert result.aif.shape == SIZE
    assert result.depth.valid.mean() > 0.8


def test_any_order_gives_the_same(known):
    stack = known.stack
    order = [3, 0, 4, 1, 2]
    mixed = FocalStack([stack.slices[k] for k in order], stack.focus[order], names=[f"n{k}" for k in order])
    given, plain = predict(mixed, reference=0), predict(stack, reference=3)
    assert given.stack.names == tuple(f"n{k}" for k in range(N))
    assert given.report()["reference"] == "n3"
    assert np.array_equal(given.depth.index, plain.depth.index)
    assert np.array_equal(given.aif, plain.aif)
    assert np.array_equal(given.depth.positions, stack.focus)


def test_without_positions_depth_is_an_index(known):
    result = predict(FocalStack(known.stack.slices))
    assert result.depth.unit == "index"
    assert result.depth.metres is None
    assert result.report()["positions_from"] == "unknown"


def test_align(known):
    ordered, found = align(known.stack.subset([4, 3, 2, 1, 0]), reference="first", method="direct")
    assert np.array_equal(ordered.positions, known.stack.positions)
    assert found.reference == 0
    assert found.method == "direct"
    assert len(found) == N


def test_a_settings_file_is_a_model(known, tmp_path):
    path = tmp_path / "soft.toml"
    path.write_text('tv_strength = 2.0\n[volume]\nmeasure = "tenengrad"\n')
    soft, usual = (predict(known.stack, model=name, aif=False) for name in (str(path), "classical"))
    assert soft.model == str(path)
    assert not np.array_equal(soft.depth.index, usual.depth.index)


# --- report, steps, progress -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["direct", "ecc", "none"])
def test_report_is_strict_json(known, method):
    if method == "ecc":  # which slices it loses depends on the processor
        warnings.filterwarnings("ignore", "left out")
    result = predict(known.stack, align=method, aif=False)
    report = result.report()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert set(report) == REPORT | {"inference"}
    assert report["size"] == [128, 96]
    assert report["unit"] == "dioptre"
    assert report["alignment"] == method
    assert report["known_share"] == pytest.approx(result.depth.valid.mean(), abs=1e-4)
    assert report["reference"] == known.stack.names[result.alignment.reference]
    assert len(report["slices"]) == N
    assert all(set(row) == ROW for row in report["slices"])
    assert [row["position"] for row in report["slices"]] == known.stack.positions.tolist()


def test_steps_get_named_maps(known):
    maps = {}

    def keep(name, array):
        maps[name] = array.copy()

    predict(known.stack, model="classical", aif=False, steps=keep)
    assert {"all_in_focus_luma", "peak_index", "peak_confidence", "filled"} <= set(maps)
    assert all(array.shape == SIZE and np.isfinite(array).all() for array in maps.values())


def test_progress_rises_in_every_stage(known):
    seen = []
    predict(known.stack, progress=lambda *state: seen.append(state))
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == ["align", "focus", "depth", "fuse"]
    for stage in stages:
        done = [state[1] for state in seen if state[0] == stage]
        total = {state[2] for state in seen if state[0] == stage}
        assert done == sorted(done)
        assert total == {done[-1]}


# --- slices that do not belong ---------------------------------------------------------------------------


def test_a_stranger_is_left_out(known, with_stranger):
    with pytest.warns(UserWarning, match=r"^left out, .*neighbours: img1.png \(--poor keep\)$"):
        result = predict(with_stranger)
    assert result.used == [0, 2, 3, 4]
    assert len(result.stack) == len(result.alignment) == N
    assert np.array_equal(result.depth.positions, known.stack.focus[[0, 2, 3, 4]])
    assert [row["flag"] for row in result.report()["slices"]].count("dropped") == 1
    assert result.report()["slices"][1]["flag"] == "dropped"


def test_a_stranger_is_kept_when_asked(with_stranger):
    with pytest.warns(UserWarning, match=r"^kept, though they do not fit their neighbours: img1.png$"):
        result = predict(with_stranger, poor="keep")
    assert result.used == list(range(N))
    assert result.report()["slices"][1]["flag"] == "poor"
    assert result.depth.positions.size == N


def test_leaving_out_is_as_if_it_had_not_been_there(known, with_stranger):
    with pytest.warns(UserWarning, match="left out"):
        result = predict(with_stranger, reference="last")
    rest = predict(known.stack.subset([0, 2, 3, 4]), reference="last")
    both = result.depth.valid & rest.depth.valid
    assert np.abs(result.depth.value - rest.depth.value)[both].mean() < 0.005


def test_fewer_than_two_slices_are_never_left(known):
    slices = [known.stack.slices[0], np.zeros_like(known.stack.slices[0])]
    with (
        pytest.warns(UserWarning, match="alignment failed"),
        pytest.warns(UserWarning, match="^kept, though"),
    ):
        result = predict(FocalStack(slices))
    assert result.used == [0, 1]


def test_flat_stack_is_all_unknown():
    stack = FocalStack([np.full((48, 64, 3), 90, np.uint8)] * 4)
    with (
        pytest.warns(UserWarning, match="alignment failed"),
        pytest.warns(UserWarning, match="^kept, though"),
    ):
        result = predict(stack)
    assert not result.depth.valid.any()
    assert result.report()["known_share"] == 0
    assert (result.aif == 90).all()


def test_tiny_slices():
    random = np.random.default_rng(0)
    stack = FocalStack([random.integers(0, 256, (1, 3, 3), dtype=np.uint8) for _ in range(3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = predict(stack)
    assert result.depth.index.shape == (1, 3)
    assert result.aif.shape == (1, 3, 3)


# --- bad arguments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"align": "sift"}, "align 'sift'; choose from auto, metadata, ecc, direct, none"),
        ({"align": "metadata"}, "align metadata needs the lens and the focus distances"),
        ({"reference": "best"}, "reference 'best'; choose auto, first, middle, last or a slice number"),
        ({"reference": "--1"}, "reference '--1'; choose auto"),
        ({"reference": "²"}, "reference '²'; choose auto"),
        ({"reference": N}, f"reference {N}: the stack has slices 0 to {N - 1}"),
        ({"reference": -1}, f"reference -1: the stack has slices 0 to {N - 1}"),
        ({"poor": "burn"}, "poor 'burn'; choose keep or drop"),
        ({"device": "abacus"}, "device 'abacus'; choose auto, cpu or cuda"),
        ({"model": "oracle"}, "oracle"),
    ],
    ids=str,
)
def test_bad_arguments_are_one_line_and_cost_nothing(known, argument, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is checked below
        predict(known.stack, progress=pytest.fail, **argument)
    text = str(caught.value)
    assert "\n" not in text
    assert message in text


def test_bad_settings_file(known, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("tv_strenght = 2.0\n")
    with pytest.raises(ValueError, match="tv_strenght"):
        predict(known.stack, model=str(path))


def test_one_frame_for_all_three(known):
    """Depth, picture and alignment belong to the same slice."""
    camera = replace(CONFIG.camera, motion=Motion(), breathing_px=(6, 6))
    moved = without_lens(simulate(replace(CONFIG, camera=camera, reference=0), 3))
    first = predict(moved.stack, reference="first")
    assert first.alignment.reference == 0
    assert metrics.psnr(first.aif / 255, moved.aif) > 24
    last = predict(moved.stack, reference="last")
    there = first.alignment.warp(moved.stack.slices[4], 4)
    assert metrics.psnr(last.aif / 255, moved.aif) < metrics.psnr(first.aif / 255, moved.aif)
    assert cv2.PSNR(first.aif, there) > cv2.PSNR(last.aif, there)
