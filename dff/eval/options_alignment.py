"""Options of the benchmarks of alignment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dff.eval.options import Options, RealStacks, say

if TYPE_CHECKING:
    from dff.eval.report import Report
    from dff.learned_alignment import LearnedAligner


def _aligner(name: str | None) -> tuple[LearnedAligner | None, list[str]]:
    """The alignment network that --aligner names, and that option as typed."""
    if name is None:
        return None, []
    from dff.learned_alignment import load_aligner

    return load_aligner(name, "cpu"), [f"--aligner {Path(name).name}"]


@dataclass(frozen=True, kw_only=True)
class AlignmentReal(RealStacks):
    """Alignment of real stacks, scored by SIFT matches.

    Args:
        aligner: Name or path of the weights of an alignment network to score, too.
    """

    aligner: str | None = None

    def run(self) -> Report:
        from dff.eval import alignment_real

        aligner, typed = _aligner(self.aligner)
        return self.run_on_data(alignment_real, aligner, typed=typed)


@dataclass(frozen=True, kw_only=True)
class AlignmentSimulated(Options):
    """Alignment of simulated stacks, whose motion is known.

    Args:
        photos: Folder of photographs to use as textures too.
        aligner: Name or path of the weights of an alignment network to score, too.
    """

    photos: Path | None = None
    aligner: str | None = None

    def run(self) -> Report:
        from dff.eval import alignment_simulated as benchmark
        from dff.recipes import load_recipe
        from dff.simulator.photos import load_photos

        protocol = load_recipe("eval", self.protocol or benchmark.NAME, benchmark.Protocol)
        photos = load_photos(self.photos, most_tiles=protocol.photos) if self.photos else None
        aligner, typed = _aligner(self.aligner)
        options = self.text(*(["--photos DIR"] if self.photos else []), *typed)
        return benchmark.run(protocol, photos, aligner, limit=self.limit, options=options, say=say)


@dataclass(frozen=True, kw_only=True)
class EndToEnd(Options):
    """Depth of unaligned stacks by one model behind every alignment, and behind the true one.

    Args:
        model: What finds depth: classical, or weights by name or path.
        aligner: Name or path of the weights of an alignment network; without it, its rows are left out.
        photos: Folder or packed file of photographs to use as textures too.
    """

    model: str = "base"
    aligner: str | None = None
    photos: Path | None = None

    def run(self) -> Report:
        from dff.eval import end_to_end as benchmark
        from dff.models import load_model
        from dff.recipes import load_recipe
        from dff.simulator.photos import load_photos

        protocol = load_recipe("eval", self.protocol or benchmark.NAME, benchmark.Protocol)
        photos = load_photos(self.photos, most_tiles=protocol.photos) if self.photos else None
        aligner, typed = _aligner(self.aligner)
        typed = [f"--model {Path(self.model).name}", *typed, *(["--photos DIR"] if self.photos else [])]
        model = load_model(self.model, device="cpu")
        return self.run_module(benchmark, model, aligner, photos, typed=typed)
