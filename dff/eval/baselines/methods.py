"""One interface for all that finds depth: rivals, this package's models, and files of other networks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dff.data.sample import DepthSample
from dff.eval.baselines.rivals import FINDERS, RIVALS, Settings
from dff.models import Model, check_model, is_learned, load_model
from dff.pipeline import predict
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


# --- rivals without learning -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Rival:
    """One of `RIVALS`, with its usual settings or others."""

    name: str
    settings: Settings
    parameters: int | None = 0

    @property
    def fingerprint(self) -> str:
        return hashed("rival", self.name, dict(self.settings))

    def estimate(self, sample: DepthSample) -> Estimate:
        index, confidence = FINDERS[self.name](sample.stack(), **self.settings)
        return Estimate(sample.from_index(index), confidence)


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
    return Engine(Path(name).stem, model, hashed(made_of, getattr(model, "computes", {})))


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
        return Rival(name, RIVALS[name])
    if _is_file_of_others(name):
        from dff.eval.baselines.external import OnnxMethod, TorchScriptMethod

        path = Path(name)
        return OnnxMethod(path) if path.suffix == ONNX_SUFFIX else TorchScriptMethod(path, device)
    return _engine(name, device)
