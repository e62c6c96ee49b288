"""Which files make the stack: folders, globs and lists, natural order, and the numbered series."""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from dff.formats.decode import PICTURES, RAW
from dff.formats.frames import VIDEOS

Source = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_SAME_KIND = {".jpeg": ".jpg", ".jpe": ".jpg", ".tiff": ".tif"}


def natural_key(text: str) -> list[tuple[int, float, str]]:
    """Sort key in which img2 comes before img10, regardless of case; numbers may have decimals."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text.lower())
    return [(0, float(p), p) if i % 2 else (1, 0.0, p) for i, p in enumerate(parts) if p]


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Paths in natural order of folder and stem."""
    return sorted(
        paths, key=lambda p: (natural_key(p.parent.as_posix()), natural_key(p.stem), p.suffix.lower(), p.name)
    )


def is_readable(path: Path) -> bool:
    """True for a visible file whose suffix is a picture's or a video's."""
    return not path.name.startswith(".") and path.suffix.lower() in PICTURES | VIDEOS


def pattern(path: Path) -> str:
    """File name with its numbers replaced by #: what the members of a numbered series share."""
    suffix = path.suffix.lower()
    return _NUMBER.sub("#", path.stem.lower()) + _SAME_KIND.get(suffix, suffix)


def numbered_series(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Split pictures into the numbered series that most of them belong to, and the others.

    Without a series that holds most of the pictures every picture is kept. RAW twins of developed pictures
    (IMG_1.jpg and IMG_1.dng) count as others.
    """
    stems = {p.stem.lower() for p in paths if p.suffix.lower() not in RAW}
    twins = [p for p in paths if p.suffix.lower() in RAW and p.stem.lower() in stems]
    rest = [p for p in paths if p not in twins]
    counts = Counter(pattern(p) for p in rest if "#" in pattern(p))
    if counts:
        best, number = counts.most_common(1)[0]
        if number >= 2 and 2 * number > len(rest):
            return [p for p in rest if pattern(p) == best], [
                p for p in paths if p in twins or pattern(p) != best
            ]
    return rest, twins


def _left_out(others: Sequence[Path], where: str) -> None:
    if others:
        names = ", ".join(p.name for p in others[:5]) + (
            f" and {len(others) - 5} more" if len(others) > 5 else ""
        )
        warnings.warn(
            f"{where}: left out, not of the numbered series (--all-pictures takes them): {names}",
            stacklevel=2,
        )


def folder_slices(folder: Path, *, series: bool = True, quiet: bool = False) -> list[Path]:
    """The slice files of a folder in natural order, or its one video or multi-page file.

    Raises:
        FileNotFoundError: the folder holds no picture.
    """
    files = natural_order(p for p in folder.iterdir() if is_readable(p) and p.is_file())
    pictures = [p for p in files if p.suffix.lower() in PICTURES]
    files = pictures or files
    if not files:
        inside = [p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
        hint = f"; it has the folders {', '.join(sorted(inside)[:5])}: give one of them" if inside else ""
        raise FileNotFoundError(f"{folder}: no picture or video in this folder{hint}")
    if series:
        files, others = numbered_series(files)
        if not quiet:
            _left_out(others, str(folder))
    return files


def resolve(source: Source, *, series: bool = True) -> list[Path]:
    """Files a source stands for, in slice order.

    A list in plain alphabetical order is what a shell makes: it is put in natural order, and when it has
    every picture of one kind of the folder (``stack/*.jpg``) those that do not fit the numbered series are
    left out, as for a folder. A list in any other order is the caller's own, and kept.

    Raises:
        FileNotFoundError: a path that does not exist, a glob without a match, an empty folder.
        ValueError: files of a kind that is not read.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser()
        if path.is_dir():
            return folder_slices(path, series=series)
        if path.is_file():
            return _known([path])
        if not glob.has_magic(str(path)):
            raise FileNotFoundError(f"{path}: no such file or folder")
        matches = [Path(p) for p in glob.glob(str(path), recursive=True)]
        files = natural_order(p for p in matches if is_readable(p) and p.is_file())
        if not files:
            raise FileNotFoundError(f"{path}: no picture or video matches")
        return _series_of(files, str(path)) if series else files
    paths = [Path(p).expanduser() for p in source]
    if not paths:
        raise ValueError("an empty list of files; give a folder, a glob, or at least 2 pictures")
    if len(paths) == 1:
        return resolve(paths[0], series=series)
    for path in paths:
        if path.is_dir():
            raise ValueError(f"{path}: a folder among {len(paths)} paths; give one folder, or only files")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
    files = _known(paths)
    if not _alphabetical(files):
        return files
    files = natural_order(files)
    return _series_of(files, "the list") if series and _whole_kind(files) else files


def _alphabetical(files: list[Path]) -> bool:
    names = [str(p) for p in files]
    return names == sorted(names) or names == sorted(names, key=str.casefold)  # shells differ by locale


def _known(paths: list[Path]) -> list[Path]:
    files = [p for p in paths if is_readable(p)]
    if not files:
        raise ValueError(
            f"{paths[0]}: files of this kind ({paths[0].suffix or 'no suffix'}) are not read; give pictures "
            "(JPEG, PNG, TIFF, WebP, HEIC, RAW), a multi-page TIFF or a video"
        )
    return files


def _series_of(files: list[Path], where: str) -> list[Path]:
    # Files of several folders (0/slice.jpg, 1/slice.jpg) are no one folder's series: all are meant.
    if len({p.parent for p in files}) > 1:
        return files
    kept, others = numbered_series(files)
    _left_out(others, where)
    return kept


def _whole_kind(files: list[Path]) -> bool:
    folders, suffixes = {p.parent for p in files}, {p.suffix for p in files}
    if len(folders) > 1:
        return False
    there = {p for p in folders.pop().iterdir() if p.suffix in suffixes and is_readable(p)}
    return there == set(files)
