"""FocalStack and DepthMap: the two types everybody passes around."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dff.camera import Lens

if TYPE_CHECKING:
    import torch

DISPLAY_GAMMA = 2.2
"""Of display values: light to the power of 1 / 2.2."""

Unit = Literal["dioptre", "um", "index"]
Progress = Callable[[str, int, int], None]
"""Told (stage, done, total) by whatever walks over the slices."""

UNIT_WORDS: dict[Unit, str] = {
    "dioptre": "dioptres (1/m)",
    "um": "micrometres of stage height",
    "index": "focal index (focus distances unknown)",
}


def to_float(image: np.ndarray) -> np.ndarray:
    """(H,W) or (H,W,3) uint8, uint16 or float -> (H,W,3) float32 in [0,1]."""
    if image.dtype == np.uint8:
        image = image.astype(np.float32) * np.float32(1 / 255)
    elif image.dtype == np.uint16:
        image = image.astype(np.float32) * np.float32(1 / 65535)
    else:
        image = np.asarray(image, dtype=np.float32)
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def to_luma(image: np.ndarray) -> np.ndarray:
    """(H,W) or (H,W,3) RGB, uint8, uint16 or float -> (H,W) float32 in [0,1] (Rec. 601 weights)."""
    import cv2

    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if image.dtype.kind == "f":
        return image.astype(np.float32, copy=False)
    return image.astype(np.float32) * np.float32(1 / np.iinfo(image.dtype).max)


def _plain(image: Any) -> np.ndarray:
    """Floats as float32, the one kind OpenCV handles throughout; integers as they are."""
    image = np.asarray(image)
    return image.astype(np.float32, copy=False) if image.dtype.kind == "f" else image


def _as_slices(images: Any) -> Sequence[np.ndarray]:
    """Accept (N,3,H,W) arrays or tensors, or a sequence of (H,W) or (H,W,3) slices (kept as it is)."""
    if hasattr(images, "detach"):
        images = images.detach().cpu().numpy()
    if isinstance(images, (list, tuple)):
        return [_plain(image) for image in images]
    if not isinstance(images, np.ndarray):
        return images
    images = _plain(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"FocalStack: images of shape {images.shape}; give (N,3,H,W), or a list of (H,W,3) slices"
        )
    if images.shape[1] == 1:
        return list(images[:, 0])
    return [np.ascontiguousarray(image.transpose(1, 2, 0)) for image in images]


def _check_slices(slices: Sequence[np.ndarray], names: Sequence[str]) -> None:
    if len(slices) < 2:
        raise ValueError(f"a focal stack needs at least 2 slices, got {len(slices)}")
    first = slices[0]
    for k in range(len(slices)):
        image = slices[k] if k else first
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise ValueError(f"{names[k]}: a slice must be (H,W) or (H,W,3), got {image.shape}")
        if image.shape[:2] != first.shape[:2]:
            raise ValueError(
                f"{names[k]}: {image.shape[1]}x{image.shape[0]} px, but {names[0]} is "
                f"{first.shape[1]}x{first.shape[0]}; all slices must be of one size"
            )
        if image.dtype not in (np.uint8, np.uint16, np.float32):
            raise ValueError(
                f"{names[k]}: slices of type {image.dtype}; give uint8, uint16 or float in [0,1]"
            )
        if image.dtype == np.float32:
            low, high = float(np.min(image)), float(np.max(image))
            if not (math.isfinite(low) and math.isfinite(high)):
                raise ValueError(f"{names[k]}: the slice holds NaN or infinity")
            if low < 0 or high > 1:
                raise ValueError(
                    f"{names[k]}: float slices must lie in [0,1], found {low:.4g} to {high:.4g}; rescale"
                )


def check_positions(values: Any, count: int, what: str, *, signed: bool = False) -> np.ndarray:
    """Check one focus position per slice: finite, >= 0 unless ``signed``, no two equal. (N,) float64."""
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if array.size != count:
        raise ValueError(f"{what}: {array.size} values for {count} slices; give exactly one per slice")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{what}: NaN or infinite value in {array.tolist()}; give finite numbers")
    if not signed and np.any(array < 0):
        raise ValueError(f"{what}: negative value {array.min():g}; distances and dioptres are >= 0")
    order = np.argsort(array, kind="stable")
    same = np.flatnonzero(np.diff(array[order]) <= 1e-9 * max(1.0, float(np.abs(array).max())))
    if same.size:
        a, b = sorted((int(order[same[0]]), int(order[same[0] + 1])))
        raise ValueError(
            f"{what}: slices {a} and {b} have the same value {array[a]:g}; remove one or correct it"
        )
    return array


class FocalStack:
    """Pictures of one scene at N focus positions, checked once, here.

    Args:
        images: (N,3,H,W) float array or tensor in [0,1], or a sequence of N slices, each (H,W) or
            (H,W,3) RGB, uint8, uint16 or float in [0,1]. A sequence is kept as it is (a lazy one too),
            so memory stays at the pictures' own bit depth.
        focus: (N,) focus of each slice in dioptres (1/m, 0 = infinity), or None when unknown.
        lens: the lens, when known.
        z_um: (N,) stage heights in micrometres instead of ``focus`` (microscopes); may be negative.
        names: one name per slice for messages and reports; the file names when read from disk.
        origin: where the focus positions came from, in words.
        exif, icc: metadata of the pictures, carried to the pictures that `dff` writes.

    With neither ``focus`` nor ``z_um`` depth comes out in focal index.

    Raises:
        ValueError: fewer than 2 slices, mixed sizes, values outside [0,1], or bad focus positions.
    """

    def __init__(
        self,
        images: Any,
        focus: Sequence[float] | np.ndarray | None = None,
        lens: Lens | None = None,
        *,
        z_um: Sequence[float] | np.ndarray | None = None,
        names: Sequence[str] | None = None,
        origin: str = "",
        exif: bytes | None = None,
        icc: bytes | None = None,
    ) -> None:
        slices = _as_slices(images)
        self.names = tuple(names) if names is not None else tuple(f"slice {k}" for k in range(len(slices)))
        if len(self.names) != len(slices):
            raise ValueError(f"FocalStack: {len(self.names)} names for {len(slices)} slices")
        _check_slices(slices, self.names)
        if focus is not None and z_um is not None:
            raise ValueError("FocalStack: give focus (dioptres) or z_um (micrometres), not both")
        self.slices = slices
        self.focus = None if focus is None else check_positions(focus, len(slices), "focus [dioptre]")
        self.z_um = None if z_um is None else check_positions(z_um, len(slices), "z [um]", signed=True)
        self.lens = lens
        self.origin = origin or ("given" if self.unit != "index" else "unknown")
        self.exif = exif
        self.icc = icc

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, k: int) -> np.ndarray:
        """Slice ``k`` as (H,W,3) float32 in [0,1]."""
        return to_float(self.slices[k])

    def __repr__(self) -> str:
        return f"FocalStack({len(self)} x {self.width}x{self.height}, unit={self.unit!r}, {self.origin})"

    @property
    def height(self) -> int:
        return int(self.slices[0].shape[0])

    @property
    def width(self) -> int:
        return int(self.slices[0].shape[1])

    @property
    def images(self) -> np.ndarray:
        """All slices, (N,3,H,W) float32 in [0,1]. Allocates; iterate over slices for large stacks."""
        return np.stack([self[k].transpose(2, 0, 1) for k in range(len(self))])

    def tensor(self, device: str | torch.device = "cpu") -> torch.Tensor:
        """All slices as a (N,3,H,W) float32 tensor in [0,1] on ``device``."""
        import torch

        return torch.from_numpy(self.images).to(device)

    @property
    def unit(self) -> Unit:
        """Unit of `positions`."""
        if self.focus is not None:
            return "dioptre"
        return "um" if self.z_um is not None else "index"

    @property
    def positions(self) -> np.ndarray:
        """(N,) float64: focus in dioptres, else stage height in um, else the focal index itself."""
        if self.focus is not None:
            return self.focus
        return self.z_um if self.z_um is not None else np.arange(len(self), dtype=np.float64)

    def subset(self, keep: Sequence[int]) -> FocalStack:
        """The stack of slices ``keep``, in that order."""
        if len(keep) < 2:
            raise ValueError(f"a focal stack needs at least 2 slices, {len(keep)} are left")
        part = copy.copy(self)  # already checked: no second look at (perhaps lazily decoded) pixels
        part.slices = _Picked(self.slices, keep)
        part.names = tuple(self.names[k] for k in keep)
        part.focus = None if self.focus is None else self.focus[list(keep)]
        part.z_um = None if self.z_um is None else self.z_um[list(keep)]
        return part

    def far_first(self) -> FocalStack:
        """The stack with positions rising, so that index 0 is the farthest; unknown order is kept."""
        order = np.argsort(self.positions, kind="stable")
        return self if np.array_equal(order, np.arange(len(self))) else self.subset(order.tolist())


class _Picked(Sequence[np.ndarray]):
    """Some slices of a (lazy) sequence, in a given order."""

    def __init__(self, slices: Sequence[np.ndarray], keep: Sequence[int]) -> None:
        self._slices, self._keep = slices, list(keep)

    def __len__(self) -> int:
        return len(self._keep)

    def __getitem__(self, k: Any) -> Any:
        return self._slices[self._keep[k]]


@dataclass(eq=False)
class DepthMap:
    """Depth of every pixel of the reference slice.

    Args:
        index: (H,W) float32 fractional focal index, 0 = farthest slice (file order when unknown).
        confidence: (H,W) float32 in [0,1].
        valid: (H,W) bool; False where the pictures say nothing about depth (flat, black, never sharp).
        positions: (N,) focus positions of the slices, in ``unit``.
        unit: what ``positions`` are: "dioptre", "um" or "index".

    Values outside ``valid`` are a smooth fill, there for display; do not measure them.
    """

    index: np.ndarray
    confidence: np.ndarray
    valid: np.ndarray
    positions: np.ndarray
    unit: Unit = "index"
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index = np.asarray(self.index, dtype=np.float32)
        self.confidence = np.asarray(self.confidence, dtype=np.float32)
        self.valid = np.asarray(self.valid, dtype=bool)
        self.positions = np.asarray(self.positions, dtype=np.float64)
        if not (self.index.ndim == 2 and self.index.shape == self.confidence.shape == self.valid.shape):
            raise ValueError(
                f"DepthMap: index {self.index.shape}, confidence {self.confidence.shape} and valid "
                f"{self.valid.shape} must be one (H,W)"
            )
        if self.unit not in UNIT_WORDS:
            raise ValueError(f"DepthMap: unit {self.unit!r}; choose from {', '.join(UNIT_WORDS)}")

    @property
    def value(self) -> np.ndarray:
        """(H,W) float32 depth in ``unit``: `index` read off the ladder of focus positions."""
        if self.unit == "index":
            return self.index
        ladder = np.arange(self.positions.size)
        return np.interp(self.index, ladder, self.positions).astype(np.float32)

    @property
    def dioptre(self) -> np.ndarray | None:
        """(H,W) float32 depth in dioptres, or None when focus distances are unknown."""
        return self.value if self.unit == "dioptre" else None

    @property
    def metres(self) -> np.ndarray | None:
        """(H,W) float32 depth in metres (inf at infinity), or None when focus distances are unknown."""
        if self.unit != "dioptre":
            return None
        with np.errstate(divide="ignore"):
            return np.float32(1) / self.value

    @property
    def height_um(self) -> np.ndarray | None:
        """(H,W) float32 height in micrometres, or None when the stack has no stage heights."""
        return self.value if self.unit == "um" else None

    def save(self, path: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Write to .png (16 bit + JSON), .exr, .npz or .tif, chosen by suffix; returns the files written.

        Raises:
            ValueError: unknown suffix, or the file exists and ``overwrite`` is False.
        """
        from dff.formats.depth_files import write_depth

        return write_depth(self, path, overwrite=overwrite)
