"""The options of `python -m dff.eval wild`. Nothing heavy is imported before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dff.eval.options import Options

if TYPE_CHECKING:
    from dff.eval.report import Report


@dataclass(frozen=True, kw_only=True)
class Wild(Options):
    """The package's own benchmark: models and rivals on simulated stacks that get harder along seven axes.

    Args:
        models: Names and files with commas between, as for `dff eval`; the first is what the others are
            compared with. Default: base, tiny, classical and all rivals.
        photos: Folder or packed file of photographs; every fifth is held out from training, and used here.
        cycles: Folder of path-traced stacks (.npz), scored as a set of their own.
        pictures: Folder for wild.png; that of an earlier run is replaced.
    """

    models: str | None = None
    photos: Path | None = None
    cycles: Path | None = None
    pictures: Path = Path("docs")

    def run(self) -> Report:
        from dff.eval import wild as benchmark
        from dff.simulator.photos import load_photos

        names = benchmark.MODELS
        typed = []
        if self.models is not None:
            names = tuple(name.strip() for name in self.models.split(",") if name.strip())
            typed.append(f"--models {','.join(Path(name).name for name in names)}")
        typed += [f"--{key} DIR" for key in ("photos", "cycles") if getattr(self, key) is not None]
        photos = load_photos(self.photos) if self.photos else None
        inputs = benchmark.Inputs(names, photos, self.cycles, self.pictures)
        return self.run_module(benchmark, inputs, typed=typed)
