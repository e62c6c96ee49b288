"""How a data set is scored: one protocol (TOML) per published table, and what was published."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dff.data.catalogue import find_dataset
from dff.recipes import load_recipe, recipe_names

KIND = "eval/datasets"

Metric = Literal[
    "mae", "mse", "rmse", "log_rms", "abs_rel", "sq_rel", "delta1", "delta2", "delta3",
    "bumpiness", "weighted_mae", "weighted_mse", "edge_error", "ause",
]  # fmt: skip
MetricUnit = Literal["metre", "dioptre", "disparity_px", "sweep"]
"""What depth is turned into before it is scored; "sweep": 0 at the farthest slice, 1 at the nearest."""
Align = Literal["none", "known", "breathing", "direct"]
Range = tuple[float, float]

_SECONDS = "seconds"


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published row of a table.

    Args:
        method: as the source calls it.
        source: where the numbers were read.
        values: by metric, in the protocol's unit, delta as a share (not percent); "seconds" per stack.
    """

    method: str
    source: str
    values: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class DatasetProtocol:
    """All that decides the numbers of a table.

    Args:
        dataset, split: of `dff.data.catalogue`.
        unit: of the metrics.
        metrics: that are measured; none where the truth is not public.
        mask_range: true depth [unit] within which a pixel counts, ends included; None: wherever it is known.
        clip_truth, clip_prediction: range [unit] that depth is moved into before anything else.
        height: [px] that slices and truth are brought to, the width in proportion: slices by Lanczos, the
            truth by its nearest pixels; None: their own.
        crop: (height, width) of the middle of the picture, seen and scored, after that; None: all of it.
        slices: how many, spread evenly, or which, counted far first; None: all.
        focus: farthest and nearest focus [unit of the data set] of an even ladder in place of the data set's,
            where the publication rounds it.
        align: "none"; "known": by the motion that the data set tells; "breathing": by the growth of the field
            of view with focus (thin lens); "direct": by `dff.classical.align`.
        weighting: "confidence": the weighted metrics take the data set's confidence.
        aggregate: "image": mean over stacks of their values; "pooled": all pixels of all stacks alike (AUSE
            and edge error stay means over stacks).
        edge_step: jump of the true depth [unit] that counts as an edge.
        note: what a reader of the table must know.
        published: rows to set beside one's own.
    """

    dataset: str
    split: str
    unit: MetricUnit
    metrics: tuple[Metric, ...]
    mask_range: Range | None = None
    clip_truth: Range | None = None
    clip_prediction: Range | None = None
    height: int | None = None
    crop: tuple[int, int] | None = None
    slices: int | tuple[int, ...] | None = None
    focus: Range | None = None
    align: Align = "none"
    weighting: Literal["none", "confidence"] = "none"
    aggregate: Literal["image", "pooled"] = "image"
    edge_step: float | None = None
    note: str = ""
    published: tuple[Published, ...] = field(default=())

    def __post_init__(self) -> None:
        for name in ("mask_range", "clip_truth", "clip_prediction"):
            ends = getattr(self, name)
            if ends is not None and not ends[0] < ends[1]:
                raise ValueError(f"{name} {list(ends)}; give the smaller end first")
        count = self.slices if self.slices is None or isinstance(self.slices, int) else len(self.slices)
        if count is not None and count < 2:
            raise ValueError("slices: a focal stack needs at least 2")
        if self.height is not None and self.height < 1:
            raise ValueError(f"height {self.height}; give 1 or more")
        weighted = any(metric.startswith("weighted") for metric in self.metrics)
        if weighted != (self.weighting == "confidence"):
            raise ValueError('weighting = "confidence" goes with weighted_mae and weighted_mse alone')
        if ("edge_error" in self.metrics) != (self.edge_step is not None):
            raise ValueError("edge_error and edge_step go together")
        for row in self.published:
            strange = [name for name in row.values if name not in (*self.metrics, _SECONDS) and self.metrics]
            if strange:
                raise ValueError(f"published {row.method}: {', '.join(strange)} is not among metrics")

    def settings(self) -> dict[str, Any]:
        """What decides the numbers, as plain tables: all but what others published, and the note."""
        plain = json.loads(json.dumps(asdict(self)))
        return {name: value for name, value in plain.items() if name not in ("note", "published")}

    @property
    def fingerprint(self) -> str:
        """Changes whenever a setting does."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()[:12]


def load_protocol(name: str | Path) -> DatasetProtocol:
    """A protocol by name or path.

    Raises:
        ValueError: no such protocol, or one that is not sound; also a split that the data set does not have.
    """
    protocol = load_recipe(KIND, name, DatasetProtocol)
    known = find_dataset(protocol.dataset).splits
    if protocol.split not in known:
        told = f"{protocol.dataset} has no split {protocol.split!r}, only {', '.join(known)}"
        raise ValueError(f"{name}: {told}")
    return protocol


def protocols_of(dataset: str) -> dict[str, DatasetProtocol]:
    """The protocols that ship for a data set, by name."""
    found = {name: load_recipe(KIND, name, DatasetProtocol) for name in recipe_names(KIND)}
    return {name: one for name, one in found.items() if one.dataset == dataset}


def choose_protocol(
    dataset: str, protocol: str | None = None, split: str | None = None
) -> tuple[str, DatasetProtocol]:
    """The protocol asked for, or the only one that fits; with its name.

    Args:
        dataset: a name of `dff.data.catalogue`.
        protocol: name or path; None: by the split, or the only one of the data set.
        split: must be the protocol's own.

    Raises:
        ValueError: unknown names, several protocols that fit, one of another data set or split, or more than
            one asked for.
    """
    splits = find_dataset(dataset).splits
    if split is not None and split not in splits:
        raise ValueError(f"{dataset}: no split {split!r}; choose from {', '.join(splits)}")
    if protocol is not None and "," in protocol:
        raise ValueError(
            f"--protocol {protocol}: figures of several protocols do not compare; give one at a time"
        )
    if protocol is not None:
        chosen = load_protocol(protocol)
        if chosen.dataset != dataset:
            raise ValueError(f"protocol {protocol} is for {chosen.dataset}, not for {dataset}")
        if split not in (None, chosen.split):
            raise ValueError(f"protocol {protocol} is for the split {chosen.split!r}, not for {split!r}")
        return Path(protocol).stem, chosen
    known = protocols_of(dataset)
    fit = {name: one for name, one in known.items() if split in (None, one.split)}
    told = ", ".join(f"{name} (split {one.split})" for name, one in (fit or known).items())
    if not fit:
        what = f"the split {split!r} of {dataset}" if split else dataset
        raise ValueError(f"no protocol scores {what}; known: {told or 'none'}; or --protocol FILE")
    if len(fit) > 1:
        raise ValueError(f"{dataset} is scored in ways that do not compare; choose --protocol from {told}")
    return next(iter(fit.items()))


def check_same(
    name: str, settings: dict[str, Any], other_name: str, other: dict[str, Any], remedy: str
) -> None:
    """Raise ValueError unless two protocols give figures that compare."""
    differ = [key for key in settings.keys() | other.keys() if settings.get(key) != other.get(key)]
    if differ:
        raise ValueError(
            f"figures of protocol {name} and of {other_name} do not compare: {', '.join(sorted(differ))} "
            f"differ{'s' if len(differ) == 1 else ''}; {remedy}"
        )
