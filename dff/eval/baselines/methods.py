"""One interface for all that finds depth: rivals, this package's models, and files of other networks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dff.data.sample import DepthSample
from dff.eval.baselines import sml
from dff.eval.baselines.directional import directional_volume
from dff.eval.baselines.variational import variational_share
from dff.eval.depth_models_rivals import SML_GUIDED, SML_TV, Setting, Tuned, edge_weights, peaks
from dff.models import Model, check_model, is_learned, load_model
from dff.pipeline import predict
from dff.stack import FocalStack
from dff.weights import find_weights, sha256

TORCHSCRIPT_SUFFIXES = (".pt", ".ts", ".torchscript")
ONNX_SUFFIX = ".onnx"


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a method says of a stack.

    Args:
        value: (H,W) depth in the unit of the sample.
        confidence: (H,W), larger is surer, or None.
        valid: (H,W) bool, where it claims to know, or None.
    """

    value: np.ndarray
    confidence: np.ndarray | None = None
    valid: np.ndarray | None = None


class Method(Protocol):
    """Finds the depth of aligned stacks.

    ``fingerprint`` tells one set of weights or settings from another; ``parameters``: None where they cannot
    be counted.
    """

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def parameters(self) -> int | None: ...

    def estimate(self, sample: DepthSample) -> Estimate: ...


def hashed(*parts: object) -> str:
    """A short hash of what is given, in words."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def from_share(share: np.ndarray, stack: FocalStack, sample: DepthSample) -> np.ndarray:
    """(H,W) focus coordinate, 0 to 1 even in the stack's positions -> depth in the unit of the sample."""
    positions = stack.positions
    ladder = (positions - positions[0]) / (positions[-1] - positions[0])
    return sample.from_index(np.interp(share, ladder, np.arange(len(stack))))


# --- rivals without learning -----------------------------------------------------------------------------


def _sml(stack: FocalStack, sample: DepthSample, sigma_px: float) -> np.ndarray:
    return sample.from_index(sml.largest_index(sml.summed(sml.laplacian_volume(stack), sigma_px)))


def _smoothed(stack: FocalStack, sample: DepthSample, kind: str, setting: Setting) -> np.ndarray:
    return from_share(Tuned({kind: setting}, {}).depth(stack)[kind], stack, sample)


def _directional(stack: FocalStack, sample: DepthSample) -> np.ndarray:
    return sample.from_index(sml.largest_index(directional_volume(stack)))


def _variational(stack: FocalStack, sample: DepthSample, sigma_px: float, edge: float) -> np.ndarray:
    laplacian = sml.laplacian_volume(stack)
    guide = peaks(stack, laplacian, sigma_px).guide
    ladder = stack.positions - stack.positions[0]
    share = variational_share(sml.summed(laplacian, sigma_px), ladder / ladder[-1], edge_weights(guide, edge))
    return from_share(share, stack, sample)


_GUIDED = Setting(1, 2.5, {"radius_px": 8, "eps": 1e-3})
_TV = Setting(1, 2.5, {"fidelity": 0.4, "edge": 10.0})
RIVALS: Mapping[str, Callable[[FocalStack, DepthSample], np.ndarray]] = {
    "sml": partial(_sml, sigma_px=2.5),
    "sml-guided": partial(_smoothed, kind=SML_GUIDED, setting=_GUIDED),
    "sml-tv": partial(_smoothed, kind=SML_TV, setting=_TV),
    "ddl": _directional,
    "variational": partial(_variational, sigma_px=2.5, edge=3.0),
}
"""By name; settings are fixed, chosen by hand on a few simulated stacks: no data set tunes them."""


@dataclass(frozen=True)
class Rival:
    """One of `RIVALS`."""

    name: str
    parameters: int | None = 0

    @property
    def fingerprint(self) -> str:
        return hashed("rival", self.name)

    def estimate(self, sample: DepthSample) -> Estimate:
        return Estimate(RIVALS[self.name](sample.stack(), sample))


# --- models of this package ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Engine:
    """A model of `dff.models` (classical settings, or weights) on stacks that count as aligned."""

    name: str
    model: Model
    fingerprint: str

    @property
    def parameters(self) -> int | None:
        network: Any = getattr(self.model, "network", None)
        return 0 if network is None else int(network.parameter_count)

    def estimate(self, sample: DepthSample) -> Estimate:
        reference = sample.reference % len(sample)
        depth = predict(sample.stack(), model=self.model, align="none", reference=reference, aif=False).depth
        return Estimate(sample.from_index(depth.index), depth.confidence, depth.valid)


def _engine(name: str, device: str) -> Engine:
    model = load_model(name, device=device)
    made_of = sha256(find_weights(name)[0]) if is_learned(name) else getattr(model, "config", name)
    network: Any = getattr(model, "network", None)
    where = "" if network is None else next(network.parameters()).device.type  # a GPU has another precision
    return Engine(Path(name).stem, model, hashed(made_of, where))


def _is_file_of_others(name: str) -> bool:
    return Path(name).suffix in (*TORCHSCRIPT_SUFFIXES, ONNX_SUFFIX)


def check_methods(names: list[str]) -> None:
    """Raise unless every name is a method; loads nothing.

    Raises:
        ValueError: an unknown name (the message lists the known ones), none at all, or two of one name.
        FileNotFoundError: a file that is not there.
    """
    if not names:
        raise ValueError("--model names no model; give names or files, with commas between")
    labels = [name if name in RIVALS else Path(name).stem for name in names]
    for label in labels:
        if labels.count(label) > 1:
            raise ValueError(f"--model: two are called {label}; rename a file, or leave one out")
    for name in names:
        if _is_file_of_others(name):
            if not Path(name).is_file():
                raise FileNotFoundError(f"{name}: no such file")
        elif name not in RIVALS:
            try:
                check_model(name)
            except ValueError as error:
                raise ValueError(f"{error}; or a rival: {', '.join(RIVALS)}") from None


def load_method(name: str, device: str = "auto") -> Method:
    """A method by name or file: a rival, a model of `dff.models`, TorchScript, or ONNX.

    Raises:
        ValueError, FileNotFoundError: as `check_methods`; or the file is damaged or of another kind, or what
            reads it is not installed.
    """
    check_methods([name])
    if name in RIVALS:
        return Rival(name)
    if _is_file_of_others(name):
        from dff.eval.baselines.external import OnnxMethod, TorchScriptMethod

        path = Path(name)
        return OnnxMethod(path) if path.suffix == ONNX_SUFFIX else TorchScriptMethod(path, device)
    return _engine(name, device)
