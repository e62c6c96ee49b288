"""A focal stack with its true depth, as every data set gives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dff.stack import FocalStack, check_positions

SampleUnit = Literal["dioptre", "disparity_px", "relative", "index"]
"""What focus and depth are counted in; in all of them more is nearer, and blur is linear in all but the last.

"disparity_px" of a stereo pair or light field, may be negative; "relative": dioptres times an unknown factor;
"index": nothing but the order is known.
"""


@dataclass(frozen=True, eq=False)
class Truth:
    """True depth of one stack.

    Args:
        depth: (H,W) float32 in the sample's unit; 0 where not ``valid``.
        valid: (H,W) bool, pixels whose depth is known.
        weight: (H,W) float32 in [0,1], how far to trust each pixel, or None: all alike.
    """

    depth: np.ndarray
    valid: np.ndarray
    weight: np.ndarray | None = None

    def __post_init__(self) -> None:
        parts = (self.depth, self.valid, self.depth if self.weight is None else self.weight)
        if self.depth.ndim != 2 or any(part.shape != self.depth.shape for part in parts):
            raise ValueError(f"Truth: depth, valid and weight must be one (H,W), got {self.depth.shape}")


@dataclass(frozen=True, eq=False)
class DepthSample:
    """One focal stack of a data set, far slice first; pixels and truth are read when they are asked for.

    Args:
        name: what the data set calls it; used in messages and tables.
        images: N slices, (H,W) or (H,W,3) RGB, uint8, uint16, or float32 in [0,1]; usually a lazy sequence.
        focus: (N,) float64, rising, in ``unit``.
        unit: of focus and depth.
        read_truth: reads the true depth; None: there is none.
        read_sharp: reads the all-in-focus picture, shaped as a slice; None: there is none.
        dioptre_per_unit: dioptres of one ``unit``, where metres are known.
        focal_length_m: of the lens, where known: then the growth of the field of view can be computed.
        matrices: (N,2,3) pixel (x,y,1) of slice ``reference`` -> pixel of slice n, where the slices are not
            aligned and their motion is known; None: nothing is to be undone.
        reference: index of the slice in whose frame the truth is.

    Raises:
        ValueError: fewer than two slices, or focus that does not rise.
    """

    name: str
    images: Sequence[np.ndarray]
    focus: np.ndarray
    unit: SampleUnit
    read_truth: Callable[[], Truth] | None = None
    read_sharp: Callable[[], np.ndarray] | None = None
    dioptre_per_unit: float | None = None
    focal_length_m: float | None = None
    matrices: np.ndarray | None = None
    reference: int = -1

    def __post_init__(self) -> None:
        if len(self.images) < 2:
            raise ValueError(f"{self.name}: a focal stack needs at least 2 slices, got {len(self.images)}")
        what = f"{self.name}: focus [{self.unit}]"
        check_positions(self.focus, len(self.images), what, signed=self.unit == "disparity_px")
        if (np.diff(self.focus) <= 0).any():
            raise ValueError(
                f"{what} must rise from the farthest slice to the nearest; sort the slices by it"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def focus_dioptre(self) -> np.ndarray | None:
        """(N,) focus in dioptres, where metres are known."""
        return None if self.dioptre_per_unit is None else self.focus * self.dioptre_per_unit

    def truth(self) -> Truth:
        """The true depth, read now.

        Raises:
            ValueError: there is none, or the file is damaged or holds no depth.
        """
        if self.read_truth is None:
            raise ValueError(f"{self.name}: has no true depth; it can be looked at, not trained on or scored")
        truth = self.read_truth()
        if truth.depth.shape != self.images[0].shape[:2]:
            sizes = (f"{w}x{h}" for h, w in (truth.depth.shape, self.images[0].shape[:2]))
            raise ValueError(f"{self.name}: depth is {next(sizes)} px, the slices are {next(sizes)} px")
        return truth

    def stack(self) -> FocalStack:
        """The slices as the engines take them; without known metres depth comes out in slice numbers."""
        return FocalStack(self.images, self.focus_dioptre, origin=self.name)

    def from_index(self, index: np.ndarray) -> np.ndarray:
        """(H,W) fractional slice numbers -> (H,W) float32 in the sample's unit."""
        return np.interp(index, np.arange(len(self.focus)), self.focus).astype(np.float32)


class Samples(Sequence[DepthSample]):
    """The samples of one split: known by name, opened one by one.

    Args:
        names: of the samples.
        load: opens sample ``k``; reads headers at most. It travels to worker processes.
    """

    def __init__(self, names: Sequence[str], load: Callable[[int], DepthSample]) -> None:
        self.names = tuple(names)
        self._load = load

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(len(self)))]
        index = int(k) + len(self) if k < 0 else int(k)
        if not 0 <= index < len(self):
            raise IndexError(f"sample {k} of {len(self)}")
        return self._load(index)


@dataclass(frozen=True)
class DataSet:
    """What a data set is called, how it is split, and how it lies on disk.

    Args:
        name: as in `dff.data.catalogue`.
        splits: names of its splits.
        tree: the files expected, in one line.
        read: opens a split of a folder that exists; checks what can be checked without reading pictures.
    """

    name: str
    splits: tuple[str, ...]
    tree: str
    read: Callable[[Path, str], Samples]

    def open(self, folder: str | Path, split: str) -> Samples:
        """One split.

        Raises:
            ValueError: an unknown split, or files that are damaged or not of this data set.
            FileNotFoundError: something is missing; the message states the expected tree.
        """
        path = Path(folder).expanduser()
        if split not in self.splits:
            raise ValueError(f"{self.name}: no split {split!r}; choose from {', '.join(self.splits)}")
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder; {self.name} is expected as {self.tree}")
        try:
            samples = self.read(path, split)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; {self.name} is expected as {self.tree}") from None
        except NotADirectoryError:
            raise ValueError(f"{path}: is a file; {self.name} is expected as {self.tree}") from None
        if not len(samples):
            raise FileNotFoundError(f"{path}: no stacks of {self.name} ({split}); expected: {self.tree}")
        return samples
