"""The public autofocus data set as dual-pixel patches: Herrmann et al., Learning to Autofocus, CVPR 2020.

    DIR/{train1..train7|test}/raw_up_left_pd/CAPTURE/K/*left*_center.png    16 bit, 1512x2016 (or
    DIR/{train1..train7|test}/raw_up_right_pd/CAPTURE/K/*right*_center.png  raw_left_pd ..., 756x2016)
    DIR/.../merged_depth/CAPTURE/result_merged_depth_center.png, merged_conf/CAPTURE/..._conf_center.exr
    DIR/.../scaled_images/CAPTURE/K/result_scaled_image_center.jpg           tells how the depth is turned

K is 0 to 48, or slice_00 to slice_48; the far slice comes first. The layout is that of loaders in public use.
Patches of 128 px lie 40 px apart. The slice in focus is the one nearest, in dioptres, to the median depth
of the patch. What the release does not say, and is our reading: patches count where the mean confidence of
their depth is 0.95 or more; the set has no validation part, so every tenth scene of the training is one.

Depth has 8 bits and ends at 0.2 m: it cannot label slices beyond about 24, and patches whose median lies at
that end are left out, since they may be nearer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dff.data.af_patches import AutofocusPatches
from dff.data.files import existing, exr_channel, subfolders
from dff.data.l2a_files import depth_turn, halves_of, read_half, slice_folders, white_level
from dff.data.smartphone import FOCUS_MM, dioptres
from dff.simulator.rgbd_depth import read_depth_numbers

PATCH, STRIDE = 128, 40
CONFIDENT = 0.95
FOCUS = 1e3 / np.array(FOCUS_MM)
"""(49,) dioptres, far first."""
_PARTS = {"train": tuple(f"train{k}" for k in range(1, 8)), "test": ("test",)}
_HELD_OUT_EVERY = 10  # scenes of the training
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grid:
    """Which patches are taken.

    Args:
        size, stride: of the patches [px].
        confident: least mean confidence of a patch's depth.
    """

    size: int = PATCH
    stride: int = STRIDE
    confident: float = CONFIDENT

    def __post_init__(self) -> None:
        if self.size < 16 or self.stride < 1 or not 0 <= self.confident <= 1:
            raise ValueError("Grid: size must be 16 px or more, stride 1 or more, confident within 0 to 1")


@dataclass
class Counts:
    """What became of the patches of a split: those kept, and those left out for which reason."""

    captures: int = 0
    kept: int = 0
    doubtful: int = 0
    too_near: int = 0
    empty: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.captures} captures, {self.kept} patches; left out: {self.doubtful} of doubtful depth, "
            f"{self.too_near} nearer than 0.2 m or at its edge"
        )


def is_l2a(folder: Path) -> bool:
    """Whether a folder looks like the data set: it has one of its parts."""
    return any((folder / part).is_dir() for parts in _PARTS.values() for part in parts)


def scene_of(capture: str) -> str:
    """What captures of one place share: home1_0_0 -> home1."""
    return capture.split("_")[0]


def _captures(folder: Path, split: str) -> Iterator[tuple[Path, str]]:
    """(part, capture) of a split, in order."""
    parts = [folder / name for name in _PARTS["test" if split == "test" else "train"]]
    there = [part for part in parts if part.is_dir()]
    if not there:
        raise FileNotFoundError(f"{folder}: holds no {' or '.join(part.name for part in parts)}")
    found = [(part, path.name) for part in there for path in subfolders(halves_of(part)[0])]
    scenes = sorted({scene_of(capture) for _, capture in found})
    held_out = set(scenes[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY]) or set(
        scenes[-1:] if len(scenes) > 1 else ()
    )
    for part, capture in found:
        if split == "test" or (scene_of(capture) in held_out) == (split == "val"):
            yield part, capture


class L2APatches(AutofocusPatches):
    """One split; depth is read now, frames when asked for."""

    def __init__(self, folder: Path, split: str, grid: Grid) -> None:
        self.name, self.focus = f"{folder} ({split})", FOCUS
        self.size = grid.size, grid.size
        self.counts = Counts()
        self._halves: list[tuple[list[Path], list[Path]]] = []
        rows: list[np.ndarray] = []
        scenes: dict[str, int] = {}
        whites: list[int] = []
        self.frame = (0, 0)
        for part, capture in _captures(folder, split):
            left, right = (slice_folders(half / capture, len(FOCUS)) for half in halves_of(part))
            shown = read_half(left[len(left) // 2]), read_half(right[len(right) // 2])
            if self.frame not in ((0, 0), shown[0].shape) or shown[0].shape != shown[1].shape:
                raise ValueError(
                    f"{left[0].parent.parent}: pictures of {shown[0].shape} and {shown[1].shape}; others "
                    f"have {self.frame}: fetch the capture again"
                )
            self.frame = shown[0].shape[0], shown[0].shape[1]
            whites.append(white_level(left[len(left) // 2], *shown))
            found = self._labelled(part, capture, shown[0] + shown[1], grid)
            number = scenes.setdefault(scene_of(capture), len(scenes))
            count = np.full((len(found), 1), len(self._halves))
            rows.append(np.hstack([found, count, np.full_like(count, number)]))
            self._halves.append((left, right))
            self.counts.captures += 1
            if not len(found):
                self.counts.empty.append(capture)
        table = np.concatenate(rows) if rows else np.empty((0, 5), int)
        if not len(table):
            raise ValueError(f"{self.name}: no patch whose depth is known ({self.counts})")
        self.corner, self.index = table[:, :2], table[:, 2]
        self.scene, self._capture = table[:, 4], table[:, 3]
        self.hard = np.zeros(len(table), bool)
        self.white = max(whites)
        _log.info("%s: %s, white at %d", self.name, self.counts, self.white)

    def _labelled(self, part: Path, capture: str, shown: np.ndarray, grid: Grid) -> np.ndarray:
        """(P,3) x, y and slice in focus of the patches of one capture."""
        path = part / "merged_depth" / capture / "result_merged_depth_center.png"
        levels = read_depth_numbers(existing(path))
        if levels.dtype != np.uint8 or levels.ndim != 2:
            raise ValueError(
                f"{path}: holds {levels.dtype} {levels.shape}; this data set's depth is 8 bit, grey"
            )
        confidence = exr_channel(
            part / "merged_conf" / capture / "result_merged_conf_center.exr", ("R", "Y", "Z")
        ).astype(np.float64)
        if confidence.shape != levels.shape:
            raise ValueError(f"{path}: {levels.shape}, its confidence {confidence.shape}; fetch them again")
        turn = depth_turn(part, capture, levels.shape, shown)
        levels, confidence = np.rot90(levels, turn), np.rot90(confidence, turn)
        height, width = self.frame
        scale = np.array(levels.shape) / (height, width)
        found = []
        for y in range(0, height - grid.size + 1, grid.stride):
            for x in range(0, width - grid.size + 1, grid.stride):
                top, bottom = (np.array([y, y + grid.size]) * scale[0]).round().astype(int)
                left, right = (np.array([x, x + grid.size]) * scale[1]).round().astype(int)
                window = slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))
                middle = float(np.median(levels[window]))
                if confidence[window].mean() < grid.confident:
                    self.counts.doubtful += 1
                elif middle < 1:  # level 0 is 0.2 m and all that is nearer
                    self.counts.too_near += 1
                else:
                    dioptre = float(dioptres(np.array(middle)))
                    found.append((x, y, int(np.abs(FOCUS - dioptre).argmin())))
        self.counts.kept += len(found)
        return np.array(found, int).reshape(-1, 3)

    def frames(self, patch: int, slices: np.ndarray) -> np.ndarray:
        x, y = self.corner[patch]
        window = slice(y, y + self.size[0]), slice(x, x + self.size[1])
        halves = self._halves[self._capture[patch]]
        light = np.stack(
            [np.stack([read_half(half[k])[window] for half in halves]) for k in np.asarray(slices).ravel()]
        )
        return light.astype(np.float32) / np.float32(self.white)


def open_l2a(folder: str | Path, split: str, grid: Grid | None = None) -> L2APatches:
    """One split of the data set.

    Args:
        folder: with train1 to train7 (those that are there) and test.
        split: train, val (every tenth scene of the training) or test.
        grid: which patches are taken; None: as published.

    Raises:
        FileNotFoundError: a file is missing; it is named.
        ValueError: unknown split, a damaged file, or no patch at all.
    """
    if split not in ("train", "val", "test"):
        raise ValueError(f"l2a: no split {split!r}; choose from train, val, test")
    return L2APatches(Path(folder).expanduser(), split, grid or Grid())
