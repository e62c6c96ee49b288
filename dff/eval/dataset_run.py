"""Methods on the stacks of a data set: each stack is read once, scored, saved, and kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dff.data.order import check_order
from dff.data.sample import DepthSample, Samples
from dff.eval.baselines.methods import Estimate, Method
from dff.eval.dataset_keep import Kept, Row, file_name
from dff.eval.dataset_protocol import DatasetProtocol
from dff.eval.dataset_score import NothingToScoreError, View, converted, score, view
from dff.eval.spent import spent
from dff.formats.safe_write import atomic_path
from dff.formats.vis import write_vis
from dff.stack import DepthMap, Progress

_LOOKED_AT = 3  # stacks whose order of slices is checked: a data set has one order


@dataclass
class Found:
    """What one method found: a row for every stack, in the order of the data set; ``kept``: earlier."""

    name: str
    fingerprint: str
    parameters: int | None
    rows: list[Row] = field(default_factory=list)
    kept: int = 0


@dataclass(frozen=True)
class Saving:
    """Where predictions go, as FOLDER/METHOD/STACK.npz and .png; None: nowhere.

    The .npz holds ``depth`` (H,W) float32 in the protocol's unit, clipped as it says, and perhaps
    ``confidence``.
    """

    predictions: Path | None = None
    vis: Path | None = None

    def _place(self, folder: Path, method: str, stack: str, suffix: str) -> Path:
        return folder / file_name(method) / f"{file_name(stack)}{suffix}"

    def prediction(self, method: str, stack: str) -> Path:
        """The file of one prediction."""
        assert self.predictions is not None
        return self._place(self.predictions, method, stack, ".npz")

    def _files(self, method: str, stack: str) -> Iterator[Path]:
        if self.predictions is not None:
            yield self.prediction(method, stack)
        if self.vis is not None:
            yield self._place(self.vis, method, stack, ".png")

    def written(self, method: str) -> dict[str, list[Path]]:
        """The files there are of a method, by what they are."""
        folders = {"predictions": self.predictions, "vis": self.vis}
        found = {kind: folder / file_name(method) for kind, folder in folders.items() if folder is not None}
        return {kind: sorted(folder.glob("*.*")) for kind, folder in found.items()}

    def done(self, method: str, stack: str) -> bool:
        """Whether all that is asked for is there."""
        return all(path.is_file() for path in self._files(method, stack))

    def save(self, method: str, stack: str, found: Estimate, seen: View, protocol: DatasetProtocol) -> None:
        """Write what is asked for."""
        for path in self._files(method, stack):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".npz":
                depth = converted(found.value, seen.sample, protocol.unit)
                if protocol.clip_prediction is not None:
                    depth = depth.clip(*protocol.clip_prediction)
                maps = {"depth": depth.astype(np.float32)}
                if found.confidence is not None:
                    maps["confidence"] = found.confidence
                with atomic_path(path) as temporary, temporary.open("wb") as file:
                    np.savez_compressed(file, allow_pickle=False, **maps)
            else:
                picture = seen.sample.images[seen.sample.reference]
                write_vis(_as_map(found, seen.sample), path, picture=picture, overwrite=True)


def _as_map(found: Estimate, sample: DepthSample) -> DepthMap:
    stack = sample.stack()
    index = np.interp(found.value, sample.focus, np.arange(len(sample)))
    everywhere = np.ones(index.shape)
    sure = everywhere if found.confidence is None else found.confidence
    valid = everywhere if found.valid is None else found.valid
    return DepthMap(index, sure, valid, stack.positions, stack.unit)


def _one(method: Method, seen: View, stack: str, protocol: DatasetProtocol, saving: Saving) -> Row:
    found, cost = spent(lambda: method.estimate(seen.sample))
    saving.save(method.name, stack, found, seen, protocol)
    if seen.truth is None:
        return Row(stack, {}, cost)
    try:
        return Row(stack, score(found, seen, protocol), cost)
    except NothingToScoreError as nothing:
        warnings.warn(f"{nothing}: left out of the means", stacklevel=2)
        return Row(stack, {}, cost)
    except ValueError as error:
        raise ValueError(f"{method.name}: {error}") from None


def evaluate(
    samples: Samples,
    protocol: DatasetProtocol,
    methods: Sequence[Method],
    *,
    limit: int | None = None,
    keep: Kept | None = None,
    saving: Saving | None = None,
    say: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> list[Found]:
    """Every method on every stack, or on the first ``limit``; what is kept is not computed again, and told.

    A kept stack is computed again where a file that ``saving`` asks for is missing.

    Raises:
        ValueError, FileNotFoundError: damaged data, or answers that cannot be scored; file or method is told.
    """
    saving = saving or Saving()
    names = samples.names[:limit]
    results = [Found(method.name, method.fingerprint, method.parameters) for method in methods]
    known = [{} if keep is None else keep.rows(method) for method in methods]
    for result, rows in zip(results, known, strict=True):
        for stack in [name for name in rows if name in names and not saving.done(result.name, name)]:
            del rows[stack]
        result.kept = sum(name in rows for name in names)
        if result.kept:
            words = "stacks kept from an earlier run (--overwrite computes them again)"
            say(f"{result.name}: {result.kept} of {len(names)} {words}")
    for k, stack in enumerate(names):
        seen: View | None = None
        for method, result, rows in zip(methods, results, known, strict=True):
            if stack not in rows:
                if seen is None:
                    seen = view(samples[k], protocol)
                    if seen.truth is not None and k < _LOOKED_AT:
                        check_order(seen.sample, seen.truth)
                row = _one(method, seen, stack, protocol, saving)
                if keep is not None:
                    keep.add(method, row)
                rows[stack] = row
            result.rows.append(rows[stack])
        if progress is not None:
            progress("evaluating", k + 1, len(names))
    return results
