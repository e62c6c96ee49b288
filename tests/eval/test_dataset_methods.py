"""The methods of `dff eval` behind one interface: rivals on a staircase, files of other networks."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dff.data.sample import DepthSample
from dff.eval.baselines.directional import directional_laplacian
from dff.eval.baselines.methods import RIVALS, check_methods, load_method
from dff.eval.baselines.variational import variational_share
from dff.eval.spent import spent
from dff.model.wild import WildConfig, WildNetwork
from dff.weights import FORMAT

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def staircase(
    noise: float = 0.0, n: int = 5, size: tuple[int, int] = (60, 100)
) -> tuple[DepthSample, np.ndarray]:
    """Steps of texture, each sharp in one slice, and their depth [dioptre]."""
    rng = np.random.default_rng(0)
    texture = rng.random((*size, 3)).astype(np.float32)
    step = np.broadcast_to(np.arange(size[1]) * n // size[1], size)
    focus = np.linspace(0.5, 2.5, n)
    images = []
    for k in range(n):
        image = np.zeros_like(texture)
        for s in range(n):
            blurred = texture if s == k else cv2.GaussianBlur(texture, (0, 0), 0.8 * abs(s - k))
            image[step == s] = blurred[step == s]
        images.append(np.clip(image + noise * rng.normal(size=image.shape), 0, 1).astype(np.float32))
    return DepthSample("stairs", images, focus, "dioptre", dioptre_per_unit=1.0), focus[step]


@pytest.mark.parametrize("name", [*RIVALS, "classical"])
def test_every_rival_finds_the_steps(name: str) -> None:
    sample, depth = staircase()
    method = load_method(name)
    found = method.estimate(sample)
    assert found.value.shape == depth.shape
    assert np.mean(np.abs(found.value - depth) < 0.26) > 0.9
    assert (method.name, method.parameters) == (name, 0)


def test_rivals_work_in_slice_numbers_too() -> None:
    sample, _ = staircase()
    disparity = DepthSample("d", sample.images, np.linspace(-2.5, 2.5, 5), "disparity_px")
    value = load_method("sml").estimate(disparity).value
    assert value[30, 10] == -2.5
    assert value[30, 90] == 2.5


def test_total_variation_on_the_volume_beats_its_maximum_in_noise() -> None:
    sample, depth = staircase(noise=0.3)
    plain, smooth = (
        np.abs(load_method(name).estimate(sample).value - depth).mean() for name in ("sml", "variational")
    )
    assert smooth < 0.5 * plain


def test_variational_without_smoothness_takes_the_maximum() -> None:
    volume = np.random.default_rng(0).random((4, 6, 7)).astype(np.float32)
    shares = np.array([0, 0.2, 0.5, 1.0])
    found = variational_share(volume, shares, np.zeros((6, 7)))
    assert found == pytest.approx(shares[volume.argmax(axis=0)], abs=1e-4)


def test_directional_laplacian_agrees_with_a_second_implementation() -> None:
    grey = np.random.default_rng(0).random((12, 14)).astype(np.float32)
    padded = np.pad(grey, 4, mode="edge").astype(np.float64)
    expected = np.zeros(grey.shape)
    for d in (1, 2, 3, 4):
        for y, x in ((0, d), (d, 0), (d, d), (d, -d)):
            one, other = (padded[4 + s * y : 16 + s * y, 4 + s * x : 18 + s * x] for s in (1, -1))
            expected += np.abs(2 * grey - one - other)
    assert directional_laplacian(grey, (1, 2, 3, 4)) == pytest.approx(expected, abs=1e-4)


class Toy(torch.nn.Module):
    """Depth: focus of the brightest slice at each pixel; confidence: how bright it is."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(3))

    def forward(self, images: torch.Tensor, focus: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        light = (images * self.gain[None, None, :, None, None]).mean(dim=2)
        best, index = light.max(dim=1)
        depth = focus[:, :, None, None].expand_as(light).gather(1, index[:, None])
        return depth, best


def test_weights_of_the_paper_network_by_their_path(tmp_path: Path) -> None:
    network = WildNetwork(WildConfig(channels=2))
    header = {
        "format": FORMAT,
        "network": "depth",
        "config": json.dumps(asdict(network.config)),
        "info": "{}",
    }
    save_file(network.state_dict(), tmp_path / "wild.safetensors", header)
    method = load_method(str(tmp_path / "wild.safetensors"), "cpu")
    found = method.estimate(bright_steps()[0])
    assert (method.name, method.parameters) == ("wild", network.parameter_count)
    assert found.value.shape == (20, 30)
    assert 0.5 <= found.value.min() <= found.value.max() <= 4


def bright_steps() -> tuple[DepthSample, np.ndarray]:
    """(20,30) px: slice k is white in its third of the columns."""
    images = [np.zeros((20, 30, 3), np.uint8) for _ in range(3)]
    for k in range(3):
        images[k][:, 10 * k : 10 * k + 10] = 255
    focus = np.array([0.5, 1.0, 4.0])
    return DepthSample("bright", images, focus, "dioptre", dioptre_per_unit=1.0), focus[np.arange(30) // 10]


def traced(path: Path, network: torch.nn.Module | None = None) -> Path:
    example = torch.rand(1, 3, 3, 32, 32), torch.rand(1, 3)
    torch.jit.trace(network or Toy(), example).save(str(path))
    return path


def test_a_torchscript_file(tmp_path: Path) -> None:
    sample, depth = bright_steps()
    method = load_method(str(traced(tmp_path / "toy.pt")), "cpu")
    found = method.estimate(sample)
    assert found.value == pytest.approx(np.broadcast_to(depth, (20, 30)))
    assert found.confidence is not None
    assert found.confidence == pytest.approx(np.ones((20, 30)))
    assert (method.name, method.parameters) == ("toy", 3)
    assert method.fingerprint == load_method(str(tmp_path / "toy.pt")).fingerprint


class Wrong(torch.nn.Module):
    def forward(self, images: torch.Tensor, focus: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=2) + focus[:, :, None, None]  # a picture for every slice


def test_files_that_do_not_keep_to_the_contract(tmp_path: Path) -> None:
    sample, _ = bright_steps()
    with pytest.raises(ValueError, match=r"wrong.pt: gives an output of shape \(1, 3, 32, 32\)"):
        load_method(str(traced(tmp_path / "wrong.pt", Wrong())), "cpu").estimate(sample)
    (tmp_path / "words.pt").write_text("no network")
    with pytest.raises(ValueError, match=r"words\.pt: no TorchScript"):
        load_method(str(tmp_path / "words.pt"))


def test_an_onnx_file(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    images = helper.make_tensor_value_info("images", float32, [1, "N", 3, "H", "W"])
    depth = helper.make_tensor_value_info("depth", float32, [1, "H", "W"])
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "gain"], ["depth"]),
    ]
    constants = [
        helper.make_tensor("axes", onnx.TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("gain", float32, [1], [3.0]),
    ]
    graph = helper.make_graph(nodes, "toy", [images], [depth], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, str(tmp_path / "toy.onnx"))
    method = load_method(str(tmp_path / "toy.onnx"))
    found = method.estimate(bright_steps()[0])
    assert found.value == pytest.approx(np.ones((20, 30)))
    assert method.parameters == 3
    (tmp_path / "words.onnx").write_text("no network")
    with pytest.raises(ValueError, match=r"words\.onnx: onnxruntime cannot read it"):
        load_method(str(tmp_path / "words.onnx"))


def test_onnx_without_onnxruntime_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a.onnx: ONNX needs onnxruntime; pip install 'dff\[onnx\]'"):
        load_method(str(tmp_path / "a.onnx"))


def test_names_are_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    check_methods(["sml", "tiny", "classical"])
    for names, message in (
        ([], "names no model"),
        (["tiney"], "no such model.*or a rival: sml, sml-parabola, sml-guided"),
        (["sml", "sml"], "two are called sml"),
    ):
        with pytest.raises(ValueError, match=message):
            check_methods(names)
    with pytest.raises(FileNotFoundError, match=r"gone\.pt: no such file"):
        check_methods([str(tmp_path / "gone.pt")])


def test_cost_of_a_call() -> None:
    found, cost = spent(lambda: float(np.ones(4_000_000).sum()))
    assert found == 4e6
    assert 0 <= cost.cpu_s < 5
    assert cost.memory_mb is None or 25 < cost.memory_mb < 80
