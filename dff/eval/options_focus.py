"""Options of the benchmarks of the autofocus head. Nothing heavy is imported before one runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dff.eval.options import Options, RealStacks

if TYPE_CHECKING:
    from dff.eval.report import Report


@dataclass(frozen=True, kw_only=True)
class FocusHead(Options):
    """The autofocus head on held-out simulated stacks, beside contrast measures and the depth rule.

    Args:
        head: Name or path of its weights.
        photos: Folder or packed file of photographs; every fifth is held out from training, and used here.
        patches: File of simulated patches to try it on too (python -m dff.train.autofocus_patches).
    """

    head: str = "af-tiny"
    photos: Path | None = None
    patches: Path | None = None

    def run(self) -> Report:
        from dff.eval import focus_head
        from dff.simulator.photos import load_photos
        from dff.train.source import split

        photos = split(load_photos(self.photos))[1] if self.photos else None
        typed = [f"--head {Path(self.head).name}", *(["--photos DIR"] if self.photos else [])]
        typed += ["--patches FILE"] if self.patches else []
        return self.run_module(focus_head, self.head, photos, self.patches, typed=typed)


@dataclass(frozen=True, kw_only=True)
class FocusSheet(RealStacks):
    """What `dff focus` chooses on real stacks: regions in the slice, and in those before and after it.

    Args:
        head: Name or path of the head's weights; "": the depth rule alone.
        pictures: Folder for the sheets; those of an earlier run are replaced.
    """

    head: str = "af-tiny"
    pictures: Path = Path("docs/focus")

    def run(self) -> Report:
        from dff.eval import focus_head_sheet

        return self.run_on_data(focus_head_sheet, self.head, self.pictures)
