"""Networks of others, as files: TorchScript, and ONNX with the extra ``onnx``.

The contract. Inputs: ``images`` (1,N,3,H,W) float32, display values in [0,1], farthest focus first, H and W
multiples of 32 (bottom and right repeat the last pixel); ``focus`` (1,N) float32, rising, in the unit of the
data set (dioptre, or disparity in px). Outputs: depth (1,H,W) in that unit, and perhaps confidence (1,H,W),
larger is surer; axes of length 1 may stand anywhere before H and W. An ONNX file may lack the second input.
A TorchScript file runs the code it brings: use those of people you trust.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dff.data.sample import DepthSample
from dff.eval.baselines.methods import Estimate
from dff.model.interface import padded
from dff.weights import sha256


def _inputs(sample: DepthSample) -> tuple[torch.Tensor, torch.Tensor]:
    images = padded(sample.stack().tensor()[None])
    return images, torch.from_numpy(sample.focus.astype(np.float32))[None]


def _estimate(path: Path, outputs: Sequence[Any], sample: DepthSample) -> Estimate:
    """The pictures among the outputs, without the padding."""
    height, width = sample.images[0].shape[:2]
    maps = []
    for output in outputs[:2]:
        found = np.asarray(output, dtype=np.float64)
        sides = found.shape[-2:]
        if len(sides) < 2 or found.size != math.prod(sides):
            raise ValueError(f"{path}: gives an output of shape {found.shape}; wanted is (1,H,W)")
        if sides[0] < height or sides[1] < width:
            raise ValueError(f"{path}: gives {sides[1]}x{sides[0]} px for {width}x{height} px")
        maps.append(found.reshape(sides)[:height, :width])
    if not np.isfinite(maps[0]).all():
        raise ValueError(f"{path}: gives NaN or infinite depth for {sample.name}")
    return Estimate(*maps)


class TorchScriptMethod:
    """A scripted or traced network.

    Args:
        path: of the file.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".

    Raises:
        ValueError: no TorchScript.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.path, self.name, self.device = path, path.stem, device
        try:
            self.network = torch.jit.load(str(path), map_location=device).eval()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"{path}: no TorchScript ({reason}); make it with torch.jit.trace") from None
        self.fingerprint = f"{sha256(path)[:16]}-{device}"
        self.parameters: int | None = sum(parameter.numel() for parameter in self.network.parameters())

    def estimate(self, sample: DepthSample) -> Estimate:
        """Depth, and confidence if there is any.

        Raises:
            ValueError: the network does not keep to the contract.
        """
        try:
            with torch.inference_mode():
                found = self.network(*(part.to(self.device) for part in _inputs(sample)))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"{self.path}: fails on {sample.name} ({reason})") from None
        outputs = found if isinstance(found, (tuple, list)) else (found,)
        return _estimate(self.path, [output.float().cpu().numpy() for output in outputs[:2]], sample)


class OnnxMethod:
    """A network in an ONNX file, run by onnxruntime on the CPU.

    Raises:
        ValueError: onnxruntime is not installed, or cannot read the file.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ValueError(f"{path}: ONNX needs onnxruntime; pip install 'dff[onnx]'") from None
        self.path, self.name = path, path.stem
        try:
            self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has an exception class of its own for each fault
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"{path}: onnxruntime cannot read it ({reason})") from None
        self.fingerprint = sha256(path)[:16]
        self.parameters = _onnx_parameters(path)

    def estimate(self, sample: DepthSample) -> Estimate:
        """See `TorchScriptMethod.estimate`."""
        images, focus = (part.numpy() for part in _inputs(sample))
        names = [one.name for one in self.session.get_inputs()]
        named = {"images": images, "focus": focus}
        feed = {name: named[name] for name in names if name in named}
        if len(feed) != len(names):
            feed = dict(zip(names, (images, focus), strict=False))
        try:
            outputs = self.session.run(None, feed)
        except Exception as error:  # as above
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"{self.path}: fails on {sample.name} ({reason})") from None
        return _estimate(self.path, outputs, sample)


def _onnx_parameters(path: Path) -> int | None:
    """Numbers in the file's initializers; None without the package onnx."""
    try:
        import onnx
    except ImportError:
        return None
    model = onnx.load(str(path), load_external_data=False)
    return int(sum(np.prod(tensor.dims) for tensor in model.graph.initializer))
