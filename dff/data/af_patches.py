"""Patches for autofocus: a region of a dual-pixel sensor in every slice of a sweep, and the slice in focus.

`AutofocusPatches` is what training and benchmarks take, wherever the patches come from; `SimulatedPatches`
are those of one file of `python -m dff.train.autofocus_patches`. Such a file is HDF5, of P patches of K
slices of h x w pixels, slices far first, all of a patch from the same place of the sensor (so that breathing
moves the scene within it):

    left, right    (P,K,h,w) uint8   light of the two halves, coded: light = (code / 255)^2, 0 black, 1 white
    index          (P,) int16        the slice in focus: nearest in dioptres to the median depth of the patch,
                                     by where the lens truly stood
    ladder_index   (P,) int16        the same by where the camera says that it stood
    dioptre        (P,) float32      that median
    spread         (P,) float32      10th to 90th percentile of the patch's depth, in steps of the ladder
    depth          (P,h,w) float16   dioptres, as seen in slice ``reference``
    corner         (P,2) int16       x, y of the top left pixel in the picture
    true_focus     (P,K) float32     where the lens truly stood [dioptre]
    matrices       (P,K,2,3) float32 pixel (x,y,1) of slice ``reference`` -> of slice k, both counted from
                                     the patch's corner
    light, snr     (P,) float32      mean light of a half; deviation of the sharp picture's detail over
                                     that of the noise in the halves' mean
    hard           (P,) bool         little contrast against the noise, or more than one depth
    scene          (P,) int32        which patches are of one scene
    focus          (K,) float64      dioptres that the camera reports, rising

and the attributes ``format``, ``frame`` (height, width of the picture), ``reference``, ``split`` and
``settings`` (JSON).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import h5py
import numpy as np

from dff.data.hdf5 import H5File

FORMAT = "dff autofocus patches 1"
SUFFIX = ".h5"
SPLITS = ("train", "val", "test")


def coded(light: np.ndarray) -> np.ndarray:
    """Light in [0,1] -> uint8: the root, whose steps stay below the noise in the dark and in the light."""
    return np.rint(255 * np.sqrt(np.clip(light, 0, 1))).astype(np.uint8)


def decoded(code: np.ndarray) -> np.ndarray:
    """uint8 -> light in [0,1], float32."""
    return np.square(np.asarray(code, np.float32) / np.float32(255))


class AutofocusPatches(ABC):
    """P patches of one size, each in K slices, far first.

    Args:
        name: for messages.
        focus: (K,) dioptres, rising.
        frame: (height, width) of the whole picture.
        size: (h,w) of the patches.
        index: (P,) the slice in focus.
        corner: (P,2) x and y of the top left pixel in the picture.
        hard: (P,) bool, those that are hard to focus on; all False where nothing is known about it.
        scene: (P,) int, patches of one scene have one number.
    """

    name: str
    focus: np.ndarray
    frame: tuple[int, int]
    size: tuple[int, int]
    index: np.ndarray
    corner: np.ndarray
    hard: np.ndarray
    scene: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    @property
    def count(self) -> int:
        """K."""
        return len(self.focus)

    @property
    def centre(self) -> np.ndarray:
        """(P,2) middle of the patches in the picture, x and y from -1 to 1."""
        middle = self.corner + np.array(self.size[::-1]) / 2
        return np.asarray(2 * middle / np.array(self.frame[::-1]) - 1)

    @abstractmethod
    def frames(self, patch: int, slices: np.ndarray) -> np.ndarray:
        """(m,2,h,w) float32 light of the left and right half in ``slices`` (m,) of one patch."""

    def stack(self, patch: int) -> np.ndarray:
        """(K,2,h,w): all slices of one patch."""
        return self.frames(patch, np.arange(self.count))


class SimulatedPatches(AutofocusPatches):
    """The patches of a file, held in memory (about 0.4 MB each at 64 x 64 px and 49 slices).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of patches, or one that is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such file of patches; python -m dff.train.autofocus_patches makes one"
            )
        file = H5File(path)
        with h5py.File(path, "r") as opened:
            attributes = dict(opened.attrs)
        if attributes.get("format") != FORMAT:
            raise ValueError(
                f"{path}: holds no autofocus patches; python -m dff.train.autofocus_patches makes them"
            )
        count, slices, height, width = file.shape("left", (None, None, None, None))
        file.shape("right", (count, slices, height, width))
        file.shape("focus", (slices,))
        self.name, self.split = str(path), str(attributes["split"])
        self.settings = str(attributes["settings"])
        self.frame = int(attributes["frame"][0]), int(attributes["frame"][1])
        self.reference = int(attributes["reference"])
        self.size = height, width
        self.focus = file.read("focus")
        self.index, self.ladder_index = (
            file.read(name).astype(np.int64) for name in ("index", "ladder_index")
        )
        self.corner = file.read("corner").astype(np.int64)
        self.hard, self.scene = file.read("hard").astype(bool), file.read("scene")
        self.dioptre, self.spread = file.read("dioptre"), file.read("spread")
        self.true_focus, self.matrices = file.read("true_focus"), file.read("matrices")
        self.light, self.snr = file.read("light"), file.read("snr")
        self.left, self.right = file.read("left"), file.read("right")
        self._file = file

    def frames(self, patch: int, slices: np.ndarray) -> np.ndarray:
        return decoded(np.stack([self.left[patch, slices], self.right[patch, slices]], axis=1))

    def depth(self, patch: int) -> np.ndarray:
        """(h,w) float32 dioptres of one patch, as seen in slice ``reference``."""
        return self._file.read("depth", patch).astype(np.float32)


class MiddlePatches(AutofocusPatches):
    """The middle of other patches, (h,w) = ``size`` px on each side; labels stay those of the whole patches.

    Raises:
        ValueError: patches smaller than that.
    """

    def __init__(self, patches: AutofocusPatches, size: int) -> None:
        if size > min(patches.size):
            raise ValueError(f"{patches.name}: patches of {patches.size} px have no middle of {size} px")
        self._patches = patches
        self._inset = (patches.size[0] - size) // 2, (patches.size[1] - size) // 2
        self.name, self.focus, self.frame = patches.name, patches.focus, patches.frame
        self.size, self.index, self.hard = (size, size), patches.index, patches.hard
        self.corner, self.scene = patches.corner + np.array(self._inset[::-1]), patches.scene

    def frames(self, patch: int, slices: np.ndarray) -> np.ndarray:
        (top, left), (height, width) = self._inset, self.size
        return self._patches.frames(patch, slices)[..., top : top + height, left : left + width]


def patches_file(folder: str | Path, split: str) -> Path:
    """Where a folder keeps the patches of one split, or the file itself if it is given.

    Raises:
        ValueError: unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"patches: no split {split!r}; choose from {', '.join(SPLITS)}")
    path = Path(folder)
    return path if path.suffix == SUFFIX else path / f"{split}{SUFFIX}"
