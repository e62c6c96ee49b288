"""Options of the benchmarks of autofocus by patches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dff.eval.options import Options, say

if TYPE_CHECKING:
    from dff.eval.report import Report


@dataclass(frozen=True, kw_only=True)
class Patches(Options):
    """Options of all of them.

    Args:
        data: Folder of the patches (python -m dff.train.autofocus_patches), or of the public data set.
    """

    data: Path

    def run_on_patches(self, benchmark: Any, recipe: str, *arguments: Any) -> Report:
        """Run a module by the recipe eval/``recipe``.toml unless --protocol names another."""
        from dff.recipes import load_recipe

        protocol = load_recipe("eval", self.protocol or recipe, benchmark.Protocol)
        options = self.text("--data DIR")
        report: Report = benchmark.run(
            protocol, self.data, *arguments, limit=self.limit, options=options, say=say
        )
        return report


@dataclass(frozen=True, kw_only=True)
class AutofocusClassical(Patches):
    """Contrast measures, alike halves, calibrated slices, registration, on patches."""

    def run(self) -> Report:
        from dff.eval import autofocus_classical

        return self.run_on_patches(autofocus_classical, "af_classical")


@dataclass(frozen=True, kw_only=True)
class AutofocusModels(Patches):
    """Autofocus networks from all starts, beside the best classical rivals.

    Args:
        pictures: Folder for the figures; those of an earlier run are replaced.
    """

    pictures: Path = Path("docs/autofocus")

    def run(self) -> Report:
        from dff.eval import autofocus_models

        return self.run_on_patches(autofocus_models, "af_models", self.pictures)


@dataclass(frozen=True, kw_only=True)
class AutofocusStudy(Patches):
    """Autofocus networks trained at equal budgets; --protocol af_... names the study.

    Args:
        work: Folder for what is trained, which is not trained again; else "af-study" in --out.
        pictures: Folder for the plots; those of an earlier run are replaced.
        device: Where to compute.
    """

    work: Path | None = None
    pictures: Path = Path("docs/autofocus")
    device: Literal["cpu", "cuda"] = "cpu"

    def run(self) -> Report:
        from dataclasses import replace

        from dff.eval import autofocus_study as benchmark
        from dff.eval.autofocus_protocol import Protocol
        from dff.recipes import load_recipe

        name = self.protocol or "af_study"
        protocol = load_recipe("eval", name, Protocol)
        place = benchmark.Place(self.data, self.work or self.out / benchmark.NAME, self.pictures, self.device)
        report = benchmark.run(protocol, place, limit=self.limit, options=self.text("--data DIR"), say=say)
        return replace(report, name=Path(name).stem.replace("_", "-"))
