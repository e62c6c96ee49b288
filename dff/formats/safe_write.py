"""Checks made before any work is done, and writing that leaves either the whole file or nothing."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def _check_writable(folder: Path, path: Path) -> None:
    """Refuse a ``folder`` in which ``path`` could not be made; leaves nothing behind."""
    if not os.path.exists(folder):
        raise FileNotFoundError(f"{path}: the folder {folder} does not exist; create it first")
    if not os.path.isdir(folder):
        raise ValueError(f"{path}: {folder} is a file, not a folder; choose another place")
    try:
        # permission bits say little for root and on network disks: a nameless file tells the truth
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"{path}: cannot write in {folder} ({error.strerror}); choose another place"
        ) from None


def check_output(path: str | Path, suffixes: Sequence[str], overwrite: bool = False) -> Path:
    """Check that the file ``path`` may and can be written, before the work that fills it.

    Args:
        path: the file to be written.
        suffixes: known suffixes in lower case with their dot, such as (".png", ".exr").
        overwrite: allow an existing file to be replaced.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: unknown suffix, ``path`` is a folder, the folder cannot be written, or the file exists.
    """
    path = Path(path)
    known = ", ".join(suffixes)
    if os.path.isdir(path):
        raise ValueError(f"{path}: is a folder; give a file name that ends in {known}")
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{path}: unknown suffix {path.suffix!r}; use one of {known}")
    _check_writable(path.parent, path)
    if os.path.lexists(path) and not overwrite:
        raise ValueError(f"{path}: exists: pass --overwrite or choose another name")
    return path


def check_folder(path: str | Path, overwrite: bool = False) -> Path:
    """Check that files may and can be written into the folder ``path``; does not create it.

    The folder may be missing (its parent must then exist) or empty. With ``overwrite`` it may hold files:
    those of the same name get replaced, others stay.

    Raises:
        FileNotFoundError: neither the folder nor its parent exists.
        ValueError: ``path`` is a file, cannot be written, or is not empty and ``overwrite`` is False.
    """
    path = Path(path)
    if not os.path.lexists(path):
        _check_writable(path.parent, path)
        return path
    if not os.path.isdir(path):
        raise ValueError(f"{path}: is a file, a folder is needed; choose another name")
    _check_writable(path, path)
    if not overwrite and any(path.iterdir()):
        raise ValueError(f"{path}: exists and is not empty: pass --overwrite or choose another name")
    return path


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give an empty file of the same suffix beside ``path``; it becomes ``path`` when the block ends well.

    On any failure, Ctrl-C included, it is removed and ``path`` is as it was. A symbolic link stays a link.
    """
    path = Path(path)
    target = path.resolve() if path.is_symlink() else path
    temporary = target.with_name(f".dff-{secrets.token_hex(6)}{path.suffix}")
    # a plain open obeys the umask; the tempfile module would leave a file only its owner can read
    temporary.open("xb").close()
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
