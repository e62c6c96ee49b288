"""dff: depth from focus, all-in-focus pictures and autofocus from focal stacks.

>>> import dff
>>> stack = dff.read_stack("stack/")        # doctest: +SKIP
>>> result = dff.predict(stack)             # doctest: +SKIP
>>> result.depth.metres                     # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dff.camera import FocusMotor, Lens, LensCalibration
    from dff.formats.read import read_stack
    from dff.pipeline import Prediction, predict
    from dff.stack import DepthMap, FocalStack

__version__ = "0.1.0"

_HOME = {
    "DepthMap": "dff.stack",
    "FocalStack": "dff.stack",
    "FocusMotor": "dff.camera",
    "Lens": "dff.camera",
    "LensCalibration": "dff.camera",
    "Prediction": "dff.pipeline",
    "predict": "dff.pipeline",
    "read_stack": "dff.formats.read",
}

__all__ = [
    "DepthMap",
    "FocalStack",
    "FocusMotor",
    "Lens",
    "LensCalibration",
    "Prediction",
    "predict",
    "read_stack",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that `dff --help` does not wait for numpy, OpenCV and torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'dff' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
