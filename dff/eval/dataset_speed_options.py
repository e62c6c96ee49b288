"""The options of `python -m dff.eval loader-speed`. Nothing heavy is imported before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dff.eval.options import Options

if TYPE_CHECKING:
    from dff.eval.report import Report


@dataclass(frozen=True, kw_only=True)
class LoaderSpeed(Options):
    """Stacks a second that are read from HDF5, beside those that a network consumes."""

    def run(self) -> Report:
        from dff.eval import dataset_speed

        return self.run_module(dataset_speed)
