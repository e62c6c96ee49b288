"""Models by name and path, and depth by a network, in its units, where it can be known."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import dff.recipes
from dff.classical import motion
from dff.classical.alignment import Alignment
from dff.learned import LearnedModel, _seen_in_focus, work_factor
from dff.model.infer import InferenceConfig
from dff.model.network import SIZES, DepthNetwork
from dff.models import ClassicalModel, load_model
from dff.pipeline import predict
from dff.stack import FocalStack
from dff.weights import FORMAT, sha256

N, SIZE = 5, (64, 96)


def write(path: Path, **header: str) -> Path:
    torch.manual_seed(0)
    usual = {"format": FORMAT, "network": "depth", "config": json.dumps(asdict(SIZES["nano"])), "info": "{}"}
    save_file(DepthNetwork(SIZES["nano"]).state_dict(), path, usual | header)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """weights/ with the depth network "small", the alignment network "aligner" and the settings "plain"."""
    entries = ""
    for name, network in (("small", "depth"), ("aligner", "alignment")):
        path = write(tmp_path / f"{name}.safetensors", network=network)
        entries += f'[weights.{name}]\nsha256 = "{sha256(path)}"\nnetwork = "{network}"\n'
    (tmp_path / "index.toml").write_text(entries)
    (tmp_path / "plain.toml").write_text("tv_strength = 0.4\n")
    monkeypatch.setattr(dff.recipes, "_folders", lambda kind: [tmp_path])
    return tmp_path


@pytest.fixture(scope="module")
def stairs() -> list[np.ndarray]:
    """Five textured steps, each sharp in one slice."""
    import cv2

    grain = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    steps = np.minimum(np.arange(SIZE[1]) * N // SIZE[1], N - 1)
    blurred = [grain, *(cv2.GaussianBlur(grain, (0, 0), 0.9 * k) for k in range(1, N))]
    return [
        np.where((steps == k)[:, None], grain, np.choose(np.abs(steps - k)[:, None], blurred))
        for k in range(N)
    ]


@pytest.fixture(scope="module")
def model() -> LearnedModel:
    torch.manual_seed(0)
    return LearnedModel("untrained", DepthNetwork(SIZES["nano"]).eval())


def still(count: int = N, size: tuple[int, int] = SIZE) -> Alignment:
    flags = ("reference", *["ok"] * (count - 1))
    return Alignment(np.array([motion.IDENTITY] * count), 0, size, "none", flags, np.zeros(count))


# --- by name and path ------------------------------------------------------------------------------------


def test_by_name_and_by_path(folder: Path, tmp_path: Path) -> None:
    assert isinstance(load_model("plain"), ClassicalModel)
    assert isinstance(load_model(str(folder / "plain.toml")), ClassicalModel)
    small = load_model("small", device="cpu")
    assert isinstance(small, LearnedModel)
    assert small.name == "small"
    assert isinstance(load_model(str(write(tmp_path / "mine.safetensors"))), LearnedModel)


@pytest.mark.parametrize("name", ["huge", "aligner", "index", "gone.safetensors", "gone.toml", ""])
def test_an_unknown_name_lists_what_is_there(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no such model; give plain, small, a settings file") as caught:
        load_model(name)
    assert "\n" not in str(caught.value)


def test_files_of_other_kinds(folder: Path, tmp_path: Path) -> None:
    pickle = tmp_path / "net.pth"
    pickle.write_bytes(b"\x80\x02")
    with pytest.raises(ValueError, match=r"net\.pth: not a model"):
        load_model(str(pickle))
    with pytest.raises(ValueError, match="for alignment, not for depth"):
        load_model(str(folder / "aligner.safetensors"))
    with pytest.raises(ValueError, match="no weights of dff; export"):
        load_model(str(write(tmp_path / "checkpoint.safetensors", format="dff-checkpoint-1")))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not at all")
    with pytest.raises(ValueError, match="not a readable"):
        load_model(str(broken))


def test_changed_and_missing_weights(folder: Path) -> None:
    torch.manual_seed(9)
    path = folder / "small.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"sha256 is .* get the file again"):
        load_model("small")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"listed in weights/index\.toml, but the file is missing"):
        load_model("small")


def test_devices(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device cuda: torch finds no CUDA device"):
        load_model("small", device="cuda")
    with pytest.raises(ValueError, match="device 'tpu'; choose auto, cpu or cuda"):
        load_model("small", device="tpu")
    auto = load_model("small", device="auto")
    assert isinstance(auto, LearnedModel)
    assert next(auto.network.parameters()).device.type == "cpu"


# --- depth maps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("positions", "unit"),
    [({"focus": [0.3, 0.6, 1.2, 2.0, 4.0]}, "dioptre"), ({"z_um": [-3, -1, 0, 2, 3]}, "um"), ({}, "index")],
)
def test_units_as_the_classical_engine_has_them(
    stairs: list[np.ndarray], model: LearnedModel, positions: dict, unit: str
) -> None:
    stack = FocalStack(stairs, **positions)
    depth, classical = model.depth(stack, still()), predict(stack, align="none", aif=False).depth
    assert depth.unit == classical.unit == unit
    assert np.array_equal(depth.positions, classical.positions)
    truth = np.minimum(np.arange(SIZE[1]) * N // SIZE[1], N - 1)
    assert np.abs(depth.index - truth).mean() < 0.5
    assert 0 <= depth.index.min() <= depth.index.max() <= N - 1
    assert stack.positions[0] <= depth.value.min() <= depth.value.max() <= stack.positions[-1]
    assert 0 <= depth.confidence.min() <= depth.confidence.max() <= 1


def test_through_the_pipeline(stairs: list[np.ndarray], model: LearnedModel) -> None:
    seen = []
    maps = {}
    mixed = FocalStack([stairs[k] for k in (3, 0, 4, 1, 2)], focus=np.array([4.0, 1, 5, 2, 3]))
    result = predict(
        mixed, model=model, align="none", steps=maps.__setitem__, progress=lambda *state: seen.append(state)
    )
    plain = predict(FocalStack(stairs, focus=np.arange(1.0, 6)), model=model, align="none", aif=False)
    assert np.array_equal(result.depth.index, plain.depth.index)
    assert result.model == "untrained"
    assert result.aif is not None
    assert result.aif.shape == (*SIZE, 3)
    assert set(maps) == {"network_depth", "network_scale", "network_confidence"}
    assert [stage for stage, _, _ in seen if stage in ("focus", "depth")] == ["focus"] * N + ["depth"]
    report = result.report()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    told = report["inference"]
    assert 0 <= told.pop("contradicted") <= 1
    assert told.pop("precision") in ("float32", "bfloat16")
    assert told == {"device": "cpu", "work_size": [96, 64], "tiles": 1, "parts": 1, "views": 1}


def test_grey_and_other_depths(stairs: list[np.ndarray], model: LearnedModel) -> None:
    grey = [picture[..., 1].astype(np.uint16) * 257 for picture in stairs]
    one = model.depth(FocalStack(grey), still())
    other = model.depth(FocalStack([picture.astype(np.float32) / 65535 for picture in grey]), still())
    np.testing.assert_allclose(one.index, other.index, atol=1e-3)


@pytest.mark.parametrize("work_pixels", [1500, 700])
def test_large_pictures_are_solved_reduced(
    stairs: list[np.ndarray], model: LearnedModel, work_pixels: int
) -> None:
    stack = FocalStack([picture[:61, :95] for picture in stairs])
    small = LearnedModel("small", model.network, InferenceConfig(work_pixels=work_pixels))
    depth = small.depth(stack, still(size=(61, 95)))
    width, height = depth.info["work_size"]
    assert width * height <= 1.6 * work_pixels
    assert depth.index.shape == depth.valid.shape == (61, 95)
    truth = np.minimum(np.arange(95) * N // SIZE[1], N - 1)
    assert np.abs(depth.index - truth).mean() < 1


@pytest.mark.parametrize(
    ("size", "factor"), [((360, 640), 1), ((480, 640), 1), ((3000, 4000), 5), ((1, 10**7), 1)]
)
def test_work_factor(size: tuple[int, int], factor: int) -> None:
    assert work_factor(size, 400_000) == factor


@pytest.mark.parametrize("size", [(1, 3), (5, 2)])
def test_tiny_pictures(model: LearnedModel, size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    stack = FocalStack([random.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(3)])
    assert model.depth(stack, still(3, size)).index.shape == size


# --- what cannot be known --------------------------------------------------------------------------------


def test_flat_stack_is_all_unknown(model: LearnedModel) -> None:
    stack = FocalStack([np.full((48, 64, 3), 90, np.uint8)] * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = predict(stack, model=model)
    assert not result.depth.valid.any()
    assert np.isfinite(result.depth.index).all()


def test_what_the_slices_in_focus_do_not_show_is_unknown(
    stairs: list[np.ndarray], model: LearnedModel
) -> None:
    """The last slice, where the right end is in focus, lies 10 px to the left."""
    moved = still()
    moved.matrices[4, 0, 2] = 10
    sure = LearnedModel("sure", model.network, InferenceConfig(tolerance=10.0))
    depth = sure.depth(FocalStack(stairs), moved)
    right = depth.index[:, -9:] > 3.5
    assert not depth.valid[:, -9:][right].any()
    assert (depth.confidence[:, -9:][right] == 0).all()
    assert depth.valid[:, :60].all()


def test_seen_in_focus() -> None:
    shown = np.ones((5, 1, 3), bool)
    shown[3, 0, 2] = False
    index = np.array([[3.0, 3.0, 1.4]], np.float32)
    assert _seen_in_focus(index, shown).tolist() == [[True, True, True]]
    index[0, 2] = 1.6  # nearest: slice 2, whose neighbour 3 is missing
    assert _seen_in_focus(index, shown).tolist() == [[True, True, False]]


def test_damaged_weights_are_told(stairs: list[np.ndarray]) -> None:
    network = DepthNetwork(SIZES["nano"]).eval()
    with torch.no_grad():
        network.stem.conv.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="mine: the network's depth is not finite; its weights are damaged"):
        LearnedModel("mine", network).depth(FocalStack(stairs), still())
