"""The files a command will write: all of them checked before any work, then written one by one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dff.formats.depth_files import check_depth_output, write_depth
from dff.formats.mesh import MESH_SUFFIXES, write_mesh
from dff.formats.pictures import PICTURE_SUFFIXES, write_picture
from dff.formats.png import strict_json
from dff.formats.safe_write import atomic_path, check_folder, check_output
from dff.formats.video import write_video
from dff.formats.vis import write_vis
from dff.stack import DepthMap, FocalStack

Tick = Callable[[str, int, int], None]


class Outputs:
    """What is to be written where. Build it, call the check of each option, work, then write.

    Args:
        inputs: files that must not be written over, whatever is asked.
        overwrite: allow other files that exist to be replaced.
    """

    def __init__(self, inputs: Sequence[Path], overwrite: bool) -> None:
        self.overwrite = overwrite
        self.written: dict[str, list[str]] = {}
        self._paths: dict[str, Path] = {}
        self._inputs = {os.path.realpath(path) for path in inputs}
        self._claimed: dict[str, str] = {}

    def __contains__(self, option: str) -> bool:
        return option in self._paths

    def _claim(self, option: str, files: Sequence[Path]) -> None:
        for file in files:
            key = os.path.realpath(file)
            if key in self._inputs:
                raise ValueError(f"{file}: belongs to the stack itself; choose another name for --{option}")
            other = self._claimed.setdefault(key, option)
            if other != option:
                raise ValueError(f"{file}: --{other} and --{option} would both write it; give each its own")

    # --- checks ------------------------------------------------------------------------------------------

    def check_depth(self, option: str, path: str | None) -> None:
        """A depth file, with the JSON beside a .png."""
        if path is not None:
            self._claim(option, check_depth_output(path, True))
            check_depth_output(path, self.overwrite)
            self._paths[option] = Path(path)

    def check_file(self, option: str, path: str | None, suffixes: Sequence[str]) -> None:
        """A file of one of ``suffixes``."""
        if path is not None:
            self._claim(option, [check_output(path, suffixes, True)])
            self._paths[option] = check_output(path, suffixes, self.overwrite)

    def check_picture(self, option: str, path: str | None) -> None:
        """A picture."""
        self.check_file(option, path, PICTURE_SUFFIXES)

    def check_mesh(self, option: str, path: str | None) -> None:
        """A mesh."""
        self.check_file(option, path, MESH_SUFFIXES)

    def check_report(self, option: str, path: str | None) -> None:
        """A report."""
        self.check_file(option, path, (".json",))

    def check_folder(self, option: str, path: str | None) -> None:
        """A folder of pictures, which must not be the one the stack lies in."""
        if path is None:
            return
        folder = Path(path)
        if os.path.realpath(folder) in {os.path.dirname(file) for file in self._inputs}:
            raise ValueError(f"{folder}: holds the stack itself; choose another folder for --{option}")
        self._claim(option, [folder])
        self._paths[option] = check_folder(folder, self.overwrite)

    def check_steps(self, option: str, path: str | None) -> None:
        """The folder of intermediate results. Check it last: their names are not known before the work."""
        self.check_folder(option, path)
        for other, file in self._paths.items():
            if path is not None and os.path.dirname(os.path.realpath(file)) == os.path.realpath(path):
                raise ValueError(f"{file}: lies in the folder of --{option}; choose another for --{other}")

    def check_aligned(self, option: str, stack: FocalStack) -> None:
        """The names in the folder of aligned slices, known once the stack is read."""
        if option in self._paths:
            self._claim(option, [self._paths[option] / name for name in aligned_names(stack)])

    # --- writing -----------------------------------------------------------------------------------------

    def _note(self, option: str, files: Sequence[Path]) -> None:
        self.written.setdefault(option, []).extend(str(file) for file in files)

    def depth(self, option: str, depth: DepthMap) -> None:
        """Write the depth map, if asked for."""
        if option in self._paths:
            self._note(option, write_depth(depth, self._paths[option], overwrite=self.overwrite))

    def picture(self, option: str, picture: np.ndarray, stack: FocalStack | None = None) -> None:
        """Write a picture, if asked for, with the metadata of ``stack``."""
        if option in self._paths:
            kept = {"exif": stack.exif, "icc": stack.icc} if stack else {}
            path = write_picture(picture, self._paths[option], overwrite=self.overwrite, **kept)
            self._note(option, [path])

    def vis(self, option: str, depth: DepthMap) -> None:
        """Write depth in colours, if asked for."""
        if option in self._paths:
            self._note(option, [write_vis(depth, self._paths[option], overwrite=self.overwrite)])

    def mesh(self, option: str, depth: DepthMap, picture: np.ndarray | None, stack: FocalStack) -> None:
        """Write the surface, if asked for."""
        if option in self._paths:
            path = self._paths[option]
            self._note(option, [write_mesh(depth, picture, path, lens=stack.lens, overwrite=self.overwrite)])

    def aligned(
        self, option: str, stack: FocalStack, warp: Callable[[Any, int], Any], used: Sequence[int], tick: Tick
    ) -> None:
        """Write slices ``used`` as ``warp(slice, k)`` makes them, if asked for, one at a time."""
        if option not in self._paths:
            return
        folder, names = self._folder(option), aligned_names(stack)
        kept = {"exif": stack.exif, "icc": stack.icc}
        for done, k in enumerate(used):
            tick("write", done, len(used))
            picture = warp(stack.slices[k], k)
            path = write_picture(picture, folder / names[k], overwrite=self.overwrite, **kept)
            self._note(option, [path])
        tick("write", len(used), len(used))

    def folder_picture(
        self, option: str, name: str, picture: np.ndarray, stack: FocalStack | None = None
    ) -> None:
        """Write a picture into the folder of an option, if asked for, with the metadata of ``stack``."""
        if option in self._paths:
            kept = {"exif": stack.exif, "icc": stack.icc} if stack else {}
            path = self._folder(option) / name
            self._note(option, [write_picture(picture, path, overwrite=self.overwrite, **kept)])

    def folder_text(self, option: str, name: str, text: str) -> None:
        """Write a text file into the folder of an option, if asked for."""
        if option in self._paths:
            path = check_output(self._folder(option) / name, (Path(name).suffix,), self.overwrite)
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="\n")
            self._note(option, [path])

    def video(self, option: str, frames: Sequence[np.ndarray]) -> None:
        """Write a video, if asked for."""
        if option in self._paths:
            self._note(option, [write_video(frames, self._paths[option], overwrite=self.overwrite)])

    def steps(self, option: str) -> Callable[[str, np.ndarray], None] | None:
        """A sink for intermediate results, if asked for: numbered pictures, .npz of what is none."""
        if option not in self._paths:
            return None
        number = 0

        def sink(name: str, array: np.ndarray) -> None:
            nonlocal number
            number += 1
            folder = self._folder(option)
            stem = f"{number:02d}_{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}"
            array = np.asarray(array)
            if not _is_picture(array):
                path = check_output(folder / f"{stem}.npz", (".npz",), self.overwrite)
                with atomic_path(path) as temporary:
                    np.savez(temporary, array=array)
                self._note(option, [path])
            if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3):
                preview = array if _is_picture(array) else _stretched(array)
                self._note(option, [write_picture(preview, folder / f"{stem}.png", overwrite=self.overwrite)])

        return sink

    def report(self, option: str, report: dict[str, Any]) -> None:
        """Write the report, if asked for."""
        self.text(option, json_text(report))

    def text(self, option: str, text: str) -> None:
        """Write a text file, if asked for."""
        if option in self._paths:
            path = self._paths[option]
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="\n")
            self._note(option, [path])

    def _folder(self, option: str) -> Path:
        folder = self._paths[option]
        folder.mkdir(exist_ok=True)
        return folder


def aligned_names(stack: FocalStack) -> list[str]:
    """File names of the aligned slices: their own where that format is written, else .png or .tif."""
    other = ".png" if stack.slices[0].dtype == np.uint8 else ".tif"
    flat = [name.replace("/", "_") for name in stack.names]
    names = [
        name if Path(name).suffix.lower() in PICTURE_SUFFIXES else f"{Path(name).stem}{other}"
        for name in flat
    ]
    if len({name.casefold() for name in names}) < len(names):
        names = [f"{k:03d}_{name}" for k, name in enumerate(names)]
    return names


def _is_picture(array: np.ndarray) -> bool:
    shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    return shaped and array.dtype in (np.uint8, np.uint16, bool)


def _stretched(array: np.ndarray) -> np.ndarray:
    """Values from the smallest to the largest -> [0,1]; what is not finite -> 0."""
    known = np.isfinite(array)
    low, high = (float(array[known].min()), float(array[known].max())) if known.any() else (0.0, 0.0)
    scale = 1 / (high - low) if high > low else 0.0
    return np.where(known, (np.where(known, array, low) - low) * scale, 0).astype(np.float32)


def json_text(report: dict[str, Any]) -> str:
    """Strict JSON: NaN and infinity become null."""
    return strict_json(_plain(report), indent=2) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
